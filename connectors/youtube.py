"""YouTube: searches, videos, channels, uploads and charts of its Data API v3, each within its quota.

connectors:
  youtube: {use: youtube.api, key: "${YOUTUBE_API_KEY:-}", region: GB}

Google's own client makes the requests: see `youtube_client`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, SecretStr

from ..core import Budget, Call, Component, ConnectorError, Garbage, Service, ServiceError, hookimpl
from .youtube_demand import Demand
from .youtube_items import channel_of, item_of

if TYPE_CHECKING:
    from .youtube_client import Client

PER_CALL = 50
"""The most ids of a call, and the most results of a page."""

_PARTS = "snippet,contentDetails,statistics,status"
_ZONE = "America/Los_Angeles"
_BUDGETS = {
    "search": Budget(limit=100, per="day", zone=_ZONE),
    "stats": Budget(limit=10_000, per="day", zone=_ZONE),
    "units": Budget(limit=10_000, per="day", zone=_ZONE),
}


class YouTube(Service):
    """YouTube's Data API v3, with a key: reads what is public.

    Its terms: what it says of a video is fetched anew, or removed, within 30 days.
    """

    loggers: ClassVar[tuple[str, ...]] = ("googleapiclient",)

    key: SecretStr = Field(
        SecretStr(""), description="API key of a Google Cloud project; without one it is off."
    )
    url: str = Field("https://youtube.googleapis.com/", description="Where the API is.")
    region: str | None = Field(
        None, pattern="^[A-Z]{2}$", description="Country whose charts and view are meant, such as GB."
    )
    language: str | None = Field(
        None,
        pattern="^[a-z]{2,3}(-[A-Za-z]{2,4})?$",
        description="Language that searches prefer, such as en.",
    )
    budgets: Mapping[str, Budget] = Field(
        default=_BUDGETS,
        description="What may be spent of each quota: `search` in searches, `stats` in calls for counts, `units` in "
        "all other calls.",
    )
    keep_days: float | None = Field(
        30.0, ge=0.1, le=30, description="Days that an item may be kept before it is fetched anew or removed."
    )

    _client: "Client | None" = PrivateAttr(None)
    _making: Lock = PrivateAttr(default_factory=Lock)
    _demand: Demand = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Have room for what is wanted."""
        super().model_post_init(context)
        self._demand = Demand(self)

    def open(self) -> None:
        """Make the client. Raises ConnectorError where Google's library isn't installed."""
        self._google()

    async def close(self) -> None:
        """Give up what is under way, and close the connections."""
        await super().close()
        if self._client is not None:
            self._client.close()

    @classmethod
    def component_name(cls) -> str:
        """`youtube.api`."""
        return "api"

    @property
    def configured(self) -> bool:
        """Whether there is a key."""
        return bool(self.key.get_secret_value())

    @property
    def demand(self) -> Demand:
        """The searches that are wanted, and may wait until there is room for them."""
        return self._demand

    async def health(self) -> str | None:
        """None when a small question is answered."""
        if not self.configured:
            return "it has no key"
        try:
            await self._items(
                Call("categories", "units"), "videoCategories", {"part": "snippet", "id": "10"}, dict
            )
        except ConnectorError as error:
            return str(error)
        return None

    async def search(
        self,
        query: str,
        *,
        limit: int = PER_CALL,
        order: Literal["relevance", "date", "viewCount", "rating"] = "relevance",
        category: str = "",
        duration: Literal["any", "short", "medium", "long"] = "any",
        anew: bool = False,
    ) -> list[str]:
        """The ids of the videos that a search finds, best first. Each 50 of them cost one of the day's 100 searches.

        category: a category's id. anew: don't answer from the cache. Raises ServiceError.
        """
        wanted: dict[str, Any] = {
            "q": " ".join(query.lower().split()),
            "type": "video",
            "order": order,
            "regionCode": self.region,
            "relevanceLanguage": self.language,
            "videoCategoryId": category or None,
            "videoDuration": duration if duration != "any" else None,
        }

        def read(item: Mapping[str, Any]) -> str:
            return str(item["id"]["videoId"])

        return await self._pages(
            "search", "search", "search", {"part": "id", **wanted}, limit, read, anew=anew
        )

    async def videos(self, ids: Sequence[str], *, anew: bool = False) -> list[dict[str, Any]]:
        """Videos by id as raw items, in the order asked for; those that are gone are left out. 50 cost one unit.

        anew: don't answer from the cache. Raises ServiceError.
        """
        found: list[dict[str, Any]] = []
        for some in _batches(ids):
            call = Call("videos", "units", key=None if anew else some)
            items = await self._items(call, "videos", {"part": _PARTS, "id": some}, item_of)
            by_id = {item["id"]: item for item in items}
            found += [by_id[each] for each in some.split(",") if each in by_id]
        return await self._named(found)

    async def refresh(self, ids: Sequence[str]) -> list[dict[str, Any] | None]:
        """Videos as they are now, one for each id, None where it is gone. Raises ServiceError."""
        found = {item["id"]: item for item in await self.videos(ids, anew=True)}
        return [found.get(each) for each in ids]

    async def statistics(self, ids: Sequence[str]) -> dict[str, dict[str, float]]:
        """Views and likes by id, as they are now: 50 for one of the day's 10,000 calls for counts.

        Raises ServiceError.
        """
        found: dict[str, dict[str, float]] = {}
        for some in _batches(ids):
            asked = {"part": "id,statistics", "id": some}
            for item in await self._items(
                Call("statistics", "stats"), "videos", asked, item_of, "batchGetStats"
            ):
                found[item["id"]] = {name: item[name] for name in ("views", "likes") if name in item}
        return found

    async def channels(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Channels by id: `id`, `title`, `uploads` (a playlist), `subscribers`, `videos`. 50 cost one unit.

        Raises ServiceError.
        """
        found: list[dict[str, Any]] = []
        for some in _batches(ids):
            asked = {"part": "snippet,contentDetails,statistics", "id": some, "maxResults": PER_CALL}
            found += await self._items(Call("channels", "units", key=some), "channels", asked, channel_of)
        return found

    async def uploads(self, channel: str, *, limit: int = PER_CALL) -> list[str]:
        """The ids of a channel's newest videos, newest first: 50 cost one unit, where a search would cost a search.

        Raises ServiceError: Missing where the channel is gone, or never had a video.
        """

        def read(item: Mapping[str, Any]) -> str:
            return str(item["contentDetails"]["videoId"])

        # The playlist of a channel's uploads has the channel's id, but for its beginning.
        wanted = {"part": "contentDetails", "playlistId": "UU" + channel.removeprefix("UC")}
        return await self._pages("uploads", "units", "playlistItems", wanted, limit, read)

    async def most_popular(self, *, region: str = "", category: str = "") -> list[dict[str, Any]]:
        """The first 50 of a country's chart as raw items, for one unit: films, music and games, or one category's id.

        Raises ServiceError: Missing where the category has no chart there.
        """
        wanted = {
            "part": _PARTS,
            "chart": "mostPopular",
            "regionCode": region or self.region,
            "videoCategoryId": category or None,
            "maxResults": PER_CALL,
        }
        call = Call("most_popular", "units", key=json.dumps(wanted))
        return await self._named(await self._items(call, "videos", wanted, item_of))

    async def categories(self) -> dict[str, str]:
        """The titles of the categories by id, as the configured region has them. Raises ServiceError."""

        def read(item: Mapping[str, Any]) -> tuple[str, str]:
            return str(item["id"]), str(item["snippet"]["title"])

        region = self.region or "US"
        call = Call("categories", "units", key=region, keep="features")
        return dict(
            await self._items(call, "videoCategories", {"part": "snippet", "regionCode": region}, read)
        )

    def fault(self, error: Exception) -> ServiceError:
        """What an error of Google's client means."""
        known = None if self._client is None else self._client.fault(error)
        return known or super().fault(error)

    async def _named(self, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The items with their categories' titles, where those can be had."""
        try:
            titles = await self.categories() if items else {}
        except ServiceError:
            titles = {}
        named = []
        for item in items:
            title = titles.get(item.get("category_id", ""))
            named.append({**item, "category": title} if title else item)
        return named

    async def _pages(
        self,
        name: str,
        bucket: str,
        resource: str,
        wanted: Mapping[str, Any],
        limit: int,
        read: Callable[[Mapping[str, Any]], str],
        *,
        anew: bool = False,
    ) -> list[str]:
        """The first `limit` ids of a list that comes in pages, each of them once."""
        found: dict[str, None] = {}
        token: str | None = None
        while len(found) < limit:
            asked = {**wanted, "maxResults": min(PER_CALL, limit - len(found)), "pageToken": token}
            call = Call(name, bucket, key=None if anew else json.dumps(asked))
            ids, token = await self._page(call, resource, asked, read)
            found.update(dict.fromkeys(ids))
            if not ids or not token:
                break
        return list(found)[:limit]

    async def _items(
        self,
        call: Call,
        resource: str,
        asked: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], Any],
        method: str = "list",
    ) -> list[Any]:
        """What is read of the items in the answer to one request. Raises ServiceError."""
        items, _ = await self._page(call, resource, asked, read, method)
        return items

    async def _page(
        self,
        call: Call,
        resource: str,
        asked: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], Any],
        method: str = "list",
    ) -> tuple[list[Any], str]:
        """… and the token of the next page, empty where there is none."""
        google = self._google()

        def send() -> tuple[list[Any], str]:
            page = google.ask(
                resource, method, {name: each for name, each in asked.items() if each is not None}
            )
            return _read(page, read), str(page.get("nextPageToken") or "")

        items, token = await self.call(call, send)
        return items, token

    def _google(self) -> "Client":
        with self._making:
            if self._client is None:
                try:
                    from .youtube_client import Client
                except ImportError:
                    raise ConnectorError(
                        "YouTube needs google-api-python-client, which is not installed: "
                        "pip install 'tastemaker[youtube]'"
                    ) from None
                self._client = Client(self.url, self.key, self.timeout_seconds)
            return self._client


def _batches(ids: Sequence[str]) -> Iterator[str]:
    """Each id once, with commas, as many as go into one call."""
    unique = list(dict.fromkeys(ids))
    for start in range(0, len(unique), PER_CALL):
        yield ",".join(unique[start : start + PER_CALL])


def _read(page: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
    """What is read of each item, without those that are of no use. Raises Garbage where none can be read."""
    items = page.get("items", [])
    found, unread = [], 0
    for item in items:
        try:
            found.append(read(item))
        except (KeyError, TypeError, ValueError, AttributeError):
            unread += 1
    if unread and unread == len(items):
        raise Garbage(f"none of the {unread} items of its answer can be read")
    return [value for value in found if value is not None]


@hookimpl
def components() -> Sequence[type[Component]]:
    """What the plugin `youtube` offers."""
    return [YouTube]
