"""files.table on Parquet, written by pyarrow."""

import os
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tastemaker.connectors.files import Table
from tastemaker.core import Collection, CollectorError, Record

if find_spec("pyarrow") is None:
    if os.environ.get("CI") == "true":
        raise ImportError("pyarrow is not installed")
    pytest.skip("needs the extra `parquet`: make test EXTRAS=all", allow_module_level=True)

arrow: Any = import_module("pyarrow")
parquet: Any = import_module("pyarrow.parquet")


def records(path: Path, **options: Any) -> list[Record]:
    found = list(Table(path=path, **options).collect(Collection("books", 0)))
    assert all(isinstance(one, Record) for one in found)
    return [one for one in found if isinstance(one, Record)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
            st.none() | st.floats(allow_nan=False),
            st.none() | st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3),
        ),
        max_size=6,
    )
)
def test_parquet_is_read_as_it_was_written(tmp_path: Path, rows: list[tuple[Any, Any, Any]]) -> None:
    shape = arrow.schema(
        [("id", arrow.string()), ("rating", arrow.float64()), ("tags", arrow.list_(arrow.string()))]
    )
    table = arrow.Table.from_pylist([dict(zip(shape.names, row, strict=True)) for row in rows], schema=shape)
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [tuple(record.values.values()) for record in records(tmp_path / "a.parquet")] == rows


def test_structs_dates_times_and_decimals_arrive_as_plain_values(tmp_path: Path) -> None:
    moment = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    table = arrow.table(
        {
            "id": [1, 2],
            "owner": [{"login": "ada"}, None],
            "day": [date(2026, 11, 20), None],
            "exact": [moment, moment],
            "price": [Decimal("3.50"), None],
        }
    )
    table = table.set_column(3, "exact", table["exact"].cast(arrow.timestamp("ns", "UTC")))
    parquet.write_table(table, tmp_path / "a.parquet")
    first, second = records(tmp_path / "a.parquet", columns={"by": "owner.login"})
    assert first.values["by"] == "ada"
    assert second.values["by"] is None
    assert first.values["day"] == "2026-11-20"
    assert first.values["exact"] == moment
    assert first.values["price"] == 3.5
    assert (first.where, second.where) == ("a.parquet:1", "a.parquet:2")
    assert second.offset == Table(path=tmp_path / "a.parquet").size()


def test_a_missing_column_is_named_with_its_near_miss(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"owner": [{"login": "ada"}]}), tmp_path / "a.parquet")
    with pytest.raises(CollectorError, match=r"no column 'owner\.logn'.*did you mean 'owner\.login'"):
        records(tmp_path / "a.parquet", columns={"by": "owner.logn"})


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"id,title\n1,a\n" * 100)
    with pytest.raises(CollectorError, match="is no Parquet file"):
        records(tmp_path / "a.parquet")
    with pytest.raises(CollectorError, match="no file at"):
        records(tmp_path / "b.parquet")


def test_without_pyarrow_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(arrow.table({"id": [1]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CollectorError, match=r"pip install 'tastemaker\[parquet\]'"):
        records(tmp_path / "a.parquet")
