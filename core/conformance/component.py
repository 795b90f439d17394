"""The contract of the seven kinds of component as checks that any implementation can be put to.

Put it into a plugin's tests; it says how many checks ran, and what would be right where one fails:

>>> from tastemaker.core import Candidates, Context, Scorer
>>> class Cheap(Scorer):
...     '''1 for what is free, falling towards 0 with the price.'''
...     def score(self, context: Context, candidates: Candidates):
...         return 1 / (1 + np.nan_to_num(np.maximum(candidates["price"], 0)))
>>> check_component(Cheap)
Cheap (scorer): 40 checks passed
40
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..agent.proposals import Rubbish, parted, proposed_rows
from ..catalog.items import FieldType
from ..collection import Collection, Fault, Record
from ..components import Collector, Component, Connector, Embedder, Filter, Policy, Reward, Scorer, Source
from ..errors import ItemError
from ..interaction import Interaction
from .checks import Checks, frozen, same
from .policy import check_policy
from .world import NOW, World, one_loop, plain


def check_component(
    component: Component | type[Component],
    *,
    fields: Mapping[str, FieldType] | None = None,
    quiet: bool = False,
    **options: Any,
) -> int:
    """Run the checks of a component's kind; how many ran. Raises AssertionError, which says what would be right.

    component: a class, which gets the options, or an instance as it is; connectors among the options are opened for
    it. Of one that isn't configured, or holds one that isn't, only the options are checked: it takes no part.
    fields: fields that it needs of the items, by type, beside title, description, category, complexity, tags, price,
    rating, published and available.
    quiet: don't print the number.
    """
    checks = Checks(component, options)
    checks.model()
    world, empty = World(fields), World(fields, items=0)
    kinds: list[tuple[type[Component], Callable[[], None]]] = [
        (Scorer, lambda: check_batch(checks, "score", world, empty)),
        (Filter, lambda: check_batch(checks, "keep", world, empty)),
        (Source, lambda: check_source(checks, world, empty)),
        (Policy, lambda: _check_policy(checks, world, empty)),
        (Reward, lambda: check_reward(checks, world)),
        (Collector, lambda: check_collector(checks)),
        (Embedder, lambda: check_embedder(checks)),
        (Connector, lambda: check_connector(checks)),
    ]
    if checks.takes_part():
        with one_loop(), checks.opened():
            next(check for kind, check in kinds if issubclass(checks.type, kind))()
    if not quiet:
        print(f"{checks.type.__name__} ({checks.kind}): {checks.count} checks passed")
    return checks.count


def _check_policy(checks: Checks, world: World, empty: World) -> None:
    """Policies; those that propose are sources, too: untaught, and when they have learned something."""
    check_policy(checks, world, empty)
    if issubclass(checks.type, Policy) and checks.type.propose is not Policy.propose:
        check_source(checks, world, empty)
        checks.component.learn(world.outcomes(checks.fresh()))
        check_source(checks, world, empty)


def check_batch(checks: Checks, method: str, world: World, empty: World) -> None:
    """Scorers and filters: one value for each candidate, whatever stands beside it in the batch."""
    wanted = "bool" if method == "keep" else "numbers"
    for known in (True, False):
        for count in (None, 1, 0):
            candidates = world.candidates(count)
            before = frozen(candidates)
            found = checks.call(method, world.context(known=known), candidates)
            who = "a known user" if known else "a user of whom nothing is known"
            where = f"for {who} and {len(candidates)} candidates"
            checks.array(found, (len(candidates),), wanted, f"{method}() {where}")
            checks.that(
                same(before, frozen(candidates)),
                f"{method}() changed the candidates: return an array, and leave what you were given as it is",
            )
    found = checks.call(method, empty.context(known=False), empty.candidates())
    checks.array(found, (0,), wanted, f"{method}() with an empty catalogue")
    candidates, context = world.candidates(), world.context()
    generator = context.rng.bit_generator.state
    first = np.asarray(checks.call(method, context, candidates))
    draws = str(generator) != str(context.rng.bit_generator.state)
    again = np.asarray(checks.call(method, world.context(), world.candidates()))
    checks.that(
        np.array_equal(first, again),
        f"{method}() gave two answers to one request: take all randomness from context.rng, and no clock but "
        "context.now",
    )
    if draws:
        return  # an order that is drawn depends on the order of the candidates
    order = np.random.default_rng(1).permutation(len(candidates))
    moved = np.asarray(checks.call(method, world.context(), world.candidates().take(order)))
    moves_along = (
        np.array_equal(first[order], moved) if method == "keep" else np.allclose(first[order], moved)
    )
    checks.that(
        moves_along,
        f"{method}() depends on the order of the candidates: value i must be that of candidate "
        "i, wherever it stands",
    )


def check_source(checks: Checks, world: World, empty: World) -> None:
    """Sources: rows, ids or items, within their limit, the same for the same request."""
    for each, known in ((world, True), (world, False), (empty, False)):
        found = checks.call("propose", each.context(known=known))
        rows = _rows(checks, found, each)
        limit = getattr(checks.component, "limit", None)
        checks.that(
            not isinstance(limit, int) or len(rows) <= limit,
            f"propose() gave {len(rows)} candidates where its limit is {limit}",
        )
        checks.that(
            len(np.unique(rows)) == len(rows), "propose() gave an item twice: propose each of them once"
        )
        again = _rows(checks, checks.call("propose", each.context(known=known)), each)
        checks.that(
            np.array_equal(rows, again),
            "propose() gave two answers to one request: take all randomness from context.rng, and no clock but "
            "context.now",
        )


def _rows(checks: Checks, found: Any, world: World) -> Any:
    """The rows that a proposal names, which must all be in the catalogue."""
    try:
        found, items = parted(found)
        for item in items:
            world.schema.typed(item)
        rows = proposed_rows(found, world.catalog)
    except (Rubbish, ItemError) as error:
        checks.that(False, f"propose() {error}: give rows of context.catalog, ids, or items with their id")
        raise
    checks.that(
        len(rows) == len(found),
        f"propose() gave {len(found) - len(rows)} rows or ids that are not in the catalogue (any more): choose "
        "among context.catalog.live",
    )
    return np.concatenate((rows, len(world.catalog) + np.arange(len(items))))


def check_reward(checks: Checks, world: World) -> None:
    """Rewards: a finite number or None for whatever interaction comes."""
    for interaction in world.interactions():
        found = checks.call("reward", interaction)
        fine = found is None or (isinstance(found, (int, float)) and np.isfinite(found))
        said = f"{interaction.kind} with the value {interaction.value}"
        checks.that(
            fine,
            f"reward() of {said} is {found!r}: give a finite number, or None to learn nothing from it",
        )
        checks.that(found == checks.call("reward", interaction), f"reward() of {said} isn't always the same")


def check_collector(checks: Checks) -> None:
    """Collectors: records, interactions and faults, the same from the same outside world."""
    runs = [list(plain(checks.component.collect(Collection("conformance", NOW)))) for _ in range(2)]
    for entry in runs[0]:
        if isinstance(entry, Fault):
            checks.that(entry.where and entry.message, "a Fault must say where it is and what is wrong")
        elif not isinstance(entry, Interaction):
            fine = isinstance(entry, Record) and all(isinstance(key, str) for key in entry.values)
            checks.that(
                fine,
                f"collect() gave {type(entry).__name__}: give Record(values by field), Interaction or Fault",
            )
    checks.that(
        runs[0] == runs[1], "collect() gave something else the second time, with nothing changed outside"
    )
    prints = [checks.component.fingerprint() for _ in range(2)]
    checks.that(
        isinstance(prints[0], str) and prints[0] == prints[1],
        "fingerprint() must be a text that stays the same as long as nothing changes outside",
    )


def check_connector(checks: Checks) -> None:
    """Connectors: open, healthy, closed, and that twice."""
    for _ in range(2):
        plain(checks.component.open())
        health = plain(checks.component.health())
        checks.that(
            health is None or (isinstance(health, str) and health),
            "health() is None, or says what is wrong",
        )
        plain(checks.component.close())
        checks.count += 1


def check_embedder(checks: Checks) -> None:
    """Embedders: unit vectors of one length, the same text always the same one."""
    check_connector(checks)
    plain(checks.component.open())
    texts = ["a calm evening", "", "party! 🎉", "a calm evening", "x" * 5000]
    width = checks.component.width
    checks.that(
        isinstance(width, int) and width > 0,
        f"its width is {width!r}: the length of a vector, at least 1",
    )
    found = checks.component.encode(texts)
    checks.array(found, (len(texts), width), "numbers", "encode() of five texts")
    checks.array(checks.component.encode([]), (0, width), "numbers", "encode() of no text")
    lengths = np.linalg.norm(found, axis=1)
    checks.that(
        np.all((abs(lengths - 1) < 1e-3) | (lengths == 0)) and lengths[1] == 0,
        "encode() must give vectors of length 1, and zero for an empty text",
    )
    alone = np.concatenate([checks.component.encode([text]) for text in texts])
    checks.that(np.allclose(found, alone, atol=1e-4), "encode() of a text depends on the texts beside it")
    name, version = checks.component.name, checks.component.version
    checks.that(name and version, "name and version tell its vectors from those of other models: give both")
    item = dict.fromkeys(checks.component.item_fields, "calm")
    checks.that(isinstance(checks.component.item_text(item), str), "item_text() must give a text")
    checks.that(
        isinstance(checks.component.item_text({}), str),
        "item_text() of an item without values must give a text",
    )
    checks.that(isinstance(checks.component.profile_text({}), str), "profile_text() must give a text")
