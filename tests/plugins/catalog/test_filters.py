"""What the filters keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tastemaker.core import Candidates, ComponentError, UnknownColumn
from tastemaker.plugins.catalog import Available, Seen, Where

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
    assert kept(component, make_context(books, situation=situation), every(books)) == left


def test_where_leaves_a_test_out_that_neither_options_nor_situation_fill(books, make_context, every):
    component = Where(field="moods", situation={"one_of": "moods"})
    assert kept(component, make_context(books), every(books)) == NAMES
    assert kept(component, make_context(books, situation={"moods": []}), every(books)) == NAMES
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
