"""The checks of policies: decisions that can be repeated, and a state that is a fold over the outcomes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from ..components import Policy
from ..learning.packing import pack, unpack
from .checks import Checks, frozen, same
from .world import World, part, plain


def check_policy(checks: Checks, world: World, empty: World) -> None:
    """Policies: decisions that can be repeated, and a state that is a fold over the outcomes."""
    _decides(checks, world, empty)
    outcomes = world.outcomes(_noting(checks, world))
    whole = checks.fresh()
    checks.call("learn", outcomes, of=whole)
    state = _saved(checks, whole)
    for size in (1, 5):
        cut = checks.fresh()
        for start in range(0, len(outcomes), size):
            checks.call("learn", part(outcomes, slice(start, start + size)), of=cut)
        checks.that(
            _close(state, _saved(checks, cut)),
            f"learn() in batches of {size} gave another state than learn() of all at once: every process cuts the "
            "log in another way, and all must come to the same",
        )
    checks.call("learn", part(outcomes, slice(0, 0)), of=whole)
    checks.that(_close(state, _saved(checks, whole)), "learn() of no outcomes at all changed its state")
    for what, untaught in (("learned", whole), ("new", checks.fresh())):
        loaded = checks.fresh()
        checks.call("learn", outcomes, of=loaded)
        checks.call("load", _saved(checks, untaught), of=loaded)
        checks.that(
            _close(_saved(checks, untaught), _saved(checks, loaded)),
            f"load(state()) of a policy that is {what} didn't bring its state back: state() must hold all of it",
        )
        checks.that(
            plain(untaught.perceive(world.context())) == plain(loaded.perceive(world.context())),
            f"after load(state()) of a policy that is {what}, it perceives otherwise: state() must hold all of it",
        )
        checks.that(
            untaught.insight("ann") == loaded.insight("ann"),
            f"after load(state()) of a policy that is {what}, its insight is another: state() must hold all of it",
        )
        before, after = (
            np.asarray(plain(each.rank(world.context(), world.candidates(8)))) for each in (untaught, loaded)
        )
        checks.that(
            np.array_equal(before, after),
            f"after load(state()) of a policy that is {what}, it ranks otherwise: state() must hold all of it",
        )
    _refuses(checks, whole, state)
    for name, number in whole.statistics().items():
        fine = isinstance(name, str) and isinstance(number, (int, float)) and np.isfinite(number)
        checks.that(fine, f"statistics() gave {number!r} for {name!r}, not a finite number by a name")
    for user in ("ann", "new", "nobody"):
        said = whole.insight(user)
        checks.that(
            isinstance(said, str),
            "insight() must give a text; empty where a user's newest outcome changed nothing",
        )
        checks.that(
            said == whole.insight(user), "insight() said two things of the same: it may change nothing"
        )
    context, candidates = world.context(), world.candidates(8)
    context.profile = {**context.profile, **plain(whole.perceive(context))}
    whole.tune(context)
    whole.rank(context, candidates)
    noted = {**context.memo, **{key: column[0] for key, column in candidates.memo.items()}}
    for what, item, memo in (
        ("an item that it ranked", candidates.ids[0], noted),
        ("an item without a memo", candidates.ids[0], {}),
        ("an item it never met", "never seen", {}),
        ("the slate as a whole", "", dict(context.memo)),
    ):
        said = whole.explain(item, memo)
        checks.that(
            isinstance(said, str), f"explain() of {what} must give a text; empty where it has nothing to say"
        )


def _decides(checks: Checks, world: World, empty: World) -> None:
    for known in (True, False):
        context = world.context(known=known)
        profile = dict(context.profile)
        found = checks.call("perceive", context)
        checks.that(
            isinstance(found, Mapping) and all(isinstance(key, str) for key in found),
            f"perceive() gave {type(found).__name__}, not a mapping of what it knows, by key of the profile",
        )
        checks.that(
            dict(context.profile) == profile, "perceive() changed the profile: what it gives is laid over it"
        )
        checks.that(
            found == checks.call("perceive", world.context(known=known)),
            "perceive() gave two answers to one request: take all randomness from context.rng",
        )
        knobs = checks.call("tune", world.context(known=known))
        checks.that(isinstance(knobs, Mapping), f"tune() gave {type(knobs).__name__}, not a mapping of knobs")
        checks.that(
            knobs == checks.call("tune", world.context(known=known)),
            "tune() gave two answers to one request: take all randomness from context.rng",
        )
        for each, count in ((world, 8), (world, 1), (world, 0), (empty, 0)):
            context, candidates = each.context(known=known), each.candidates(count)
            before = frozen(candidates)
            found = checks.call("rank", context, candidates)
            shape = np.shape(found)
            fits = shape in ((count,), (context.draws, count))
            checks.that(
                fits,
                f"rank() of {count} candidates gave the shape {shape}, not ({count},), or "
                f"({context.draws}, {count}) for context.draws draws",
            )
            checks.array(found, shape, "numbers", f"rank() of {count} candidates")
            checks.that(
                same(before, frozen(candidates)),
                "rank() changed the candidates: only their memo is there to be written to",
            )
            wrong = [name for name, column in candidates.memo.items() if len(column) != count]
            checks.that(not wrong, f"candidates.memo {wrong} must have one entry for each candidate")
            again = checks.call("rank", each.context(known=known), each.candidates(count))
            checks.that(
                np.array_equal(np.asarray(found), np.asarray(again)),
                "rank() gave two answers to one request: take all randomness from context.rng",
            )


def _noting(checks: Checks, world: World) -> Policy:
    """A new policy whose memos can be logged."""
    context, candidates = world.context(), world.candidates(8)
    policy: Policy = checks.fresh()
    context.profile = {**context.profile, **plain(policy.perceive(context))}
    plain(policy.tune(context))
    plain(policy.rank(context, candidates))
    first = {name: column[0] for name, column in candidates.memo.items()}
    for name, value in {**context.memo, **first}.items():
        try:
            orjson.dumps({name: value}, option=orjson.OPT_SERIALIZE_NUMPY)
            said = ""
        except (TypeError, ValueError) as error:
            said = str(error)
        checks.that(
            not said,
            f"its memo {name!r} can't be logged ({said}): give plain values by name, or arrays of numbers or texts",
        )
    return checks.fresh()  # type: ignore[no-any-return]


def _saved(checks: Checks, policy: Policy) -> dict[str, Any]:
    """A policy's state, through the bytes that it is stored as."""
    state = checks.call("state", of=policy)
    checks.that(
        isinstance(state, Mapping),
        f"state() gave {type(state).__name__}, not a mapping of names to arrays, numbers, texts and lists of texts",
    )
    try:
        saved = unpack(pack(state))
    except ValueError as error:
        checks.that(
            False,
            f"state() can't be stored ({error}): give arrays, numbers, texts and lists of texts by name",
        )
        raise
    checks.count += 1
    return saved


