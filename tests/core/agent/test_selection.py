"""A slate is chosen as its rules say, and every propensity is the probability it claims to be."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tastemaker.core import Candidates, Catalog, ItemSchema
from tastemaker.core.agent.selection import Rules, Selection, select, shortlist

Floats = NDArray[np.float64]
GENRES = ("jazz", "rock", "folk", "soul")


def pool_of(
    genres: Sequence[str | None], tags: Sequence[Sequence[str]] | None = None, vectors: Any = None
) -> Candidates:
    catalog = Catalog(
        ItemSchema({"genre": "category", "moods": "tags"}),
        dimensions=0 if vectors is None else np.shape(vectors)[1],
    )
    items = []
    for place, genre in enumerate(genres):
        values: dict[str, Any] = {} if genre is None else {"genre": genre}
        if tags is not None:
            values["moods"] = list(tags[place])
        items.append((f"i{place}", values))
    catalog.put(items)
    if catalog.vectors is not None:
        catalog.vectors.put(np.arange(len(items)), np.asarray(vectors, dtype=np.float32))
    return Candidates(catalog.snapshot(), np.arange(len(items)))


def chosen_from(
    pool: Candidates, scores: Floats, rules: Rules, seed: int = 0, length: int | None = None
) -> Selection:
    """A slate where the composition's order is that of the mean score, and the first `length` are ranked."""
    order = shortlist(scores.mean(axis=0), len(pool))
    ranked = scores[:, order[: len(order) if length is None else length]]
    return select(pool, order, ranked, rules, np.random.default_rng(seed))


class TestShortlist:
    @given(st.lists(st.integers(-3, 3), max_size=30), st.integers(0, 35))
    def test_it_is_the_head_of_a_stable_sort(self, scores: list[int], length: int) -> None:
        score = np.array(scores, dtype=np.float64)
        assert shortlist(score, length).tolist() == np.argsort(-score, kind="stable")[:length].tolist()


