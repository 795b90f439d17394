from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core.config.document import ListNode, MapNode, Mark, Node, Origin, ScalarNode, plain
from tastemaker.core.config.layers import merge, named, override, stack
from tastemaker.core.config.problems import Problems

MARK = Mark(Origin("config.yaml", "config.yaml", Path()), 1, 1)


def node(value: Any, mark: Mark = MARK) -> Node:
    if isinstance(value, dict):
        entries = {key: node(inner, mark) for key, inner in value.items()}
        return MapNode(mark, entries, dict.fromkeys(entries, mark))
    if isinstance(value, list):
        return ListNode(mark, tuple(node(inner, mark) for inner in value))
    return ScalarNode(mark, value)


def tree(value: dict[str, Any], mark: Mark = MARK) -> MapNode:
    made = node(value, mark)
    assert isinstance(made, MapNode)
    return made


def merged(*layers: dict[str, Any]) -> Any:
    return plain(stack([tree(layer) for layer in layers]))


def test_mappings_merge_and_the_rest_replaces() -> None:
    assert merged({"a": {"p": 1, "q": [1, 2]}, "b": 1}, {"a": {"q": [3]}, "c": 2}) == {
        "a": {"p": 1, "q": [3]},
        "b": 1,
        "c": 2,
    }


def test_null_removes_what_is_below_and_is_not_kept() -> None:
    assert merged({"a": {"p": 1}, "b": 1}, {"a": None, "z": None}) == {"b": 1}
    assert merged({"a": {"p": 1}}, {"a": None}, {"a": {"q": 2}}) == {"a": {"q": 2}}


def test_an_entry_with_another_component_takes_the_place_of_the_old_one() -> None:
    low = {"match": {"use": "a.b", "limit": 3, "weight": 2}}
    assert merged(low, {"match": {"use": "a.c", "x": 1}}) == {"match": {"use": "a.c", "x": 1}}
    assert merged(low, {"match": {"use": "a.b", "limit": 4}}) == {
        "match": {"use": "a.b", "limit": 4, "weight": 2}
    }
    assert merged(low, {"match": {"limit": 4}}) == {"match": {"use": "a.b", "limit": 4, "weight": 2}}


def test_a_list_of_entries_is_a_mapping_by_name_that_replaces() -> None:
    listed = named(
        tree({"sources": [{"use": "a.near"}, {"use": "b.near"}, {"use": "a.far"}, 5, {"limit": 3}]})
    )
    sources = listed.entries["sources"]
    assert list(plain(sources)) == ["near", "near_2", "far", "entry", "entry_2"]
    low = named(tree({"sources": {"near": {"use": "a.near", "limit": 3}, "old": {"use": "a.old"}}}))
    assert plain(merge(low, listed))["sources"]["near"] == {"use": "a.near"}
    over = named(tree({"sources": {"near": {"limit": 7}}}))
    assert plain(stack([listed, over]))["sources"]["near"] == {"use": "a.near", "limit": 7}
    assert list(plain(stack([listed, over]))["sources"]) == ["near", "near_2", "far", "entry", "entry_2"]


def test_problems_are_told_in_the_main_file_rather_than_beside_it() -> None:
    local = Mark(Origin("config.local.yaml", "config.local.yaml", Path(), rank=1), 3, 3)
    preset = Mark(Origin("p.yaml", "preset p", Path(), rank=3), 9, 9)
    both = merge(tree({"a": {"p": 1}}), tree({"a": {"p": 2}}, local))
    assert both.at("a") == MARK
    inner = both.entries["a"]
    assert isinstance(inner, MapNode)
    assert inner.entries["p"].mark == local
    assert merge(tree({"a": {}}, preset), tree({"a": {}})).at("a") == MARK


def set_to(text: str, **environ: str) -> tuple[Any, list[str]]:
    problems = Problems()
    layer = override(text, Path("/here"), environ, problems)
    return plain(layer) if layer else None, [str(problem) for problem in problems.sorted()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=5", {"a": {"b": 5}}),
        ("a.b=[x, 2]", {"a": {"b": ["x", 2]}}),
        ("a={p: 1}", {"a": {"p": 1}}),
        ("a=", {"a": None}),
        ("a=x=y", {"a": "x=y"}),
        ("a.5=1", {"a": {"5": 1}}),
        ("a=${N}", {"a": 3}),
    ],
)
def test_overrides(text: str, value: object) -> None:
    assert set_to(text, N="3") == (value, [])


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", "", "."])
def test_an_override_that_sets_nothing_says_how(text: str) -> None:
    path = text.partition("=")[0]
    said = f"--set {path}: error[E01] this sets nothing; write it as domains.music.slate.size=5"
    assert set_to(text) == (None, [said])


def test_an_override_that_is_no_yaml_is_told_without_a_line() -> None:
    value, said = set_to("a.b=[1")
    assert value is None
    assert len(said) == 1
    assert said[0].startswith("--set a.b: error[E01] ")


# Here a key that starts with m always holds a mapping and nothing is null: so merging is associative.
leaves = st.integers() | st.lists(st.integers(), max_size=3)
layers = st.recursive(
    st.dictionaries(st.sampled_from("abc"), leaves, max_size=3),
    lambda inner: st.tuples(
        st.dictionaries(st.sampled_from("abc"), leaves, max_size=3),
        st.dictionaries(st.sampled_from(("m1", "m2")), inner, max_size=2),
    ).map(lambda parts: {**parts[0], **parts[1]}),
    max_leaves=6,
)


@given(layers, layers, layers)
def test_merging_is_associative_and_idempotent(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]
) -> None:
    low, middle, high = tree(a), tree(b), tree(c)
    assert plain(merge(merge(low, middle), high)) == plain(merge(low, merge(middle, high)))
    assert plain(merge(low, low)) == plain(low)
    assert plain(merge(MapNode(MARK), low)) == plain(low) == plain(merge(low, MapNode(MARK)))


@given(layers, layers)
def test_the_higher_layer_has_the_last_word(a: dict[str, Any], b: dict[str, Any]) -> None:
    result = plain(merge(tree(a), tree(b)))
    assert set(result) == set(a) | set(b)
    for key in set(a) | set(b):
        if not key.startswith("m"):
            assert result[key] == b.get(key, a.get(key))
