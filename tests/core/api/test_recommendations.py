"""Recommendations over HTTP."""

import math
from urllib.parse import quote

import pytest


def test_a_slate_has_everything_a_caller_needs(api):
    answer = api.get("/v1/books/recommendations/ann?limit=3&mood=calm")
    assert answer.status_code == 200
    slate = answer.json()
    assert set(slate) == {"slate", "domain", "user", "items", "degraded"}
    assert (slate["domain"], slate["user"], slate["degraded"]) == ("books", "ann", [])
    assert [item["position"] for item in slate["items"]] == [0, 1, 2]
    for item in slate["items"]:
        assert set(item) == {"id", "position", "score", "propensity", "sources", "explored", "item"}
        assert item["item"]["title"] == f"Book {int(item['id'][1:])}"
        assert 0 < item["propensity"] <= 1
        assert math.isfinite(item["score"])
        assert item["sources"] == ["popular"]
    assert api.orchestrator.slate(slate["slate"]).situation == {"mood": "calm"}


def test_the_domains_own_size_counts_where_no_limit_is_given(api):
    assert len(api.get("/v1/books/recommendations/ann").json()["items"]) == 5


@pytest.mark.parametrize("limit", [1, 40, 500])
def test_limits_within_the_range(still, limit):
    assert len(still.get(f"/v1/books/recommendations/ann?limit={limit}").json()["items"]) == min(limit, 40)
    body = {"user": "ann", "limit": limit}
    assert len(still.post("/v1/books/recommendations", body).json()["items"]) == min(limit, 40)


@pytest.mark.parametrize("limit", ["0", "-1", "1000000", "501", "1.5", "ten", "", "9" * 5000, "٣", "NaN"])
def test_limits_outside_the_range_are_told_the_range(still, problem, limit):
    document = problem(still.get("/v1/books/recommendations/ann", params={"limit": limit}), 422, "validation")
    assert document["errors"][0]["where"] == "query.limit"
    assert "from 1 to 500" in document["errors"][0]["message"]


@pytest.mark.parametrize("limit", [0, -1, 1_000_000, 1.5, "5", True, [], 1e300])
def test_limits_of_a_body_are_checked_too(still, problem, limit):
    document = problem(
        still.post("/v1/books/recommendations", {"user": "ann", "limit": limit}), 422, "validation"
    )
    assert document["errors"][0]["where"] == "body.limit"


def test_excluded_items_do_not_come(api):
    kept = api.get("/v1/books/recommendations/ann?exclude=b39,b38&exclude=b37&limit=500").json()["items"]
    assert not {"b37", "b38", "b39"} & {item["id"] for item in kept}
    body = {"user": "ann", "exclude": ["b39", "no such item"], "limit": 500}
    assert "b39" not in {item["id"] for item in api.post("/v1/books/recommendations", body).json()["items"]}


def test_a_situation_keeps_what_json_means(api):
    query = "mood=calm&energy=0.8&count=3&loud=true&zip=007&with=a&with=b&empty=&huge=123456789012345678"
    slate = api.get("/v1/books/recommendations/ann?" + query).json()["slate"]
    assert api.orchestrator.slate(slate).situation == {
        "mood": "calm",
        "energy": 0.8,
        "count": 3,
        "loud": True,
        "zip": "007",
        "with": ["a", "b"],
        "empty": "",
        "huge": "123456789012345678",
    }


def test_an_unknown_situation_key_is_no_error(api):
    body = {"user": "ann", "situation": {"moon phase": "waning", "nested": {"a": [1, None]}}}
    answer = api.post("/v1/books/recommendations", body)
    assert answer.status_code == 200
    assert answer.json()["degraded"] == []


def test_a_trace_tells_what_became_of_every_candidate(api):
    api.record("ann", "b39")
    slate = api.get("/v1/books/recommendations/ann?trace=true&exclude=b38").json()
    trace = slate["trace"]
    assert trace["fates"]["b39"] == {"dropped_by": "filters.seen"}
    assert trace["fates"]["b38"] == {"dropped_by": "exclude"}
    assert trace["considered"] == 30
    assert trace["removed"] == {"exclude": 1, "filters.seen": 1}
    assert len(trace["fates"]) + len(slate["items"]) == 30
    for item in slate["items"]:
        assert item["score"] == pytest.approx(sum(item["parts"].values()))
    body = {"user": "ann", "trace": True}
    assert "fates" in api.post("/v1/books/recommendations", body).json()["trace"]


def test_an_unknown_domain_names_the_near_miss(api, problem):
    for answer in (
        api.get("/v1/boks/recommendations/ann"),
        api.post("/v1/boks/recommendations", {"user": "ann"}),
    ):
        assert "did you mean 'books'?" in problem(answer, 404, "not-found")["detail"]


def test_an_empty_catalogue_gives_an_empty_slate_and_says_why(make_api):
    slate = make_api(shelf=False).get("/v1/books/recommendations/ann").json()
    assert slate["items"] == []
    assert slate["degraded"] == [{"component": "slate", "reason": "the catalogue is empty"}]


def test_changed_items_show_at_once(api):
    best = api.get("/v1/books/recommendations/ann?limit=500").json()["items"][0]["id"]
    api.put(f"/v1/books/items/{best}", {"title": "Renamed", "rating": 50})
    items = api.get("/v1/books/recommendations/ann?limit=500").json()["items"]
    renamed = next(item for item in items if item["id"] == best)
    assert renamed["item"] == {"title": "Renamed", "rating": 50}


@pytest.mark.parametrize(
    "user", ["a/b", "..", "ann@example.org", "ünïcode 🎉", "100%", "a+b", "a?b#c", "trace", "x" * 256, " "]
)
def test_any_name_can_be_a_user(still, user):
    path = "/v1/books/recommendations/" + quote(user, safe="")
    assert still.raw("GET", path.encode())[1]["user"] == user
    assert still.post("/v1/books/recommendations", {"user": user}).json()["user"] == user


def test_unknown_and_misspelt_fields_of_a_body(api, problem):
    body = {"usr": "ann", "situation": [], "exclude": "b1", "trace": "yes"}
    document = problem(api.post("/v1/books/recommendations", body), 422, "validation")
    found = {error["where"]: error for error in document["errors"]}
    assert set(found) == {"body.user", "body.usr", "body.situation", "body.exclude", "body.trace"}
    assert found["body.user"]["message"] == "is missing"
    assert found["body.usr"]["hint"] == "did you mean 'user'?"
    assert found["body.trace"]["message"] == "must be true or false, not 'yes'"
