"""files.table: what stands in a file is what arrives, and what can't be read is named by its line."""

import csv
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tastemaker.connectors.files import Table, components
from tastemaker.core import Collection, CollectorError, Fault, Record

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of that name and content."""

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        raw = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return written


def read(path: Path, **options: Any) -> tuple[list[Record], list[Fault]]:
    found = list(Table(path=path, **options).collect(Collection("books", 0)))
    return [one for one in found if isinstance(one, Record)], [one for one in found if isinstance(one, Fault)]


def values(path: Path, **options: Any) -> list[dict[str, Any]]:
    records, faults = read(path, **options)
    assert faults == []
    return [dict(record.values) for record in records]


def error(path: Path, **options: Any) -> str:
    with pytest.raises(CollectorError) as caught:
        list(Table(path=path, **options).collect(Collection("books", 0)))
    return str(caught.value)


def test_offers_one_component() -> None:
    assert [component.component_name() for component in components()] == ["table"]


def test_reads_a_csv_with_the_place_of_every_row(write: Write) -> None:
    path = write("books.csv", "isbn,title,genres\n1,Emma,novel|classic\n\n2,Ulysses,\n")
    records, faults = read(path)
    assert [record.values for record in records] == [
        {"isbn": "1", "title": "Emma", "genres": "novel|classic"},
        {"isbn": "2", "title": "Ulysses", "genres": ""},
    ]
    assert [record.where for record in records] == ["books.csv:2", "books.csv:4"]
    assert faults == []


def test_line_numbers_are_those_of_an_editor_with_newlines_in_quotes(write: Write) -> None:
    path = write("b.csv", 'id,text\r\n1,"a\r\nb\r\nc"\r\n2,"say ""hi""\n"\r\n3,end')
    records, _ = read(path)
    assert [(record.where, record.values["text"]) for record in records] == [
        ("b.csv:2", "a\r\nb\r\nc"),
        ("b.csv:5", 'say "hi"\n'),
        ("b.csv:7", "end"),
    ]


def test_columns_name_the_fields_and_others_keep_their_own(write: Write) -> None:
    path = write("b.csv", "ISBN-13,Name,year\n7,Emma,1815\n")
    (found,) = values(path, columns={"isbn": "ISBN-13", "title": "Name"})
    assert (found["isbn"], found["title"], found["year"]) == ("7", "Emma", "1815")


def test_columns_may_swap_names(write: Write) -> None:
    path = write("b.csv", "title,subtitle\na,b\n")
    (found,) = values(path, columns={"title": "subtitle", "subtitle": "title"})
    assert found == {"title": "b", "subtitle": "a"}


def test_semicolons_and_tabs_separate_too(write: Write) -> None:
    assert values(write("a.csv", "id;price\n1;3,50\n")) == [{"id": "1", "price": "3,50"}]
    assert values(write("a.tsv", "id\tprice\n1\t3,50\n")) == [{"id": "1", "price": "3,50"}]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_byte_order_mark_and_crlf_are_no_part_of_the_data(write: Write, name: str) -> None:
    assert values(write(name, b"\xef\xbb\xbfid,title\r\n1,Emma\r\n")) == [{"id": "1", "title": "Emma"}]


def test_a_row_with_the_wrong_number_of_cells_is_a_fault(write: Write) -> None:
    records, faults = read(write("a.csv", "id,title\n1\n2,b,c\n3,d\n"))
    assert [record.values["id"] for record in records] == ["3"]
    assert faults == [
        Fault("a.csv:2", "1 cell where the header has 2"),
        Fault("a.csv:3", "3 cells where the header has 2"),
    ]


def test_a_byte_in_another_encoding_spoils_its_own_line_only(write: Write) -> None:
    records, faults = read(write("a.csv", b"id,title\n1,Caf\xe9\n2,Caf\xc3\xa9\n"))
    assert [record.values for record in records] == [{"id": "2", "title": "Café"}]
    assert [fault.where for fault in faults] == ["a.csv:2"]
    assert "encoding" in faults[0].message
    assert values(write("b.csv", b"id,title\n1,Caf\xe9\n"), encoding="latin-1")[0]["title"] == "Café"


def test_a_quote_that_never_closes_costs_one_line(write: Write) -> None:
    records, faults = read(write("a.csv", 'id,title\n1,"lost\n2,b\n3,"c, d"\n4,e\n'))
    assert [record.values["title"] for record in records] == ["b", "c, d", "e"]
    assert [record.where for record in records] == ["a.csv:3", "a.csv:4", "a.csv:5"]
    assert [fault.where for fault in faults] == ["a.csv:2"]

    records, faults = read(write("b.csv", 'id,title\n1,a\n2,"lost\n3,b\n'))
    assert [record.values["title"] for record in records] == ["a", "b"]
    assert faults == [Fault("b.csv:3", "no CSV: a quote opens here and doesn't close")]


def test_a_cell_of_a_million_characters_arrives_whole(write: Write) -> None:
    long = "x" * 1_000_000
    assert values(write("a.csv", f"id,title\n1,{long}\n"))[0]["title"] == long
    assert values(write("a.jsonl", json.dumps({"id": 1, "title": long})))[0]["title"] == long


def test_nul_bytes_are_characters_like_others(write: Write) -> None:
    assert values(write("a.csv", b"id,title\n1,a\x00b\n")) == [{"id": "1", "title": "a\x00b"}]


def test_of_two_columns_with_one_name_the_first_is_read_and_the_file_told(write: Write) -> None:
    path = write("a.csv", "id,title,title\n1,a,b\n")
    records, faults = read(path)
    assert [record.values for record in records] == [{"id": "1", "title": "a"}]
    assert faults == [Fault("a.csv:1", "2 columns are called 'title'; the first of them is read")]
    assert "2 columns 'title'" in error(path, columns={"name": "title"})


def test_utf_16_is_told_from_utf_8(write: Write) -> None:
    path = write("a.csv", "id,title\r\n1,Café\r\n".encode("utf-16"))
    assert "write `encoding: utf-16`" in error(path)
    assert values(path, encoding="utf-16") == [{"id": "1", "title": "Café"}]
    path = write("a.json", json.dumps([{"id": "Café"}], ensure_ascii=False).encode("utf-16"))
    assert "write `encoding: utf-16`" in error(path)
    assert values(path, encoding="utf-16") == [{"id": "Café"}]


def test_offsets_grow_to_the_size_of_the_file(write: Write) -> None:
    rows = "".join(f"{number},title {number * 7919}\n" for number in range(50_000))
    for name in ("a.csv", "a.csv.gz"):
        path = write(name, "id,title\n" + rows)
        offsets = [record.offset for record in read(path)[0]]
        assert offsets == sorted(offsets)
        assert 0 < offsets[0] < offsets[-1] == Table(path=path).size() == path.stat().st_size


# JSON


def test_reads_json_lines(write: Write) -> None:
    records, faults = read(
        write(
            "a.jsonl",
            b'{"id": 1, "tags": ["x", "y"]}\n\n{"id": 2,\n[3]\n{"id": "\xe9"}\n{"id": 4, "n": NaN}\n',
        )
    )
    assert [(record.where, record.values["id"]) for record in records] == [("a.jsonl:1", 1), ("a.jsonl:6", 4)]
    assert records[0].values["tags"] == ["x", "y"]
    assert [fault.where for fault in faults] == ["a.jsonl:3", "a.jsonl:4", "a.jsonl:5"]
    assert faults[1].message == "[3] where an object in braces is wanted"


def test_half_a_character_and_bottomless_nesting_are_faults(write: Write) -> None:
    bad = ['{"id": "\\ud83d"}', '{"id": ' + "[" * 200_000 + "]" * 200_000 + "}"]
    records, faults = read(write("a.jsonl", "\n".join([*bad, '{"id": "\\ud83d\\ude0e"}'])))
    assert [record.values for record in records] == [{"id": "😎"}]
    assert [fault.where for fault in faults] == ["a.jsonl:1", "a.jsonl:2"]
    records, faults = read(write("a.json", f"[{bad[0]},\n" + '{"id": "\\ud83d\\ude0e"}]'))
    assert [record.values for record in records] == [{"id": "😎"}]
    assert [fault.where for fault in faults] == ["a.json:1"]


@pytest.mark.parametrize(
    "content",
    [
        '[{"id": 1},\n {"id": 2}]',
        '{"count": 2, "none": [], "words": ["a"], "items": [{"id": 1},\n {"id": 2}], "next": null}\n',
        b'\xef\xbb\xbf\n [\n{"id": 1}\n,{"id": 2}\n]\n',
    ],
)
def test_reads_a_list_of_objects_bare_or_inside_an_object(write: Write, content: str | bytes) -> None:
    assert values(write("a.json", content)) == [{"id": 1}, {"id": 2}]


def test_objects_in_a_list_have_the_line_that_they_begin_in(write: Write) -> None:
    path = write("a.json", json.dumps([{"id": 1, "a": {"b": 2}}, 5, {"id": 3}], indent=1))
    records, faults = read(path)
    assert [record.where for record in records] == ["a.json:2", "a.json:9"]
    assert faults == [Fault("a.json:8", "5 where an object in braces is wanted")]


def test_bytes_that_are_no_utf_8_spoil_their_own_object_only(write: Write) -> None:
    records, faults = read(write("a.json", b'[{"id": "\xe9"},\n{"id": "\xc3\xa9"}]'))
    assert [record.values for record in records] == [{"id": "é"}]
    assert [fault.where for fault in faults] == ["a.json:1"]


def test_a_list_is_read_across_the_windows_edge(write: Write) -> None:
    rows = [
        {"id": number, "text": 'é\\"\n' * (number % 977), "deep": [{"n": [number]}]} for number in range(4000)
    ]
    assert values(write("a.json", json.dumps(rows, ensure_ascii=False))) == rows
    assert values(write("b.json", json.dumps({"a": 1, "items": rows}, indent=2))) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1}', "one object without a list of objects in it"),
        ('{"id": 1}\n{"id": 2}', "write `format: jsonl`"),
        ('{"a": [{"id": 1}], "b": [{"id": 2}]}', "two lists of objects, 'a' and 'b'"),
        ('[{"id": 1},\n{"id": }]', "a.json:2: no JSON"),
        ('[{"id": 1},\n{"id": 2}', "a.json:2: the file ends before ','"),
        ('[{"id": 1}] x', "'x' behind the end"),
        ('"text"', "where a list of objects begins with '['"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_of_another_shape_is_refused_with_its_place(write: Write, content: str, message: str) -> None:
    assert message in error(write("a.json", content))


def test_dotted_columns_reach_into_objects(write: Write) -> None:
    path = write("a.jsonl", '{"id": 1, "owner": {"login": "ada"}}\n{"id": 2, "owner": null}\n')
    assert [found["by"] for found in values(path, columns={"by": "owner.login"})] == ["ada", None]


# Files that can't be read


def test_a_missing_column_is_named_with_its_near_miss(write: Write) -> None:
    for path in (write("a.csv", "id,title\n1,a\n"), write("a.jsonl", '{"id": 1, "title": "a"}')):
        message = error(path, columns={"name": "titel"})
        assert message.endswith("has no column 'titel' for the field 'name'; did you mean 'title'?")
        assert str(path) in message


def test_a_column_that_comes_late_in_a_long_file_is_found_and_one_that_never_comes_is_told(
    write: Write,
) -> None:
    rows = "".join(f'{{"id": {number}}}\n' for number in range(1500))
    path = write("a.jsonl", rows + '{"id": 1500, "titel": "late"}\n')
    assert values(path, columns={"title": "titel"})[-1]["title"] == "late"
    records, faults = read(path, columns={"key": "ids"})
    assert len(records) == 1501
    assert faults == [Fault("a.jsonl:1501", "no object up to here has 'ids'; did you mean 'id'?")]


def test_missing_empty_and_odd_files_are_named_with_what_would_be_right(write: Write, tmp_path: Path) -> None:
    write("books.csv", "id\n1\n")
    assert error(tmp_path / "book.csv").endswith("did you mean 'books.csv'?")
    assert "there is no folder" in error(tmp_path / "none" / "book.csv")
    assert "is a folder" in error(tmp_path, format="csv")
    assert error(write("a.csv", "")).endswith("a.csv is empty")
    assert error(write("a.csv.gz", "")).endswith("a.csv.gz is empty")
    assert "only blank lines" in error(write("b.csv", "\n\n"))
    assert error(write("books.xlsx", "x")).endswith("say which: csv, tsv, json, jsonl, parquet")
    assert "is a folder" in error(tmp_path)
    assert "bare carriage returns" in error(write("mac.csv", "id,title\r1,a\r2,b\r"))
    assert "not in utf-8" in error(write("c.csv", b"id,caf\xe9\n"))
    with pytest.raises(CollectorError, match="no file at"):
        Table(path=tmp_path / "none.csv").size()


def test_broken_gzip_is_told(write: Write, tmp_path: Path) -> None:
    whole = gzip.compress(b"id,title\n" + b"".join(b"%d,a\n" % (number * 7919) for number in range(100_000)))
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "in the middle of its compressed data" in error(tmp_path / "cut.csv.gz")
    (tmp_path / "not.csv.gz").write_bytes(b"id,title\n1,a\n")
    assert "not readable as gzip" in error(tmp_path / "not.csv.gz")


def test_options_are_checked() -> None:
    with pytest.raises(ValidationError, match="did you mean 'utf-8'"):
        Table(path=Path("a.csv"), encoding="utf-9")
    with pytest.raises(ValidationError, match="no encoding is called 'hex'"):
        Table(path=Path("a.csv"), encoding="hex")


def test_columns_found_shows_what_a_file_holds(write: Write) -> None:
    path = write("a.jsonl", '{"id": 1, "owner": {"login": "ada"}}\n{"id": 2, "stars": 5}\n')
    assert Table(path=path).columns_found() == [("id", [1, 2]), ("owner.login", ["ada"]), ("stars", [5])]
    path = write("a.csv", "id,note\n1,\n2,x\n3,y\n")
    assert Table(path=path).columns_found(rows=2) == [("id", ["1", "2"]), ("note", ["x"])]


@pytest.mark.parametrize(
    ("name", "start", "row", "end"),
    [
        ("a.csv", "id,title\n", "{0},{1} {0}\n", ""),
        ("a.json", "[", '{{"id": {0}, "title": "{1} {0}"}},', "{}]"),
        ("a.jsonl", "", '{{"id": {0}, "title": "{1} {0}"}}\n', ""),
    ],
)
def test_memory_stays_flat_while_a_file_grows(
    tmp_path: Path, name: str, start: str, row: str, end: str
) -> None:
    path = tmp_path / name
    path.write_text(start + "".join(row.format(number, "long " * 200) for number in range(20_000)) + end)
    tracemalloc.start()
    try:
        count = sum(1 for _ in Table(path=path, columns={"name": "title"}).collect(Collection("books", 0)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count >= 20_000
    assert peak < path.stat().st_size / 3


# What was written is read

cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
together = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@together
@given(
    rows=st.lists(st.tuples(cells, cells), max_size=8),
    packed=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_csv_is_read_as_it_was_written(
    tmp_path: Path, rows: list[tuple[str, str]], packed: bool, end: str
) -> None:
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    opener: Any = gzip.open if packed else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        # With bare line feeds Python's writer leaves a carriage return unquoted, which says something else.
        quoting: Any = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
        csv.writer(file, lineterminator=end, quoting=quoting).writerows([("id", "title"), *rows])
    assert [(found["id"], found["title"]) for found in values(path)] == rows


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | cells,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(cells, inner, max_size=3),
    max_leaves=8,
)
objects = st.lists(st.dictionaries(cells, plain, max_size=4), min_size=1, max_size=6)


@together
@given(rows=objects, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_json_is_read_as_it_was_written(
    tmp_path: Path, rows: list[dict[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps(rows, ensure_ascii=ascii_only, indent=indent), "utf-8", newline=""
    )
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows), "utf-8", newline=""
    )
    assert values(tmp_path / "a.json") == rows
    assert values(tmp_path / "a.jsonl") == rows


@together
@given(raw=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl", "a.csv.gz"]))
def test_whatever_a_file_holds_ends_in_records_faults_or_one_collector_error(
    tmp_path: Path, raw: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    message = str(path)
    try:
        for found in Table(path=path).collect(Collection("books", 0)):
            assert isinstance(found, Record | Fault)
            assert int(found.where.rpartition(":")[2]) >= 1
    except CollectorError as problem:
        message = str(problem)
    assert str(path) in message


def test_a_path_that_no_file_can_have() -> None:
    with pytest.raises(ValidationError, match="no path has a NUL character"):
        Table(path="books\0.csv")
