"""What the scorers think of items."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tastemaker.core import Candidates, Catalog, ItemSchema
from tastemaker.plugins.catalog import Freshness, Novelty, Numeric, Popularity, Similarity, TagMatch

NOW, DAY = 1_700_000_000.0, 86_400.0
NAMES = ["emma", "dune", "solaris", "blank", "soon"]
HISTORY = [("emma", 1.0, "like", 0.0), ("dune", -0.5, "skip", 30.0)]
EVERY = [
    Similarity(),
    Similarity(by="fields"),
    Popularity(),
    Popularity(field="rating"),
    Freshness(field="published"),
    Numeric(field="rating", ideal=4, tolerance=1),
    Numeric(field="rating", low=3, high=4, better="lower", missing=0.5),
    TagMatch(field="moods", profile="moods"),
    TagMatch(field="genre", situation="genre"),
    Novelty(),
    Novelty(unlike=0.5),
    Novelty(unlike=1, by="fields"),
]


def scored(scorer, context, candidates):
    scores = scorer.score(context, candidates)
    return dict(zip(candidates.ids.tolist(), scores.tolist(), strict=True))


@pytest.mark.parametrize("scorer", EVERY, ids=repr)
def test_no_candidates_are_fine(scorer, embedded, empty, make_context, every):
    assert scorer.score(make_context(empty), every(empty)).shape == (0,)
    none = Candidates(embedded, np.empty(0, dtype=np.intp))
    assert scorer.score(make_context(embedded, HISTORY), none).shape == (0,)


@pytest.mark.parametrize("scorer", EVERY, ids=repr)
@settings(max_examples=20, deadline=None)
@given(
    rows=st.permutations(range(5)),
    history=st.lists(
        st.tuples(st.sampled_from(NAMES), st.floats(-2, 2), st.just("like"), st.floats(0, 1e5)),
        max_size=6,
    ),
    profile=st.sampled_from([None, (0, 0, 1), (0.6, -0.8, 0)]),
)
def test_scores_lie_in_0_to_1_and_follow_their_items(
    scorer, embedded, make_context, make_feedback, every, rows, history, profile
):
    context = make_context(
        embedded,
        history,
        feedback=make_feedback([(item, reward) for item, reward, *_ in history]),
        profile={"moods": ["calm"]},
        situation={"genre": {"scifi": 2}},
        profile_vector=profile,
    )
    scores = scorer.score(context, every(embedded))
    assert scores.shape == (5,)
    assert np.isfinite(scores).all()
    assert scores.min() >= (-1 if isinstance(scorer, Similarity) else 0)
    assert scores.max() <= 1
    order = np.array(rows)
    np.testing.assert_allclose(scorer.score(context, Candidates(embedded, order)), scores[order], atol=1e-6)


@pytest.mark.parametrize("scorer", EVERY, ids=repr)
def test_items_of_which_nothing_is_known_are_fine(scorer, make_catalog, make_context, every):
    catalog = make_catalog([("a", {}), ("b", {})]).snapshot()
    scores = scorer.score(make_context(catalog, [("a", 1.0, "like", 0.0)]), every(catalog))
    assert np.isfinite(scores).all()
    assert scores[0] == scores[1]


def test_similarity_is_the_cosine_to_what_was_liked(embedded, make_context, every):
    scores = scored(Similarity(), make_context(embedded, [("emma", 1.0, "like", 0.0)]), every(embedded))
    assert scores == pytest.approx({"emma": 1, "dune": 0, "solaris": 0, "blank": 0, "soon": 0.8}, abs=1e-6)


def test_similarity_follows_the_written_mathematics(embedded, make_context, every):
    scorer = Similarity(half_life_days=10, dislike=0.5, profile_weight=0.25)
    history = [("emma", 1.0, "like", 5.0), ("dune", -1.0, "skip", 15.0), ("solaris", 0.0, "show", 16.0)]
    profile = np.array([0, 0, 1.0])
    vectors = embedded.vectors.take(np.arange(5)).astype(np.float64)
    blend = vectors[0] * 2**-0.5 - 0.5 * vectors[1] * 2**-1.5
    taste = 0.75 * blend / np.linalg.norm(blend) + 0.25 * profile
    expected = vectors @ taste / np.linalg.norm(taste)
    context = make_context(embedded, history, profile_vector=profile)
    np.testing.assert_allclose(scorer.score(context, every(embedded)), expected, atol=1e-6)


def test_similarity_by_words_is_the_cosine_of_tf_idf(books, make_context, every):
    def vector(words):
        # df of each word among the five books: novel and Novel are two words of the catalogue
        frequency = {"Novel": 1, "scifi": 2, "novel": 1, "calm": 1, "Calm": 1, "witty": 2, "epic": 2}
        weights = {word: math.log(6 / (1 + frequency[word])) + 1 for word in words}
        length = math.sqrt(sum(weight**2 for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()}

    liked, other = vector(["scifi", "epic"]), vector(["scifi", "Calm", "epic"])
    cosine = sum(weight * other[word] for word, weight in liked.items())
    scores = scored(Similarity(), make_context(books, [("dune", 0.4, "like", 3.0)]), every(books))
    assert scores["solaris"] == pytest.approx(cosine, abs=1e-6)
    assert scores["dune"] == pytest.approx(1, abs=1e-6)
    assert scores["emma"] == scores["blank"] == 0


def test_similarity_compares_only_the_named_fields(books, make_context, every):
    context = make_context(books, [("emma", 1.0, "like", 0.0)])
    scores = scored(Similarity(fields=["moods"]), context, every(books))
    assert scores["soon"] > 0
    assert scores["dune"] == 0


def test_only_dislikes_push_away_mildly(embedded, make_context, every):
    context = make_context(embedded, [("emma", -1.0, "skip", 0.0)])
    scores = scored(Similarity(dislike=0.3), context, every(embedded))
    assert scores["emma"] == pytest.approx(-0.3)
    assert scores["dune"] == pytest.approx(0, abs=1e-6)


def test_nothing_is_near_to_a_stranger(embedded, make_context, every):
    assert set(scored(Similarity(), make_context(embedded), every(embedded)).values()) == {0}


def test_a_very_old_history_still_makes_a_taste(embedded, make_context, every):
    context = make_context(embedded, [("emma", 1.0, "like", 30_000.0)])
    assert scored(Similarity(half_life_days=1), context, every(embedded))["emma"] == pytest.approx(1)


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e9, 1e300])
def test_only_the_proportions_of_rewards_matter(size, embedded, make_context, every):
    def taste(unit):
        history = [("emma", unit, "like", 0.0), ("dune", 2 * unit, "like", 3.0), ("soon", -unit, "skip", 0.0)]
        return Similarity().score(make_context(embedded, history), every(embedded))

    np.testing.assert_allclose(taste(size), taste(1.0), atol=1e-6)


def test_one_taste_serves_all_components_with_the_same_options(embedded, make_context):
    context = make_context(embedded, HISTORY)
    assert Similarity().taste(context) is Similarity().taste(context.bind("another"))
    assert Similarity().taste(context) is not Similarity(recent=1).taste(context)


def test_auto_falls_back_to_words_where_the_embedding_knows_nothing(make_catalog, make_context, every):
    catalog = make_catalog(vectors=np.zeros((5, 3), dtype=np.float32)).snapshot()
    scores = scored(Similarity(), make_context(catalog, [("dune", 1.0, "like", 0.0)]), every(catalog))
    assert scores["solaris"] > 0


def test_items_without_words_or_embedding_are_all_alike(make_context):
    catalog = Catalog(ItemSchema({"title": "text"}))
    catalog.put([("a", {"title": "A"}), ("b", {})])
    snapshot = catalog.snapshot()
    context = make_context(snapshot, [("a", 1.0, "like", 0.0)])
    candidates = Candidates(snapshot, np.arange(2))
    assert Similarity().score(context, candidates).tolist() == [0, 0]
    assert Novelty(unlike=1).score(context, candidates).tolist() == [0.5, 0.5]


def test_words_that_arrive_later_do_not_disturb_a_snapshot(make_catalog, make_context, every):
    catalog = make_catalog()
    before = catalog.snapshot()
    catalog.put([("late", {"genre": "brand new", "moods": ["fresh"]})])
    context = make_context(before, profile={"likes": ["brand new", "fresh", "scifi"]})
    assert scored(Similarity(), context, every(before))["dune"] > 0
    match = scored(TagMatch(field="genre", profile="likes"), context, every(before))
    assert match["dune"] == pytest.approx(1 / 3)


def test_popularity_by_a_number_is_logarithmic_beside_the_largest(books, make_context, every):
    scores = scored(Popularity(field="rating"), make_context(books), every(books))
    assert scores["dune"] == 1
    assert scores["blank"] == 0
    assert scores["emma"] == pytest.approx(math.log(5) / math.log(5.5))


def test_popularity_by_rewards_stands_beside_the_most_liked(books, make_context, make_feedback, every):
    feedback = make_feedback([("dune", 1.0)] * 10 + [("emma", 1.0), ("solaris", -1.0)])
    scores = scored(Popularity(), make_context(books, feedback=feedback), every(books))
    assert scores == pytest.approx({"dune": 1, "emma": 2 / 11, "solaris": 0, "blank": 0, "soon": 0})


def test_freshness_halves_with_every_half_life(books, make_context, every):
    scores = scored(Freshness(field="published", half_life_days=10), make_context(books), every(books))
    assert scores == pytest.approx({"emma": 0.5, "dune": 2**-10, "solaris": 2**-0.1, "blank": 0, "soon": 1})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ideal": 4, "tolerance": 2}, [1, 0.75, 0.5, 0, 0]),
        ({"ideal": 4, "tolerance": 0.5, "missing": 0.2}, [1, 0, 0, 0.2, 0.2]),
        ({"low": 3, "high": 4}, [1, 1, 0, 0, 0]),
        ({"low": 3, "high": 5, "better": "lower"}, [0.5, 0.25, 1, 0, 0]),
        ({"ideal": 4, "tolerance": 2, "situation": "wish"}, [0.5, 0.25, 1, 0, 0]),
        ({"ideal": 4, "tolerance": 2, "situation": "word"}, [1, 0.75, 0.5, 0, 0]),
    ],
)
def test_numeric_goes_by_an_ideal_or_along_a_range(options, expected, books, make_context, every):
    context = make_context(books, situation={"wish": 3, "word": "loud"})
    assert Numeric(field="rating", **options).score(context, every(books)).tolist() == pytest.approx(expected)
    loud = [("test", "the situation's 'word' can't be 'loud': it takes a number")]
    assert context.missing == (loud if options.get("situation") == "word" else [])


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("Unheard of", "be 'Unheard of'"),
        ("Unheard of, never", "be 'Unheard of, never'"),
        (7, "be 7"),
        ("Unheard of, CALM", "hold 'Unheard of'"),
        (["calm", 7, "", "Never"], "hold 7, 'Never'"),
        ({"calm": 1, "never": 2, "nor": -1}, "hold 'never'"),
        (
            {"calm": 1, **{f"never {place}": 1 for place in range(9)}},
            "hold 'never 0', 'never 1', 'never 2', 'nev…",
        ),
        ("calm, EPIC,", None),
        ("", None),
        ([], None),
        ({}, None),
        (None, None),
    ],
)
def test_tag_match_names_what_no_item_has(value, named, books, make_context, every):
    context = make_context(books, situation={"mood": value}, profile={"moods": "unheard of, too"})
    TagMatch(field="moods", situation="mood", profile="moods").score(context, every(books))
    said = f"the situation's 'mood' can't {named}: it takes words that items have under 'moods'"
    assert context.missing == ([("test", said)] if named else [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either `ideal` and `tolerance`, or `low` and `high`"),
        ({"ideal": 1}, "give either"),
        ({"ideal": 1, "tolerance": 1, "low": 0}, "give either"),
        ({"low": 2, "high": 1}, "`low` (2) must be less than `high` (1)"),
        ({"low": 1, "high": 2, "situation": "x"}, "`situation` gives the ideal"),
        ({"ideal": 1, "tolerance": 1, "better": "lower"}, "`better` goes with"),
        ({"ideal": float("nan"), "tolerance": 1}, "ideal"),
    ],
)
def test_numeric_refuses_options_that_do_not_fit_together(options, message):
    with pytest.raises(ValidationError) as refused:
        Numeric(field="rating", **options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["CALM", "epic"], [0.5, 0.5, 1, 0, 0]),
        ("calm, epic", [0.5, 0.5, 1, 0, 0]),
        ({"calm": 3, "epic": 1, "dull": -5}, [0.75, 0.25, 1, 0, 0]),
        (["unheard of"], [0, 0, 0, 0, 0]),
        ([], [0.5] * 5),
        (None, [0.5] * 5),
        (7, [0.5] * 5),
        ({"calm": "much", "epic": float("nan")}, [0.5] * 5),
        ([["nested"], 3], [0.5] * 5),
    ],
)
def test_tag_match_is_the_share_of_wanted_words(value, expected, books, make_context, every):
    scorer = TagMatch(field="moods", profile="moods")
    context = make_context(books, profile={"moods": value})
    assert scorer.score(context, every(books)).tolist() == pytest.approx(expected)


def test_tag_match_adds_situation_to_profile_and_can_have_enough(books, make_context, every):
    context = make_context(books, profile={"likes": ["calm", "dry"]}, situation={"mood": "witty"})
    both = TagMatch(field="moods", profile="likes", situation="mood")
    assert scored(both, context, every(books))["emma"] == pytest.approx(2 / 3)
    enough = scored(both.model_copy(update={"enough": 1}), context, every(books))
    assert enough["emma"] == enough["soon"] == 1
    assert enough["dune"] == 0


def test_tag_match_needs_to_know_where_wishes_are():
    with pytest.raises(ValidationError, match="give `profile`, `situation`, or both"):
        TagMatch(field="moods")


def test_novelty_halves_after_so_many_outcomes(books, make_context, make_feedback, every):
    context = make_context(books, feedback=make_feedback([("dune", 0.0)] * 4))
    assert scored(Novelty(half=4), context, every(books)) == pytest.approx(
        {"emma": 1, "dune": 0.5, "solaris": 1, "blank": 1, "soon": 1}
    )


def test_novelty_can_ask_for_what_is_unlike_the_history(embedded, make_context, every):
    context = make_context(embedded, [("emma", -1.0, "skip", 0.0)])
    assert scored(Novelty(unlike=1), context, every(embedded)) == pytest.approx(
        {"emma": 0, "dune": 0.5, "solaris": 0.5, "blank": 0.5, "soon": 0.1}
    )
