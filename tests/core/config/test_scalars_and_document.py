import math
import string
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tastemaker.core.config.document import DEEPEST, MapNode, Node, Origin, ScalarNode, missing, parse, plain
from tastemaker.core.config.problems import Problem, Problems
from tastemaker.core.config.scalars import meaning

ORIGIN = Origin("config.yaml", "config.yaml", Path())


def read(text: str | bytes, **environ: str) -> tuple[Node | None, list[Problem]]:
    problems = Problems()
    data = text.encode() if isinstance(text, str) else text
    return parse(data, ORIGIN, environ, problems), problems.sorted()


def data(text: str, **environ: str) -> Any:
    node, problems = read(text, **environ)
    assert problems == []
    assert node is not None
    return plain(node)


def fault(text: str | bytes) -> str:
    _, problems = read(text)
    assert len(problems) == 1
    return str(problems[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("+3", 3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("''", ""),
        ("2026-11-20", "2026-11-20"),
        ("-.inf", -math.inf),
        ("'1'", "1"),
        ("1" * 500, int("1" * 500)),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = data(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_the_words_that_were_written() -> None:
    assert data("on: 1\n1: 2\nnull: 3") == {"on": 1, "1": 2, "null": 3}


def test_every_node_knows_its_place() -> None:
    node, _ = read("a:\n  b: 1\n  c: [x]\n")
    assert isinstance(node, MapNode)
    inner = node.entries["a"]
    assert isinstance(inner, MapNode)
    assert (inner.at("b").line, inner.at("b").column) == (2, 3)
    assert (inner.entries["c"].mark.line, inner.entries["c"].mark.column) == (3, 6)


def test_an_empty_file_is_no_problem() -> None:
    assert read("") == (None, [])
    assert read("# nothing\n") == (None, [])


def test_anchors_aliases_and_merge_keys() -> None:
    assert data("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}") == {
        "a": {"p": 1, "q": 2},
        "b": {"p": 1, "q": 2},
        "c": {"p": 1, "q": 3},
    }


def test_earlier_merged_mappings_win() -> None:
    assert data("a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}")["c"] == {"p": 1, "q": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "config.yaml:2:1: error[E02] the key 'a' is here twice; first in line 1"),
        ("a: !!python/object:os.system x", "config.yaml:1:4: error[E01] the tag 'tag:yaml.org,2002:python"),
        ("a: !!int '3'", "config.yaml:1:4: error[E01] the tag"),
        ("a: 1\n---\nb: 2", "config.yaml:2:1: error[E01] a second document begins here"),
        ("a:\n\tb: 1", "config.yaml:2:1: error[E01] a tab can't begin a word or indent a line; use spaces"),
        ("a: [1, 2", "config.yaml:1:9: error[E01] "),
        ("a: b: c", "config.yaml:1:5: error[E01] mapping values are not allowed here"),
        ("a: *nobody", "config.yaml:1:4: error[E01] no anchor '&nobody'"),
        ("a: &x [*x]", "config.yaml:1:8: error[E01] no anchor '&x' ends before this alias"),
        ("? [a]\n: 1", "config.yaml:1:3: error[E01] a key must be a single word or number"),
        ("<<: 3", "config.yaml:1:1: error[E01] '<<' merges mappings only"),
        ("a: [${X}]", "inside [ ] and { }, put ${NAME} in quotes"),
        ("a: ${", "config.yaml:1:4: error[E01] '${' begins no variable here"),
        (
            b"a: 1\nb: caf\xe9",
            "config.yaml:2:7: error[E01] the byte 0xe9 is not UTF-8; save the file in UTF-8",
        ),
        ("a: 1\nb: \x07", "config.yaml:2:4: error[E01] the character U+0007 is not allowed"),
        ("a: " + "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), "nested deeper than"),
        ("a: [" + "1," * 25_000 + "]", "more than 20,000 values"),
        ("#" * 1_000_001, "config.yaml: error[E01] the file has 1,000,001 bytes"),
    ],
)
def test_what_is_refused_is_told_at_its_place(text: str | bytes, said: str) -> None:
    assert said in fault(text)


def test_aliases_cannot_blow_up() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "more than 20,000 values, aliases included" in fault("\n".join(lines))


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    node, problems = read(b"\xef\xbb\xbfa: 1")
    assert problems == []
    assert node is not None
    assert plain(node) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${PORT}", 80),
        ("'${PORT}'", "80"),
        ("x${PORT}", "x80"),
        ("${PORT}0", "800"),
        ("${NONE:-12}", 12),
        ("${NONE:-}", None),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", None),
        ("$${PORT}", "${PORT}"),
        ("'a $${X} ${PORT}'", "a ${X} 80"),
        ("$PORT", "$PORT"),
        ("$5", "$5"),
    ],
)
def test_variables(text: str, value: object) -> None:
    assert data(f"a: {text}", PORT="80", EMPTY="") == {"a": value}


def test_a_variable_cannot_bring_structure() -> None:
    assert data("a: ${X}", X="{b: [1]}") == {"a": "{b: [1]}"}


def test_a_missing_variable_is_kept_for_later() -> None:
    node, problems = read("a:\n- ${X}-${Y}\n- ${Z:-1}")
    assert problems == []
    assert node is not None
    assert [scalar.missing for scalar in missing(node)] == [("X", "Y")]
    assert all(isinstance(scalar, ScalarNode) for scalar in missing(node))


words = st.text(string.printable + "äß漢🎵é", max_size=12).filter(lambda text: "${" not in text)
names = st.text(string.ascii_letters, min_size=1, max_size=8).filter(lambda text: meaning(text) == text)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(names, trees, max_size=4))
def test_plain_data_reads_back_as_another_reader_reads_it(tree: dict[str, Any]) -> None:
    writer = YAML(typ="safe", pure=True)
    written = StringIO()
    writer.dump(tree, written)
    try:
        expected = YAML(typ="safe", pure=True).load(written.getvalue())
    except YAMLError:
        reject()  # it writes some texts, such as ':0' inside braces, that it can't read
    assert data(written.getvalue()) == expected
