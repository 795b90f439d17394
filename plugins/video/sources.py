"""The sources: what was found for somebody's searches, what liked channels uploaded, what is popular now."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from ...connectors.youtube import YouTube
from ...core import CatalogSnapshot, Context, Proposal, Source, WordField
from ..catalog.joint_wait import JointWait
from ..catalog.ranking import best
from ..catalog.words import wanted
from .asking import Asking


class Search(Asking, Source):
    """Videos that answer somebody's searches, from what the catalogue holds: it never waits for YouTube.

    Notes the searches for `video.harvest`, which makes them in the background.
    """

    service: YouTube | None = Field(None, description="The connector whose searches are noted.")
    limit: int = Field(200, ge=1, le=10_000, description="How many videos to propose.")

    async def propose(self, context: Context) -> Proposal:
        """Rows of the catalogue, the best answers first, at most `limit`."""
        if self.service is not None and self.service.configured:
            self.service.demand.note((term.text for term in self.wishes(context)), context.now)
        answers = self.answers(context, context.catalog)
        live = context.catalog.live
        answering = live[answers[live] > 0]
        return answering[best(answers[answering], self.limit)]


class _Live(Source):
    """What the sources that ask YouTube have in common."""

    service: YouTube = Field(description="The connector.")
    searches: WordField = Field(
        "searches", description="The tags field with the searches that found a video."
    )
    again_minutes: float = Field(
        10,
        ge=0,
        description="How long what was found is proposed for the same wish without asking the cache or YouTube again.",
    )


class Uploads(_Live):
    """The newest videos of channels that the user liked: for a unit or two by channel, and kept for hours."""

    channels: int = Field(3, ge=1, le=20, description="How many channels are asked for.")
    limit: int = Field(15, ge=1, le=50, description="How many videos of each.")
    half_life_days: float = Field(30.0, gt=0, le=36_500, description="Days after which a like counts half.")
    channel: WordField = Field("channel_id", description="The category with the channel's id.")

    async def propose(self, context: Context) -> Proposal:
        """Ids, or raw items where some are new to the catalogue. Raises ServiceError where no channel answers."""
        channels = self._liked(context)
        question = context.asked((*channels, self.limit))
        if not channels or question.rows is not None:
            return [] if question.rows is None else question.rows
        wait = JointWait()
        answers = await wait.all([self._uploads(channel) for channel in channels])
        wait.tell(context)
        ids = [each for answer in answers for each in answer]
        items: Sequence[Mapping[str, Any]] = ()
        if (context.catalog.rows(ids) < 0).any():
            items = await self.service.videos(ids)
            ids = [item["id"] for item in items]
        if wait.complete:  # what is missing from it may be there the next time
            question.remember(ids, 60 * self.again_minutes)
        return merged(context.catalog, items, self.searches) if items else ids

    async def _uploads(self, channel: str) -> Sequence[str]:
        return await self.service.uploads(channel, limit=self.limit)

    def _liked(self, context: Context) -> Sequence[str]:
        history = context.history
        reward = np.nan_to_num(history["reward"])
        weight = np.maximum(reward, 0) * np.exp2(-history["age_days"] / self.half_life_days)
        codes = history.codes(self.channel)
        known = codes >= 0
        words = context.catalog.words(self.channel)
        sums = np.bincount(codes[known], weights=weight[known], minlength=len(words)).astype(np.float64)
        chosen = best(sums, self.channels)
        return [words.word(code) for code in chosen.tolist() if sums[code] > 0]


class Popular(_Live):
    """What is popular on YouTube now: the chart of the country, and those of wanted categories that have one."""

    charts: Mapping[str, str] = Field(
        {"Film & Animation": "1", "Music": "10", "Gaming": "20"},
        description="The categories that have a chart of their own, with their ids.",
    )
    profile: tuple[str, ...] = Field(("categories", "interests"), description="Keys that may name them.")
    situation: tuple[str, ...] = Field(("category",), description="Keys that may name them.")
    region: str = Field(
        "region", description="The key of the situation or profile with the country, such as GB."
    )

    async def propose(self, context: Context) -> Proposal:
        """Ids, or raw items where some are new to the catalogue. Raises ServiceError where no chart can be had."""
        region = _country(context.situation.get(self.region))
        if not region:
            context.unheeded(self.region, "the two letters of a country, such as GB")
            region = _country(context.profile.get(self.region))
        names = {word for key in self.profile for word in wanted(context.profile.get(key))}
        names |= {word for key in self.situation for word in wanted(context.situation.get(key))}
        charts = ["", *(chart for title, chart in self.charts.items() if title.casefold() in names)]
        question = context.asked((region, *charts))
        if question.rows is not None:
            return question.rows
        wait = JointWait()
        answers = await wait.all(
            [self.service.most_popular(region=region, category=chart) for chart in charts]
        )
        wait.tell(context)
        items = list({item["id"]: item for answer in answers for item in answer}.values())
        known = [item["id"] for item in items]
        if wait.complete:
            question.remember(known, 60 * self.again_minutes)
        if (context.catalog.rows(known) >= 0).all():
            return known
        return merged(context.catalog, items, self.searches)


def _country(code: Any) -> str:
    """Two capital letters; empty where it is no country's code."""
    fits = isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha()
    return code.upper() if fits else ""


def merged(
    catalog: CatalogSnapshot | None, items: Sequence[Mapping[str, Any]], searches: str
) -> list[dict[str, Any]]:
    """Raw items as they are now, with the searches that are known to have found them."""
    if catalog is None:
        return [dict(item) for item in items]
    tags = catalog.tags(searches)
    merged = []
    for item in items:
        row = catalog.row(item["id"])
        words = tags.words(row) if row >= 0 else []
        merged.append({**item, searches: words} if words else dict(item))
    return merged