class TestRanking:
    def test_without_rules_the_best_scores_come_in_order(self) -> None:
        pool = pool_of([None] * 6)
        selection = chosen_from(pool, np.array([[0.1, 0.9, 0.5, 0.7, 0.3, 0.2]]), Rules(3))
        assert selection.chosen.tolist() == [1, 3, 2]
        assert selection.propensity.tolist() == [1.0, 1.0, 1.0]
        assert not selection.explored.any()

    def test_ties_stand_in_the_order_of_the_pool(self) -> None:
        assert chosen_from(pool_of([None] * 5), np.zeros((1, 5)), Rules(3)).chosen.tolist() == [0, 1, 2]

    def test_what_no_policy_ranked_fills_up_in_its_own_order(self) -> None:
        pool = pool_of([None] * 6)
        ranked = np.array([[0.0, 1.0]])  # the policies turn the first two round
        selection = select(pool, np.arange(6), ranked, Rules(5), np.random.default_rng(0))
        assert selection.chosen.tolist() == [1, 0, 2, 3, 4]

    def test_a_slate_is_as_long_as_its_pool_at_most(self) -> None:
        for size in range(4):
            selection = chosen_from(pool_of([None] * size), np.zeros((1, size)), Rules(12, explore=0.5))
            assert len(selection.chosen) == size

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("diversity", [0.2, 0.7, 1.0])
    @pytest.mark.parametrize("embedded", [True, False])
    def test_it_is_maximal_marginal_relevance_under_caps(
        self, seed: int, diversity: float, embedded: bool
    ) -> None:
        rng = np.random.default_rng(seed)
        count = 16
        genres = rng.choice(GENRES, count).tolist()
        moods = [rng.choice(list("abcdef"), 2, replace=False).tolist() for _ in range(count)]
        vectors = rng.normal(size=(count, 4)) if embedded else None
        pool = pool_of(genres, moods, vectors)
        score = rng.normal(size=count)
        caps = {"genre": 2, "moods": 3}
        selection = chosen_from(pool, score[None, :], Rules(5, diversity=diversity, max_per=caps))

        features = (
            pool.embeddings
            if embedded
            else np.array(
                [
                    [genre == one for one in GENRES] + [one in mood for one in "abcdef"]
                    for genre, mood in zip(genres, moods, strict=True)
                ],
                dtype=np.float32,
            )
        )
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        alike = np.maximum(unit @ unit.T, 0).astype(np.float64)
        relevance = (score - score.min()) / (score.max() - score.min())
        wanted: list[int] = []
        for _ in range(5):
            used = Counter(genres[place] for place in wanted)
            felt = Counter(mood for place in wanted for mood in moods[place])

            def value(place: int, wanted: list[int] = wanted) -> float:
                closest = max((alike[place, other] for other in wanted), default=0.0)
                return float((1 - diversity) * relevance[place] - diversity * closest)

            open_places = [
                place
                for place in range(count)
                if place not in wanted
                and used[genres[place]] < 2
                and all(felt[mood] < 3 for mood in moods[place])
            ]
            # At diversity 1 the first is a tie of all: the best score stands first in the pool.
            wanted.append(max(open_places, key=lambda place: (round(value(place), 6), score[place])))
        assert selection.over_cap == 0
        assert selection.chosen.tolist() == wanted

    def test_a_cap_that_leaves_holes_is_broken_rather_than_the_slate_cut_short(self) -> None:
        pool = pool_of(["jazz"] * 6 + ["folk"])
        selection = chosen_from(pool, np.arange(7.0)[None, ::-1], Rules(4, max_per={"genre": 2}))
        assert selection.chosen.tolist() == [0, 1, 6, 2]
        assert selection.over_cap == 1

    def test_items_without_a_value_are_never_capped(self) -> None:
        pool = pool_of([None] * 5, [[]] * 5)
        selection = chosen_from(pool, np.arange(5.0)[None, :], Rules(5, max_per={"genre": 1, "moods": 1}))
        assert len(selection.chosen) == 5
        assert selection.over_cap == 0


def _cases() -> dict[str, tuple[Candidates, Floats, Rules, int | None]]:
    rng = np.random.default_rng(3)
    genres = ["jazz", "jazz", "jazz", "rock", "rock", "folk", "folk", "soul", None, "jazz"]
    moods = [["a", "b"], ["a"], ["b"], ["a", "c"], [], ["c"], ["a"], ["b", "c"], ["d"], ["d", "a"]]
    score = rng.normal(size=(1, 10))
    vectors = rng.normal(size=(10, 3))
    return {
        "a share of one slot": (pool_of(genres), score, Rules(3, explore=0.15), None),
        "one slot and a half": (pool_of(genres), score, Rules(3, explore=0.5), None),
        "every slot": (pool_of(genres), score, Rules(3, explore=1.0), None),
        "capped by category": (pool_of(genres), score, Rules(4, explore=0.4, max_per={"genre": 1}), None),
        "capped by tags": (pool_of(genres, moods), score, Rules(3, explore=0.6, max_per={"moods": 2}), None),
        "diverse and capped": (
            pool_of(genres, moods, vectors),
            score,
            Rules(4, explore=0.3, diversity=0.5, max_per={"genre": 2, "moods": 2}),
            None,
        ),
        "a short shortlist": (pool_of(genres), score, Rules(4, explore=0.25), 2),
        "one item to try": (pool_of(genres[:4]), score[:, :4], Rules(3, explore=0.5), None),
        "too few to try": (pool_of(genres[:5]), score[:, :5], Rules(3, explore=1.0), None),
        "nothing to try": (pool_of(genres[:3]), score[:, :3], Rules(3, explore=0.5), None),
        "nothing but ties": (pool_of(genres), np.zeros((1, 10)), Rules(4, explore=0.5, diversity=0.3), None),
        "a cap that can't be kept": (
            pool_of(["jazz"] * 5 + ["rock"] * 2),
            score[:, :7],
            Rules(4, explore=0.5, max_per={"genre": 1}),
            None,
        ),
    }


