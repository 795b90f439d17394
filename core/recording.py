"""Accepting interactions: what is odd about each, its place in the log, and what was learned from it."""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio.to_thread

from .clock import Clock
from .errors import domain_of
from .interaction import Interaction
from .learning import Fold, Learner
from .rewards import RewardTable
from .store import Entry, Receipt, Store

_FOLD_SECONDS = 0.25
"""How long an acknowledgement waits for its interaction to be learned from."""
_SKEW_SECONDS = 60.0
"""How far ahead a caller's clock may be."""
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an interaction: its place in the log, whether it was there already, and what was odd.

    other: what else has this id, so that the interaction was not written; None where nothing has.
    insight: what the policies learned from it about its user, in words; empty where that is nothing.
    """

    id: str
    position: int
    duplicate: bool
    warnings: Sequence[str] = ()
    other: Interaction | None = None
    insight: str = ""


class Recorder:
    """Writes the interactions of all domains down; of slates that were shown lately it knows without the log."""

    def __init__(self, store: Store, folds: Mapping[str, Fold], learner: Learner, clock: Clock) -> None:
        self._store, self._folds, self._learner, self._clock = store, folds, learner, clock
        self._slates: OrderedDict[str, None] = OrderedDict()

    def remember(self, slate: str) -> None:
        """A slate was logged: interactions with it may come."""
        self._slates[slate] = None
        if len(self._slates) > _REMEMBERED:
            self._slates.popitem(last=False)

    async def record(self, interactions: Sequence[Interaction]) -> list[Recorded]:
        """Write interactions, durably; one answer for each. Raises NotFound, StoreError: then none was written."""
        now = self._clock()
        entries, warnings = [], []
        for given in interactions:
            interaction, noted = await self._checked(given, now)
            body = interaction.to_bytes()
            entries.append(Entry("interaction", interaction.id, interaction.domain, interaction.user, body))
            warnings.append(noted)
        receipts = await self._store.append_soon(entries, durable=True, loop=asyncio.get_running_loop())
        newest = await self._newest(interactions, receipts)
        return [
            Recorded(
                interaction.id,
                receipt.position,
                receipt.duplicate,
                noted,
                await self._other(interaction) if receipt.duplicate else None,
                self._folds[interaction.domain].agent.insight(interaction.user)
                if newest.get((interaction.domain, interaction.user)) == receipt.position
                and not receipt.duplicate
                else "",
            )
            for interaction, receipt, noted in zip(interactions, receipts, warnings, strict=True)
        ]

    async def _checked(self, interaction: Interaction, now: float) -> tuple[Interaction, list[str]]:
        """The interaction as it is to be written, and what is odd about it. Raises NotFound, StoreError."""
        agent = domain_of(self._folds, interaction.domain).agent
        noted = []
        if interaction.time > now + _SKEW_SECONDS:
            noted.append("its time lies in the future: taken as now")
            interaction = replace(interaction, time=now)
        if agent.catalog.snapshot().row(interaction.item) < 0:
            noted.append(f"no item {interaction.item!r} is in the catalogue of {interaction.domain!r}")
        if interaction.slate and not await self._knows(interaction.slate):
            noted.append(f"no slate {interaction.slate!r} is known: taken as feedback without a slate")
        reward = agent.plan.reward
        if isinstance(reward, RewardTable) and (doubt := reward.doubt(interaction)) is not None:
            noted.append(doubt)
        return interaction, noted

    async def _knows(self, slate: str) -> bool:
        if slate in self._slates:
            return True
        entry = await anyio.to_thread.run_sync(self._store.entry, "slate", slate)
        if entry is not None:
            self.remember(slate)
        return entry is not None

    async def _newest(
        self, interactions: Sequence[Interaction], receipts: Sequence[Receipt]
    ) -> dict[tuple[str, str], int]:
        """By domain and user, the position of the last interaction that something was learned from.

        Empty where nothing is learned in the background, or not in time.
        """
        if not (receipts and self._learner.follows):
            return {}
        end = max(receipt.position for receipt in receipts)
        if not await self._learner.reached(end, _FOLD_SECONDS):
            return {}
        return {
            (interaction.domain, interaction.user): receipt.position
            for interaction, receipt in zip(interactions, receipts, strict=True)
            if not receipt.duplicate
            and any(policy.tells for policy in self._folds[interaction.domain].agent.policies.values())
            and self._folds[interaction.domain].worth(interaction) is not None
        }

    async def _other(self, interaction: Interaction) -> Interaction | None:
        """What is logged under the id of an interaction, where that says that something else was done."""
        entry = await anyio.to_thread.run_sync(self._store.entry, "interaction", interaction.id)
        if entry is None:  # its user was erased meanwhile
            return None
        logged = Interaction.from_bytes(entry.id, entry.domain, entry.user, entry.body)
        return None if _deed(logged) == _deed(interaction) else logged


def interaction_id() -> str:
    """An id for an interaction that its caller gave none."""
    return uuid.uuid4().hex


def _deed(interaction: Interaction) -> tuple[Any, ...]:
    """Who did what with which item: what a retry says again, whatever else it leaves out."""
    return (interaction.domain, interaction.user, interaction.item, interaction.kind, interaction.value)
