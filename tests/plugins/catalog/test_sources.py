"""What the sources propose, and in which order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tastemaker.core import ComponentError
from tastemaker.plugins.catalog import Popular, Random, Recent, Similar
from tastemaker.plugins.catalog.ranking import best

DAY = 86_400.0
NOW = 1_700_000_000.0
NAMES = ["emma", "dune", "solaris", "blank", "soon"]
EVERY = [
    Popular(),
    Popular(field="rating"),
    Recent(field="published"),
    Similar(),
    Similar(by="fields"),
    Similar(again=True),
    Random(),
]


def proposed(source, context):
    return context.catalog.ids[source.propose(context)].tolist()


@pytest.mark.parametrize("source", EVERY, ids=repr)
def test_an_empty_catalogue_gives_nothing(source, empty, make_context):
    assert proposed(source, make_context(empty, profile_vector=[1, 0, 0])) == []


@pytest.mark.parametrize("source", EVERY, ids=repr)
def test_removed_items_are_never_proposed(source, make_catalog, make_context):
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], dtype=np.float32)
    catalog = make_catalog(vectors=vectors)
    catalog.remove(["dune"])
    context = make_context(catalog.snapshot(), [("emma", 1.0, "like", 1.0)], profile_vector=[1, 0])
    found = proposed(source, context)
    assert found
    assert "dune" not in found


def test_a_snapshot_keeps_to_its_own_items_while_the_index_changes(make_catalog, make_context):
    vectors = np.eye(5, dtype=np.float32) + np.float32(0.5)
    catalog = make_catalog(vectors=vectors)
    context = make_context(catalog.snapshot(), [("emma", 1.0, "like", 1.0)])
    catalog.put([("late", {"title": "Late"})])
    catalog.vectors.put(np.array([5]), vectors[:1])
    assert "late" not in proposed(Similar(), context)


@pytest.mark.parametrize("source", EVERY, ids=repr)
@settings(max_examples=20, deadline=None)
@given(
    limit=st.integers(1, 8),
    liked=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([-1.0, 0.0, 1.0])), max_size=6),
    seed=st.integers(0, 9),
)
def test_at_most_the_limit_and_nothing_twice(
    source, embedded, make_context, make_feedback, limit, liked, seed
):
    history = [(item, reward, "like", 1.0) for item, reward in liked]
    context = make_context(embedded, history, feedback=make_feedback(liked), seed=seed)
    found = proposed(source.model_copy(update={"limit": limit}), context)
    assert len(found) <= limit
    assert len(set(found)) == len(found)


def test_popular_by_a_number_leaves_unknown_numbers_for_last(books, make_context):
    assert proposed(Popular(field="rating"), make_context(books)) == [
        "dune",
        "emma",
        "solaris",
        "blank",
        "soon",
    ]


def test_popular_by_rewards_doubts_few_outcomes(books, make_context, make_feedback):
    rewards = [("solaris", 1.0)] + [("dune", 0.8)] * 10 + [("emma", -1.0)]
    context = make_context(books, feedback=make_feedback(rewards))
    # dune 8 / 20, solaris 1 / 11, two that nobody tried, emma -1 / 11
    assert proposed(Popular(), context) == ["dune", "solaris", "blank", "soon", "emma"]


def test_popular_follows_what_was_learned_since(books, make_context, make_feedback):
    first = make_feedback([("emma", 1.0)])
    assert proposed(Popular(limit=1), make_context(books, feedback=first)) == ["emma"]
    second = make_feedback([("emma", 1.0), ("dune", 1.0), ("dune", 1.0)])
    assert proposed(Popular(limit=1), make_context(books, feedback=second)) == ["dune"]


def test_recent_gives_the_newest_and_none_from_the_future(books, make_context):
    assert proposed(Recent(field="published"), make_context(books)) == ["solaris", "emma", "dune"]
    later = make_context(books, now=NOW + 6 * DAY)
    assert proposed(Recent(field="published", limit=2), later) == ["soon", "solaris"]


def test_recent_finds_the_past_behind_a_crowd_from_the_future(make_catalog, make_context):
    items = [(f"future {n}", {"published": NOW + (n + 1) * DAY}) for n in range(30)]
    items += [(f"past {n}", {"published": NOW - n * DAY}) for n in range(5)]
    context = make_context(make_catalog(items).snapshot())
    assert proposed(Recent(field="published", limit=3), context) == ["past 0", "past 1", "past 2"]


def test_similar_gives_what_is_near_to_the_liked_and_not_the_liked_itself(embedded, make_context):
    context = make_context(embedded, [("emma", 1.0, "like", 0.0)])
    assert proposed(Similar(), context) == ["soon"]
    assert proposed(Similar(again=True), context) == ["emma", "soon"]


def test_similar_goes_by_words_where_there_is_no_embedding(books, make_context):
    context = make_context(books, [("dune", 1.0, "like", 0.0)])
    assert proposed(Similar(), context) == ["solaris"]


def test_similar_goes_by_the_words_of_the_profile_in_whatever_case(books, make_context):
    context = make_context(books, profile={"interests": ["NOVEL", "unheard of"], "age": 30})
    assert proposed(Similar(by="fields"), context) == ["soon", "emma"]


@pytest.mark.parametrize("by", ["auto", "embedding", "fields"])
def test_similar_gives_nothing_to_a_stranger_or_to_one_who_only_dislikes(by, embedded, make_context):
    assert proposed(Similar(by=by), make_context(embedded)) == []
    assert proposed(Similar(by=by), make_context(embedded, [("emma", -1.0, "skip", 0.0)])) == []


def test_similar_without_the_embedding_that_it_was_told_to_use_says_what_to_do(books, make_context):
    with pytest.raises(ComponentError, match=r"declare `items.embedding`, or say `by: fields`"):
        Similar(by="embedding").propose(make_context(books, [("emma", 1.0, "like", 0.0)]))


def test_random_is_even_and_repeats_for_the_same_seed(books, make_context):
    assert proposed(Random(), make_context(books, seed=3)) == proposed(Random(), make_context(books, seed=3))
    assert sorted(proposed(Random(), make_context(books))) == sorted(NAMES)
    counts = dict.fromkeys(NAMES, 0)
    for seed in range(2000):
        for item in proposed(Random(limit=2), make_context(books, seed=seed)):
            counts[item] += 1
    # 800 expected each; five standard deviations of a binomial(2000, 0.4) are 110
    assert all(abs(count - 800) < 110 for count in counts.values())


@given(
    values=st.lists(st.one_of(st.just(float("nan")), st.integers(-3, 3).map(float)), max_size=30),
    limit=st.integers(1, 40),
)
def test_best_is_a_stable_sort_cut_off(values, limit):
    order = sorted(range(len(values)), key=lambda n: math.inf if math.isnan(values[n]) else -values[n])
    assert best(np.array(values), limit).tolist() == order[:limit]
