"""`tastemaker recommend`: a slate for a user, made and logged in this process as the server would."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ItemError
from .failing import Misuse, guarded, plain_warnings
from .options import (
    ConfigOption,
    DomainArgument,
    JsonOption,
    SetOption,
    meanings,
    only,
    pairs,
    plan_of,
    settings_of,
)
from .output import Column, as_json, console, counted, say, table

if TYPE_CHECKING:
    from ..catalog.items import ItemSchema
    from ..config import DomainPlan, Settings
    from ..context import Request
    from ..slate import Pick, Slate

_TITLES = ("title", "name", "headline", "label", "subject", "description")
_RUNNERS_UP = 8
_ITEM = 40
_TITLE_LEAST = 14
_TITLE_MOST = 60


@guarded
def recommend(
    domain: DomainArgument,
    user: Annotated[str, typer.Argument(help="Whom to recommend to; a new name is a new user.")],
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, max=500, help="Items wanted; else the domain's own number."),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What is known of the user from now on, such as interests=maps; repeatable.",
        ),
    ] = None,
    mood: Annotated[str | None, typer.Option(help="Short for --situation mood=…")] = None,
    situation: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What is the case now, such as max_price=20; repeatable."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Tell what became of the other candidates.")] = False,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Recommend items to a user, and log the slate."""
    import asyncio

    from ..catalog.items import item_id

    try:
        user = item_id(user, "USER")
    except ItemError as error:
        raise Misuse(str(error)) from None
    known = meanings(pairs(profile, "--profile", "interests=maps"))
    now = meanings(pairs(situation, "--situation", "max_price=20"))
    if mood is not None:
        now["mood"] = mood
    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    from ..context import Request

    request = Request(user, limit, now, trace=trace)
    plain_warnings("agent")
    slate, items = asyncio.run(_slate(only(settings, plan), plan.name, request, known))
    if json:
        as_json(slate.answer(lambda item: items.get(item, {}), parts=True, trace=trace))
        return
    _show(slate, items, plan)
    if trace:
        _show_trace(slate)
    where = f" --config {settings.path}" if config is not None else ""
    say(f"\nWhy: tastemaker explain {slate.id}{where}")


async def _slate(
    settings: "Settings", domain: str, request: "Request", known: Mapping[str, Any]
) -> "tuple[Slate, dict[str, Mapping[str, Any]]]":
    """A slate, and the values of its items. known: what to add to the user's profile."""
    from ..orchestrator import Orchestrator

    async with Orchestrator(settings, follow=False) as tastemaker:
        if known:
            before = await tastemaker.profile(request.user)
            await tastemaker.put_profile(request.user, {**before, **known})
        slate = await tastemaker.recommend(domain, request)
        catalog = tastemaker.agent(domain).catalog.snapshot()
        rows = {pick.item: catalog.row(pick.item) for pick in slate.picks}
        return slate, {item: catalog.item(row) for item, row in rows.items() if row >= 0}


def _show(slate: "Slate", items: Mapping[str, Mapping[str, Any]], plan: "DomainPlan") -> None:
    say(f"{plan.title} for {slate.user}: {len(slate.picks)} of {counted(slate.considered, 'candidate')}\n")
    if slate.picks:
        _show_picks(slate, items, title_field(plan.items.schema))
    for entry in slate.degraded:
        say(f"degraded: {entry.component}: {entry.reason}")


def title_field(schema: "ItemSchema") -> str | None:
    """The field that names an item for people: a text called like a title, else the first text."""
    texts = schema.of_type("text")
    return next((name for name in _TITLES if name in texts), texts[0] if texts else None)


def _show_picks(slate: "Slate", items: Mapping[str, Mapping[str, Any]], title: str | None) -> None:
    """The picks as a table; where the terminal is narrow, without their sources, then without their parts."""
    parts = list(dict.fromkeys(name for pick in slate.picks for name in pick.parts))
    longest = min(max(len("item"), *(len(pick.item) for pick in slate.picks)), _ITEM)
    parts_width = sum(max(len(name), 5) + 2 for name in parts)
    origins_width = max(len(_origins(pick)) for pick in slate.picks) + 2
    left = console().width - 4 - (longest + 2) - 7
    least = _TITLE_LEAST if title else 0
    if parts_width + least > left:
        parts, parts_width = [], 0
    left -= parts_width
    origins = origins_width + least <= left
    left -= origins_width if origins else 0
    columns = [Column("#", right=True, width=2), Column("item", whole=True, width=longest)]
    columns += [Column(title, width=min(left - 2, _TITLE_MOST))] if title else []
    columns += [Column(name, right=True, width=max(len(name), 5)) for name in ("score", *parts)]
    columns += [Column("from")] if origins else []
    rows = []
    for pick in slate.picks:
        row: list[object] = [pick.position + 1, pick.item]
        if title:
            row.append(" ".join(str(items.get(pick.item, {}).get(title, "")).split()))
        row += [f"{pick.score:.3f}", *(f"{pick.parts.get(name, 0.0):.2f}" for name in parts)]
        rows.append([*row, _origins(pick)] if origins else row)
    table(columns, rows)


def _origins(pick: "Pick") -> str:
    return ", ".join(["explored"] if pick.explored else pick.sources)


def _show_trace(slate: "Slate") -> None:
    for name, count in slate.removed.items():
        say(f"{name} dropped {count:,}")
    fates = slate.fates or {}
    others = sorted(
        ((fate["rank"], item, fate) for item, fate in fates.items() if "rank" in fate),
        key=lambda each: each[:2],
    )
    if others:
        say(
            f"\n{counted(len(others), 'candidate')} left over; the best of them before the policies ranked:\n"
        )
        table(
            [Column("rank", right=True), Column("item", whole=True), Column("score", right=True)],
            [[rank, item, f"{fate['score']:.3f}"] for rank, item, fate in others[:_RUNNERS_UP]],
        )
