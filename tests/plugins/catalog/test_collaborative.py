"""What people with the same taste liked: the weights are those of EASE, and the state is a fold over the outcomes."""

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tastemaker.core import Candidates, Catalog, Context, Feedback, Interaction, ItemSchema, Outcomes, Request
from tastemaker.core.agent import state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.core.conformance import check_component
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.plugins.catalog import Collaborative

NOW = 1_700_000_000.0
ITEMS = 12
STEP = 2.0**-16
"""What weights are rounded to."""


def catalog_of(count: int = ITEMS) -> Catalog:
    catalog = Catalog(ItemSchema({"title": "text"}))
    catalog.put([(f"i{place}", {}) for place in range(count)])
    return catalog


CATALOG = catalog_of()


def outcomes_of(
    deeds: Sequence[tuple[str, str, float]],
    *,
    first: Sequence[bool] | None = None,
    total: Sequence[float] | None = None,
    days: Sequence[float] | None = None,
) -> Outcomes:
    """Outcomes of (user, item, reward), so many days from now."""
    count = len(deeds)
    reward = np.array([reward for *_, reward in deeds], dtype=np.float64)
    return Outcomes(
        users=[user for user, *_ in deeds],
        items=[item for _, item, _ in deeds],
        slates=[""] * count,
        reward=reward,
        total=reward if total is None else np.array(total, dtype=np.float64),
        first=np.array([True] * count if first is None else first, dtype=np.bool_),
        propensity=np.full(count, np.nan),
        position=np.full(count, -1, dtype=np.int32),
        time=NOW + 86_400 * np.array([0.0] * count if days is None else days),
        situations=[{}] * count,
        memos=[{}] * count,
    )


def part(outcomes: Outcomes, start: int, stop: int) -> Outcomes:
    return Outcomes(**{name: getattr(outcomes, name)[start:stop] for name in Outcomes.__dataclass_fields__})


def context_of(
    *liked: str | tuple[str, float] | tuple[str, float, float], catalog: Catalog = CATALOG
) -> Context:
    """A request of somebody with a history of items, newest first, with their rewards and ages in days."""
    events = [(each,) if isinstance(each, str) else each for each in liked]
    snapshot = catalog.snapshot()
    columns = {
        "reward": np.array([event[1] if len(event) > 1 else 1.0 for event in events], dtype=np.float64),
        "kind": np.full(len(events), "like", dtype=object),
        "age_days": np.array([event[2] if len(event) > 2 else 0.0 for event in events], dtype=np.float64),
    }
    return Context(
        domain="shop", user="ann", slate="s", now=NOW, size=5, draws=1, seed=1, catalog=snapshot,
        history=Candidates(snapshot, snapshot.rows([event[0] for event in events]), columns=columns),
        feedback=Feedback(), profile={}, situation={}, step="policies.crowd",
    )  # fmt: skip


def everything(context: Context) -> Candidates:
    return Candidates(context.catalog, np.arange(len(context.catalog)))


def proposed(policy: Collaborative, context: Context) -> list[str]:
    rows: Any = policy.propose(context)
    return [str(identity) for identity in context.catalog.ids[rows]]


def crowd(users: int = 60, items: int = ITEMS, seed: int = 3) -> list[tuple[str, str, float]]:
    """People of three tastes, each liking some items of a third of the catalogue, and a few of chance."""
    rng = np.random.default_rng(seed)
    deeds = []
    for user in range(users):
        own = np.arange(user % 3, items, 3)
        liked = set(rng.choice(own, 3, replace=False).tolist()) | {int(rng.integers(items))}
        deeds += [(f"u{user}", f"i{item}", 1.0) for item in sorted(liked)]
    return [deeds[place] for place in rng.permutation(len(deeds))]


def taught(deeds: Sequence[tuple[str, str, float]], **options: Any) -> Collaborative:
    policy = Collaborative(**options)
    policy.learn(outcomes_of(deeds))
    policy.fit()
    return policy


