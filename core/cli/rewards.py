"""`tastemaker rewards`: what interactions are worth in a domain, and an example worked out."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import did_you_mean
from .failing import Misuse, guarded
from .options import (
    ConfigOption,
    DomainArgument,
    JsonOption,
    SetOption,
    meanings,
    pairs,
    plan_of,
    settings_of,
)
from .output import Column, as_json, say, table

if TYPE_CHECKING:
    from ..components import Reward
    from ..rewards import RewardTable

_SHOWN_AT = 1_000_000.0
"""When the example's slate is shown; any time would do."""


@guarded
def rewards(
    domain: DomainArgument,
    deeds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND[=VALUE]]...", help="What is done with one item, in order; without it, an example."
        ),
    ] = None,
    situation: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="The situation of the request; repeatable."),
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="… and when it is done, such as mood=calm; repeatable."),
    ] = None,
    after: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long after the slate was shown.")
    ] = 60.0,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show what each interaction is worth, and work out what some of them come to together."""
    from ..rewards import RewardTable

    plan = plan_of(settings_of(config, set), domain)
    before, now = (
        meanings(pairs(situation, "--situation", "mood=sad")),
        meanings(pairs(then, "--then", "mood=calm")),
    )
    known = plan.reward if isinstance(plan.reward, RewardTable) else None
    if deeds:
        steps = [_deed(text, known) for text in deeds]
    else:
        steps, before, now = _example(known, before, now)
    worked = _worked_out(plan.reward, steps, before, now, after)
    rules = dict(known.rules()) if known is not None else {}
    if json:
        as_json({"domain": plan.name, "rewards": rules, "example": worked})
        return
    if known is None:
        say(f"{plan.name} reckons its rewards with {type(plan.reward).__name__}, not with a map.")
    elif not rules:
        say(f"{plan.name} has no rewards: nothing is learned from what people do. Give it some in `rewards`.")
        return
    else:
        table(["what", Column("is worth", whole=True)], list(rules.items()))
    if not worked:
        return
    say()
    changed = ", ".join(f"{key} {before.get(key, '?')} → {value}" for key, value in now.items())
    say(f"Done with one item, {after:g} s after the slate{f'; {changed}' if changed else ''}:")
    number = Column("adds", right=True)
    rows = [[line["done"], _signed(line["adds"]), _signed(line["total"])] for line in worked]
    table(["", number, Column("total", right=True)], rows)


def _deed(text: str, known: "RewardTable | None") -> tuple[str, float | None]:
    kind, equals, value = text.partition("=")
    if known is not None and kind not in known.kinds:
        raise Misuse(f"the kind {kind!r} is worth nothing here{did_you_mean(kind, known.kinds)}")
    if not equals:
        return kind, None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Misuse(f"{text!r}: the value of a {kind!r} must be a finite number")
    return kind, number


def _example(
    known: "RewardTable | None", before: dict[str, Any], now: dict[str, Any]
) -> tuple[list[tuple[str, float | None]], dict[str, Any], dict[str, Any]]:
    """The first kind that is liked, and the first that goes by its value; with the first change that counts."""
    from ..rewards import PerUnit

    if known is None:
        return [], before, now
    steps: list[tuple[str, float | None]] = []
    fixed = [kind for kind, rule in known.kinds.items() if isinstance(rule, float) and rule > 0]
    steps += [(kind, None) for kind in fixed[:1]]
    for kind, rule in known.kinds.items():
        if isinstance(rule, PerUnit):
            share = rule.whole != 0 or rule.at_most <= rule.per_unit  # its values go from 0 to 1
            steps.append((kind, 1.0 if share else 30.0))
            break
    else:
        rated = [
            (kind, max(rule, key=rule.__getitem__))
            for kind, rule in known.kinds.items()
            if isinstance(rule, dict) and rule
        ]
        steps += rated[:1]
    for bonus in known.bonuses.values():
        for key, change in bonus.change.items():
            if not before and not now:
                return steps, {key: _first(change.before)}, {key: _first(change.after)}
    return steps, before, now


def _first(words: Any) -> str:
    return str(words[0] if isinstance(words, tuple) else words)


def _worked_out(
    reward: "Reward",
    steps: Sequence[tuple[str, float | None]],
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    after: float,
) -> list[dict[str, Any]]:
    """What each interaction adds, by the same attribution that policies learn from."""
    from ..interaction import Interaction
    from ..learning import Attribution
    from ..slate import Pick, Slate

    slate = Slate(
        "slate", "", "ann", _SHOWN_AT, (Pick("item", 0, 0.0, 1.0, {}, ()),), 1, 0, "", situation=before
    )
    attribution = Attribution("", reward, after + 1.0)
    attribution.slate(slate.id, slate.user, slate.to_bytes(), slate.time)
    worked = []
    for number, (kind, value) in enumerate(steps):
        time = _SHOWN_AT + after
        done = Interaction(str(number), "", "ann", "item", kind, time, value, slate.id, 0, now)
        attribution.interaction(done, time)
        for row in attribution.due():
            said = kind if value is None else f"{kind} {value:g}"
            worked.append({"done": said, "adds": row.reward, "total": row.total})
    return worked


def _signed(number: float) -> str:
    return f"{round(number, 6):+g}"
