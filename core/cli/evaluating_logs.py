"""`tastemaker evaluate` on logs from elsewhere: any table with propensities, and the Open Bandit format."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from ..catalog.items import typed_value
from ..clock import wall
from ..collection import Collection, Fault, Record
from ..errors import EvaluationError, ItemError, did_you_mean
from .failing import FAILED, Misuse
from .output import Column, as_json, counted, note, say, table
from .tables import check_columns, progress_bar, show_faults, table_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..evaluation import Estimate, LoggedBandit, Target

_NUMBERS = ("reward", "propensity", "position", "predicted", "expected")
_FIELDS = ("action", *_NUMBERS, "group")
_RESAMPLED = 100_000
"""Rows beyond which resampling takes too long, and is hardly worth it."""
_MOST_FAULTS = 1000


def evaluate_table(
    file: Path,
    target: str,
    against: str | None,
    columns: Mapping[str, str],
    *,
    format: str | None,
    json: bool,
) -> None:
    """Everything that a logged table says of a target, whose probabilities stand in a column of it."""
    from ..registry import Registry

    for field in columns:
        if field not in _FIELDS:
            raise Misuse(f"--columns: a log has no field {field!r}{did_you_mean(field, _FIELDS)}")
    reader = table_of(Registry(), file, format=format)
    placed = {field: columns.get(field, field) for field in _FIELDS}
    needed = {field: placed[field] for field in ("reward", "propensity")}
    aims = {"target": target} | ({} if against is None else {"against": against})
    found = check_columns(
        reader, file, needed, "say where it is with --columns, such as --columns reward=click,propensity=p"
    )
    check_columns(reader, file, {field: placed[field] for field in columns}, "name it with --columns")
    for option, column in aims.items():
        if found and column not in found:
            raise Misuse(f"--{option}: {file} has no column {column!r}{did_you_mean(column, found)}")
    held = {field: column for field, column in placed.items() if column in found} | aims
    with progress_bar(f"reading {file.name}", reader.size()) as progress:
        rows = reader.collect(Collection("", wall()))
        values, faults, rejected = _read(rows, held, progress)
    if not values["reward"]:
        show_faults([f"{fault.where}: {fault.message}" for fault in faults], rejected)
        raise EvaluationError(f"{file} has no row that can be evaluated")
    log, targets = _log(values, aims)
    estimates = _estimates(log, targets["target"])
    if "against" in targets:
        estimates += _differences(log, targets["target"], targets["against"])
    shown = [] if json else [f"{fault.where}: {fault.message}" for fault in faults]
    if json:
        listed = [{"where": fault.where, "message": fault.message} for fault in faults]
        _as_json(log, estimates, {"file": str(file), **aims, "rejected": rejected, "faults": listed})
    else:
        show_faults(shown, rejected)
        _show(log, estimates, f"{file.name}, towards {target}" + (f" and {against}" if against else ""))


def evaluate_open_bandit(path: Path, other: Path, *, json: bool) -> None:
    """What the policy that wrote one log would have earned, from another log."""
    from ..evaluation import item_shares, read_open_bandit

    ours, theirs = _bandit_file(path, "--open-bandit"), _bandit_file(other, "--target")
    log, wrote = read_open_bandit(ours), read_open_bandit(theirs)
    estimates = _estimates(log, item_shares(log, of=wrote))
    observed = float(wrote.reward.mean())
    if json:
        facts = {"file": str(ours), "target": str(theirs), "observed": observed}
        _as_json(log, estimates, facts)
        return
    _show(log, estimates, f"{ours.name}, towards the policy that wrote {theirs.name}")
    say(f"That policy's own log earned {observed:.4g} per row.")


def _bandit_file(path: Path, option: str) -> Path:
    """The log at a path: a file, or the one in a folder. Raises Misuse."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise Misuse(f"{option}: there is no file and no folder at {path}")
    found = sorted(
        each
        for each in path.iterdir()
        if each.name.endswith((".csv", ".csv.gz")) and not each.name.startswith("item_context")
    )
    if len(found) != 1:
        names = ", ".join(each.name for each in found) or "none"
        raise Misuse(f"{option}: {path} must hold one log, not {len(found)} ({names}); name the file")
    return found[0]


def _read(
    rows: Iterable[Record | Fault], held: Mapping[str, str], progress: "Callable[[int], None]"
) -> tuple[dict[str, list[Any]], list[Fault], int]:
    """The fields of every row that can be taken; the first faults, and how many there were."""
    values: dict[str, list[Any]] = {field: [] for field in held}
    faults: list[Fault] = []
    rejected = 0
    for row in rows:
        if isinstance(row, Record):
            progress(row.offset)
            try:
                one = {field: _value(field, row.values.get(column), column) for field, column in held.items()}
            except ItemError as error:
                row = Fault(row.where, str(error))
            else:
                for field, value in one.items():
                    values[field].append(value)
                continue
        rejected += 1
        if len(faults) < _MOST_FAULTS:
            faults.append(row)
    return values, faults, rejected