def solved(deeds: Sequence[tuple[str, str, float]], ridge: float, items: int = ITEMS) -> NDArray[np.float64]:
    """EASE without its closed form: each item's column is a ridge regression on all the others."""
    users = sorted({user for user, *_ in deeds})
    x = np.zeros((len(users), items))
    for user, item, _ in deeds:
        x[users.index(user), int(item[1:])] = 1
    weights = np.zeros((items, items))
    for item in range(items):
        others = np.delete(np.arange(items), item)
        a = x[:, others]
        weights[others, item] = np.linalg.solve(a.T @ a + ridge * np.eye(items - 1), a.T @ x[:, item])
    return weights


def weights_of(policy: Collaborative, items: int = ITEMS) -> NDArray[np.float64]:
    """The weights in a state, by the numbers in the items' ids."""
    state = policy.state()
    numbers = np.array([int(identity[1:]) for identity in state["ids"]], dtype=np.intp)
    weights = np.zeros((items, items))
    for place, number in enumerate(numbers.tolist()):
        weights[number, numbers[state["targets"][place]]] = state["weights"][place]
    return weights


class TestWeights:
    @pytest.mark.parametrize("ridge", [0.5, 20.0, 500.0])
    def test_they_are_those_of_a_regression_of_each_item_on_all_others(self, ridge: float) -> None:
        deeds = crowd()
        found = weights_of(taught(deeds, ridge=ridge))
        assert np.abs(found).max() > 100 * STEP
        np.testing.assert_allclose(found, solved(deeds, ridge), atol=STEP)

    def test_what_was_liked_lately_comes_first(self) -> None:
        """Weights are scaled by the mean of 2^(-age / half-life) over an item's likes."""
        deeds = crowd()
        days = np.sort(np.random.default_rng(7).uniform(0, 200, len(deeds))).tolist()
        policy = Collaborative(ridge=20, current_days=30)
        policy.learn(outcomes_of(deeds, days=days))
        policy.fit()
        lively = np.zeros(ITEMS)
        for item in range(ITEMS):
            ages = [
                days[-1] - day for day, (_, liked, _) in zip(days, deeds, strict=True) if liked == f"i{item}"
            ]
            lively[item] = np.mean([2 ** (-age / 30) for age in ages])
        wanted = solved(deeds, 20) * lively / lively.max()
        np.testing.assert_allclose(weights_of(policy), wanted, atol=STEP)

    def test_an_item_speaks_for_the_neighbours_it_says_most_of(self) -> None:
        deeds = crowd()
        every, few = weights_of(taught(deeds, ridge=20)), weights_of(taught(deeds, ridge=20, neighbours=4))
        assert ((few != 0).sum(axis=1) <= 4).all()
        for whole, cut in zip(every, few, strict=True):
            np.testing.assert_array_equal(cut[cut != 0], whole[cut != 0])
            assert np.abs(whole[cut == 0]).max() <= np.abs(cut[cut != 0]).min()

    def test_only_the_most_liked_items_are_learned_about(self) -> None:
        deeds = crowd(90)
        counts = np.bincount([int(item[1:]) for _, item, _ in deeds], minlength=ITEMS)
        policy = taught(deeds, items=5, online=5, ridge=20)
        ids = policy.state()["ids"]
        assert len(ids) == 5
        left_out = np.setdiff1d(np.arange(ITEMS), [int(identity[1:]) for identity in ids])
        assert counts[left_out].max() <= min(counts[int(identity[1:])] for identity in ids)
        among = [deed for deed in deeds if deed[1] in ids]
        np.testing.assert_allclose(weights_of(policy), solved(among, 20), atol=STEP)

    def test_only_the_newest_likes_are_kept(self) -> None:
        old, new = (
            crowd(40, seed=1),
            [(f"new {user}", item, reward) for user, item, reward in crowd(60, seed=2)],
        )
        policy = Collaborative(likes=100, ridge=20)
        policy.learn(outcomes_of([*old, *new]))
        state = policy.state()
        assert 100 <= len(state["likes"]) <= 112
        kept = [(state["users"][user], state["liked"][item]) for user, item, _ in state["likes"].tolist()]
        assert kept == [(user, item) for user, item, _ in [*old, *new]][-len(kept) :]
        policy.fit()
        np.testing.assert_allclose(
            weights_of(policy), solved([(user, item, 1.0) for user, item in kept], 20), atol=STEP
        )


