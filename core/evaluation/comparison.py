"""A candidate beside the active state of a policy: what each would earn, and by how much one is better."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .estimate import Estimate, difference
from .estimators import ips, snips
from .log import LoggedBandit, Target
from .overlap import Refusal


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two states of a policy would earn per slate, by SNIPS, from the same logged rows.

    span: the log positions after which, and up to which, slates were looked at.
    candidate, active: what each would earn; difference: by how much the candidate would earn more, paired.
    ips: the difference by IPS, which needs no normalising: far from `difference`, something is wrong with the weights.
    logged: what the log earned.
    slates: how many were looked at. replayed: the share of them that came out exactly as logged when they were
    decided again with what the fold of the log had learned; None for a policy that only tunes.
    """

    domain: str
    policy: str
    span: tuple[int, int]
    candidate: Estimate
    active: Estimate
    difference: Estimate
    ips: Estimate
    logged: float
    slates: int
    replayed: float | None

    @classmethod
    def of(
        cls,
        domain: str,
        policy: str,
        span: tuple[int, int],
        log: LoggedBandit,
        candidate: Target,
        active: Target,
        *,
        slates: int,
        replayed: float | None,
    ) -> "Comparison":
        """The comparison of two targets on a log whose mean reward per row is that per slate."""
        new, old = snips(log, candidate), snips(log, active)
        return cls(
            domain,
            policy,
            span,
            new,
            old,
            difference(new, old),
            difference(ips(log, candidate), ips(log, active)),
            float(log.reward.mean()),
            slates,
            replayed,
        )

    @property
    def rows(self) -> int:
        """How many rows the estimates are made of: one for each position, or each slate."""
        return len(self.difference.log)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why the difference can't be told with an honest interval; empty where it can."""
        return self.difference.refusals

    def passes(self, margin: float = 0.0) -> bool:
        """Whether the candidate is better by more than a margin, in reward per slate.

        It is where the lower end of the 95 % interval of the difference lies above the margin; never where an
        interval is refused.
        """
        return not self.refusals and self.difference.interval().low > margin

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; rewards are per slate."""
        return {
            "domain": self.domain,
            "policy": self.policy,
            "since": self.span[0],
            "until": self.span[1],
            "slates": self.slates,
            "rows": self.rows,
            "replayed": self.replayed,
            "logged": self.logged,
            "candidate": self.candidate.as_dict(),
            "active": self.active.as_dict(),
            "difference": self.difference.as_dict(),
            "ips_difference": self.ips.as_dict(),
            "better": self.passes(),
            "refusals": [refusal.as_dict() for refusal in self.refusals],
        }

    def lines(self) -> list[str]:
        """What came out, for people, line by line."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        yield (
            f"{self.slates:,} slates of {self.domain}, {self.rows:,} rows, log positions {self.span[0]:,} to "
            f"{self.span[1]:,}"
        )
        if self.replayed is not None and self.replayed < 1:
            yield (
                f"{1 - self.replayed:.0%} of them can't be decided again as they were (catalogue, profiles or config "
                "have changed since, somebody's data was erased, a promotion cut in, or something that a service would "
                "have to be asked for isn't in the log): there the logged "
                "propensities are taken as they are"
            )
        if self.refusals:
            yield f"By how much the candidate of {self.policy} is better can't be told from this log:"
            yield from (f"  {refusal}" for refusal in self.refusals)
            return
        interval = self.difference.interval()
        verdict = "no difference is shown"
        if interval.low > 0:
            verdict = "the candidate is better"
        elif interval.high < 0:
            verdict = "the candidate is worse"
        yield (
            f"{verdict[0].upper()}{verdict[1:]}: {self.difference.value:+.4g} per slate, 95 % interval "
            f"{interval.low:+.4g} to {interval.high:+.4g}"
        )
