"""Versions over HTTP: listed, compared, promoted, returned from."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tastemaker.core import Conflict

PATH = "/v1/books/policies/taste/versions"


@pytest.fixture
def shop(make_api: Any) -> Any:
    """taste@1 was kept after one user's feedback, then came another's."""
    api = make_api()
    api.record("ann", "b01")
    answer = api.post(PATH, {"note": "after ann"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "taste@1"
    api.record("eve", "b02")
    return api


def state(api: Any) -> str:
    (books,) = api.get("/v1/domains").json()["domains"]
    found = books["policies"][0]["state"]
    assert isinstance(found, str)
    return found


def test_a_promotion_and_the_way_back(shop):
    live = state(shop)
    answer = shop.call("POST", f"{PATH}/1/promote")
    assert answer.status_code == 200
    promoted = answer.json()
    assert (promoted["version"], promoted["before"], promoted["doubt"], promoted["live"]) == (1, 2, "", True)
    changed = state(shop)
    assert changed != live, "the answer comes when this process has it"
    listed = shop.get(PATH).json()["versions"]
    assert [(each["name"], each["active"], each["note"]) for each in listed] == [
        ("taste@2", False, "live before taste@1"),
        ("taste@1", True, "after ann"),
    ]
    back = shop.call("POST", "/v1/books/policies/taste/rollback").json()
    assert (back["version"], back["before"]) == (2, 3)
    assert state(shop) == live
    shop.call("POST", "/v1/books/policies/taste/rollback")
    assert state(shop) == changed


def test_details_and_differences(shop):
    facts = shop.get(f"{PATH}/1").json()
    assert {"name": "item_ids", "type": "list", "shape": [1]} in facts["entries"]
    assert (facts["training"], facts["fits"], facts["origin"]) == (None, True, "saved")
    assert shop.post(PATH, {}).json()["version"] == 2
    difference = shop.get(f"{PATH}/1/diff/2").json()
    entries = {entry["name"]: entry for entry in difference["entries"]}
    assert (entries["item_ids"]["added"], entries["item_ids"]["removed"]) == (1, 0)
    assert (entries["item_won"]["before"], entries["item_won"]["after"]) == ("float64[2]", "float64[3]")
    assert entries["user_ids"]["changed"] is False


def test_an_erasure_takes_away_what_had_learned_from_the_user(shop, problem):
    shop.call("POST", f"{PATH}/1/promote")
    shop.delete("/v1/users/eve")
    assert [each["name"] for each in shop.get(PATH).json()["versions"]] == ["taste@1"], "from before eve came"
    document = problem(shop.call("POST", "/v1/books/policies/taste/rollback"), 409, "conflict")
    assert "what was live before taste@1 is no longer kept" in document["detail"]
    assert shop.delete("/v1/users/ann").json()["versions"] >= 1
    assert shop.get(PATH).json() == {"versions": []}
    problem(shop.call("POST", f"{PATH}/1/promote"), 404, "not-found")
    document = problem(shop.call("POST", "/v1/books/policies/taste/rollback"), 409, "conflict")
    assert "a user was erased" in document["detail"]


def test_a_damaged_one_is_refused_and_what_is_live_stays(shop, problem, tmp_path):
    live = state(shop)
    with sqlite3.connect(tmp_path / "books.db") as connection:
        connection.execute("UPDATE policy_versions SET state = x'00' WHERE number = 1")
    connection.close()
    document = problem(shop.call("POST", f"{PATH}/1/promote"), 409, "conflict")
    assert "taste@1 is damaged" in document["detail"]
    problem(shop.get(f"{PATH}/1"), 409, "conflict")
    assert state(shop) == live


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "said"),
    [
        ("GET", "/v1/bocks/policies/taste/versions", 404, "not-found", "did you mean 'books'"),
        ("GET", "/v1/books/policies/tast/versions", 404, "not-found", "did you mean 'taste'"),
        ("GET", f"{PATH}/7", 404, "not-found", "no taste@7"),
        ("GET", f"{PATH}/x", 422, "validation", "path.version must be the number of a version"),
        ("GET", f"{PATH}/0", 422, "validation", "path.version"),
        ("GET", f"{PATH}/99999999999999999999", 422, "validation", "path.version"),
        ("GET", f"{PATH}/1/diff/7", 404, "not-found", "taste@"),
        ("GET", f"{PATH}/1/diff/-1", 422, "validation", "path.other"),
        ("GET", f"{PATH}?limit=3", 422, "validation", "query.limit"),
        ("POST", f"{PATH}/7/promote", 404, "not-found", "no taste@7"),
        ("POST", "/v1/books/policies/taste/rollback", 409, "conflict", "never promoted"),
        ("POST", "/v1/books/policies/tast/rollback", 404, "not-found", "did you mean 'taste'"),
        ("POST", PATH, 415, "media-type", "JSON"),
        ("DELETE", PATH, 405, "method", "GET, POST"),
    ],
)
def test_what_cannot_be(still, problem, method, path, status, kind, said):
    document = problem(still.call(method, path), status, kind)
    assert said in document["detail"] + str(document["errors"])


def test_a_note_that_is_too_long_or_none(still, problem):
    problem(still.post(PATH, {"note": "x" * 501}), 422, "validation")
    problem(still.post(PATH, {"note": 7}), 422, "validation")
    problem(still.post(PATH, {"not": ""}), 422, "validation")


def test_promotions_from_many_threads_all_end_in_one_order(shop):
    versions = shop.orchestrator.versions("books")

    def promoted(_: int) -> int | None:
        try:
            return versions.promote("taste", 1).position
        except Conflict:  # another came in between
            return None

    with ThreadPoolExecutor(4) as threads:
        positions = [position for position in threads.map(promoted, range(8)) if position is not None]
    assert 1 <= len(positions) == len(set(positions)) <= 8
    active = [each["version"] for each in shop.get(PATH).json()["versions"] if each["active"]]
    assert active == [1]