class TestDeciding:
    def test_scores_are_sums_of_weights_as_shares_of_the_best(self) -> None:
        policy, weights = taught(crowd(), ridge=20), solved(crowd(), 20)
        context = context_of(("i0", 1.0, 10.0), ("i3", 2.0, 70.0))
        wanted = np.maximum(weights[0] + weights[3] / 2, 0)  # sixty days older: half as much
        wanted[[0, 3]] = 0
        found = policy.rank(context, everything(context))
        np.testing.assert_allclose(found, wanted / wanted.max(), atol=20 * STEP / wanted.max())
        assert found.max() == 1
        order = [f"i{item}" for item in np.argsort(-found, kind="stable") if found[item] > 0]
        assert proposed(policy, context) == order
        assert order[:2] == ["i6", "i9"] or order[:2] == ["i9", "i6"]

    def test_what_was_liked_again_counts_again(self) -> None:
        policy, weights = taught(crowd(), ridge=20), solved(crowd(), 20)
        context = context_of(("i0", 1.0, 0.0), ("i1", 1.0, 0.0), ("i0", 1.0, 60.0))
        wanted = np.maximum(1.5 * weights[0] + weights[1], 0)
        wanted[[0, 1]] = 0
        found = policy.rank(context, everything(context))
        np.testing.assert_allclose(found, wanted / wanted.max(), atol=20 * STEP / wanted.max())

    def test_a_score_doesnt_depend_on_who_else_is_ranked(self) -> None:
        policy, context = taught(crowd(), ridge=20), context_of("i0")
        whole = policy.rank(context, everything(context))
        some = Candidates(context.catalog, np.array([9, 2, 6]))
        np.testing.assert_array_equal(policy.rank(context, some), whole[[9, 2, 6]])

    def test_no_more_than_the_limit_is_proposed(self) -> None:
        assert len(proposed(taught(crowd(), limit=2), context_of("i0"))) == 2

    def test_what_was_liked_before_comes_again_only_on_demand(self) -> None:
        context = context_of("i0", "i3")
        assert not {"i0", "i3"} & set(proposed(taught(crowd()), context))
        again = taught(crowd(), repeats=True)
        assert set(proposed(again, context)[:2]) == {"i0", "i3"}
        candidates = everything(context)
        assert again.rank(context, candidates)[[0, 3]].min() > 0.9
        assert again.explain("i0", {"because": candidates.memo["because"][0].tolist()}).startswith(
            "liked before"
        )

    @pytest.mark.parametrize(
        "history",
        [
            (),
            (("i0", 0.0),),
            (("i0", -1.0),),
            (("i0", float("nan")),),
            (("i0", -1.0), ("i0", 1.0)),  # taken back
        ],
        ids=["nothing", "worthless", "disliked", "without a reward", "taken back"],
    )
    def test_who_liked_nothing_gets_nothing(self, history: tuple[tuple[str, float], ...]) -> None:
        policy, context = taught(crowd()), context_of(*history)
        candidates = everything(context)
        assert proposed(policy, context) == []
        assert policy.rank(context, candidates).tolist() == [0] * ITEMS
        assert candidates.memo == {}

    def test_who_is_new_is_understood_from_the_first_like_on_without_a_fit(self) -> None:
        policy = taught(crowd())
        before = state_digest(policy.state())
        for item in range(3):  # by their numbers modulo 3, items go together
            assert {int(each[1:]) % 3 for each in proposed(policy, context_of(f"i{item}"))[:3]} == {item}
        assert state_digest(policy.state()) == before

    def test_items_that_were_removed_or_never_liked_are_no_trouble(self) -> None:
        policy, catalog = taught(crowd()), catalog_of(ITEMS + 2)
        assert "i6" in proposed(policy, context_of("i0", catalog=catalog))
        catalog.remove(["i6"])
        context = context_of("i12", "i0", catalog=catalog)
        assert "i6" not in proposed(policy, context)
        assert policy.rank(context, everything(context))[[12, 13]].tolist() == [0, 0]
        assert proposed(policy, context_of("i13", catalog=catalog)) == []

    def test_the_threshold_says_what_is_liked(self) -> None:
        deeds = [(user, item, 4.0) for user, item, _ in crowd()]
        policy = taught([*deeds, *[(user, "i11", 3.0) for user, *_ in deeds]], liked=3.0)
        without = taught(deeds, liked=3.0)
        np.testing.assert_array_equal(weights_of(policy), weights_of(without))
        assert proposed(policy, context_of(("i0", 3.0))) == []
        assert proposed(policy, context_of(("i0", 3.5))) != []


