"""GitHub through its connector, against a server that behaves as GitHub's documentation says."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from tastemaker.connectors.github import Api
from tastemaker.core import (
    Exhausted,
    Forbidden,
    Garbage,
    Invalid,
    Keeping,
    Missing,
    Refused,
    Throttled,
    Unreachable,
)
from tastemaker.core.clock import ManualClock
from tastemaker.tests.fakes.faults import Fault
from tastemaker.tests.fakes.github import github
from tastemaker.tests.fakes.github_judge import judge
from tastemaker.tests.fakes.using import using

NOON = 1_795_262_400.0
TOKEN = "github_pat_11AAAAAAA0abcdefghij"
SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def app(clock: ManualClock) -> Starlette:
    app = github(clock)
    app.state.tokens[TOKEN] = "ann"
    names = [each["full_name"] for each in app.state.repositories.values()]
    app.state.stars["ann"] = [
        (f"2026-{1 + n // 28:02}-{1 + n % 28:02}T00:00:00Z", name) for n, name in enumerate(names[:130])
    ]
    app.state.stars["nobody"] = []
    return app


@pytest.fixture
def run(base_url: str, clock: ManualClock) -> Callable[..., Any]:
    def run(work: Callable[[Api], Awaitable[Any]], **options: Any) -> Any:
        service = Api(**{"url": base_url, "token": TOKEN, "retries": 0, "timeout_seconds": 30, **options})
        return using(service, work, clock=clock, name="github")

    return run


def test_a_search_gives_items(run, app):
    async def work(service: Api) -> None:
        found = await service.search("topic:jazz  stars:>50 archived:false", sort="stars")
        assert 10 < len(found) <= 100
        assert all("jazz" in item["topics"] and item["stars"] > 50 and not item["archived"] for item in found)
        stars = [item["stars"] for item in found]
        assert stars == sorted(stars, reverse=True)
        assert set(found[0]) >= {
            "full_name",
            "description",
            "language",
            "forks",
            "license",
            "updated_at",
            "url",
        }
        assert await service.search("topic:jazz stars:>50 ARCHIVED:false", sort="stars") == found

    run(work)
    assert len(app.state.requests) == 1
    assert app.state.requests[0].headers["x-github-api-version"] == "2022-11-28"


def test_pages_end_where_github_ends_them(run, app):
    async def work(service: Api) -> None:
        pages = [await service.search("stars:>0", limit=50, page=page) for page in (1, 2, 6, 7)]
        assert [len(page) for page in pages] == [50, 50, 50, 0]
        with pytest.raises(Invalid, match="first 1000 results"):
            await service.search("stars:>0", limit=100, page=11)
        with pytest.raises(Invalid, match="HTTP 422: Validation Failed"):
            await service.search("")

    run(work)
    assert len(app.state.requests) == 5


def test_a_repository_its_topics_and_languages(run, app):
    name = next(iter(app.state.repositories.values()))["full_name"]
    app.state.moved["old/name"] = name

    async def work(service: Api) -> None:
        item = await service.repository(name)
        assert item["full_name"] == name
        assert await service.topics(name) == item["topics"]
        assert item["language"] in [*await service.languages(name), None]
        assert (await service.repository("old/name"))["full_name"] == name  # GitHub redirects to its number
        for gone in ("no/such-thing", "no-slash", "../../admin", "a/b?x=1", "o/.."):
            with pytest.raises(Missing):
                await service.repository(gone)

    run(work)
    assert [request.path for request in app.state.requests][-1] == "/repos/no/such-thing"


def test_stars_come_newest_first_from_all_pages(run, app):
    async def work(service: Api) -> None:
        stars = await service.starred("Ann", most=300)
        assert len(stars) == 130
        assert [at for at, _ in stars] == sorted((at for at, _ in stars), reverse=True)
        assert len(await service.starred("ann", most=20)) == 20
        assert await service.starred("nobody") == []
        for strange in ("ghost", "a/b", "x" * 60, ""):
            with pytest.raises(Missing):
                await service.starred(strange)

    run(work)


def test_many_repositories_at_once_through_graphql(run, app):
    names = [each["full_name"] for each in app.state.repositories.values()][:150]

    async def work(service: Api) -> None:
        found = await service.enriched([*names, "no/such-thing", "nonsense"])
        assert sorted(found) == sorted(names)
        plain = await service.repository(names[3])
        rich = found[names[3]]
        assert {key: rich[key] for key in plain} == plain
        assert "Shell" in rich["languages"]
        again = await service.refresh([names[5], "no/such-thing"])
        assert again == [found[names[5]], None]

    run(work)
    assert [request.path for request in app.state.requests].count("/graphql") == 3


def test_without_a_token_it_is_used_only_if_the_config_says_so(run, app, base_url):
    assert not Api(url=base_url).configured
    assert Api(url=base_url, anonymous=True).configured
    assert Api(url=base_url, token=TOKEN).configured

    async def work(service: Api) -> None:
        for number in range(10):
            await service.search(f"stars:>{number}")
        with pytest.raises(Exhausted, match="the limit is reached"):
            await service.search("stars:>10")
        with pytest.raises(Invalid, match="needs a token"):
            await service.enriched(["a/b"])
        assert sorted(await service.remaining()) == ["core_anonymous", "search_anonymous"]
        name = next(iter(app.state.repositories.values()))["full_name"]
        assert (await service.refresh([name, "no/such"]))[1] is None

    run(work, token="", anonymous=True)
    assert sum(request.path.startswith("/search") for request in app.state.requests) == 10
    assert "authorization" not in app.state.requests[0].headers


def test_limits_that_others_have_used_up_are_believed(run, app, clock):
    """The primary limit: by the headers of a good answer, and by a refusal."""
    app.state.limits["search"] = 2

    async def work(service: Api) -> None:
        await service.search("stars:>1")
        await service.search("stars:>2")  # says that nothing is left
        with pytest.raises(Exhausted) as raised:
            await service.search("stars:>3")
        assert raised.value.until == NOON + 61
        await service.repository(next(iter(app.state.repositories.values()))["full_name"])  # another bucket
        clock.advance(62)
        await service.search("stars:>3")
        app.state.used["ann", "search"] = (2, clock() + 60)
        with pytest.raises(Exhausted, match="API rate limit exceeded"):
            await service.search("stars:>4")

    run(work)
    assert sum(request.path.startswith("/search") for request in app.state.requests) == 4


def observed(when: str) -> dict[str, Any]:
    path = Path(os.environ.get("SHARED_SPECS", SHARED / "specs")) / "examples" / "observed-errors.json"
    if not path.exists():
        pytest.skip(f"no errors as they were observed at {path}")
    rows = json.loads(path.read_text(encoding="utf-8"))["github"]
    return next(row for row in rows if row["when"] == when)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("when", "error", "after"),
    [
        ("primary limit", Exhausted, None),
        ("secondary limit", Throttled, 60.0),
        ("bad credentials", Refused, None),
    ],
)
def test_errors_as_they_were_observed(run, app, when, error, after, status):
    row = observed(when)
    headers = {
        name: value.replace("<epoch s>", str(int(NOON) + 40))
        for name, value in row.get("headers", {}).items()
    }
    status = row["status"] if row["status"] == 401 else status
    app.state.faults = [
        Fault("/search", status=status, headers=headers, body=json.dumps(row["body"]).encode())
    ]

    async def work(service: Api) -> None:
        with pytest.raises(error) as raised:
            await service.search("stars:>1")
        assert row["body"]["message"][:60] in str(raised.value)
        if error is Throttled:
            assert raised.value.after == after
        if error is Exhausted:
            assert raised.value.until == NOON + 40

    run(work)


@pytest.mark.parametrize(
    ("headers", "body", "error", "goes_on"),
    [
        ({}, {"message": "Repository access blocked", "block": {"reason": "tos"}}, Missing, True),
        (
            {"X-Accepted-GitHub-Permissions": "metadata=read"},
            {"message": "Resource not accessible by personal access token"},
            Forbidden,
            True,
        ),
        (
            {"X-GitHub-SSO": "required; url=https://github.com/orgs/it/sso"},
            {"message": "Resource protected by organization SAML enforcement."},
            Forbidden,
            True,
        ),
        ({}, {"message": "Maximum number of login attempts exceeded."}, Refused, False),
    ],
)
def test_what_is_refused_of_some_repositories_keeps_none_of_the_others_back(
    run, app, headers, body, error, goes_on
):
    blocked = Fault("/repos/no", status=403, headers=headers, body=json.dumps(body).encode(), times=-1)
    app.state.faults = [blocked]
    name = next(each["full_name"] for each in app.state.repositories.values())

    async def work(service: Api) -> None:
        for number in range(6):
            with pytest.raises(error, match=body["message"] if goes_on else "login attempts") as told:
                await service.repository(f"no/such-{number}")
            assert isinstance(told.value, error)
        if goes_on:
            assert (await service.repository(name))["full_name"] == name
        else:
            with pytest.raises(Refused, match="left alone"):
                await service.repository(name)

    run(work, breaker={"failures": 5, "seconds": 30})


def test_a_repository_that_was_blocked_leaves_the_others_to_a_refresh(run, app):
    app.state.faults = [
        Fault("/repos/no", status=403, body=b'{"message": "Repository access blocked", "block": {}}')
    ]
    name = next(each["full_name"] for each in app.state.repositories.values())

    async def work(service: Api) -> None:
        blocked, found = await service.refresh(["no/such", name])
        assert blocked is None
        assert found is not None

    run(work, token="", anonymous=True)


def test_a_secondary_limit_without_a_time_is_left_alone_longer_and_longer(run, app, clock):
    body = b'{"message": "You have exceeded a secondary rate limit."}'
    app.state.faults = [Fault("/search", status=403, body=body, times=3)]

    async def work(service: Api) -> None:
        waits = []
        for number in range(4):
            try:
                await service.search(f"stars:>{number}")
            except Throttled as error:
                waits.append(error.after)
                clock.advance(error.after + 1)
        assert waits == [60, 120, 240]

    run(work)


def test_a_short_time_to_wait_is_waited_for(run, app):
    app.state.faults = [Fault("/search", status=429, headers={"retry-after": "0"})]

    async def work(service: Api) -> None:
        assert await service.search("stars:>1")

    run(work, retries=1)


def test_a_search_that_ran_out_of_time_and_found_nothing_is_no_answer(run, app):
    app.state.incomplete = True

    async def work(service: Api) -> None:
        with pytest.raises(Unreachable, match="ran out of time"):
            await service.search("stars:>1")

    run(work)


def test_what_has_not_changed_costs_github_nothing(run, app, clock):
    name = next(iter(app.state.repositories.values()))["full_name"]

    async def work(service: Api) -> None:
        first = await service.repository(name)
        clock.advance(120)
        assert await service.repository(name) == first

    run(work, cache=Keeping(answers=60, stale=0))
    assert app.state.answers[-1].status == 304
    assert app.state.used["ann", "core"][0] == 1


def test_lies_are_not_believed(run, app):
    lies = [b"[]", b'{"items": 7}', b'{"items": [{"full_name": 3}]}', b'{"items": ["x"]}', b"<html>", b"null"]
    app.state.faults = [Fault("/search", garbage=lie) for lie in lies]

    async def work(service: Api) -> None:
        for number in range(len(lies)):
            with pytest.raises(Garbage):
                await service.search(f"stars:>{number}")

    run(work, breaker={"failures": 100})


def test_its_health_says_what_is_wrong(run, app):
    async def healthy(service: Api) -> Any:
        return await service.health()

    assert run(healthy) is None
    assert "HTTP 401: Bad credentials" in run(healthy, token="wrong-token-of-ann")
    assert "wrong-token" not in run(healthy, token="wrong-token-of-ann")
    assert app.state.used["ann", "core"][0] == 0


def test_a_url_must_be_one():
    with pytest.raises(ValidationError, match="must begin with https://"):
        Api(url="api.github.com")


def test_the_server_of_these_tests_says_what_github_says(run, app, base_url):
    names = [each["full_name"] for each in app.state.repositories.values()]
    app.state.moved["old/name"] = names[0]

    async def work(service: Api) -> None:
        await service.search("topic:jazz", sort="updated")
        await service.search("stars:>1", limit=7, page=3)
        for name in names[:12]:
            await service.repository(name)
            await service.topics(name)
            await service.languages(name)
        await service.repository("old/name")
        await service.starred("ann", most=300)
        await service.health()
        with pytest.raises(Missing):
            await service.topics("no/such")

    run(work)
    for path in (
        "/search/repositories?q=",
        "/search/repositories?q=stars:>1&page=11&per_page=100",
        "/users/ann/starred",
    ):
        httpx.get(base_url + path)
    assert judge(app.state.answers) > 40
