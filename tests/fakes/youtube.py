"""YouTube's Data API v3 as it is documented for late 2026: a server with a catalogue, quotas and moods of its own.

Three buckets of quota, which begin anew at midnight in Los Angeles: `search` (100 calls of search.list), `stats`
(10,000 of videos.batchGetStats) and `units` (10,000, one for any other list). Every page and every invalid request
costs; a request without a good key costs nobody anything. The answers to mistakes are those that YouTube gives, and
every other answer is held against its discovery document before it leaves.
"""

import base64
import hashlib
import html
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .faults import Faults
from .youtube_catalogue import CATEGORIES, CHARTED, START, Channel, Clip, clips
from .youtube_contract import judge

LIMITS = {"search": 100, "stats": 10_000, "units": 10_000}
MOST_RESULTS = 500
"""A search gives no more than about so many, whatever it says in totalResults."""

_PACIFIC = ZoneInfo("America/Los_Angeles")
_PARTS = {
    "search": {"id", "snippet"},
    "videos": {"id", "snippet", "contentDetails", "statistics", "status", "topicDetails", "player"},
    "stats": {"id", "snippet", "contentDetails", "statistics"},
    "channels": {"id", "snippet", "contentDetails", "statistics"},
    "playlistItems": {"id", "snippet", "contentDetails", "status"},
    "videoCategories": {"id", "snippet"},
}
_LENGTHS = {"short": (0, 240), "medium": (240, 1200), "long": (1200, 10**9)}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the server saw it."""

    operation: str
    bucket: str
    parameters: Mapping[str, str]
    day: str
    status: int


class Trouble(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.body = body


class YouTube:
    """The server's state: what it shows, what was asked of it, and what is left of the quotas.

    clock: seconds since the epoch. key: the only good one. limits: of each bucket for a day. blocked: the
    operations that the key may not be used for. removed: ids of videos that are no longer there. per_minute: the
    most searches of one minute, after which a burst limit answers; None: no such limit.
    """

    def __init__(
        self,
        clock: Callable[[], float] = lambda: START,
        key: str = "a-good-key",
        limits: Mapping[str, int] = LIMITS,
        per_minute: int | None = None,
    ) -> None:
        self.clock = clock
        self.key = key
        self.limits = dict(limits)
        self.per_minute = per_minute
        self.blocked: set[str] = set()
        self.removed: set[str] = set()
        self.old_form = False
        self.log: list[Asked] = []
        self.spent: Counter[tuple[str, str]] = Counter()
        self._minutes: Counter[int] = Counter()
        self.app = Starlette(
            routes=[
                Route("/youtube/v3/search", self._answering("search", "search", self._search)),
                Route("/youtube/v3/videos", self._answering("videos", "units", self._videos)),
                Route("/youtube/v3/videos:batchGetStats", self._answering("stats", "stats", self._stats)),
                Route("/youtube/v3/channels", self._answering("channels", "units", self._channels)),
                Route("/youtube/v3/playlistItems", self._answering("playlistItems", "units", self._playlist)),
                Route(
                    "/youtube/v3/videoCategories",
                    self._answering("videoCategories", "units", self._categories),
                ),
            ],
            middleware=[Middleware(Faults)],
        )

    @property
    def day(self) -> str:
        """The provider's day."""
        return datetime.fromtimestamp(self.clock(), _PACIFIC).date().isoformat()

    def left(self, bucket: str) -> int:
        """What is left of a bucket today."""
        return self.limits[bucket] - self.spent[self.day, bucket]

    def calls(self, operation: str) -> list[Asked]:
        """The requests for one operation, in the order in which they came."""
        return [asked for asked in self.log if asked.operation == operation]

    def shown(self) -> list[Clip]:
        """The videos that are there now, the newest first."""
        now = self.clock()
        return [clip for clip in clips() if clip.published <= now and clip.id not in self.removed]

    def _answering(
        self, operation: str, bucket: str, answer: Callable[[Mapping[str, str]], dict[str, Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            # A repeated parameter is the same as one with commas.
            asked = {
                name: ",".join(request.query_params.getlist(name))
                for name in dict.fromkeys(request.query_params)
            }
            try:
                self._admit(operation, bucket, asked)
                _parts(operation, asked)
                body = answer(asked)
            except Trouble as trouble:
                self._note(operation, bucket, asked, trouble.status)
                return JSONResponse(trouble.body, trouble.status)
            tag = _etag(body)
            body = {"kind": body["kind"], "etag": tag, **body}
            judge(operation, body)
            if request.headers.get("if-none-match") == tag:
                self._note(operation, bucket, asked, 304)
                return Response(status_code=304, headers={"etag": tag})
            self._note(operation, bucket, asked, 200)
            return JSONResponse(body, headers={"etag": tag})

        return endpoint

    def _note(self, operation: str, bucket: str, asked: Mapping[str, str], status: int) -> None:
        self.log.append(
            Asked(operation, bucket, {k: v for k, v in asked.items() if k != "key"}, self.day, status)
        )

    def _admit(self, operation: str, bucket: str, asked: Mapping[str, str]) -> None:
        if asked.get("key") != self.key:
            raise bad_key(self.old_form)
        if operation in self.blocked:
            raise blocked(operation)
        if self.left(bucket) <= 0:
            raise searches_spent() if bucket == "search" else units_spent()
        self.spent[self.day, bucket] += 1
        if bucket == "search" and self.per_minute is not None:
            minute = int(self.clock() // 60)
            self._minutes[minute] += 1
            if self._minutes[minute] > self.per_minute:
                raise searches_spent("Search Queries per minute")

    def _search(self, asked: Mapping[str, str]) -> dict[str, Any]:
        kinds = asked.get("type", "video,channel,playlist").split(",")
        narrowed = {"videoCategoryId", "videoDuration", "videoEmbeddable", "eventType"} & asked.keys()
        if narrowed and kinds != ["video"]:
            raise bad_parameter(
                "type",
                "invalidSearchFilter",
                "The request contains an invalid combination of search filters.",
            )
        found: list[tuple[float, Clip | Channel]] = []
        words = asked.get("q", "").lower()
        if "video" in kinds:
            found += [
                (score, clip) for clip in self._narrowed(asked) if (score := _relevance(words, clip.words))
            ]
        if "channel" in kinds and not asked.get("channelId"):
            found += [
                (score, channel)
                for channel in self._known_channels()
                if (score := _relevance(words, channel.title.lower()))
            ]
        match asked.get("order", "relevance"):
            case "relevance":
                found.sort(key=lambda pair: -pair[0])
            case "date":
                found.sort(
                    key=lambda pair: -(pair[1].published if isinstance(pair[1], Clip) else pair[1].created)
                )
            case "title":
                found.sort(key=lambda pair: pair[1].title)
            case "viewCount" | "rating":
                found.sort(key=lambda pair: -(pair[1].views if isinstance(pair[1], Clip) else 0))
            case _:
                raise bad_parameter("order")
        region = asked.get("regionCode", "US")
        if len(region) != 2:
            raise bad_parameter("regionCode", "invalidRegionCode", f"The region code '{region}' is invalid.")
        things = [thing for _, thing in found[:MOST_RESULTS]]
        page = _page("youtube#searchListResponse", things, asked, _result, least=0, total=len(found) * 100)
        return {**page, "regionCode": region}

    def _narrowed(self, asked: Mapping[str, str]) -> Iterable[Clip]:
        low, high = 0, 10**9
        if (length := asked.get("videoDuration", "any")) != "any":
            if length not in _LENGTHS:
                raise bad_parameter("videoDuration")
            low, high = _LENGTHS[length]
        after, before = _time(asked, "publishedAfter"), _time(asked, "publishedBefore")
        for clip in self.shown():
            if (
                low <= clip.seconds < high
                and asked.get("videoCategoryId", clip.category) == clip.category
                and asked.get("channelId", clip.channel.id) == clip.channel.id
                and (after is None or clip.published >= after)
                and (before is None or clip.published < before)
            ):
                yield clip

    def _videos(self, asked: Mapping[str, str]) -> dict[str, Any]:
        kind = "youtube#videoListResponse"
        if chart := asked.get("chart"):
            if chart != "mostPopular":
                raise bad_parameter("chart")
            wanted = asked.get("videoCategoryId", "0")
            if wanted not in ("0", *CHARTED):
                raise no_chart()
            charted = [
                clip for clip in self.shown() if clip.category in (CHARTED if wanted == "0" else (wanted,))
            ]
            region = asked.get("regionCode", "US")
            charted.sort(key=lambda clip: (-clip.views * _taste(region, clip.id), clip.id))
            return _page(kind, charted[:200], asked, self._video, least=1)
        by_id = {clip.id: clip for clip in self.shown()}
        found = [self._video(by_id[each]) for each in _ids(asked) if each in by_id]
        return _whole(kind, [_chosen(video, asked) for video in found])

    def _stats(self, asked: Mapping[str, str]) -> dict[str, Any]:
        by_id = {clip.id: clip for clip in self.shown()}
        found = []
        for each in _ids(asked):
            if each in by_id:
                whole = self._video(by_id[each])
                found.append(
                    {
                        "kind": "youtube#videoStats",
                        "etag": whole["etag"],
                        "id": each,
                        "snippet": {"publishTime": whole["snippet"]["publishedAt"]},
                        "statistics": {
                            name: count
                            for name, count in whole["statistics"].items()
                            if name in ("viewCount", "likeCount", "commentCount")
                        },
                        "contentDetails": {"duration": f"{by_id[each].seconds}s"},
                    }
                )
        return {"kind": "youtube#batchGetStatsResponse", "items": [_chosen(each, asked) for each in found]}

    def _channels(self, asked: Mapping[str, str]) -> dict[str, Any]:
        known = {channel.id: channel for channel in self._known_channels()}
        if handle := asked.get("forHandle"):
            found = [each for each in known.values() if _handle(each) == "@" + handle.lstrip("@").lower()]
        else:
            found = [known[each] for each in _ids(asked) if each in known]
        return _whole("youtube#channelListResponse", [_chosen(self._channel(each), asked) for each in found])

    def _playlist(self, asked: Mapping[str, str]) -> dict[str, Any]:
        playlist = asked.get("playlistId")
        if not playlist:
            raise missing("No filter selected. Expected one of: id, playlistId")
        channel = next((each for each in self._known_channels() if each.uploads == playlist), None)
        if channel is None:
            raise no_playlist()
        own = [clip for clip in self.shown() if clip.channel.id == channel.id]
        entries = list(enumerate(own))
        return _page(
            "youtube#playlistItemListResponse", entries, asked, lambda entry: _entry(*entry), least=0
        )

    def _categories(self, asked: Mapping[str, str]) -> dict[str, Any]:
        if "id" in asked:
            wanted = [each for each in asked["id"].split(",") if each in CATEGORIES]
        elif len(asked.get("regionCode", "")) == 2:
            wanted = list(CATEGORIES)
        else:
            raise missing("No filter selected. Expected one of: id, regionCode")
        items = []
        for each in wanted:
            snippet = {
                "channelId": "UCBR8-60-B28hp2BmDPdntcQ",
                "title": CATEGORIES[each][0],
                "assignable": True,
            }
            items.append(_tagged({"kind": "youtube#videoCategory", "id": each, "snippet": snippet}))
        return {"kind": "youtube#videoCategoryListResponse", "items": items}

    def _known_channels(self) -> Sequence[Channel]:
        return list(dict.fromkeys(clip.channel for clip in self.shown()))

    def _video(self, clip: Clip) -> dict[str, Any]:
        days = max(0.0, (self.clock() - max(START, clip.published)) / 86_400)
        views = int(clip.views * (1 + days / 50))
        return _tagged(
            {
                "kind": "youtube#video",
                "id": clip.id,
                "snippet": {
                    "publishedAt": _written(clip.published),
                    "channelId": clip.channel.id,
                    "title": clip.title,
                    "description": clip.description,
                    "thumbnails": _thumbnails(clip.id),
                    "channelTitle": clip.channel.title,
                    "tags": list(clip.tags),
                    "categoryId": clip.category,
                    "liveBroadcastContent": "none",
                    "localized": {"title": clip.title, "description": clip.description},
                    "defaultAudioLanguage": clip.language,
                },
                "contentDetails": {
                    "duration": _duration(clip.seconds),
                    "dimension": "2d",
                    "definition": "hd",
                    "caption": "false",
                    "licensedContent": True,
                    "contentRating": {},
                    "projection": "rectangular",
                },
                "status": {
                    "uploadStatus": "processed",
                    "privacyStatus": "public",
                    "license": "youtube",
                    "embeddable": True,
                    "publicStatsViewable": True,
                    "madeForKids": clip.for_kids,
                },
                "statistics": {
                    "viewCount": str(views),
                    "likeCount": str(views // 30),
                    "favoriteCount": "0",
                    "commentCount": str(views // 400),
                },
                "topicDetails": {"topicCategories": []},
                "player": {"embedHtml": f'<iframe src="//www.youtube.com/embed/{clip.id}"></iframe>'},
            }
        )

    def _channel(self, channel: Channel) -> dict[str, Any]:
        own = [clip for clip in self.shown() if clip.channel.id == channel.id]
        return _tagged(
            {
                "kind": "youtube#channel",
                "id": channel.id,
                "snippet": {
                    "title": channel.title,
                    "description": f"All about {channel.topic}.",
                    "customUrl": _handle(channel),
                    "publishedAt": _written(channel.created),
                    "thumbnails": _thumbnails(channel.id),
                    "localized": {"title": channel.title, "description": f"All about {channel.topic}."},
                    "country": "GB",
                },
                "contentDetails": {"relatedPlaylists": {"likes": "", "uploads": channel.uploads}},
                "statistics": {
                    "viewCount": str(sum(clip.views for clip in own)),
                    "subscriberCount": str(1000 * len(own)),
                    "hiddenSubscriberCount": False,
                    "videoCount": str(len(own)),
                },
            }
        )


def _parts(operation: str, asked: Mapping[str, str]) -> None:
    if not asked.get("part"):
        raise missing("No filter selected.", "part")
    if unknown := sorted(set(asked["part"].split(",")) - _PARTS[operation]):
        raise bad_parameter("part", "unknownPart", unknown[0])


def _ids(asked: Mapping[str, str]) -> list[str]:
    ids = [each for each in asked.get("id", "").split(",") if each]
    if not ids:
        raise missing("No filter selected. Expected one of: id, chart, myRating")
    if len(ids) > 50:
        raise bad_parameter("id", "invalidFilters", "The request specifies an invalid filter parameter.")
    return list(dict.fromkeys(ids))


def _time(asked: Mapping[str, str], name: str) -> float | None:
    if name not in asked:
        return None
    try:
        return datetime.fromisoformat(asked[name]).timestamp()
    except ValueError:
        raise bad_parameter(name) from None


def _page(
    kind: str,
    items: Sequence[Any],
    asked: Mapping[str, str],
    shown: Callable[[Any], dict[str, Any]],
    *,
    least: int,
    total: int | None = None,
) -> dict[str, Any]:
    """One page of a list; its token says where the next one begins, and of which question."""
    try:
        size = int(asked.get("maxResults", "5"))
    except ValueError:
        raise bad_parameter("maxResults") from None
    if not least <= size <= 50:
        raise bad_parameter("maxResults")
    question = hashlib.sha256(
        json.dumps({k: v for k, v in asked.items() if k not in ("pageToken", "key", "maxResults")}).encode()
    ).hexdigest()[:6]
    start = 0
    if token := asked.get("pageToken"):
        try:
            of, _, place = base64.urlsafe_b64decode(token).decode().partition(":")
            start = int(place)
        except ValueError:
            of = ""
        if of != question:
            raise bad_parameter(
                "pageToken", "invalidPageToken", "The request specifies an invalid page token."
            )
    page: dict[str, Any] = {"kind": kind}
    for name, place in (("nextPageToken", start + size), ("prevPageToken", start - size)):
        if 0 <= place < len(items) and size:
            page[name] = base64.urlsafe_b64encode(f"{question}:{place}".encode()).decode()
    chosen = [_chosen(shown(item), asked) for item in items[start : start + size]]
    page["pageInfo"] = {"totalResults": len(items) if total is None else total, "resultsPerPage": size}
    return {**page, "items": chosen}


def _whole(kind: str, items: Sequence[Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "pageInfo": {"totalResults": len(items), "resultsPerPage": len(items)},
        "items": list(items),
    }


def _chosen(resource: dict[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """A resource with the parts that were asked for."""
    always = {"kind", "etag", "id"}
    return {name: value for name, value in resource.items() if name in {*always, *asked["part"].split(",")}}


def _relevance(words: str, text: str) -> float:
    """How many of the words a text has; `|` stands between alternatives, `-` before what mustn't be there."""
    best = 0.0
    for alternative in words.split("|"):
        terms = alternative.replace('"', "").split()
        if any(term[1:] in text for term in terms if term[0] == "-" and term[1:]):
            continue
        wanted = [term for term in terms if term[0] != "-"]
        best = max(best, sum(term in text for term in wanted) / len(wanted) if wanted else 1e-9)
    return best


def _result(thing: Clip | Channel) -> dict[str, Any]:
    kind = "video" if isinstance(thing, Clip) else "channel"
    channel = thing.channel if isinstance(thing, Clip) else thing
    return _tagged(
        {
            "kind": "youtube#searchResult",
            "id": {"kind": f"youtube#{kind}", f"{kind}Id": thing.id},
            "snippet": {
                "publishedAt": _written(thing.published if isinstance(thing, Clip) else thing.created),
                "channelId": channel.id,
                # As YouTube does it: in searches only, texts are escaped.
                "title": html.escape(thing.title),
                "description": html.escape(thing.description) if isinstance(thing, Clip) else "",
                "thumbnails": _thumbnails(thing.id),
                "channelTitle": html.escape(channel.title),
                "liveBroadcastContent": "none",
            },
        }
    )


def _entry(position: int, clip: Clip) -> dict[str, Any]:
    return _tagged(
        {
            "kind": "youtube#playlistItem",
            "id": base64.urlsafe_b64encode(f"{clip.channel.uploads}.{clip.id}".encode()).decode(),
            "snippet": {
                "publishedAt": _written(clip.published),
                "channelId": clip.channel.id,
                "title": clip.title,
                "description": clip.description,
                "thumbnails": _thumbnails(clip.id),
                "channelTitle": clip.channel.title,
                "playlistId": clip.channel.uploads,
                "position": position,
                "resourceId": {"kind": "youtube#video", "videoId": clip.id},
                "videoOwnerChannelTitle": clip.channel.title,
                "videoOwnerChannelId": clip.channel.id,
            },
            "contentDetails": {"videoId": clip.id, "videoPublishedAt": _written(clip.published)},
            "status": {"privacyStatus": "public"},
        }
    )


def _tagged(resource: dict[str, Any]) -> dict[str, Any]:
    return {"kind": resource["kind"], "etag": _etag(resource), **resource}


def _etag(content: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:27]


def _thumbnails(identity: str) -> dict[str, Any]:
    sizes = {"default": (120, 90), "medium": (320, 180), "high": (480, 360)}
    return {
        name: {"url": f"https://i.ytimg.com/vi/{identity}/{name}.jpg", "width": width, "height": height}
        for name, (width, height) in sizes.items()
    }


def _handle(channel: Channel) -> str:
    return "@" + channel.title.replace(" ", "").lower()


@cache
def _taste(region: str, video: str) -> float:
    """How much more a video is watched in one country than in others, 0.5 to 1.5."""
    return 0.5 + hashlib.sha256(f"{region} {video}".encode()).digest()[0] / 255


def _written(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: int) -> str:
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return "PT" + "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if n)


def _trouble(code: int, message: str, reason: str, domain: str, **more: Any) -> Trouble:
    errors = [{"message": message, "domain": domain, "reason": reason, **more.pop("at", {})}]
    return Trouble(code, {"error": {"code": code, "message": message, "errors": errors, **more}})


def _info(reason: str, **more: Any) -> list[dict[str, Any]]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, **more}]


def searches_spent(limit: str = "Search Queries per day") -> Trouble:
    """No search is left of the day, or of the minute: the message alone tells which."""
    return _trouble(
        429,
        f"Quota exceeded for quota metric 'Search Queries' and limit '{limit}' of service 'youtube.googleapis.com' "
        "for consumer 'project_number:000000000000'.",
        "rateLimitExceeded", "global", status="RESOURCE_EXHAUSTED",
        details=_info("RATE_LIMIT_EXCEEDED", domain="googleapis.com"),
    )  # fmt: skip


def units_spent() -> Trouble:
    """No unit is left of the day."""
    quota = '<a href="/youtube/v3/getting-started#quota">quota</a>'
    message = f"The request cannot be completed because you have exceeded your {quota}."
    return _trouble(403, message, "quotaExceeded", "youtube.quota")


def bad_key(old_form: bool = False) -> Trouble:
    """The key is none; YouTube has two ways of saying so."""
    if old_form:
        return Trouble(
            400,
            {
                "error": {
                    "errors": [{"domain": "usageLimits", "reason": "keyInvalid", "message": "Bad Request"}],
                    "code": 400,
                    "message": "Bad Request",
                }
            },
        )
    return _trouble(
        400, "API key not valid. Please pass a valid API key.", "badRequest", "global", status="INVALID_ARGUMENT",
        details=_info("API_KEY_INVALID"),
    )  # fmt: skip


def blocked(operation: str) -> Trouble:
    """The key may not be used for the operation."""
    name = {"search": "V3DataSearchService", "videos": "V3DataVideoService"}.get(operation, "V3DataService")
    return _trouble(
        403, f"Requests to this API youtube method youtube.api.v3.{name}.List are blocked.", "forbidden", "global",
        status="PERMISSION_DENIED",
        details=_info(
            "API_KEY_SERVICE_BLOCKED", domain="googleapis.com",
            metadata={"service": "youtube.googleapis.com", "consumer": "projects/XXXXXXXXXX"},
        ),
    )  # fmt: skip


def bad_parameter(name: str, reason: str = "invalidParameter", message: str = "") -> Trouble:
    """A parameter that can't be."""
    message = message or f"Invalid value for {name}."
    return _trouble(400, message, reason, "youtube.parameter", status="INVALID_ARGUMENT")


def missing(message: str, name: str = "parameters.") -> Trouble:
    """A parameter that has to be there."""
    at = {"location": name, "locationType": "parameter"}
    return _trouble(400, message, "missingRequiredParameter", "youtube.parameter", at=at)


def no_chart() -> Trouble:
    """The category has no chart."""
    message = "The requested video chart is not supported or is not available."
    at = {"location": "chart", "locationType": "parameter"}
    return _trouble(400, message, "videoChartNotFound", "youtube.video", at=at)


def no_playlist() -> Trouble:
    """There is no such playlist."""
    message = "The playlist identified with the request's <code>playlistId</code> parameter cannot be found."
    at = {"location": "playlistId", "locationType": "parameter"}
    return _trouble(404, message, "playlistNotFound", "youtube.playlistItem", at=at)
