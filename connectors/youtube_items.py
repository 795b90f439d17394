"""What YouTube says of a video or a channel, as a raw item."""

import re
from collections.abc import Mapping
from typing import Any

WATCH = "https://www.youtube.com/watch?v="

_LONGEST_DESCRIPTION = 1000
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?\Z")
_UNITS = (604_800, 86_400, 3600, 60, 1)
_NO_LANGUAGE = ("zxx", "und")


def item_of(video: Mapping[str, Any]) -> dict[str, Any] | None:
    """A video as a raw item; None for one that can't be watched, or not yet. Raises KeyError without an id.

    What YouTube doesn't say of it is left out: a live one has no duration, and hidden counts are no zeros.
    """
    snippet, status = video.get("snippet", {}), video.get("status", {})
    if status.get("privacyStatus", "public") != "public" or snippet.get("liveBroadcastContent") == "upcoming":
        return None
    identity = str(video["id"])
    counts = video.get("statistics", {})
    language = str(snippet.get("defaultAudioLanguage") or snippet.get("defaultLanguage") or "")
    language = language.partition("-")[0].lower()
    thumbnails = snippet.get("thumbnails", {})
    item = {
        "id": identity,
        "title": str(snippet.get("title", "")),
        "description": str(snippet.get("description", ""))[:_LONGEST_DESCRIPTION],
        "channel": snippet.get("channelTitle"),
        "channel_id": snippet.get("channelId"),
        "category_id": snippet.get("categoryId"),
        "tags": list(dict.fromkeys(str(tag).strip() for tag in snippet.get("tags", []))),
        "language": language if language not in _NO_LANGUAGE else None,
        "duration_seconds": seconds_of(str(video.get("contentDetails", {}).get("duration", ""))),
        "published": snippet.get("publishedAt"),
        "views": _count(counts.get("viewCount")),
        "likes": _count(counts.get("likeCount")),
        "made_for_kids": status.get("madeForKids"),
        "thumbnail": thumbnails.get("high", thumbnails.get("default", {})).get("url"),
        "url": WATCH + identity,
    }
    return {name: value for name, value in item.items() if value not in (None, "", [])}


def channel_of(channel: Mapping[str, Any]) -> dict[str, Any]:
    """A channel: `id`, `title`, `uploads`, `subscribers`, `videos`. Raises KeyError without an id."""
    snippet, counts = channel.get("snippet", {}), channel.get("statistics", {})
    found = {
        "id": str(channel["id"]),
        "title": str(snippet.get("title", "")),
        "uploads": channel.get("contentDetails", {}).get("relatedPlaylists", {}).get("uploads"),
        "subscribers": None if counts.get("hiddenSubscriberCount") else _count(counts.get("subscriberCount")),
        "videos": _count(counts.get("videoCount")),
    }
    return {name: value for name, value in found.items() if value is not None}


def seconds_of(duration: str) -> int | None:
    """The seconds of an ISO 8601 duration; None for none, as of a live video, and for what isn't one.

    >>> seconds_of("PT1H2M3S"), seconds_of("P1DT1S"), seconds_of("P0D"), seconds_of("soon")
    (3723, 86401, None, None)
    """
    found = _DURATION.match(duration)
    if found is None:
        return None
    return sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS, strict=True)) or None


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | str) and re.fullmatch(r"[0-9]{1,15}", str(value)) else None