class TestReasons:
    def test_the_items_that_spoke_loudest_are_named_as_the_decision_saw_them(self) -> None:
        policy, weights = taught(crowd(), ridge=20), solved(crowd(), 20)
        liked, ages = [0, 1, 3, 6], np.array([5.0, 0.0, 40.0, 90.0])
        context = context_of(*((f"i{item}", 1.0, float(age)) for item, age in zip(liked, ages, strict=True)))
        candidates = everything(context)
        scores = policy.rank(context, candidates)
        because = candidates.memo["because"]
        assert because.shape == (ITEMS, 2)
        for item in np.flatnonzero(scores).tolist():
            parts = weights[liked, item] * 2 ** (-ages / 60)
            order = [f"i{liked[place]}" for place in np.argsort(-parts) if parts[place] > STEP]
            assert [each for each in because[item] if each] == order[:2]
        assert (because[scores == 0] == "").all()
        memo = {"because": because[9].tolist()}
        late = [(f"late {user}", "i5", 1.0) for user in range(500)]
        policy.learn(outcomes_of(late))  # after the decision
        assert policy.explain("i9", memo) == "liked by people who liked 'i3' and 'i0'"

    @pytest.mark.parametrize(
        ("item", "memo", "said"),
        [
            ("i9", {"because": ["i0", ""]}, "liked by people who liked 'i0'"),
            ("i9", {"because": ["i9", "i0"]}, "liked before; liked by people who liked 'i0'"),
            ("i9", {"because": ["", ""]}, ""),
            ("i9", {}, ""),
            ("i9", {"because": "i0"}, ""),
            ("i9", {"because": 7}, ""),
            ("", {"because": ["i0", ""]}, ""),
        ],
    )
    def test_in_words(self, item: str, memo: dict[str, Any], said: str) -> None:
        assert Collaborative().explain(item, memo) == said


