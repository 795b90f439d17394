"""States of tabular policies: what they look at in a request and in items, as readable texts.

A state is made of variables with few values each, such as

    openness=high|mood=calm|evening

What isn't known is a value of its own, `?`: people of whom nothing is known are not taken for average ones.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ..core import Candidates, CatalogSnapshot, Context, trait_of

Floats = NDArray[np.float64]

UNKNOWN = "?"
OTHER = "other"

_KINDS = ("trait", "profile", "situation", "time_of_day", "domain")
_TRAIT_CUTS = (33.0, 66.0)
_BIN_NAMES = {1: ("low", "high"), 2: ("low", "medium", "high")}
_TIMES = {"night": 22.0, "morning": 5.0, "afternoon": 12.0, "evening": 17.0}
"""By time of day, the hour that it begins at."""
_LONGEST_WORD = 40
_SAMPLE = 4096  # items that thirds are taken from


class Variable(BaseModel):
    """One variable of a state: exactly one of `trait`, `profile`, `situation`, `time_of_day`, `domain`.

    >>> Variable(trait="openness").edges, Variable(situation="tempo", cuts=(90,)).names
    ((33.0, 66.0), ('low', 'high'))
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trait: str | None = Field(
        None,
        min_length=1,
        description="A number of the profile from 0 to 100, or of its `traits` or `personality`.",
    )
    profile: str | None = Field(None, min_length=1, description="A key of the profile.")
    situation: str | None = Field(None, min_length=1, description="A key of the situation.")
    time_of_day: Literal[True] | None = Field(
        None, description="morning (from 5), afternoon (12), evening (17) or night (22)."
    )
    domain: Literal[True] | None = Field(None, description="The domain's name: the type of content.")
    cuts: tuple[FiniteFloat, ...] | None = Field(
        None,
        min_length=1,
        max_length=9,
        description="Where numbers are cut into bins; of a trait, 33 and 66.",
    )
    bins: tuple[str, ...] = Field(
        (), description="The bins' names; of two, low and high; of three, low, medium and high."
    )
    among: tuple[str, ...] | None = Field(
        None, min_length=1, max_length=64, description="The words that count; all others are `other`."
    )
    utc_offset: float = Field(0.0, ge=-14, le=14, description="Hours that clocks are ahead of UTC.")

    @model_validator(mode="after")
    def _fits(self) -> "Variable":
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"a variable is one of {', '.join(_KINDS)}: this has {said}")
        kind = given[0]
        if self.cuts is not None and kind not in ("trait", "profile", "situation"):
            raise ValueError(f"`cuts` are for numbers, and {kind} is none")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("`cuts` must ascend")
        count = len(self.edges) + 1 if self.edges else 0
        if len(self.names) != count:
            raise ValueError(f"{len(self.edges)} cuts make {count} `bins`, and {len(self.names)} are named")
        if len(set(map(plain, self.names)) - {""}) < len(self.names):
            raise ValueError("`bins` must be words, each of them once")
        if self.among is not None and (kind not in ("profile", "situation") or self.cuts is not None):
            raise ValueError("`among` goes with words of the profile or situation")
        if self.utc_offset and kind != "time_of_day":
            raise ValueError("`utc_offset` goes with time_of_day")
        return self

    @model_serializer(mode="wrap")
    def _given(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What was given: so digests stay when another option comes to be."""
        fields = type(self).model_fields
        return {
            name: value for name, value in whole(self).items() if getattr(self, name) != fields[name].default
        }

    @property
    def edges(self) -> tuple[float, ...]:
        """Where its numbers are cut; empty where it has words."""
        return self.cuts or (_TRAIT_CUTS if self.trait is not None else ())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its bins, one more than edges; empty where it has words."""
        return self.bins or _BIN_NAMES.get(len(self.edges), ())

    @property
    def name(self) -> str:
        """What it is called in a state; of the time of day and the domain, nothing: their words speak for them."""
        return self.trait or self.profile or self.situation or ""

    def value(self, context: Context) -> str:
        """Its value in a request: a bin, a word, `other`, or `?` where it isn't known."""
        if self.domain is not None:
            return plain(context.domain)
        if self.time_of_day is not None:
            told = context.situation.get("time_of_day")
            if isinstance(told, str) and told.strip().casefold() in _TIMES:
                return told.strip().casefold()
            return time_of_day(context.now, self.utc_offset)
        found = self._found(context)
        if self.edges:
            if isinstance(found, bool) or not isinstance(found, int | float) or found != found:
                return UNKNOWN
            return plain(self.names[bisect_right(self.edges, found)])
        words = {plain(word) for word in found} if isinstance(found, list | tuple) else {plain(found)}
        words.discard("")
        if self.among is not None and words:
            words = (words & set(map(plain, self.among))) or {OTHER}
        return plain("+".join(sorted(words))) or UNKNOWN

    def _found(self, context: Context) -> Any:
        if self.situation is not None:
            return context.situation.get(self.situation)
        return (
            trait_of(context.profile, self.trait)
            if self.trait is not None
            else context.profile.get(self.name)
        )


def state_of(variables: Sequence[Variable], context: Context) -> str:
    """The state of a request, such as `openness=high|mood=calm|evening`."""
    parts = ((variable.name, variable.value(context)) for variable in variables)
    return "|".join(f"{plain(name)}={value}" if name else value for name, value in parts)


def known(state: str) -> str:
    """What is known of a state, in fewer words.

    >>> known("openness=high|mood=?"), known("openness=?|mood=?")
    ('openness=high', 'somebody unknown')
    """
    return (
        "|".join(part for part in state.split("|") if not part.endswith(f"={UNKNOWN}")) or "somebody unknown"
    )


def once(variables: Sequence[Variable]) -> None:
    """Raises ValueError where two variables are one."""
    known = [variable.model_dump_json(include=set(_KINDS)) for variable in variables]
    for place, variable in enumerate(known):
        if variable in known[:place]:
            raise ValueError(f"the variable {variable} is declared twice")


def time_of_day(now: float, utc_offset: float = 0.0) -> str:
    """The time of day at a time in seconds since the epoch.

    >>> time_of_day(6.5 * 3600), time_of_day(6.5 * 3600, utc_offset=-8)
    ('morning', 'night')
    """
    hour = (now / 3600 + utc_offset) % 24
    begun = {name: start for name, start in _TIMES.items() if start <= hour}
    return max(begun, key=begun.__getitem__, default="night")


def plain(word: Any) -> str:
    """A word as it may stand in a state: in lower case, not too long, without what divides states.

    >>> plain(" Calm | happy "), plain(None), plain("n=1"), plain(7)
    ('calm / happy', '', 'n:1', '7')
    """
    return "" if word is None or isinstance(word, dict | list | tuple | set) else _plain(str(word))


@lru_cache(maxsize=4096)
def _plain(word: str) -> str:
    text = " ".join(word[: 4 * _LONGEST_WORD].replace("|", "/").replace("=", ":").split())
    return text.casefold().encode(errors="replace").decode()[:_LONGEST_WORD].strip()


def kinds_of(
    candidates: Candidates,
    fields: Sequence[str],
    words: str | None,
    cuts: Mapping[str, tuple[float, float]],
) -> tuple[list[str], NDArray[np.intp]]:
    """The kinds among candidates as texts, such as `energy=low|genre=folk`, and which each of them is, shape (n,).

    fields: number fields, cut at `cuts` or, where there are none, into thirds of the catalogue's. words: a category
    field, or one of tags of which the first counts.
    """
    code = np.zeros(len(candidates), dtype=np.int64)
    parts: list[tuple[NDArray[np.int64], Callable[[int], str]]] = []
    for field in fields:
        values = candidates[field]
        bins = np.searchsorted(
            cuts[field] if field in cuts else _thirds(candidates.catalog, field), values, "right"
        )
        bins = np.where(np.isnan(values), 3, bins)
        code = code * 4 + bins
        parts.append((bins, [f"{plain(field)}={name}" for name in (*_BIN_NAMES[2], UNKNOWN)].__getitem__))
    if words is not None:
        codes, vocabulary = _first_words(candidates, words), candidates.words(words)
        code = code * (len(vocabulary) + 1) + codes + 1
        found = {one: plain(vocabulary.word(one)) if one >= 0 else UNKNOWN for one in set(codes.tolist())}
        parts.append((codes, {one: f"{plain(words)}={word}" for one, word in found.items()}.__getitem__))
    _, at, of_candidate = np.unique(code, return_index=True, return_inverse=True)
    texts = [[name(one) for one in column[at].tolist()] for column, name in parts]
    return list(map("|".join, zip(*texts, strict=True))) if parts else [""] * len(at), of_candidate


def _thirds(catalog: CatalogSnapshot, field: str) -> Floats:
    """Where a field is cut into thirds of the catalogue's items, shape (2,); empty where all values are missing."""

    def cut() -> Floats:
        values = catalog.column(field)[catalog.live]
        values = values[~np.isnan(values)]
        some = values[:: max(1, len(values) // _SAMPLE)]
        return np.quantile(some, (1 / 3, 2 / 3)) if len(some) else np.empty(0)

    return catalog.cached(("thirds", field), cut)


def _first_words(candidates: Candidates, field: str) -> NDArray[np.int64]:
    """The code of each candidate's category or of its first tag, -1 where there is none, shape (n,)."""
    if candidates.catalog.schema.fields[field] == "category":
        return candidates.codes(field).astype(np.int64)
    indptr, codes = candidates.catalog.tags(field).runs(candidates.rows)
    padded = np.append(codes, -1)
    return np.where(np.diff(indptr) > 0, padded[indptr[:-1]], -1).astype(np.int64)