def _value(field: str, raw: Any, column: str) -> Any:
    """One cell. Raises ItemError where it doesn't fit."""
    if field in ("action", "group"):
        return "" if raw is None else str(raw)
    value = typed_value(column, "number", raw)
    if value is None:
        raise ItemError(f"{column!r} is empty")
    assert isinstance(value, float)
    lowest, open_below = (0.0, field == "propensity")
    if field in ("propensity", "target", "against") and not (
        lowest <= value <= 1 and not (open_below and value == 0)
    ):
        raise ItemError(f"{column!r} must be a probability{' above 0' if open_below else ''}, not {value:g}")
    if field == "position" and (value < 0 or value % 1):
        raise ItemError(f"{column!r} must be a whole number from 0, not {value:g}")
    return value


def _log(
    values: Mapping[str, list[Any]], aims: Mapping[str, str]
) -> "tuple[LoggedBandit, dict[str, Target]]":
    from ..evaluation import LoggedBandit, Target

    actions = values.get("action") or [""] * len(values["reward"])
    log = LoggedBandit(
        np.unique(actions, return_inverse=True)[1],
        np.array(values["reward"]),
        np.array(values["propensity"]),
        np.array(values["position"]) if "position" in values else None,
        predicted=np.array(values["predicted"]) if "predicted" in values else None,
        groups=np.array(values["group"]) if "group" in values else None,
    )
    expected = np.array(values["expected"]) if "expected" in values else None
    return log, {
        name: Target(np.array(values[name]), expected if name == "target" else None) for name in aims
    }


def _estimates(log: "LoggedBandit", target: "Target") -> "list[Estimate]":
    """By every estimator that the log has what it needs for."""
    from ..evaluation import ESTIMATORS

    found = []
    for estimator in ESTIMATORS.values():
        try:
            found.append(estimator(log, target))
        except EvaluationError:  # it needs a model, or choices made for sure
            continue
    return found


def _differences(log: "LoggedBandit", target: "Target", against: "Target") -> "list[Estimate]":
    from ..evaluation import difference, ips, snips

    return [difference(estimator(log, target), estimator(log, against)) for estimator in (snips, ips)]


def _interval(estimate: "Estimate") -> tuple[float, float] | None:
    """At 95 %: resampled where that can be done in time; None where it is refused."""
    if estimate.refusals:
        return None
    resampled = len(estimate.log) <= _RESAMPLED
    found = estimate.bootstrap(np.random.default_rng(0)) if resampled else estimate.interval()
    return found.low, found.high


def _as_json(log: "LoggedBandit", estimates: "list[Estimate]", facts: Mapping[str, Any]) -> None:
    shown = [estimate.as_dict() | {"interval": _interval(estimate)} for estimate in estimates]
    as_json({**facts, "rows": len(log), "logged": float(log.reward.mean()), "estimates": shown})
    _failed_without(estimates)


def _show(log: "LoggedBandit", estimates: "list[Estimate]", title: str) -> None:
    say(f"{title}: {counted(len(log), 'row')}, which earned {log.reward.mean():.4g} each")
    say()
    rows = []
    for estimate in estimates:
        interval = _interval(estimate)
        overlap = estimate.overlap
        rows.append(
            [
                estimate.estimator,
                f"{estimate.value:.4g}",
                "refused" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}",
                f"{overlap.effective_sample_size:,.0f}",
                f"{overlap.max_weight:.4g}",
            ]
        )
    table(
        [
            Column("estimator", whole=True),
            Column("per row", right=True),
            Column("95 % interval", right=True),
            Column("effective rows", right=True),
            Column("largest weight", right=True),
        ],
        rows,
    )
    reasons: dict[str, list[str]] = {}
    for estimate in estimates:
        for refusal in estimate.refusals:
            reasons.setdefault(str(refusal), []).append(estimate.estimator)
    for reason, names in reasons.items():
        note(f"{', '.join(names)}: {reason}")
    _failed_without(estimates)


def _failed_without(estimates: "list[Estimate]") -> None:
    """A log from which no interval can be told is no answer."""
    if all(estimate.refusals for estimate in estimates):
        note("No estimate has an honest interval: this log can't tell what the target would earn.")
        raise typer.Exit(FAILED)
