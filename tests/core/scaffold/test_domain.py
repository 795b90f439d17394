"""A configuration begun from a file serves, whatever the file is like."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Request, Slate
from tastemaker.core.config import Settings, load
from tastemaker.core.config.document import Origin, ScalarNode, parse
from tastemaker.core.config.problems import Problems
from tastemaker.core.errors import RequestError
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.registry import Registry
from tastemaker.core.scaffold import begin_domain
from tastemaker.core.scaffold.domain import quoted

DATA = Path(__file__).parents[3].parent / "shared" / "data"


def begun(source: Path, folder: Path, name: str = "things") -> Settings:
    reader: Any = Registry().component("files.table", "collector").model_validate({"path": source})
    draft = begin_domain(name, source, reader, folder)
    (folder / "config.yaml").write_text(draft.yaml)
    return load(folder / "config.yaml")


def slate_of(settings: Settings) -> Slate:
    async def decide() -> Slate:
        (domain,) = settings.domains
        async with Orchestrator(settings, follow=False) as tastemaker:
            return await tastemaker.recommend(
                domain, Request("ann", situation={"mood": "calm", "max_price": 1e9})
            )

    return asyncio.run(decide())


@pytest.fixture
def real() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        path = DATA / name
        if not path.is_file():
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI needs the real data: {path}")
            pytest.skip(f"no real data at {path}")
        return path

    return find


@pytest.mark.parametrize(
    ("name", "identity", "fields"),
    [
        ("youtube-trending/videos.csv", "video_id", {"title": "text", "tags": "tags", "category": "category",
         "published_at": "time", "views": "number", "comments_disabled": "flag"}),
        ("github-projects-unified/projects.csv", "full_name", {"description": "text", "topics": "tags",
         "language": "category", "stars": "number", "updated_at": "time"}),
        ("online-retail-uci/products.csv", "stock_code", {"description": "text", "median_price_gbp": "number",
         "units": "number", "first_sold": "time"}),
    ],
)  # fmt: skip
def test_real_tables(real, tmp_path, name, identity, fields):
    settings = begun(real(name), tmp_path)
    plan = settings.domains["things"]
    assert plan.items.schema.id == identity
    assert fields.items() <= dict(plan.items.schema.fields).items()
    slate = slate_of(settings)
    assert len(slate.picks) == plan.slate.size
    assert not slate.degraded


def test_a_shop_gets_what_a_shop_needs(tmp_path):
    source = Path(__file__).parents[3] / "plugins" / "products" / "sample.csv"
    plan = begun(source, tmp_path).domains["things"]
    assert {step.name: step.use for step in plan.filters} == {
        "seen": "catalog.seen",
        "available": "catalog.available",
        "affordable": "catalog.wish",
    }
    assert [step.name for step in plan.sources] == ["similar", "popular", "liked", "recent", "random"]
    assert {"wanted", "rated", "fresh", "match"} <= {step.name for step in plan.scorers}
    assert plan.slate.max_per == {"category": 4}
    assert plan.items.embedder is not None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("one.csv", "id,name\n1,Emma\n"),
        ("numbers.csv", "id,a,b\n1,2,3\n2,3,4\n"),
        ("names.csv", "sku,größe (cm),a b,yes,${HOME},{x}\n1,2,x,y,z,w\n2,3,x,y,z,w\n"),
        ("semicolons.csv", "id;name;price\n1;Emma;2,5\n2;Dune;3\n"),
        ("lists.json", json.dumps([{"id": 1, "tags": ["a", "b"], "owner": {"login": "x"}}, {"id": 2, "tags": ["b"]}])),
        ("events.jsonl", '{"session": 1, "events": [{"aid": 5, "type": "clicks"}]}\n{"session": 2, "events": []}\n'),
        ("lines.jsonl", '{"uuid": "a", "available": true}\n{"uuid": "b", "available": false}\n'),
        ("a 'quoted' name.csv", "id,genre\n1,a\n2,b\n3,c\n4,a\n5,b\n6,c\n7,a\n8,b\n9,c\n"),
    ],
)  # fmt: skip
def test_small_and_odd_tables(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    slate = slate_of(begun(tmp_path / name, tmp_path))
    assert slate.picks
    assert not [entry for entry in slate.degraded if entry.component != "slate.max_per"]


def test_the_file_is_named_from_where_the_configuration_lies(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "data" / "a.csv").write_text("id,name\n1,Emma\n")
    settings = begun(tmp_path / "data" / "a.csv", tmp_path / "configs")
    assert "path: ../data/a.csv" in (tmp_path / "configs" / "config.yaml").read_text()
    assert slate_of(settings).picks


def test_a_table_that_tells_no_rows_apart_is_refused_with_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("colour,size\n" + "red,4\n" * 5)
    with pytest.raises(RequestError, match="name one with --id: colour, size"):
        begun(tmp_path / "a.csv", tmp_path)


@given(st.text(max_size=30))
def test_quoted_texts_mean_themselves(text):
    text = "".join(each for each in text if each.isprintable())
    problems = Problems()
    node: Any = parse(f"a: {{b: {quoted(text)}}}".encode(), Origin("x", "x", Path(), rank=0), {}, problems)
    problems.check()
    inner = node.entries["a"].entries["b"]
    assert isinstance(inner, ScalarNode)
    assert inner.value == text
