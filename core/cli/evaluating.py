"""`tastemaker evaluate`: what another policy, or another state of one, would have earned, from a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failing import Misuse, guarded, plain_warnings
from .options import ConfigOption, JsonOption, SetOption, pairs, plan_of, settings_of
from .output import Column, as_json, note, say, table

if TYPE_CHECKING:
    from ..config import DomainPlan, Settings
    from ..evaluation import Comparison, Estimate
    from ..evaluation.states import NamedState


@guarded
def evaluate(
    domain: Annotated[
        str | None,
        typer.Argument(help="A domain, to compare two states of a policy on its log.", show_default=False),
    ] = None,
    policy_version: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY@STATE", help="The candidate: POLICY@live, POLICY@3, POLICY@untaught or a file."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY@STATE", help="What it is compared with; with --table another target's column."
        ),
    ] = None,
    since: Annotated[int, typer.Option(min=0, help="Only slates above this log position.")] = 0,
    until: Annotated[int | None, typer.Option(min=1, help="Only slates up to this log position.")] = None,
    most: Annotated[
        int, typer.Option(min=1, help="A sample of so many slates, where there are more.")
    ] = 1000,
    margin: Annotated[float, typer.Option(help="By how much it must be better, per slate.")] = 0.0,
    logged: Annotated[
        Path | None,
        typer.Option(
            "--table", metavar="FILE", help="A logged table: CSV, TSV, JSON, JSON Lines or Parquet."
        ),
    ] = None,
    open_bandit: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A log in the Open Bandit format: its CSV file, or the folder."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN|PATH",
            help="The policy to evaluate: the column with its probability of what was logged; with --open-bandit "
            "the log that it wrote.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=COLUMN", help="Read a field from a column of another name; repeatable."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, tsv, json, jsonl or parquet, where the name doesn't tell.")
    ] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what another policy would have earned, from a log.

    Either two states of a domain's policy, decided again on its own log; or any logged table with propensities; or
    a log in the Open Bandit format. Nothing is shown to anybody, and nothing is changed.
    """
    given = [
        name for name, one in (("DOMAIN", domain), ("--table", logged), ("--open-bandit", open_bandit)) if one
    ]
    if len(given) != 1:
        found = f"not {' and '.join(given)}" if given else "and none was given"
        raise Misuse(f"evaluate needs one of DOMAIN, --table FILE and --open-bandit PATH, {found}")
    if domain is None:
        from .evaluating_logs import evaluate_open_bandit, evaluate_table

        if target is None:
            wanted = "a column" if logged else "the other log"
            raise Misuse(f"{given[0]} needs --target: {wanted} that tells what the policy to evaluate does")
        if policy_version is not None:
            raise Misuse("--policy-version goes with a DOMAIN")
        if logged is not None:
            evaluate_table(logged, target, against, _columns(columns), format=format, json=json)
        elif open_bandit is not None:
            if against is not None or columns:
                raise Misuse("--against and --columns don't go with --open-bandit")
            evaluate_open_bandit(open_bandit, Path(target), json=json)
        return
    if target is not None or columns:
        raise Misuse("--target and --columns go with --table and --open-bandit")
    if policy_version is None or against is None:
        missing = "--policy-version" if policy_version is None else "--against"
        raise Misuse(
            f"{missing} is missing: name the two states to compare, such as POLICY@live and POLICY@untaught"
        )
    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    plain_warnings("agent", "learning")
    _compare(settings, plan, policy_version, against, since, until, most, margin, json=json)


def _compare(
    settings: "Settings",
    plan: "DomainPlan",
    candidate: str,
    against: str,
    since: int,
    until: int | None,
    most: int,
    margin: float,
    *,
    json: bool,
) -> None:
    import asyncio
    from inspect import isawaitable

    from ..evaluation import compare
    from ..evaluation.states import state_named
    from ..store import Store

    async def opened() -> None:
        embedder = plan.items.embedder
        waiting = None if embedder is None else embedder.open()
        if isawaitable(waiting):
            await waiting

    store = Store(settings.store.get_secret_value())
    try:
        new, old = state_named(store, plan, candidate), state_named(store, plan, against)
        policy = _policy(plan, new, old)
        asyncio.run(opened())
        with _bar(f"deciding {plan.name} again") as progress:
            comparison = compare(
                settings,
                store,
                plan.name,
                policy,
                candidate=new.state,
                active=old.state,
                since=since,
                until=until,
                most=most,
                progress=progress,
            )
    finally:
        store.close()
    taught = [state for state in (new, old) if state.learned is not None and state.learned > since]
    for state in taught:
        note(
            f"{state.name} has learned from the log up to position {state.learned:,}: on those slates it looks better "
            "than it is; compare on later ones, with --since"
        )
    if json:
        learned = {"candidate": new.learned, "active": old.learned}
        facts = {"candidate_name": new.name, "active_name": old.name, "learned": learned}
        as_json(comparison.as_dict() | facts | {"margin": margin, "passes": comparison.passes(margin)})
        return
    _show(comparison, new.name, old.name)
    if margin and not comparison.refusals:
        verb = "is" if comparison.passes(margin) else "isn't shown to be"
        say(f"It {verb} better by more than {margin:g}.")


def _policy(plan: "DomainPlan", *states: "NamedState") -> str:
    """The policy that states are of. Raises Misuse where that is not one."""
    named = sorted({state.policy for state in states if state.policy is not None})
    if len(named) > 1:
        raise Misuse(f"states of one policy can be compared, not of {' and '.join(named)}")
    if named:
        return named[0]
    if len(plan.policies) == 1:
        return plan.policies[0].name
    names = ", ".join(step.name for step in plan.policies)
    raise Misuse(f"two files don't tell which policy of {plan.name!r} they are of: {names or 'it has none'}")


def _show(comparison: "Comparison", candidate: str, active: str) -> None:
    rows = [
        _line(candidate, comparison.candidate),
        _line(active, comparison.active),
        _line("difference", comparison.difference),
        ["the log", f"{comparison.logged:.4g}", "", "", ""],
    ]
    table(
        [
            Column("", whole=True),
            Column("per slate", right=True),
            Column("95 % interval", right=True),
            Column("effective rows", right=True),
            Column("largest weight", right=True),
        ],
        rows,
    )
    say()
    for line in comparison.lines():
        say(line)


def _line(name: str, estimate: "Estimate") -> list[str]:
    interval = "refused"
    if not estimate.refusals:
        found = estimate.interval()
        interval = f"{found.low:.4g} to {found.high:.4g}"
    overlap = estimate.overlap
    return [
        name,
        f"{estimate.value:.4g}",
        interval,
        f"{overlap.effective_sample_size:,.0f}",
        f"{overlap.max_weight:.4g}",
    ]


def _columns(texts: list[str] | None) -> dict[str, str]:
    """The fields and columns of `--columns`, which may be one option with commas or several."""
    return pairs([part for text in texts or () for part in text.split(",")], "--columns", "reward=click")


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; nothing where there is no terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title)
        yield lambda done, total: progress.update(task, completed=done, total=total)
