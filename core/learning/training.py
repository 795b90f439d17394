"""A training run: a span of the log folded into a fresh policy, compared with what is live, kept as a version."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any
from uuid import uuid4

import orjson

from ..agent import Agent, LivePolicy
from ..catalog.catalog import Catalog
from ..components import Policy
from ..config import DomainPlan, Settings
from ..errors import NotFound, RequestError, StoreError, TastemakerError, did_you_mean
from ..outcomes import Outcomes
from ..store import NewVersion, Result, Store, TrainingRun
from .fold import Fold
from .gate import Compare, Comparison, opened
from .packing import pack
from .span import iso, past, window_start
from .versions import PolicyVersions, restored

_log = logging.getLogger("tastemaker.learning")

_PAGE = 2000
_BEAT_SECONDS = 2.0
_HELD_OUT = 0.25
"""Share of the span's slates, the last of them, on which the comparison is made."""
_FOLDING = 0.6
"""Share of the progress that is folding; the rest is the comparison."""


class _Refused(Exception):
    """There is nothing to learn from."""


class _Failed(Exception):
    """The policy can't be trained."""


def open_runs(
    store: Store,
    plan: DomainPlan,
    policies: Sequence[str] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    promote: str | None = None,
    trigger: str,
    now: float,
) -> list[TrainingRun]:
    """Begin a run for each policy, by default all of the domain, over a span such as 7d; by default the whole log.

    promote: gate or never; by default what the configuration says. Raises NotFound, RequestError for what can't be,
    Conflict where one of the policies is being trained.
    """
    steps = {step.name: step for step in plan.policies}
    for name in policies:
        if name not in steps:
            known = did_you_mean(name, steps) or "; it has none"
            raise NotFound(f"no policy of {plan.name} is called {name!r}{known}")
    if not steps:
        raise RequestError(f"{plan.name} has no policies: there is nothing to train")
    first, last = past(since, now, "since"), past(until, now, "until")
    if first is not None and last is not None and first >= last:
        raise RequestError(f"the span begins at {iso(first)} and ends before, at {iso(last)}", "since")
    end = store.end()
    start = 0 if first is None else min(store.position_at(first), end)
    stop = end if last is None else min(store.position_at(last), end)
    runs = [
        TrainingRun(
            id=uuid4().hex,
            domain=plan.name,
            policy=name,
            status="running",
            trigger=trigger,
            promote=promote or plan.learning.promote,
            started=now,
            finished=None,
            heartbeat=now,
            progress=0.0,
            since=start,
            until=stop,
            since_time=first,
            until_time=last,
            options=orjson.loads(steps[name].component.model_dump_json()),
        )
        for name in dict.fromkeys(policies or steps)
    ]
    store.runs.open(runs)
    return runs


def train(
    settings: Settings,
    store: Store,
    runs: Sequence[TrainingRun],
    *,
    compare: Compare | None = None,
    progress: Callable[[TrainingRun, float], None] = lambda run, done: None,
) -> list[TrainingRun]:
    """Carry runs out, one after the other, and tell how each ended: what goes wrong is in its `error`.

    compare: what the gate asks; without it nothing is promoted by itself. progress: called with a run and how far it
    is, from 0 to 1.
    """
    done = []
    with Pulse(store, [run.id for run in runs]) as pulse:
        for run in runs:

            def told(share: float, run: TrainingRun = run) -> None:
                pulse.progress[run.id] = share
                progress(run, share)

            done.append(_carried_out(settings, store, run, compare, told))
            pulse.progress.pop(run.id)
    return done


class Pulse:
    """Shows that runs are alive, in a thread of its own, for as long as they stand in `progress`."""

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self.progress = dict.fromkeys(ids, 0.0)
        self._store = store
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="tastemaker-pulse", daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for identity in [*self.progress]:  # it was stopped
            self._store.runs.give_up(identity, "it was stopped")

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            try:
                self._store.runs.beat(dict(self.progress))
            except TastemakerError as error:
                _log.warning("a training run can't show that it lives: %s", error)


