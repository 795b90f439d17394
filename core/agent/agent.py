"""The agent of one domain: perceives (context), proposes (sources), decides (filters, scorers, policies)."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..catalog.catalog import Catalog
from ..components import State
from ..config import DomainPlan
from ..context import Context, Request
from ..feedback import Feedback
from ..recent import Recent
from ..slate import Degradation, Slate
from .composition import Composition
from .decision import Decision
from .histories import Histories, History
from .live_policy import LivePolicy
from .proposals import Adopt

_DAY = 86_400
_VECTORS = 10_000


class Agent:
    """The running recommender of one domain.

    adopt: stores raw items that a source brought and returns their ids; set by the orchestrator.
    log: the log position that feedback, histories and policies have reached; reached: … at the furthest: after an
    erasure they begin anew.
    """

    def __init__(self, plan: DomainPlan, catalog: Catalog) -> None:
        self.name = plan.name
        self.plan = plan
        self.catalog = catalog
        self.feedback = Feedback()
        self.histories = Histories(plan.learning.history)
        self.recent = Recent()
        self.policies = {step.name: LivePolicy(step, plan.withheld) for step in plan.policies}
        self.log = 0
        self.reached = 0
        self.adopt: Adopt | None = None
        self._composition = Composition(plan, self.policies)
        self._vectors: dict[str, NDArray[np.float32] | None] = {}  # by the text of a profile

    async def decide(
        self,
        request: Request,
        *,
        slate: str,
        now: float,
        profile: Mapping[str, Any],
        history: Candidates | None = None,
        seed: int | None = None,
        recalled: Mapping[str, Sequence[str]] | None = None,
    ) -> Slate:
        """The slate for a request. Never raises for what a component does: that is named in `degraded`.

        slate: the id that the slate gets; its randomness follows from it unless `seed` is given.
        recalled: `proposed` of the logged slate that is decided again; None for the request of a user.
        """
        if seed is None:
            daily = f"{self.name}\n{request.user}\n{now // _DAY}"
            seed = _seed(daily if self.plan.slate.stable == "day" else slate)
        context = self._context(request, slate, now, seed, profile, history)
        log, relearning = self.log, self.log < self.reached
        versions = {name: policy.position for name, policy in self.policies.items()}
        adopt = self.adopt if recalled is None else self._ids
        decision = Decision(self._composition, context, request, self.catalog, adopt, recalled=recalled)
        await decision.decide()
        if relearning:
            why = "what was learned is being made again, after somebody was erased"
            decision.degraded.append(Degradation("learning", why))
        for policy in self.policies.values():
            if policy.broken:
                decision.degraded.append(Degradation(f"policies.{policy.name}", policy.broken))
        return Slate(
            id=slate,
            domain=self.name,
            user=request.user,
            time=now,
            picks=decision.picks,
            size=context.size,
            seed=seed,
            config=self.plan.digest,
            log=log,
            situation=request.situation,
            exclude=sorted(request.exclude),
            knobs=context.knobs,
            memo=decision.memo,
            versions=versions,
            degraded=decision.degraded,
            considered=decision.considered,
            removed=decision.removed,
            fates=decision.fates if request.trace else None,
            proposed=decision.proposed if recalled is None else recalled,
        )

    async def again(
        self,
        slate: Slate,
        *,
        profile: Mapping[str, Any],
        history: Candidates,
        draws: int | None = None,
        afresh: int | None = None,
    ) -> Decision:
        """What the agent, as it is now, makes of the request behind a logged slate; nothing is logged.

        Seed, time, situation and knobs are the logged ones: policies that tune aren't asked again. Policies that draw
        at random draw what they drew then, or with `afresh`, a seed, something else, `draws` times. Nothing outside
        is asked: sources that hold a connector propose what the log says they did.
        """
        context = self._context_of(slate, profile, history)
        context.draws = draws or context.draws
        request = Request(slate.user, slate.size, slate.situation, frozenset(slate.exclude))
        decision = Decision(
            self._composition,
            context,
            request,
            self.catalog,
            self._ids,
            knobs=slate.knobs,
            afresh=afresh,
            recalled=slate.proposed,
        )
        await decision.decide()
        return decision

    async def chance(
        self, policy: str, slate: Slate, *, profile: Mapping[str, Any], history: Candidates
    ) -> float | None:
        """How probable a policy, as it is now, finds the knobs that it turned for a logged slate; None: unknown."""
        live = self.policies[policy]
        context = self._context_of(slate, profile, history)
        request = Request(slate.user, slate.size, slate.situation)
        await Decision(
            self._composition, context, request, self.catalog, None, recalled=slate.proposed
        ).perceive()
        bound = context.bind(f"policies.{policy}")
        chance: float | None = live.guarded(live.component.chance)(bound, slate.memo_of(policy))
        return chance

    def insight(self, user: str) -> str:
        """What a user's newest outcome changed, as the policies say it; empty where they have nothing to say."""
        return " ".join(said for policy in self.policies.values() if (said := policy.insight(user)))

    def holding(self, policy: str, state: State) -> "Agent":
        """An agent that shares everything with this one but a policy, which holds a state and learns no more.

        Raises ValueError where the state doesn't fit.
        """
        live = LivePolicy(self.policies[policy].step, self.plan.withheld)
        live.load(state, self.log)
        other = copy.copy(self)
        other.policies = {**self.policies, policy: live}
        other._composition = Composition(self.plan, other.policies)
        return other

    async def _ids(self, _: str, raw: Sequence[Mapping[str, Any]], origin: str) -> list[str]:
        """The ids of raw items of a source, none of which is kept."""
        key = self.plan.items.schema.id
        return [str(item[key]) for item in raw if key in item]

    def _context_of(self, slate: Slate, profile: Mapping[str, Any], history: Candidates) -> Context:
        request = Request(slate.user, slate.size, slate.situation)
        return self._context(request, slate.id, slate.time, slate.seed, profile, history)

    def _context(
        self,
        request: Request,
        slate: str,
        now: float,
        seed: int,
        profile: Mapping[str, Any],
        history: Candidates | None,
    ) -> Context:
        options = self.plan.slate
        catalog = self.catalog.snapshot()
        return Context(
            domain=self.name,
            user=request.user,
            slate=slate,
            now=now,
            size=request.size or options.size,
            draws=options.draws,
            seed=seed,
            catalog=catalog,
            history=History((), 0).candidates(catalog, now) if history is None else history,
            feedback=self.feedback,
            # Copies: what a component writes into them must not reach the log, or another request.
            profile=dict(profile),
            situation=dict(request.situation),
            credentials=request.credentials,
            embed_profile=self._embed_profile if self.plan.items.embedder else None,
            _recent=self.recent,
        )

    def _embed_profile(self, profile: Mapping[str, Any]) -> NDArray[np.float32] | None:
        embedder = self.plan.items.embedder
        if not profile or embedder is None:
            return None
        text = embedder.profile_text(profile)
        if text in (vectors := self._vectors):
            return vectors[text]
        vector = embedder.encode([text])[0] if text else None
        found = None
        if vector is not None and vector.any():
            found = vector[:]
            found.setflags(write=False)  # it serves all requests of this profile
        if len(vectors) >= _VECTORS:
            vectors = self._vectors = {}
        vectors[text] = found
        return found


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