def _refuses(checks: Checks, policy: Policy, state: Mapping[str, Any]) -> None:
    """`load` of what `state` never gave."""
    rubbish: list[tuple[str, Mapping[str, Any]]] = [
        ("nothing", {}),
        ("strange names", {"rubbish": np.ones(3)}),
    ]
    rubbish += [
        (f"a state without {name!r}", {k: v for k, v in state.items() if k != name}) for name in state
    ]
    for what, wrong in rubbish if state else ():
        try:
            policy.load(wrong)
            refused = False
        except ValueError:
            refused = True
        except Exception:  # it shall tell a state that it can't take from its own faults
            refused = False
        checks.that(
            refused,
            f"load() of {what} must raise ValueError, so that it is passed over and replayed instead",
        )
        checks.that(
            _close(state, _saved(checks, policy)), f"load() of {what} failed and left a changed state behind"
        )


def _close(one: Any, other: Any) -> bool:
    """Whether two states are equal up to the last bits of their numbers."""
    if isinstance(one, Mapping):
        return (
            isinstance(other, Mapping)
            and one.keys() == other.keys()
            and all(_close(one[k], other[k]) for k in one)
        )
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape:
            return False
        if one.dtype.kind == "f":
            return bool(np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True))
        return bool(np.array_equal(one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True))
    return bool(one == other)