class TestPropensities:
    @pytest.mark.parametrize("name", list(_cases()))
    def test_with_one_draw_they_are_the_very_probabilities(self, name: str) -> None:
        pool, scores, rules, length = _cases()[name]
        runs = 2500
        order = shortlist(scores[0], len(pool))
        ranked = scores[:, order[: len(order) if length is None else length]]
        rng = np.random.default_rng(11)
        seen: Counter[tuple[int, int]] = Counter()
        claimed: dict[tuple[int, int], float] = {}
        for _ in range(runs):
            selection = select(pool, order, ranked, rules, rng)
            for place, (item, propensity) in enumerate(
                zip(selection.chosen.tolist(), selection.propensity.tolist(), strict=True)
            ):
                seen[item, place] += 1
                assert claimed.setdefault((item, place), propensity) == propensity
        for place in range(min(rules.size, len(pool))):
            total = sum(propensity for (_, where), propensity in claimed.items() if where == place)
            assert total == pytest.approx(1.0, abs=1e-9)
        for pair, propensity in claimed.items():
            spread = np.sqrt(propensity * (1 - propensity) / runs)
            assert abs(seen[pair] / runs - propensity) <= 4.5 * spread + 1e-12, pair

    @pytest.mark.parametrize(
        "rules",
        [
            Rules(3),
            Rules(3, explore=0.4),
            Rules(3, explore=0.3, diversity=0.4),
            Rules(4, explore=0.5, max_per={"genre": 2}),
        ],
        ids=["plain", "exploring", "diverse", "capped"],
    )
    def test_with_several_draws_their_inverse_weighs_every_pair_right(self, rules: Rules) -> None:
        draws, runs = 12, 2500
        rng = np.random.default_rng(5)
        pool = pool_of(["jazz", "jazz", "rock", "rock", "folk", "jazz"], vectors=rng.normal(size=(6, 3)))
        mean = np.array([1.0, 0.8, 0.6, 0.4, 0.2, 0.0])
        weights: dict[tuple[int, int], list[float]] = defaultdict(list)
        for _ in range(runs):
            ranked = rng.normal(mean, 0.5, size=(draws, 6))
            selection = select(pool, np.arange(6), ranked, rules, rng)
            for place, (item, propensity) in enumerate(
                zip(selection.chosen.tolist(), selection.propensity.tolist(), strict=True)
            ):
                assert 0 < propensity <= 1
                weights[item, place].append(1 / propensity)
        checked = 0
        for pair, found in weights.items():
            share = len(found) / runs
            if share < 0.05:
                continue
            estimate = sum(found) / runs
            values = np.concatenate((found, np.zeros(runs - len(found))))
            spread = values.std() / np.sqrt(runs)
            # E[S / (c + 1)] = (1 - (1 - p)^S) / p: from below, and with S draws almost 1.
            missing = (1 - share) ** draws
            assert 1 - missing - 4.5 * spread <= estimate <= 1 + 4.5 * spread, (pair, share)
            checked += 1
        assert checked >= rules.size * 2

    def test_one_random_draw_counts_agreement_among_the_draws(self) -> None:
        ranked = np.array([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [3, 1, 2]])
        selection = select(pool_of([None] * 3), np.arange(3), ranked, Rules(2), np.random.default_rng(0))
        assert selection.chosen.tolist() == [0, 1]
        assert selection.propensity.tolist() == [0.75, 0.75]


