"""`tastemaker doctor`: what is configured, reachable and allowed, in plain words."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failing import FAILED, guarded, plain_warnings
from .options import ConfigOption, JsonOption, SetOption, existing_store, plan_of, settings_of
from .output import as_json, counted, say

if TYPE_CHECKING:
    from ..config import DomainPlan, Settings
    from ..diagnosis import CollectorState, ConnectorState, DomainState


@guarded
def doctor(
    domain: Annotated[
        str | None, typer.Argument(help="A domain; without one all of them.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what is configured, reachable and allowed, how much of each quota is left, and what was collected.

    Connectors are opened and asked for their health; nothing is collected or changed. Ends with 1 where something
    that is configured doesn't work.
    """
    import asyncio

    settings = settings_of(config, set)
    plans = list(settings.domains.values()) if domain is None else [plan_of(settings, domain)]
    plain_warnings("agent", "connectors")
    store, cache, states = asyncio.run(_diagnosed(settings, plans))
    broken = list(_broken(store, cache, states))
    if json:
        domains = {state.name: _plain(state) for state in states}
        as_json({"store": store, "cache": cache, "domains": domains, "broken": broken})
    else:
        _show(store, cache, states)
        say(f"\n{counted(len(broken), 'thing')} broken:" if broken else "\nNothing is broken.")
        for each in broken:
            say(f"  {each}")
    if broken:
        raise typer.Exit(FAILED)


async def _diagnosed(
    settings: "Settings", plans: "Sequence[DomainPlan]"
) -> "tuple[dict[str, Any], dict[str, Any], list[DomainState]]":
    from dataclasses import replace

    from ..accounts import Accounts
    from ..clock import wall
    from ..collecting import Collecting
    from ..config import shown_url
    from ..connections import OPENING_SECONDS, Connections
    from ..diagnosis import cache, domain_state
    from ..errors import StoreError

    store, trouble = None, ""
    try:
        store = existing_store(settings)
    except StoreError as error:
        trouble = str(error)
    said = {
        "url": shown_url(settings.store.get_secret_value()),
        "there": store is not None,
        "trouble": trouble,
    }
    asked = replace(settings, domains={plan.name: plan for plan in plans})
    connections = Connections(asked, wall)
    try:
        keys = settings.accounts.keys
        accounts = Accounts(store.accounts, keys) if store is not None else None
        await connections.open(accounts, OPENING_SECONDS)
        collecting = Collecting(store, asked.domains, wall) if store is not None else None
        states = [await domain_state(plan, store, collecting) for plan in plans]
        return said, await cache(asked, connections), states
    finally:
        await connections.close()
        if store is not None:
            store.close()


def _broken(store: dict[str, Any], cache: dict[str, Any], states: "list[DomainState]") -> Iterator[str]:
    for what, found in (("the store", store), ("the cache", cache)):
        if found["trouble"]:
            yield f"{what} {found['url']}: {found['trouble']}"
    for state in states:
        if state.trouble:
            yield f"{state.name}: items.from: {state.trouble}"
        for connector in state.connectors:
            if connector.trouble:
                yield f"{state.name}: the connector {connector.name!r}: {connector.trouble}"
        for collector in state.collectors:
            if collector.last is not None and collector.last.status == "failed":
                yield f"{state.name}: the collector {collector.name!r}: {collector.last.error}"


def _plain(state: "DomainState") -> dict[str, Any]:
    return {
        "connectors": [each.as_dict() for each in state.connectors],
        "left_out": dict(state.left_out),
        "collectors": [each.as_dict() for each in state.collectors],
        "catalogue": [asdict(each) for each in state.catalogue],
        "trouble": state.trouble,
    }


def _show(store: dict[str, Any], cache: dict[str, Any], states: "list[DomainState]") -> None:
    there = "well" if store["there"] else "not there yet: the first start makes it"
    say(f"store  {store['url']}: {store['trouble'] or there}")
    say(f"cache  {cache['url']}: {cache['trouble'] or cache['note'] or 'well'}")
    for state in states:
        say(f"\n{state.name}")
        lines = [
            *(line for each in state.connectors for line in _connector(each, cache)),
            *(_collector(each) for each in state.collectors),
            *(f"{path}: left out: {why}" for path, why in state.left_out.items()),
            _catalogue(state),
        ]
        for line in lines:
            say(f"  {line}")


def _connector(state: "ConnectorState", cache: dict[str, Any]) -> Iterator[str]:
    from ..learning.span import iso

    name = f"{state.name} ({state.use})"
    if not state.configured:
        are = "is" if len(state.empty) == 1 else "are"
        yield f"{name}: not configured" + (f": {_listed(state.empty)} {are} empty" if state.empty else "")
        return
    yield f"{name}: {state.trouble or 'well'}"
    for bucket, left in state.budgets.items():
        until = f", closed until {iso(left['until'])}" if left["until"] is not None else ""
        counted_here = " as this process counts" if cache["note"] else ""
        yield f"  {bucket or 'calls'}: {left['left']:,} of {left['limit']:,} left{counted_here}{until}"
    for operation, why in state.unavailable.items():
        yield f"  not given to this app: {operation}: {why}"


def _listed(names: "Sequence[str]") -> str:
    """Names as they stand in a sentence.

    >>> _listed(["url", "user", "password"])
    'url, user and password'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _collector(state: "CollectorState") -> str:
    from ..clock import wall

    begun = f"collectors.{state.name} ({state.use}), every {state.every}"
    last = state.last
    if last is None:
        return f"{begun}: has not run yet; a server runs it when it starts"
    when = ago(wall() - (last.finished or last.started))
    counts = f"{counted(last.rows, 'row')}, {last.rejected:,} rejected"
    said = last.error or (f"{counts}; {last.note}" if last.note else counts)
    return f"{begun}: {last.status} {when} ago: {said}"


def _catalogue(state: "DomainState") -> str:
    from ..clock import wall

    total = sum(each.items for each in state.catalogue)
    if not total:
        return "no items yet"
    now = wall()
    of = [
        f"{each.items:,} from {each.origin or 'unknown'} (the oldest {ago(now - each.oldest)} old)"
        for each in state.catalogue
    ]
    return f"{counted(total, 'item')}: {', '.join(of)}"


def ago(seconds: float) -> str:
    """A span of time in words.

    >>> ago(3), ago(130), ago(7300), ago(86400 * 3)
    ('3 s', '2 min', '2 h', '3 days')
    """
    for size, name in ((86_400, "day"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and name != "min"):
            count = int(seconds // size)
            return counted(count, name) if name == "day" else f"{count} {name}"
    return f"{max(seconds, 0):.0f} s"
