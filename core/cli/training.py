"""`tastemaker train` and `runs`: new versions of policies from what the log holds."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failing import FAILED, Misuse, guarded, plain_warnings
from .options import ConfigOption, DomainArgument, JsonOption, SetOption, plan_of, settings_of
from .output import Column, as_json, bar, counted, say, table

if TYPE_CHECKING:
    from ..store import TrainingRun

_STATISTICS = 8


@guarded
def train(
    domain: DomainArgument,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Train this policy only; repeatable. Else every policy of the domain."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="How much of the log: 7d, 36h, or a date such as 2026-11-20. Else all of it."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Where it ends, written likewise. Else now.")] = None,
    promote: Annotated[
        bool | None,
        typer.Option(
            "--promote/--no-promote",
            help="Let the result go live where it is better than what is. Else what learning.promote says.",
        ),
    ] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Train policies on what the log holds, and keep the result as a version.

    It is compared with what is live on slates that it has not learned from, and goes live where it is better. A
    server that runs on the same store takes it up within a second.
    """
    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    plain_warnings("agent", "learning")
    import time

    from ..errors import NotFound
    from ..learning import training
    from ..learning.gate import comparison
    from ..store import Store

    store = Store(settings.store.get_secret_value())
    try:
        gate = None if promote is None else ("gate" if promote else "never")
        try:
            runs = training.open_runs(
                store,
                plan,
                policy or (),
                since=since,
                until=until,
                promote=gate,
                trigger="cli",
                now=time.time(),
            )
        except NotFound as error:
            raise Misuse(str(error)) from None
        with bar(f"training {plan.name}") as moved:
            places = {run.id: place for place, run in enumerate(runs)}

            def progress(run: "TrainingRun", share: float) -> None:
                moved(round(1000 * (places[run.id] + share)), 1000 * len(runs))

            done = training.train(settings, store, runs, compare=comparison(), progress=progress)
    finally:
        store.close()
    if json:
        as_json([run.as_dict() for run in done])
    else:
        for place, run in enumerate(done):
            if place:
                say()
            _show(run)
    if any(run.status != "done" for run in done):
        raise typer.Exit(FAILED)


@guarded
def runs(
    domain: DomainArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Most that are listed.")] = 20,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """List the training runs of a domain, newest first."""
    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    from ..learning.span import iso
    from ..store import Store

    store = Store(settings.store.get_secret_value())
    try:
        found = store.runs.all(plan.name, limit=limit)
    finally:
        store.close()
    if json:
        as_json([run.as_dict() for run in found])
        return
    if not found:
        say(f"{plan.name} was never trained; do it with: tastemaker train {plan.name}")
        return
    number = [Column(title, right=True) for title in ("positions", "rows", "reward")]
    rows = [
        [
            iso(run.started)[:16],
            run.trigger,
            f"{run.since:,}-{run.until:,}",
            f"{run.rows:,}",
            "" if run.reward is None else f"{run.reward:.3f}",
            f"{run.policy}@{run.version}" if run.version else run.policy,
            _ended(run),
        ]
        for run in found
    ]
    whole = [Column(title, whole=True) for title in ("result", "outcome")]
    table(["started", "by", *number, *whole], rows)


def _ended(run: "TrainingRun") -> str:
    """What became of a run, or how far it is."""
    if run.status == "running":
        return f"running, {run.progress:.0%}"
    return run.outcome if run.status == "done" else f"{run.status}: {run.error}".rstrip(": ")


def _show(run: "TrainingRun") -> None:
    """What came of a run, for people."""
    if run.status != "done":
        say(f"{run.domain}.{run.policy}: {run.status}: {run.error}")
        return
    say(f"{run.domain}.{run.policy}@{run.version}: {run.outcome}")
    facts: list[tuple[str, Any]] = [
        ("learned from", f"{counted(run.rows, 'outcome')} of {counted(run.users, 'user')}"),
        ("log", f"positions {run.since:,} to {run.until:,}"),
    ]
    if run.reward is not None and run.like_rate is not None:
        facts.append(("an item earned", f"{run.reward:.3f} on average, more than 0 in {run.like_rate:.1%}"))
    facts += [(name, f"{value:.4g}") for name, value in list(run.statistics.items())[:_STATISTICS]]
    facts += [(name, said) for name in ("candidate", "active", "difference") if (said := _said(run, name))]
    for name, fact in facts:
        say(f"  {name:<14} {fact}")
    if run.outcome.startswith("kept"):
        say(f"Let it go live all the same: tastemaker promote {run.domain} {run.policy}@{run.version}")


def _said(run: "TrainingRun", name: str) -> str:
    """An estimate of the comparison, with its interval where it has one."""
    estimate = run.estimates.get(name)
    if not isinstance(estimate, dict) or not isinstance(value := estimate.get("value"), int | float):
        return ""
    interval = estimate.get("interval")
    if isinstance(interval, dict):
        interval = [interval.get("low"), interval.get("high")]
    if isinstance(interval, list | tuple) and all(isinstance(end, int | float) for end in interval[:2]):
        return f"{value:+.4f} ({interval[0]:+.4f} to {interval[1]:+.4f})"
    return f"{value:+.4f}"
