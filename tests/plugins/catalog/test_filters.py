"""What the filters keep."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tastemaker.core import Candidates, ComponentError, UnknownColumn
from tastemaker.plugins.catalog import Available, Seen, Where, Wish

NOW, DAY = 1_700_000_000.0, 86_400.0
NAMES = ["emma", "dune", "solaris", "blank", "soon"]
HISTORY = [("emma", 1.0, "play", 1.0), ("dune", -1.0, "skip", 40.0)]
EVERY = [
    Seen(),
    Seen(days=30, kinds=["play"]),
    Available(),
    Where(field="rating", at_least=3.5),
    Where(field="rating", none_of=[4]),
    Where(field="published", within_days=30),
    Where(field="genre", one_of=["scifi"]),
    Where(field="moods", all_of=["calm", "epic"], missing="keep"),
    Where(field="title", contains="dune"),
    Where(field="available", equals=False),
    Wish(field="rating", at_least=3.5),
]


def kept(component, context, candidates):
    mask = component.keep(context, candidates)
    assert mask.dtype == np.bool_
    assert mask.shape == (len(candidates),)
    return candidates.ids[mask].tolist()


@pytest.mark.parametrize("component", EVERY, ids=repr)
def test_no_candidates_are_fine(component, books, empty, make_context, every):
    assert kept(component, make_context(empty), every(empty)) == []
    none = Candidates(books, np.empty(0, dtype=np.intp))
    assert kept(component, make_context(books, HISTORY), none) == []


@pytest.mark.parametrize("component", EVERY, ids=repr)
@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.integers(0, 4), unique=True))
def test_each_candidate_is_judged_by_itself_and_always_alike(component, books, make_context, rows):
    context = make_context(books, HISTORY)
    candidates = Candidates(books, np.array(rows, dtype=np.intp))
    mask = component.keep(context, candidates)
    alone = [bool(component.keep(context, candidates.take(np.array([n])))[0]) for n in range(len(rows))]
    assert mask.tolist() == alone
    assert component.keep(context, candidates.take(mask)).all()


@pytest.mark.parametrize(
    ("component", "left"),
    [
        (Seen(), ["solaris", "blank", "soon"]),
        (Seen(days=30), ["dune", "solaris", "blank", "soon"]),
        (Seen(kinds=["skip"]), ["emma", "solaris", "blank", "soon"]),
        (Seen(days=30, kinds=["skip"]), NAMES),
        (Seen(kinds=["buy"]), NAMES),
    ],
)
def test_seen_drops_encounters_of_the_days_and_kinds(component, left, books, make_context, every):
    assert kept(component, make_context(books, HISTORY), every(books)) == left
    assert kept(component, make_context(books), every(books)) == NAMES


def test_available_drops_what_is_known_to_be_gone(books, make_context, every):
    assert kept(Available(), make_context(books), every(books)) == ["emma", "dune", "blank", "soon"]


def test_available_can_ask_for_certainty(books, make_context, every):
    assert kept(Available(missing="drop"), make_context(books), every(books)) == ["emma", "dune"]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"field": "rating", "at_least": 4}, ["emma", "dune"]),
        ({"field": "rating", "at_most": 4}, ["emma", "solaris"]),
        ({"field": "rating", "at_least": 3.5, "at_most": "4.2"}, ["emma"]),
        ({"field": "rating", "equals": 3}, ["solaris"]),
        ({"field": "rating", "not_equals": 3}, ["emma", "dune", "blank", "soon"]),
        ({"field": "rating", "not_equals": 3, "missing": "drop"}, ["emma", "dune"]),
        ({"field": "rating", "one_of": [3, 4.5]}, ["dune", "solaris"]),
        ({"field": "rating", "at_least": 4, "missing": "keep"}, ["emma", "dune", "blank", "soon"]),
        ({"field": "published", "within_days": 30}, ["emma", "solaris"]),
        ({"field": "published", "at_least": "2023-11-14T22:13:20Z"}, ["soon"]),
        ({"field": "published", "at_most": NOW - 50 * DAY}, ["dune"]),
        ({"field": "available", "equals": True}, ["emma", "dune"]),
        ({"field": "available", "not_equals": True}, ["solaris", "blank", "soon"]),
        ({"field": "genre", "equals": "NOVEL"}, ["emma", "soon"]),
        ({"field": "genre", "one_of": ["scifi", "unheard of"]}, ["dune", "solaris"]),
        ({"field": "genre", "none_of": ["scifi"]}, ["emma", "blank", "soon"]),
        ({"field": "genre", "equals": "unheard of"}, []),
        ({"field": "moods", "equals": "calm"}, ["emma", "solaris"]),
        ({"field": "moods", "one_of": ["epic", "witty"]}, ["emma", "dune", "solaris", "soon"]),
        ({"field": "moods", "all_of": ["calm", "epic"]}, ["solaris"]),
        ({"field": "moods", "all_of": ["calm", "unheard of"]}, []),
        ({"field": "moods", "none_of": ["epic"], "one_of": ["calm"]}, ["emma"]),
        ({"field": "title", "contains": "dune"}, ["dune", "soon"]),
        ({"field": "title", "contains": "STRASSE"}, ["soon"]),
        ({"field": "title", "contains": "a"}, ["emma", "solaris", "soon"]),
    ],
)
def test_where_keeps_what_passes_every_test(options, left, books, make_context, every):
    assert kept(Where(**options), make_context(books), every(books)) == left


@given(
    texts=st.lists(st.text("abß ", max_size=8), max_size=8),
    needle=st.text("abß", min_size=1, max_size=3),
)
@settings(deadline=None)
def test_where_finds_texts_as_a_plain_search_would(texts, needle, make_catalog, make_context, every):
    catalog = make_catalog([(str(n), {"title": text}) for n, text in enumerate(texts)]).snapshot()
    mask = Where(field="title", contains=needle).keep(make_context(catalog), every(catalog))
    assert mask.tolist() == [needle.casefold() in text.casefold() for text in texts]


WORDS = ["calm", "epic", "Witty", "dark"]


@settings(max_examples=50, deadline=None)
@given(
    items=st.lists(st.tuples(st.sets(st.sampled_from(WORDS)), st.sampled_from([None, *WORDS])), max_size=8),
    asked=st.lists(st.sampled_from([*WORDS, "unheard of"]), min_size=1, max_size=3),
    test=st.sampled_from(["equals", "one_of", "none_of", "all_of"]),
    field=st.sampled_from(["moods", "genre"]),
)
def test_where_finds_words_as_a_plain_look_would(
    items, asked, test, field, make_catalog, make_context, every
):
    test = "one_of" if (test, field) == ("all_of", "genre") else test
    wanted = asked[:1] if test == "equals" else asked
    catalog = make_catalog(
        [
            (str(n), {"moods": sorted(moods), **({"genre": genre} if genre else {})})
            for n, (moods, genre) in enumerate(items)
        ]
    ).snapshot()
    mask = Where(field=field, **{test: wanted[0] if test == "equals" else wanted}).keep(
        make_context(catalog), every(catalog)
    )
    has = [moods if field == "moods" else {genre} - {None} for moods, genre in items]
    passes = {
        "equals": lambda words: bool(words & {*wanted}),
        "one_of": lambda words: bool(words & {*wanted}),
        "none_of": lambda words: not words & {*wanted},
        "all_of": lambda words: bool(words) and {*wanted} <= words,
    }
    assert mask.tolist() == [passes[test](words) for words in has]


@pytest.mark.parametrize(
    ("situation", "left"),
    [
        ({"budget": 4}, ["emma", "solaris"]),
        ({"budget": "3.5"}, ["solaris"]),
        ({}, ["emma", "dune", "solaris"]),
        ({"budget": "cheap"}, ["emma", "dune", "solaris"]),
        ({"budget": None}, ["emma", "dune", "solaris"]),
        ({"budget": [1]}, ["emma", "dune", "solaris"]),
        ({"budget": float("inf")}, ["emma", "dune", "solaris"]),
        ({"budget": True}, ["emma", "dune", "solaris"]),
    ],
)
def test_where_takes_a_fitting_value_from_the_situation_first(situation, left, books, make_context, every):
    component = Where(field="rating", at_most=5, situation={"at_most": "budget"})
    context = make_context(books, situation=situation)
    assert kept(component, context, every(books)) == left
    heeded = situation.get("budget") in (4, "3.5", None)
    shown = repr(situation.get("budget"))
    said = [] if heeded else [("test", f"the situation's 'budget' can't be {shown}: it takes a number")]
    assert context.missing == said


@pytest.mark.parametrize(
    ("options", "value", "takes"),
    [
        ({"field": "rating", "situation": {"at_most": "key"}}, "2026-11-20", "a number"),
        ({"field": "published", "situation": {"at_most": "key"}}, "cheap", "a time such as 2026-11-20"),
        ({"field": "available", "situation": {"equals": "key"}}, 1, "true or false"),
        ({"field": "genre", "situation": {"one_of": "key"}}, [["x"]], "a list of words"),
        ({"field": "rating", "situation": {"none_of": "key"}}, "x", "a list of numbers"),
        ({"field": "published", "situation": {"within_days": "key"}}, 0, "a number of days above 0"),
    ],
)
def test_where_says_what_the_type_of_its_field_takes(options, value, takes, books, make_context, every):
    context = make_context(books, situation={"key": value})
    assert kept(Where(**options), context, every(books)) == NAMES
    assert context.missing == [("test", f"the situation's 'key' can't be {value!r}: it takes {takes}")]


@pytest.mark.parametrize(
    ("field", "test", "value", "left", "named"),
    [
        ("genre", "one_of", ["SciFi", "Klingon", "Opera"], ["dune", "solaris"], "'Klingon', 'Opera'"),
        ("moods", "equals", ["calm", "Klingon"], ["emma", "solaris"], "'Klingon'"),
        ("genre", "one_of", ["SciFi", "novel"], ["emma", "dune", "solaris", "soon"], None),
        ("genre", "one_of", ["Klingon"], [], None),
        ("genre", "none_of", ["scifi", "Klingon"], ["emma", "blank", "soon"], None),
    ],
)
def test_where_names_of_several_words_those_that_no_item_has(
    field, test, value, left, named, books, make_context, every
):
    context = make_context(books, situation={"key": value})
    assert kept(Where(field=field, situation={test: "key"}), context, every(books)) == left
    said = f"the situation's 'key' can't hold {named}: it takes words that items have under {field!r}"
    assert context.missing == ([("test", said)] if named else [])


def test_where_leaves_a_test_out_that_neither_options_nor_situation_fill(books, make_context, every):
    component = Where(field="moods", situation={"one_of": "moods"})
    assert kept(component, make_context(books), every(books)) == NAMES
    chosen = make_context(books, situation={"moods": []})
    assert kept(component, chosen, every(books)) == NAMES
    assert chosen.missing == [], "who chose none of a list wanted nothing"
    assert kept(component, make_context(books, situation={"moods": ["Epic"]}), every(books)) == [
        "dune",
        "solaris",
    ]
    assert kept(component, make_context(books, situation={"moods": "epic"}), every(books)) == [
        "dune",
        "solaris",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give at least one test: equals, not_equals"),
        ({"at_least": 3, "contains": "x"}, "`at_least`, `contains` don't go together"),
        ({"at_least": 3, "situation": {"one_of": "key"}, "within_days": 3}, "don't go together"),
        ({"at_least": 5, "at_most": 3}, "`at_least` (5) is more than `at_most` (3)"),
        ({"at_least": "2024-01-01", "at_most": "2023-01-01"}, "is more than `at_most`"),
        ({"at_least": "soon"}, "`at_least` can't be 'soon': it takes a number or a time such as"),
        ({"one_of": []}, "one_of"),
        ({"within_days": 0}, "within_days"),
        ({"missing": "perhaps", "equals": 1}, "missing"),
        ({"situation": {"at_mots": "x"}}, "at_most"),
    ],
)
def test_where_refuses_options_that_cannot_work(options, message):
    with pytest.raises(ValidationError) as refused:
        Where(field="rating", **options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"field": "title", "at_least": 3},
            "is a text field, and `at_least` is for `number`, `time`",
        ),
        ({"field": "genre", "all_of": ["x"]}, "it takes `equals`, `not_equals`, `one_of`, `none_of`"),
        ({"field": "rating", "equals": "good"}, "`equals` of 'rating', a number field, can't be 'good'"),
    ],
)
def test_where_names_a_test_that_does_not_fit_the_field(options, message, books, make_context, every):
    with pytest.raises(ComponentError) as refused:
        Where(**options).keep(make_context(books), every(books))
    assert message in str(refused.value)


def test_where_names_an_unknown_field(books, make_context, every):
    with pytest.raises(UnknownColumn, match="'price' is no field"):
        Where(field="price", at_most=3).keep(make_context(books), every(books))


@pytest.mark.parametrize(
    ("options", "far"),
    [
        ({"field": "rating", "at_most": 3.5}, [0.5, 1, 0, 1, 1]),
        ({"field": "rating", "at_least": 4.5}, [0.5, 0, 1.5, 1.5, 1.5]),
        ({"field": "rating", "at_least": 5, "at_most": 6, "not_equals": 4}, [1, 0.5, 2, 2, 2]),
        ({"field": "rating", "one_of": [3, 4.25]}, [0.25, 0.25, 0, 0.25, 0.25]),
        ({"field": "published", "within_days": 8}, [2 * DAY, 92 * DAY, 0, 92 * DAY, 5 * DAY]),
        ({"field": "published", "at_most": NOW - 50 * DAY}, [40 * DAY, 0, 49 * DAY, 55 * DAY, 55 * DAY]),
        ({"field": "genre", "equals": "opera"}, [0, 0, 0, 0, 0]),
        ({"field": "title", "contains": "dune"}, [0, 0, 0, 0, 0]),
    ],
)
def test_a_wish_tells_how_far_numbers_and_times_are_from_it(options, far, books, make_context, every):
    assert Wish(**options).distance(make_context(books), every(books)).tolist() == pytest.approx(far)


def test_a_wish_for_many_numbers_costs_no_table_of_them_by_items(make_catalog, make_context, every):
    ratings, wanted = np.arange(3000) / 8, np.arange(1, 2000) * 0.5 + 0.25
    catalog = make_catalog([(str(n), {"rating": float(each)}) for n, each in enumerate(ratings)]).snapshot()
    wish = Wish(field="rating", situation={"one_of": "ratings"})
    context = make_context(catalog, situation={"ratings": wanted[::-1].tolist()})
    tracemalloc.start()
    try:
        far = wish.distance(context, every(catalog))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert far.tolist() == [np.abs(wanted - each).min() for each in ratings]
    assert most < 4_000_000, "bytes; the table would have 48 million"


def test_a_wish_takes_its_bounds_from_the_situation(books, make_context, every):
    wish = Wish(field="rating", situation={"at_most": "budget"})
    assert wish.distance(make_context(books), every(books)).tolist() == [0] * 5
    context = make_context(books, situation={"budget": 2})
    assert wish.distance(context, every(books)).tolist() == [2, 2.5, 1, 2.5, 2.5]
