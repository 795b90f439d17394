"""Projects from GitHub, live: what is searched for whom, and what is served when GitHub is away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from tastemaker.connectors.github import Api
from tastemaker.core import (
    Catalog,
    Collection,
    CollectorError,
    Fault,
    ItemSchema,
    Question,
    Record,
    Request,
)
from tastemaker.core.clock import wall
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.recent import Recent
from tastemaker.plugins.projects.live import Harvest, Search, Stars
from tastemaker.tests.fakes.faults import Fault as Trouble
from tastemaker.tests.fakes.github import github
from tastemaker.tests.fakes.using import using

TOKEN = "github_pat_11AAAAAAA0abcdefghij"
JAZZ = {"interests": ["jazz", "Robots"], "languages": "Python, Rust"}


@pytest.fixture
def app() -> Starlette:
    app = github()
    app.state.tokens[TOKEN] = "ann"
    names = [each["full_name"] for each in app.state.repositories.values() if "maps" in each["topics"]]
    app.state.stars["ann-on-github"] = [
        (f"2026-01-{1 + n:02}T00:00:00Z", name) for n, name in enumerate(names[:20])
    ]
    return app


def searches(app: Starlette) -> list[str]:
    return [request.query["q"] for request in app.state.requests if request.path.startswith("/search")]


class Asking:
    """A context, as far as these sources look at it, with a catalogue that grows."""

    now = 0.0

    def __init__(self, profile: dict[str, Any], user: str = "ann", recent: Recent | None = None) -> None:
        self.profile, self.user = profile, user
        self.recent = recent or Recent()
        self._catalog = Catalog(ItemSchema({"stars": "number"}, id="full_name"))
        self.missing: list[str] = []

    def lacks(self, why: str) -> None:
        self.missing.append(why)

    def adopt(self, items: list[dict[str, Any]]) -> None:
        self._catalog.put([(item["full_name"], {}) for item in items])

    def asked(self, key: Any) -> Question:
        return self.recent.question("sources.search", key, self.now, self._catalog.snapshot())

    def names(self, rows: Any) -> list[str]:
        return self._catalog.snapshot().ids[rows].tolist()


@pytest.fixture
def run(base_url: str) -> Callable[..., Any]:
    def run(work: Callable[[Api], Awaitable[Any]], **options: Any) -> Any:
        service = Api(**{"url": base_url, "token": TOKEN, "retries": 0, **options})
        return using(service, work, name="github")

    return run


class TestSearch:
    def test_it_searches_for_interests_in_languages(self, run, app):
        async def work(service: Api) -> None:
            found = await Search(service=service, min_stars=5).propose(Asking(JAZZ))
            assert searches(app) == [
                '"jazz" language:"Python" stars:>=5 archived:false',
                '"jazz" language:"Rust" stars:>=5 archived:false',
                '"Robots" language:"Python" stars:>=5 archived:false',
            ]
            assert len({item["full_name"] for item in found}) == len(found) > 5
            assert all(item["stars"] >= 5 and not item["archived"] for item in found)

        run(work)

    def test_a_profile_is_remembered_until_it_changes(self, run, app):
        async def work(service: Api) -> None:
            source, ann = Search(service=service, min_stars=5), Asking(JAZZ)
            first = await source.propose(ann)
            ann.adopt(first)
            assert ann.names(await source.propose(ann)) == [item["full_name"] for item in first]
            bob = Asking(dict(JAZZ), "bob", ann.recent)  # of the same taste, with a catalogue that lacks them
            assert await source.propose(bob) == first
            assert len(app.state.requests) == 3
            ann.now = 60 * 31.0  # too long ago: asked for again, if only of the cache
            assert await source.propose(ann) == first
            ann.profile = {**JAZZ, "interests": ["games"]}
            assert await source.propose(ann) != first
            assert len(app.state.requests) == 5

        run(work)

    def test_a_search_of_several_that_fails_is_named(self, run, app):
        app.state.faults = [Trouble("/search", status=503, times=1)]

        async def work(service: Api) -> None:
            ann = Asking(JAZZ)
            assert len(await Search(service=service, min_stars=5).propose(ann)) > 5
            (said,) = ann.missing
            assert said.startswith("1 of 3 answers are missing: github: search: ")

        run(work)

    @pytest.mark.parametrize("profile", [{}, {"interests": []}, {"interests": 7}, {"languages": " ; , "}])
    def test_it_asks_for_nothing_where_nothing_is_known(self, run, app, profile):
        async def work(service: Api) -> None:
            assert await Search(service=service).propose(Asking(profile)) == []

        run(work)
        assert app.state.requests == []

    def test_a_profile_cant_write_searches(self, run, app):
        profile = {"interests": ['x" stars:>9 user:"evil', "-jazz", "maps\n&q=all"]}

        async def work(service: Api) -> None:
            await Search(service=service, queries=10).propose(Asking(profile))

        run(work)
        found = [query.removesuffix(" stars:>=20 archived:false") for query in searches(app)]
        assert found == ['"x stars 9 user evil"', '"jazz"', '"maps &q all"']

    def test_half_of_the_answers_are_better_than_none_and_not_remembered(self, run, app):
        app.state.faults = [Trouble("/search", status=500)]

        async def work(service: Api) -> None:
            source, ann = Search(service=service, min_stars=5), Asking(JAZZ)
            half = await source.propose(ann)
            assert half
            ann.adopt(half)
            assert len(await source.propose(ann)) > len(half)

        run(work)


class TestStars:
    def test_it_looks_for_what_is_like_the_stars_and_isnt_one(self, run, app):
        profile = {"github": " Ann-on-GitHub "}

        async def work(service: Api) -> None:
            found = await Stars(service=service, min_stars=0).propose(Asking(profile))
            have = {name for _, name in app.state.stars["ann-on-github"]}
            assert found
            assert not have & {item["full_name"] for item in found}
            assert searches(app)[0].startswith("topic:maps ")

        run(work)

    @pytest.mark.parametrize(
        "profile", [{}, {"github": ""}, {"github": 3}, {"github": "no-such-account"}, {"github": "../x"}]
    )
    def test_without_an_account_there_is_nothing_to_propose(self, run, app, profile):
        async def work(service: Api) -> None:
            assert await Stars(service=service).propose(Asking(profile)) == []

        run(work)
        assert searches(app) == []

    def test_its_stars_are_forgotten_with_the_user(self, run, app):
        async def work(service: Api) -> None:
            await service.starred("ann-on-github", user="ann")
            await service.forget("ann")
            await service.starred("ann-on-github", user="ann")

        run(work)
        assert len(app.state.requests) == 2


class TestHarvest:
    def test_it_brings_what_the_searches_find_and_says_what_failed(self, run, app):
        app.state.faults = [Trouble("/search", status=500)]

        async def work(service: Api) -> None:
            harvest = Harvest(service=service, queries=("topic:jazz", "stars:>0"), pages=2)
            found = [each async for each in harvest.collect(Collection("projects", wall()))]
            assert isinstance(found[0], Fault)
            assert "search 'topic:jazz'" in found[0].where
            assert sum(isinstance(each, Record) for each in found) == 200

        run(work)

    def test_it_fails_where_nothing_could_be_had(self, run, app):
        app.state.faults = [Trouble("/search", status=500, times=-1)]

        async def work(service: Api) -> None:
            with pytest.raises(CollectorError, match="HTTP 500"):
                _ = [
                    each
                    async for each in Harvest(service=service, queries=("x", "y")).collect(
                        Collection("p", 0.0)
                    )
                ]

        run(work)


class TestTheDomain:
    """The preset, with a token, from the first slate to the day on which GitHub is away."""

    def test_goes_live_with_a_token_and_goes_on_without_github(
        self, app, base_url, tmp_path: Path, monkeypatch
    ):
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        monkeypatch.setenv("GITHUB_API_URL", base_url)
        path = tmp_path / "config.yaml"
        path.write_text(
            f"store: sqlite:///{tmp_path / 'x.db'}\n"
            f"domains:\n  projects: {{extends: projects, slate: {{deadline_ms: 20000}}}}\n"
        )
        profile = {**JAZZ, "github": "ann-on-github"}

        async def life() -> None:
            async with Orchestrator(load(path)) as orchestrator:
                await orchestrator.put_profile("ann", profile)
                slate = await orchestrator.recommend("projects", Request("ann"))
                assert len(slate.picks) == 12
                assert slate.degraded == []
                held = orchestrator.agent("projects").catalog.snapshot()
                assert {pick.item.lower() for pick in slate.picks} <= set(app.state.repositories)
                assert held.item(held.row(slate.picks[0].item))["url"].startswith("https://github.com/")
                asked = len(app.state.requests)
                again = await orchestrator.recommend("projects", Request("ann"))
                assert len(again.picks) == 12
                assert len(app.state.requests) == asked

                app.state.faults = [Trouble(drop=True, times=-1)]
                await orchestrator.put_profile("ann", {"interests": ["compilers"]})
                slate = await orchestrator.recommend("projects", Request("ann"))
                assert len(slate.picks) == 12
                (note,) = slate.degraded
                assert (note.component, "github: search: " in note.reason) == ("sources.search", True)
                assert TOKEN not in str(slate)

                app.state.faults = []
                await orchestrator.put_profile("ann", {"interests": ["education"]})
                assert (await orchestrator.recommend("projects", Request("ann"))).degraded == []

        asyncio.run(life())