class TestLearning:
    def test_it_learns_on_the_way_from_ten_likes_on_and_again_when_they_have_grown(self) -> None:
        policy, deeds, fitted = Collaborative(growth=0.5), crowd(), []
        for deed in deeds[:60]:
            policy.learn(outcomes_of([deed]))
            fitted.append(policy.state()["fitted"])
        assert sorted(set(fitted)) == [0, 10, 20, 30, 45]
        assert [fitted.index(likes) + 1 for likes in (10, 20, 30, 45)] == [10, 20, 30, 45]

    def test_what_is_liked_twice_is_one_like(self) -> None:
        policy = Collaborative()
        policy.learn(outcomes_of([("ann", "i1", 1.0)] * 30))
        state = policy.state()
        assert state["likes"].tolist() == [[0, 0, 30]]
        assert state["fitted"] == 0

    def test_a_correction_takes_a_like_back_or_makes_one(self) -> None:
        """Later interactions on an entry come as differences."""
        deeds = crowd()
        regretted = [
            ("u1", "i5", 1.0),
            ("u1", "i5", -1.0),
            ("u2", "i7", -0.5),
            ("u2", "i7", 1.0),
            ("u2", "i7", -1.0),
        ]
        policy = Collaborative()
        policy.learn(outcomes_of(deeds))
        policy.learn(
            outcomes_of(regretted, first=[True, False, True, False, False], total=[1.0, 0.0, -0.5, 0.5, -0.5])
        )
        policy.fit()
        np.testing.assert_array_equal(weights_of(policy), weights_of(taught(deeds)))
        kept = Collaborative()
        kept.learn(outcomes_of(regretted[2:4], first=[True, False], total=[-0.5, 0.5]))
        assert kept.state()["likes"].tolist() == [[0, 0, 1]]

    def test_a_like_lasts_while_one_outcome_says_so(self) -> None:
        policy = Collaborative()
        policy.learn(outcomes_of([("ann", "i1", 1.0), ("ann", "i1", 1.0)]))
        policy.learn(outcomes_of([("ann", "i1", -1.0)], first=[False], total=[0.0]))
        assert policy.state()["likes"].tolist() == [[0, 0, 1]]
        policy.learn(outcomes_of([("ann", "i1", -1.0)], first=[False], total=[0.0]))
        assert len(policy.state()["likes"]) == 0
        policy.learn(
            outcomes_of([("bob", "i2", -1.0)], first=[False], total=[0.0])
        )  # of a like that was forgotten
        assert len(policy.state()["likes"]) == 0

    def test_sums_of_rewards_that_come_to_the_threshold_by_rounding_are_no_likes(self) -> None:
        policy = Collaborative(liked=0.3)
        policy.learn(
            outcomes_of([("ann", "i1", 0.1), ("ann", "i1", 0.2)], first=[True, False], total=[0.1, 0.1 + 0.2])
        )
        assert len(policy.state()["likes"]) == 0
        policy.learn(outcomes_of([("ann", "i1", 0.1)], first=[False], total=[0.1 + 0.2 + 0.1]))
        assert len(policy.state()["likes"]) == 1

    def test_what_got_its_likes_since_a_training_run_comes_beside_what_that_learned(self) -> None:
        policy, catalog = taught(crowd(), online=6, growth=0.1, ridge=20), catalog_of(ITEMS + 3)
        policy.fit()
        fitted, context = policy.state(), context_of("i0", "i12", catalog=catalog)
        before = policy.rank(context, everything(context))
        assert len(fitted["ids"]) == ITEMS
        assert before[12:].tolist() == [0, 0, 0]
        # Three new items, of which those who like i0, i3, i6 like i12 and i14, too.
        new = [(f"late {user}", item, 1.0) for user in range(80) for item in ("i0", "i12", "i14")]
        policy.learn(outcomes_of(new))
        after, state = policy.rank(context, everything(context)), policy.state()
        for name in ("ids", "targets", "weights", "fitted"):
            np.testing.assert_array_equal(state[name], fitted[name])
        assert {"i12", "i14"} <= set(state["late_ids"])
        assert len(state["late_ids"]) <= 6
        assert proposed(policy, context)[0] == "i14"
        assert after[14] == 1
        old = after[:ITEMS] > 0
        np.testing.assert_allclose(  # among themselves they stand as before
            after[:ITEMS][old] / after[:ITEMS].max(), before[:ITEMS][old] / before.max()
        )
        candidates = everything(context)
        policy.rank(context, candidates)
        assert set(candidates.memo["because"][14]) == {"i0", "i12"}
        # Who likes nothing but what is new is understood, too; a state of both comes back; a run makes one of them.
        assert "i14" in proposed(policy, context_of("i12", catalog=catalog))
        again = Collaborative(online=6, growth=0.1, ridge=20)
        again.load(unpack(pack(state)))
        assert state_digest(again.state()) == state_digest(state)
        np.testing.assert_array_equal(again.rank(context, everything(context)), after)
        policy.fit()
        assert policy.state()["late_ids"] == []
        assert len(policy.state()["ids"]) == ITEMS + 2

    def test_a_state_from_before_there_were_late_items_is_taken(self) -> None:
        policy = taught(crowd())
        policy.fit()
        old = {name: value for name, value in policy.state().items() if not name.startswith("late_")}
        again = Collaborative()
        again.load(old)
        assert state_digest(again.state()) == state_digest(policy.state())

    def test_between_training_runs_it_learns_about_fewer_items_and_gives_up_none(self) -> None:
        policy = Collaborative(online=5, ridge=20)
        policy.learn(outcomes_of(crowd()))
        assert len(policy.state()["ids"]) == 5
        policy.fit()
        weights = weights_of(policy)
        assert len(policy.state()["ids"]) == ITEMS
        policy.learn(outcomes_of([(f"more {user}", item, reward) for user, item, reward in crowd(200)]))
        np.testing.assert_array_equal(weights_of(policy), weights)
        policy.fit()
        assert (weights_of(policy) != weights).any()

    @given(data=st.data())
    @settings(max_examples=40, deadline=None)
    def test_how_outcomes_are_cut_into_batches_changes_nothing(self, data: st.DataObject) -> None:
        steps = data.draw(
            st.lists(
                st.tuples(
                    st.integers(0, 7),
                    st.integers(0, 5),
                    st.sampled_from([-1.0, 0.0, 0.5, 1.0]),
                    st.booleans(),
                ),
                max_size=150,
            )
        )
        totals: dict[tuple[int, int], float] = {}
        total, first = [], []
        for user, item, reward, anew in steps:
            known = (user, item) in totals and not anew
            totals[user, item] = (totals[user, item] if known else 0.0) + reward
            total.append(totals[user, item])
            first.append(not known)
        deeds = [(f"u{user}", f"i{item}", reward) for user, item, reward, _ in steps]
        outcomes = outcomes_of(deeds, first=first, total=total)
        cuts = sorted(data.draw(st.sets(st.integers(0, len(deeds)), max_size=10)))
        whole, cut = Collaborative(likes=100), Collaborative(likes=100)
        whole.learn(outcomes)
        for start, stop in zip([0, *cuts], [*cuts, len(deeds)], strict=True):
            cut.learn(part(outcomes, start, stop))
        assert state_digest(whole.state()) == state_digest(cut.state())


