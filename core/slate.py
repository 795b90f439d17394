"""The slate: the ordered answer to a request, with all that is needed to explain, replay and learn from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Pick:
    """One item of a slate.

    position: from 0.
    score: the sum of `parts`, by which it was ordered.
    propensity: the probability that this item stood at this position, given the context.
    parts: by scorer or policy, its weighted part of the score.
    sources: the sources that proposed it.
    explored: it stands here to be tried, not for its score.
    """

    item: str
    position: int
    score: float
    propensity: float
    parts: Mapping[str, float]
    sources: Sequence[str]
    explored: bool = False


@dataclass(frozen=True, slots=True)
class Degradation:
    """One thing that failed on the way.

    component: such as `sources.similar`; reason: for people.
    """

    component: str
    reason: str


@dataclass(frozen=True, slots=True)
class Slate:
    """The ordered answer, as it is logged.

    time: seconds since the epoch.
    knobs: what policies turned; memo: by policy, what it wants back, arrays cut to the picks.
    versions: by policy, the log position that its state had reached.
    log: the position of the log that the decision saw.
    seed: of all randomness of the decision; config: digest of the domain's composition.
    removed: by filter, how many candidates it dropped; considered: how many were proposed.
    fates: with a trace, by item, what became of the candidates that are not in the slate.
    proposed: by step that holds a connector, such as `sources.search`, the items that it proposed: what is outside
    can't be asked again.
    """

    id: str
    domain: str
    user: str
    time: float
    picks: Sequence[Pick]
    size: int
    seed: int
    config: str
    log: int = 0
    situation: Mapping[str, Any] = field(default_factory=dict)
    exclude: Sequence[str] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict)
    memo: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    variant: str = ""
    degraded: Sequence[Degradation] = ()
    considered: int = 0
    removed: Mapping[str, int] = field(default_factory=dict)
    fates: Mapping[str, Mapping[str, Any]] | None = None
    proposed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The body of the log entry; id, domain and user are columns of the log."""
        body = {name: getattr(self, name) for name in _LOGGED}
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)

    @classmethod
    def from_bytes(cls, id: str, domain: str, user: str, body: bytes) -> "Slate":
        """The slate that `to_bytes` wrote."""
        fields = orjson.loads(body)
        fields["picks"] = tuple(Pick(**pick) for pick in fields["picks"])
        fields["degraded"] = tuple(Degradation(**entry) for entry in fields["degraded"])
        return cls(id=id, domain=domain, user=user, **fields)

    def memo_of(self, policy: str, place: int | None = None) -> Mapping[str, Any]:
        """What a policy wrote for the request and, with a place in `picks`, for the item there; empty for nothing."""
        memo = self.memo.get(policy)
        if not memo:
            return {}
        request: Mapping[str, Any] = memo.get("context", {})
        if place is None:
            return request
        return {**request, **{key: values[place] for key, values in memo.get("items", {}).items()}}

    def answer(self, item: Callable[[str], Any], *, parts: bool, trace: bool) -> dict[str, Any]:
        """The slate as it is given to who asked, for JSON.

        item: the fields of an item by its id; parts, trace: whether to tell what the scores are made of, and what
        became of the other candidates.
        """
        picks = [
            {
                "id": pick.item,
                "position": pick.position,
                "score": pick.score,
                "propensity": pick.propensity,
                "sources": pick.sources,
                "explored": pick.explored,
                "item": item(pick.item),
            }
            for pick in self.picks
        ]
        if parts:
            for written, pick in zip(picks, self.picks, strict=True):
                written["parts"] = pick.parts
        document: dict[str, Any] = {
            "slate": self.id,
            "domain": self.domain,
            "user": self.user,
            "items": picks,
            "degraded": self.degraded,
        }
        if trace:
            document["trace"] = {
                "considered": self.considered,
                "removed": self.removed,
                "knobs": self.knobs,
                "versions": self.versions,
                "fates": self.fates or {},
            }
        return document


_LOGGED = [name for name in Slate.__dataclass_fields__ if name not in ("id", "domain", "user")]
