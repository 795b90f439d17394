"""Invented channels and videos that a fake YouTube shows: the same ones every time, some of them still to come."""

import base64
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

START = 1_795_000_000.0
"""2026-11-18 11:06:40 UTC: videos were published in the 300 days before it, and will be in the 50 days after it."""

CATEGORIES = {
    "1": ("Film & Animation", ("stop motion", "short film", "model trains", "matte painting")),
    "2": ("Autos & Vehicles", ("vintage tractor", "rally", "bicycle repair", "steam engine")),
    "10": ("Music", ("folk session", "piano", "synth jam", "brass band", "lo-fi beats")),
    "15": ("Pets & Animals", ("otters", "beekeeping", "rescue dogs", "tide pools")),
    "17": ("Sports", ("fell running", "climbing", "table tennis", "open water swimming")),
    "19": ("Travel & Events", ("night trains", "canal boats", "street food", "island walks")),
    "20": ("Gaming", ("speedrun", "puzzle games", "farming simulator", "chess")),
    "22": ("People & Blogs", ("cabin life", "allotment", "van conversion", "morning routine")),
    "23": ("Comedy", ("sketch", "improv", "puppets", "stand-up")),
    "24": ("Entertainment", ("quiz", "magic tricks", "escape rooms", "talent show")),
    "25": ("News & Politics", ("local news", "science news", "budget explained")),
    "26": ("Howto & Style", ("sourdough", "woodworking", "knitting", "watch repair", "pottery")),
    "27": ("Education", ("number theory", "roman history", "grammar", "map making", "meditation")),
    "28": ("Science & Technology", ("robotics", "telescopes", "microscopes", "home automation", "rockets")),
    "29": ("Nonprofits & Activism", ("river cleanup", "repair cafe", "tree planting")),
}
"""Title and topics by category id; the ids and titles are YouTube's."""

CHARTED = ("1", "10", "20")
"""The categories that have a chart of their own: since July 2025 Trending is films, music and games."""

MOODS = (
    "calm",
    "relaxing",
    "exciting",
    "intense",
    "uplifting",
    "funny",
    "unusual",
    "slow",
    "thoughtful",
    "epic",
)
SHAPES = (
    "{mood} {topic} with {person}", "{topic}: a {mood} hour", "The most {mood} {topic} yet", "{person} & the {topic}",
    "{topic} for beginners, {mood} and plain", "Why {topic} is so {mood}", "{topic} | episode {number}",
)  # fmt: skip
PEOPLE = ("Odile", "Tam", "the Marchbanks", "Ravi", "Grandad Joss", "Wren", "Ilse", "the night shift")
LANGUAGES = ("en", "en", "en", "en-GB", "de", "fr", "es")
PER_CHANNEL = 28


def identity(*parts: object, length: int) -> str:
    """An id of YouTube's alphabet."""
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:length]


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel; its uploads are in the playlist of the same id that begins with UU."""

    id: str
    title: str
    category: str
    topic: str
    language: str
    created: float

    @property
    def uploads(self) -> str:
        return "UU" + self.id[2:]


@dataclass(frozen=True)
class Clip:
    """A video; times in seconds since the epoch, views as of `START`."""

    id: str
    channel: Channel
    title: str
    description: str
    tags: tuple[str, ...]
    category: str
    language: str
    seconds: int
    published: float
    views: int
    for_kids: bool

    @cached_property
    def words(self) -> str:
        """What a search looks through."""
        return " ".join((self.title, self.description, *self.tags, self.channel.title)).lower()


@cache
def clips() -> Sequence[Clip]:
    """All videos, the newest first."""
    draw = random.Random("a fake YouTube")
    made = []
    for category, (_, topics) in CATEGORIES.items():
        for topic in topics:
            language = draw.choice(LANGUAGES)
            title = f"{draw.choice(PEOPLE).title()} {topic.title()}"
            channel = Channel(
                "UC" + identity("channel", title, length=22), title, category, topic, language,
                START - draw.randrange(400, 4000) * 86_400.0,
            )  # fmt: skip
            for number in range(PER_CHANNEL):
                mood = draw.choice(MOODS)
                shape = draw.choice(SHAPES)
                name = shape.format(mood=mood, topic=topic, person=draw.choice(PEOPLE), number=number)
                made.append(
                    Clip(
                        identity("video", title, number, length=11),
                        channel,
                        name[0].upper() + name[1:],
                        f"A {mood} look at {topic}, told by {title}. Part {number}.",
                        tuple(dict.fromkeys((topic, mood, *topic.split()))),
                        category,
                        language,
                        draw.choice((40, 55, 150, 210, 480, 760, 1100, 1500, 3200, 7300)),
                        START + draw.uniform(-300, 50) * 86_400.0,
                        int(10 ** draw.uniform(2, 7)),
                        category in ("1", "15", "23") and draw.random() < 0.3,
                    )
                )
    return sorted(made, key=lambda clip: -clip.published)
