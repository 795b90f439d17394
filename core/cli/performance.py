"""`tastemaker performance`: how a domain does, by day and by policy version."""

import time
from typing import Annotated, Any

import typer

from .failing import guarded
from .options import ConfigOption, DomainArgument, JsonOption, SetOption, plan_of, settings_of
from .output import Column, as_json, counted, say, table

_RATES = {
    "click_through_rate": "acted",
    "positive_rate": "good",
    "like_rate": "liked",
    "skip_rate": "skips",
    "completion_rate": "whole",
    "exploration_share": "tried",
    "coverage": "cover",
}


@guarded
def performance(
    domain: DomainArgument,
    days: Annotated[int, typer.Option(min=1, max=90, help="How many days, today included.")] = 7,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show what slates earned and how varied they were, by day and by policy version.

    acted: share of shown items that something was done with; good: of these, what is worth more than 0 in all;
    whole: mean share heard or watched; tried: there to be explored; cover: share of the catalogue that was shown;
    bits: Shannon entropy of what was shown.
    """
    from ..learning.versions import untaught
    from ..monitoring import monitor_of, performance
    from ..store import Store

    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    store = Store(settings.store.get_secret_value())
    try:
        now = time.time()
        monitor = monitor_of(store, plan, untaught(store, plan).digests(), now)
        found = performance(monitor, now=now, days=days, catalogue=store.count_items(plan.name))
    finally:
        store.close()
    if json:
        as_json({"domain": plan.name, **found})
        return
    total = found["total"]
    if not total["slates"]:
        say(f"{plan.name} has shown no slate in the last {counted(days, 'day')}.")
        return
    _show("day", [line for line in found["days"] if line["slates"]], total)
    say()
    _show("versions", [{**line, "versions": n} for n, line in enumerate(found["versions"], 1)], None)
    for line in legend([line["version"] for line in found["versions"]]):
        say(line)
    say()
    rows = [
        [line["item"], line["shown"], f"{line['share']:.1%}", f"{line['reward']:+.2f}"]
        for line in found["top_items"]
    ]
    table(
        [
            "shown most",
            Column("times", right=True),
            Column("share", right=True),
            Column("reward", right=True),
        ],
        rows,
    )


def _show(key: str, lines: list[dict[str, Any]], total: dict[str, Any] | None) -> None:
    heads = ["slates", "people", "reward", *_RATES.values(), "bits"]
    rows = [[line[key], *_cells(line)] for line in lines]
    if total is not None and len(lines) > 1:
        rows.append(["together", *_cells(total)])
    width = max(len(str(row[0])) for row in rows)
    # A terminal has 80 columns: all of them are needed.
    table(
        [Column(key, width=max(width, len(key))), *(Column(head, right=True) for head in heads)], rows, gap=1
    )


def legend(combinations: list[str]) -> list[str]:
    """Which versions the numbered lines are of: all of them for the first, then those that are others.

    >>> legend(["mood@2, taste@6", "mood@2, taste@7"])
    ['  1  mood@2, taste@6', '  2  … with taste@7']
    """
    lines, before = [], list[str]()
    for number, names in enumerate(combinations, 1):
        each = names.split(", ")
        others = [name for name in each if name not in before]
        same = bool(before) and len(before) == len(each) and len(others) < len(each)
        lines.append(f"{number:>3}  {'… with ' if same else ''}{', '.join(others if same else each)}")
        before = each
    return lines


def _cells(line: dict[str, Any]) -> list[str]:
    rates = ["–" if line[name] is None else _percent(line[name]) for name in _RATES]
    reward = "–" if line["reward_per_slate"] is None else f"{line['reward_per_slate']:+.2f}"
    return [f"{line['slates']:,}", f"{line['people']:,}", reward, *rates, f"{line['entropy_bits']:.1f}"]


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.9995 else "100%"