def _carried_out(
    settings: Settings,
    store: Store,
    run: TrainingRun,
    compare: Compare | None,
    told: Callable[[float], None],
) -> TrainingRun:
    training: _Training | None = None
    try:
        training = _Training(settings, store, run, told)
        result = training.result(compare)
        return store.runs.finish(training.run, result)
    except _Refused as reason:
        return _ended(store, replace(run, status="refused", error=str(reason)))
    except (Exception, SystemExit) as error:  # a plugin's code may raise anything
        if not isinstance(error, _Failed | TastemakerError):
            _log.exception("the training of %s.%s failed", run.domain, run.policy)
        said = (
            str(error) if isinstance(error, _Failed | TastemakerError) else f"{type(error).__name__}: {error}"
        )
        reached = training.run if training is not None else run
        return _ended(store, replace(reached, status="failed", error=said))


def _ended(store: Store, run: TrainingRun) -> TrainingRun:
    try:
        return store.runs.finish(run)
    except TastemakerError as error:
        _log.warning("the end of the training run %s could not be written down: %s", run.id, error)
        return run


class _Training:
    """One run at work."""

    def __init__(
        self, settings: Settings, store: Store, run: TrainingRun, told: Callable[[float], None]
    ) -> None:
        self.run = run
        self._settings, self._store, self._told = settings, store, told
        if run.domain not in settings.domains:
            raise _Failed(f"the configuration has no domain {run.domain!r}")
        self._plan = settings.domains[run.domain]
        step = next((step for step in self._plan.policies if step.name == run.policy), None)
        if step is None:
            raise _Failed(f"{run.domain} has no policy {run.policy!r}")
        # A fold of this policy alone; versions that were live on the way play no part.
        plan = replace(self._plan, policies=(step,))
        self._fold = Fold(Agent(plan, Catalog(plan.items.schema)), self._learned)
        self._policy = self._fold.agent.policies[run.policy]
        self._compared_share = 0.0
        self._incomparable = "the span has too few slates to compare it with what is live"
        self._after = store.versions.newest_switch(run.domain, run.policy)
        self._users: set[str] = set()
        self._rows, self._entries, self._liked, self._reward = 0, 0, 0, 0.0

    def result(self, compare: Compare | None) -> Result:
        """The version, and whether it goes live. Raises what keeps it from being made."""
        run, store = self.run, self._store
        clean = store.end()
        self._begin()
        asked = compare if run.promote == "gate" else None
        compared = self._compared(asked) if asked is not None else None
        self._compared_share = 1.0
        self._fold_up_to(run.until)
        if not self._rows:
            raise _Refused(
                f"{run.domain} has no outcomes from log position {run.since} to {run.until}: "
                "there is nothing to learn from"
            )
        self._fit(self._policy)
        passed, outcome = self._judged(compare, compared)
        live = None
        if passed:
            versions = PolicyVersions(store, restored(store, self._plan))
            live = versions.live_before(run.policy, f"live before training run {run.id}")
        version = NewVersion(
            run.domain,
            run.policy,
            self._fold.digest(self._policy),
            run.until,
            clean,
            pack(self._policy.state()),
            "training",
            run.id,
        )
        self.run = replace(
            run,
            status="done",
            rows=self._rows,
            users=len(self._users),
            reward=self._reward / self._entries if self._entries else None,
            like_rate=self._liked / self._entries if self._entries else None,
            statistics=self._statistics(),
            estimates=compared.as_dict() if compared is not None else {},
            outcome=outcome,
        )
        return Result(version, self._plan.learning.keep_versions, passed, live, self._after)

    def _begin(self) -> None:
        """Open the windows that were open at the start of the span, without learning from before it."""
        since = self.run.since
        start = 0
        if since:
            start = window_start(self._store, since, self._plan.learning.window_minutes * 60)
            self._policy.load(self._policy.state(), since)
            self._fold.feedback_position = since
        self._fold.rewind(start)
        self._fold_up_to(since)

    def _fold_up_to(self, position: int) -> None:
        while entries := self._store.read(self._fold.position, limit=_PAGE, until=position):
            self._fold.take(entries, entries[-1].position)
            if self._policy.broken:
                raise _Failed(f"{self.run.policy} {self._policy.broken}")
            self._tell()
        if self._fold.position < position:
            self._fold.take((), position)

    def _tell(self) -> None:
        length = max(self.run.until - self.run.since, 1)
        folded = min(max(self._fold.position - self.run.since, 0) / length, 1.0)
        self._told(_FOLDING * folded + (1 - _FOLDING) * self._compared_share)

    def _tell_comparison(self, done: int, total: int) -> None:
        self._compared_share = done / total if total else 1.0
        self._tell()

    def _learned(self, domain: str, outcomes: Outcomes) -> None:
        self._rows += len(outcomes)
        self._users.update(outcomes.users)
        self._reward += float(outcomes.reward.sum())
        self._entries += int(outcomes.first.sum())
        before = ~outcomes.first & (outcomes.total - outcomes.reward > 0)
        self._liked += int((outcomes.total > 0).sum()) - int(before.sum())

    def _fit(self, policy: LivePolicy) -> None:
        try:
            policy.component.fit()
        except (Exception, SystemExit) as error:
            _log.exception("fit() of %s.%s failed", self.run.domain, self.run.policy)
            raise _Failed(f"{self.run.policy}: fit() failed: {type(error).__name__}: {error}") from error

    def _statistics(self) -> dict[str, float]:
        """What the policy says of itself; a run isn't lost for it."""
        try:
            found = self._policy.component.statistics()
            return {str(name): float(value) for name, value in found.items()}
        except (Exception, SystemExit):
            _log.exception("statistics() of %s.%s failed", self.run.domain, self.run.policy)
            return {}

    def _compared(self, compare: Compare) -> Comparison | None:
        """Fold what is not held out, and compare that state with what is live; None without slates."""
        run, store = self.run, self._store
        slates = store.count("slate", run.domain, after=run.since, until=run.until)
        held_out = int(slates * _HELD_OUT)
        if held_out == 0:
            return None
        first = store.nth("slate", run.domain, slates - held_out, after=run.since, until=run.until)
        if first is None:
            return None
        split = first - 1
        self._fold_up_to(split)
        candidate = self._policy.state()
        if type(self._policy.component).fit is not Policy.fit:
            # The candidate is fitted on a copy: the policy itself goes on with what it has learned by itself.
            copy = LivePolicy(self._policy.step)
            copy.load(candidate, split)
            self._fit(copy)
            candidate = copy.state()
        self._after = store.versions.newest_switch(run.domain, run.policy)
        active = restored(store, self._plan).agent.policies[run.policy].state()
        try:
            with opened(self._plan.items.embedder):
                return compare(
                    self._settings,
                    store,
                    run.domain,
                    run.policy,
                    candidate=candidate,
                    active=active,
                    since=split,
                    until=run.until,
                    progress=self._tell_comparison,
                )
        except StoreError:
            raise
        except TastemakerError as error:
            self._incomparable = f"it can't be compared with what is live: {error}"
            return None

    def _judged(self, compare: Compare | None, compared: Comparison | None) -> tuple[bool, str]:
        """Whether the version goes live, and why, in words."""
        margin = self._plan.learning.margin
        if self.run.promote != "gate":
            return False, "kept: nobody asked for its promotion"
        if compare is None:
            return False, "kept: nothing here can compare it with what is live"
        if compared is None:
            return False, f"kept: {self._incomparable}"
        if compared.passes(margin):
            return True, f"promoted: better than what was live by more than {margin:g}"
        facts: Mapping[str, Any] = compared.as_dict()
        refusals = facts.get("refusals") or ()
        if refusals:
            said = "; ".join(
                str(each.get("message", each)) if isinstance(each, dict) else str(each) for each in refusals
            )
            return False, f"kept: the log can't tell whether it is better: {said}"
        return False, f"kept: not better than what is live by more than {margin:g}"
