"""Items: the catalogue of a domain, changed and read. An item looks the same going in and coming out."""

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from ..catalog.catalog import CatalogSnapshot
from ..catalog.items import ItemSchema, item_id
from ..errors import ItemError, NotFound
from .answers import json_answer, orchestrator_of
from .endpoints import DOMAIN, Endpoint, path_parameter, query_parameter
from .models.items import ItemPage, ItemsRemoved, ItemsWritten
from .problems import Issue, invalid
from .reading import json_body, name_fault, one, only, query, segment, whole

MOST_AT_ONCE = 10_000
_MOST_ISSUES = 100
_PAGE = 1_000
_USUAL = 100


async def put_items(request: Request) -> Response:
    """Insert or replace items, all of them or none."""
    orchestrator = orchestrator_of(request)
    domain = segment(request, "domain")
    schema = orchestrator.agent(domain).plan.items.schema
    given = await json_body(request)
    if not isinstance(given, list):
        raise invalid([Issue("body", "must be a list of items", "for one item, PUT …/items/ID")])
    if len(given) > MOST_AT_ONCE:
        said = f"holds {len(given):,} items, and the most at once is {MOST_AT_ONCE:,}"
        raise invalid([Issue("body", said, "send them in parts")])
    found = _issues(schema, given)
    if found:
        raise invalid(found)
    written = await orchestrator.put_items(domain, given) if given else 0
    return json_answer({"written": written})


def _issues(schema: ItemSchema, given: Sequence[Any]) -> list[Issue]:
    """What is wrong with items, the first hundred things."""
    found: list[Issue] = []
    places: dict[str, int] = {}
    for place, raw in enumerate(given):
        where = f"body[{place}]"
        if not isinstance(raw, dict):
            found.append(Issue(where, "must be an object", f"such as {{{schema.id!r}: …}}"))
        else:
            try:
                identity, _ = schema.typed(raw, strict=True)
                first = places.setdefault(identity, place)
                if first != place:
                    found.append(
                        Issue(where, f"has the id {identity!r}, as body[{first}]", "give each id once")
                    )
            except ItemError as error:
                found.append(_issue(error, where))
        if len(found) >= _MOST_ISSUES:
            break
    return found


def _issue(error: ItemError, where: str) -> Issue:
    message, _, hint = str(error).partition("; ")
    return Issue(where, message, hint)


async def put_item(request: Request) -> Response:
    """Insert or replace one item."""
    orchestrator = orchestrator_of(request)
    domain, identity = segment(request, "domain"), _item(request)
    agent = orchestrator.agent(domain)
    schema = agent.plan.items.schema
    given = await json_body(request)
    if not isinstance(given, dict):
        raise invalid([Issue("body", "must be an object, the item's fields")])
    raw = {schema.id: identity} | given
    try:
        named, _ = schema.typed(raw, strict=True)
    except ItemError as error:
        raise invalid([_issue(error, "body")]) from None
    if named != identity:
        raise invalid(
            [Issue(f"body.{schema.id}", f"is {named!r}, and the path says {identity!r}", "leave it out")]
        )
    await orchestrator.put_items(domain, [raw])
    return json_answer(_read(agent.catalog.snapshot(), identity) or {schema.id: identity})


async def get_item(request: Request) -> Response:
    """One item."""
    domain, identity = segment(request, "domain"), _item(request)
    only(query(request), ())
    found = _read(orchestrator_of(request).agent(domain).catalog.snapshot(), identity)
    if found is None:
        raise NotFound(f"no item {identity!r} is in the catalogue of {domain!r}")
    return json_answer(found)


async def delete_item(request: Request) -> Response:
    """Take one item out of the catalogue."""
    domain, identity = segment(request, "domain"), _item(request)
    only(query(request), ())
    removed = await orchestrator_of(request).remove_items(domain, [identity])
    if not removed:
        raise NotFound(f"no item {identity!r} is in the catalogue of {domain!r}")
    return json_answer({"removed": removed})


async def list_items(request: Request) -> Response:
    """The catalogue, by id, page by page."""
    found = query(request)
    only(found, ("limit", "after"))
    limit = whole(found, "limit", 1, _PAGE) or _USUAL
    after = one(found, "after")
    fault = name_fault(after) if after is not None else None
    if fault:
        raise invalid([Issue("query.after", fault, "give `next` of the page before")])
    snapshot = orchestrator_of(request).agent(segment(request, "domain")).catalog.snapshot()
    ids = await anyio.to_thread.run_sync(_sorted_ids, snapshot)
    start = 0 if after is None else bisect.bisect_right(ids, after)
    page = ids[start : start + limit]
    return json_answer(
        {
            "items": [_read(snapshot, identity) for identity in page],
            "next": page[-1] if start + limit < len(ids) else None,
        }
    )


def _sorted_ids(snapshot: CatalogSnapshot) -> list[str]:
    return snapshot.cached("ids in order", lambda: sorted(snapshot.ids[np.asarray(snapshot.live)].tolist()))


def _read(snapshot: CatalogSnapshot, identity: str) -> Mapping[str, Any] | None:
    """An item as it is put: its id under the domain's own key, and its fields."""
    row = snapshot.row(identity)
    return None if row < 0 else {snapshot.schema.id: identity, **snapshot.item(row)}


def _item(request: Request) -> str:
    identity = segment(request, "item")
    try:
        return item_id(identity, "item")
    except ItemError as error:
        raise invalid([Issue("path.item", str(error).removeprefix("'item' "))]) from None


_ITEM = path_parameter("item", "The item's id.", "emma")
_EXAMPLE = {"id": "emma", "title": "Emma", "genres": ["classic", "novel"], "rating": 4.5}
_PATH = "/v1/{domain}/items"
_FIELDS: dict[str, Any] = {"type": "object", "additionalProperties": True, "example": _EXAMPLE}

ENDPOINTS = (
    Endpoint(
        "GET",
        _PATH,
        list_items,
        ItemPage,
        [
            DOMAIN,
            query_parameter(
                "limit", "Most of a page.", type="integer", minimum=1, maximum=_PAGE, default=_USUAL
            ),
            query_parameter("after", "`next` of the page before.", type="string"),
        ],
        problems=("not-found",),
    ),
    Endpoint(
        "PUT",
        _PATH,
        put_items,
        ItemsWritten,
        [DOMAIN],
        {"type": "array", "maxItems": MOST_AT_ONCE, "items": _FIELDS},
        ("not-found",),
    ),
    Endpoint("GET", _PATH + "/{item}", get_item, None, [DOMAIN, _ITEM], problems=("not-found",)),
    Endpoint("PUT", _PATH + "/{item}", put_item, None, [DOMAIN, _ITEM], _FIELDS, ("not-found",)),
    Endpoint(
        "DELETE", _PATH + "/{item}", delete_item, ItemsRemoved, [DOMAIN, _ITEM], problems=("not-found",)
    ),
)