class TestState:
    def test_it_comes_back_and_goes_on_the_same(self) -> None:
        deeds = crowd(120)
        policy = Collaborative()
        policy.learn(outcomes_of(deeds[:333]))
        restored = Collaborative()
        restored.learn(outcomes_of(deeds[:50]))
        restored.load(unpack(pack(policy.state())))
        for each in (policy, restored):
            each.learn(outcomes_of(deeds[333:]))
            each.fit()
        assert state_digest(policy.state()) == state_digest(restored.state())
        context = context_of("i0", "i4")
        assert proposed(policy, context) == proposed(restored, context)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"users": ["u0"]}, "numbers of users"),
            ({"users": "ann"}, "users must be a list of texts"),
            ({"liked": [7]}, "liked must be a list of texts"),
            ({"ids": ["i0"] * ITEMS}, "ids must have each text once"),
            ({"likes": np.zeros((3, 3), dtype=np.int32)}, "at least once"),
            ({"likes": np.zeros((3, 2), dtype=np.int32)}, r"shape \(n, 3\)"),
            ({"likes": np.zeros((3, 3))}, "whole numbers"),
            ({"likes": [[0, 0, 1]]}, "whole numbers"),
            ({"likes": np.int32(4)}, "whole numbers"),
            ({"likes": np.array([[0, 0, 0]])}, "at least once"),
            ({"likes": np.array([[-1, 0, 1]])}, "numbers of users"),
            ({"likes": np.array([[0, 0, 1], [0, 0, 1]]), "times": np.zeros(2)}, "twice"),
            ({"targets": np.zeros((2, 2), dtype=np.int32)}, "targets must be an array of shape"),
            ({"targets": np.full((ITEMS, ITEMS), ITEMS, dtype=np.int32)}, "places among 12 items"),
            ({"targets": None}, "targets must be an array"),
            ({"targets": np.zeros((ITEMS, ITEMS))}, "places among 12 items"),
            ({"weights": np.zeros((ITEMS, ITEMS), dtype=np.int32)}, "finite numbers"),
            ({"times": np.zeros(3)}, "one for each like"),
            ({"times": [NOW]}, "one for each like"),
            ({"weights": np.full((ITEMS, ITEMS), np.nan, dtype=np.float32)}, "finite"),
            ({"fitted": -1}, "fitted must be a whole number"),
            ({"changes": 0.5}, "changes must be a whole number"),
        ],
    )
    def test_what_no_state_ever_was_is_refused_and_changes_nothing(
        self, change: dict[str, Any], said: str
    ) -> None:
        policy = taught(crowd())
        before = pack(policy.state())
        with pytest.raises(ValueError, match=said):
            policy.load({**policy.state(), **change})
        with pytest.raises(ValueError, match=f"no '{next(iter(change))}'"):
            policy.load({name: value for name, value in policy.state().items() if name not in change})
        assert pack(policy.state()) == before

    def test_a_process_with_other_threads_and_instructions_comes_to_the_same_bits(
        self, tmp_path: Path
    ) -> None:
        outcomes = outcomes_of(crowd(500, 150))
        (tmp_path / "outcomes").write_bytes(pickle.dumps(outcomes))
        other = subprocess.run(
            [sys.executable, "-c", FITTED, str(tmp_path / "outcomes")],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Nehalem"},
            capture_output=True,
            text=True,
            check=True,
        )
        policy = Collaborative()
        policy.learn(outcomes)
        policy.fit()
        assert len(policy.state()["ids"]) == 150
        assert other.stdout.strip() == state_digest(policy.state())

    def test_the_contract(self) -> None:
        for options in ({}, {"repeats": True}, {"liked": 0.6, "online": 3, "neighbours": 2}):
            assert check_component(Collaborative, quiet=True, **options) > 100


