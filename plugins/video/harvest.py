"""The harvest: searches that people want are made in the background, spread over the provider's day."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence

from pydantic import Field

from ...connectors.youtube import YouTube
from ...core import Collection, Collector, CollectorError, Fault, Missing, Record, ServiceError, WordField
from .sources import merged

_DAY = 86_400.0
_WEEK = 7 * _DAY
_REMEMBERED = 30 * _DAY
_MOST_REMEMBERED = 5000


class Harvest(Collector):
    """Makes the searches that `video.search` noted, those first that are wanted often, of late, and not yet made.

    Over the provider's day it spends the daily budget of searches evenly, but for a reserve. It also brings the chart
    of the connector's country, for a unit.
    """

    service: YouTube = Field(description="The connector.")
    reserve: int = Field(10, ge=0, description="Searches of a day that it leaves alone.")
    at_once: int = Field(10, ge=1, le=100, description="Most searches of one run.")
    ahead_minutes: float = Field(
        60.0, ge=0, le=1440, description="How much earlier than evenly it may spend."
    )
    remember_hours: float = Field(
        24.0, ge=1, le=720, description="Hours after which a search may be made again, if it is still wanted."
    )
    seeds: tuple[str, ...] = Field((), description="Searches to make while nobody wants any.")
    results: int = Field(50, ge=1, le=50, description="Videos of a search.")
    searches: WordField = Field(
        "searches", description="The tags field that gets the searches that found a video."
    )

    async def collect(self, collection: Collection) -> AsyncIterator[Record | Fault]:
        """The chart, then what the searches find. Raises CollectorError where nothing at all could be had."""
        made, faults, brought = _made(collection.mark, collection.now), list[Fault](), 0
        # By id, what this run's searches found: one may be found by several.
        found: dict[str, set[str]] = {}
        try:
            for item in merged(collection.catalog, await self.service.most_popular(), self.searches):
                brought += 1
                found[item["id"]] = set(item.get(self.searches, ()))
                yield Record(item, "youtube: most popular")
        except Missing:
            pass
        except ServiceError as error:
            faults.append(Fault("youtube: most popular", str(error)))
        for query in await self._due(made, collection.now):
            try:
                ids = await self.service.search(query, limit=self.results, anew=True)
                items = await self.service.videos(ids)
            except ServiceError as error:
                faults.append(Fault(f"youtube: search {query!r}", str(error)))
                if isinstance(error, Missing):
                    made[query] = collection.now
                    continue
                break
            made[query] = collection.now
            for item in merged(collection.catalog, items, self.searches):
                brought += 1
                words = found.setdefault(item["id"], {*made} & {*item.get(self.searches, ())})
                words.add(query)
                yield Record({**item, self.searches: sorted(words)}, f"youtube: search {query!r}")
        if faults and not brought:
            raise CollectorError(faults[0].message)
        for fault in faults:
            yield fault
        newest = sorted(made, key=lambda query: -made[query])[:_MOST_REMEMBERED]
        collection.mark = json.dumps({query: int(made[query]) for query in newest})

    async def _due(self, made: Mapping[str, float], now: float) -> Sequence[str]:
        """The searches to make now, the most wanted first."""
        room = await self._room(now)
        if room <= 0:
            return ()
        counts = await self.service.demand.counts(now)
        worth: dict[str, float] = {}
        for query in [*counts, *self.seeds]:
            age = now - made.get(query, float("-inf"))
            if age >= self.remember_hours * 3600:
                # What was made a while ago waits for what never was, unless it is wanted that much more.
                worth[query] = counts.get(query, 0.0) * min(1.0, age / _WEEK)
        return sorted(worth, key=lambda query: -worth[query])[:room]

    async def _room(self, now: float) -> int:
        """How many searches may be made now: the share of the budget that the day has come to, less what is spent."""
        budget = self.service.budgets["search"]
        left = (await self.service.remaining())["search"].left
        spent = budget.limit - left
        begin, end = budget.day(now) if budget.per == "day" else (now, now + 1)
        passed = min(1.0, (now - begin + self.ahead_minutes * 60) / (end - begin))
        evenly = int((budget.limit - self.reserve) * passed)
        return max(0, min(self.at_once, evenly - spent))


def _made(mark: str, now: float) -> dict[str, float]:
    """When each search was made, from what the last run left; those that are longer ago are forgotten."""
    made = json.loads(mark or "{}")
    return {query: at for query, at in made.items() if now - at < _REMEMBERED}
