"""The connector that docs/connectors.md shows works, against a server that answers as it expects."""

import asyncio
import re
import types
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tastemaker.core import Garbage, LocalMemory, Missing
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.tests.fakes.faults import Faults
from tastemaker.tests.fakes.serving import serve

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "connectors.md").read_text(encoding="utf-8")


async def now(request: Request) -> Response:
    if request.headers.get("x-api-key") != "k3y-of-mine":
        return JSONResponse({"message": "no such key"}, 401)
    match request.query_params["place"]:
        case "Atlantis":
            return JSONResponse({"message": "no such place"}, 404)
        case "Oslo":
            return JSONResponse({"current": {}})
        case _:
            return JSONResponse({"current": {"celsius": 21.5}})


def module() -> types.ModuleType:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made = types.ModuleType("weather")
    exec(compile(source, "docs/connectors.md", "exec"), made.__dict__)
    return made


def test_the_connector_of_the_page_works() -> None:
    weather: Any = module()
    app = Starlette(routes=[Route("/v2/now", now)], middleware=[Middleware(Faults)])

    async def work(service: Any) -> None:
        assert await service.temperature("London") == 21.5
        assert await service.temperature(" london ") == 21.5
        with pytest.raises(Missing, match="weather: temperature: HTTP 404: no such place"):
            await service.temperature("Atlantis")
        with pytest.raises(Garbage, match="it says no temperature"):
            await service.temperature("Oslo")
        assert (await service.remaining())["calls"].left == 997
        await service.close()

    with serve(app) as base_url:
        service = weather.Weather(url=f"{base_url}/v2", key="k3y-of-mine")
        clock = ManualClock(1_795_262_400.0)
        service._bind(LocalMemory(clock), clock, "weather")
        asyncio.run(work(service))
    assert len(app.state.requests) == 3
    assert [component.__name__ for component in weather.components()] == ["Weather", "Warmth"]
    assert not weather.Weather().configured


def test_it_takes_about_forty_lines() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in source.splitlines() if line.strip()]) <= 45


def configs() -> list[tuple[str, str]]:
    """Every configuration with a domain that the pages show, with its page."""
    pages = sorted((DOCS / "connectors").glob("*.md"))
    blocks = [
        (page.name, block)
        for page in pages
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ]
    return [(name, block) for name, block in blocks if block.startswith("domains:")]


@pytest.mark.parametrize(("name", "block"), configs(), ids=lambda part: part if part.endswith(".md") else "")
def test_what_the_pages_configure_is_right(name: str, block: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"version: 1\n{block}")
    assert load(path).domains


@pytest.mark.parametrize(
    "page", [DOCS / "connectors.md", *sorted((DOCS / "connectors").glob("*.md"))], ids=lambda page: page.name
)
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