@st.composite
def compositions(draw: st.DrawFn) -> tuple[Candidates, Floats, Rules, int, int]:
    count = draw(st.integers(0, 24))
    genres = draw(st.lists(st.sampled_from([*GENRES, None]), min_size=count, max_size=count))
    moods = draw(
        st.lists(st.lists(st.sampled_from("abcd"), max_size=3, unique=True), min_size=count, max_size=count)
    )
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    vectors = rng.normal(size=(count, 3)) if count and draw(st.booleans()) else None
    draws = draw(st.integers(1, 4))
    scores = rng.normal(size=(draws, count)) * draw(st.sampled_from([0.0, 1e-9, 1.0, 1e6]))
    rules = Rules(
        draw(st.integers(1, 10)),
        explore=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        diversity=draw(st.sampled_from([0.0, 0.3, 1.0])),
        max_per=draw(st.dictionaries(st.sampled_from(["genre", "moods"]), st.integers(1, 4))),
    )
    return (
        pool_of(genres, moods, vectors),
        scores,
        rules,
        draw(st.integers(0, count)),
        draw(st.integers(0, 2**32)),
    )


def carried(pool: Candidates, field: str, place: int) -> list[str]:
    values = pool.catalog.item(int(pool.rows[place])).get(field, [])
    return [values] if isinstance(values, str) else list(values)  # type: ignore[arg-type]


class TestLaws:
    @settings(max_examples=150, deadline=None)
    @given(compositions())
    def test_every_slate_keeps_them(self, composition: tuple[Candidates, Floats, Rules, int, int]) -> None:
        pool, scores, rules, length, seed = composition
        selection = chosen_from(pool, scores, rules, seed, length)
        chosen = selection.chosen.tolist()
        assert (
            len(chosen) == min(rules.size, len(pool)) == len(selection.propensity) == len(selection.explored)
        )
        assert len(set(chosen)) == len(chosen)
        assert set(chosen) <= set(range(len(pool)))
        assert (selection.propensity > 0).all()
        assert (selection.propensity <= 1 + 1e-12).all()
        again = chosen_from(pool, scores, rules, seed, length)
        assert again.chosen.tolist() == chosen
        assert again.propensity.tobytes() == selection.propensity.tobytes()
        if not rules.explore:
            assert not selection.explored.any()
        if selection.over_cap == 0:
            for field, limit in (rules.max_per or {}).items():
                words = Counter(word for place in chosen for word in carried(pool, field, place))
                assert all(count <= limit for count in words.values())

    @settings(max_examples=100, deadline=None)
    @given(compositions())
    def test_at_every_position_something_stands(
        self, composition: tuple[Candidates, Floats, Rules, int, int]
    ) -> None:
        pool, scores, rules, length, seed = composition
        selection = chosen_from(pool, scores, rules, seed, length)
        size, count = len(selection.chosen), len(pool)
        everything = np.array([selection.odds.of(np.full(size, place)) for place in range(count)])
        assert (everything.reshape(count, size) >= 0).all()
        assert everything.reshape(count, size).sum(axis=0) == pytest.approx(np.ones(size), abs=1e-12)
        assert selection.odds.draws == len(scores)
        # Nothing that is not in the pool stands anywhere, and nothing at all behind the slate's end.
        assert selection.odds.of(np.full(size, -1)).tolist() == [0.0] * size
        if size:
            assert selection.odds.of(np.zeros(size + 2, dtype=np.intp))[size:].tolist() == [0.0, 0.0]

    @settings(max_examples=100, deadline=None)
    @given(compositions())
    def test_a_cap_is_broken_only_where_nothing_else_is_left(
        self, composition: tuple[Candidates, Floats, Rules, int, int]
    ) -> None:
        pool, scores, rules, length, seed = composition
        limit = (rules.max_per or {}).get("genre")
        if limit is None:
            return
        rules = Rules(rules.size, rules.explore, diversity=rules.diversity, max_per={"genre": limit})
        genres = Counter((carried(pool, "genre", place) or [""])[0] for place in range(len(pool)))
        room = sum(count if genre == "" else min(count, limit) for genre, count in genres.items())
        selection = chosen_from(pool, scores, rules, seed, length)
        size = min(rules.size, len(pool))
        assert selection.over_cap == max(0, size - room)