FITTED = """
import pickle, sys
from tastemaker.core.agent import state_digest
from tastemaker.plugins.catalog import Collaborative
policy = Collaborative()
with open(sys.argv[1], "rb") as file:
    policy.learn(pickle.load(file))
policy.fit()
print(state_digest(policy.state()))
"""

SHOP = """
version: 1
store: sqlite:///{folder}/store.db
domains:
  shop:
    extends: products
    sources:
      similar: {{enabled: false}}
      popular: {{limit: 12}}
      liked: {{enabled: false}}
      new: {{enabled: false}}
      random: {{enabled: false}}
    policies:
      taste: {{enabled: false}}
      together: {{enabled: false}}
      crowd: {{use: catalog.collaborative, weight: 5, ridge: 5}}
    slate: {{explore: 0, diversity: 0, max_per: {{}}, deadline_ms: 20000}}
"""


def test_a_real_shop_proposes_what_others_of_the_same_taste_bought(tmp_path: Path) -> None:
    path, clock = tmp_path / "config.yaml", ManualClock(NOW)
    path.write_text(SHOP.format(folder=tmp_path))

    async def life() -> None:
        async with Orchestrator(load(path), clock=clock, follow=False) as orchestrator:
            agent, fold = orchestrator.agent("shop"), orchestrator.folds["shop"]
            snapshot = agent.catalog.snapshot()
            # Two circles of people, who buy what sells least: no other source proposes that.
            there = snapshot.live[snapshot.column("available")[snapshot.live] == 1]
            rows = there[np.argsort(snapshot.column("units_sold")[there])][:16].tolist()
            circles = [[str(snapshot.ids[row]) for row in rows[start::2]] for start in (0, 1)]
            rng = np.random.default_rng(2)
            for user in range(30):
                bought = rng.choice(circles[user % 2], 5, replace=False).tolist()
                await orchestrator.record([
                    Interaction(f"{user} {item}", "shop", f"user-{user}", item, "purchase", clock())
                    for item in bought
                ])  # fmt: skip
                clock.advance(60)
            seen = [
                Interaction(f"ann {item}", "shop", "ann", item, "purchase", clock())
                for item in circles[0][:2]
            ]
            await orchestrator.record(seen)
            orchestrator.learn()
            slate = await orchestrator.recommend("shop", Request("ann", size=3))
            assert not slate.degraded
            wanted = set(circles[0]) - {one.item for one in seen}
            assert {pick.item for pick in slate.picks} <= wanted
            assert all(list(pick.sources) == ["crowd"] for pick in slate.picks)
            policy = agent.policies["crowd"]
            said = policy.component.explain(slate.picks[0].item, slate.memo_of("crowd", 0))
            assert said.startswith("liked by people who liked ")
            assert any(repr(item) in said for item in circles[0][:2])
            orchestrator.learn()
            digest = state_digest(policy.state())
            entries = orchestrator.store.read(0, limit=10_000)
            fold.forget()
            assert state_digest(policy.state()) != digest
            for start in range(0, len(entries), 17):
                piece = entries[start : start + 17]
                fold.take(piece, piece[-1].position)
            assert state_digest(policy.state()) == digest

    asyncio.run(life())
