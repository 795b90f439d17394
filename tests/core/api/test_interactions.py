"""Interactions over HTTP: durable, idempotent, each judged on its own."""

from datetime import UTC, datetime

import pytest

GOOD = {"domain": "books", "user": "ann", "item": "b07", "kind": "finish"}


def test_one_interaction(api):
    answer = api.post("/v1/interactions", GOOD | {"id": "once", "value": 4.5})
    assert answer.status_code == 201
    receipt = answer.json()
    assert receipt == {"id": "once", "status": "accepted", "position": receipt["position"], "warnings": []}
    entry = api.orchestrator.store.entry("interaction", "once")
    assert entry is not None
    assert entry.position == receipt["position"]


def test_the_same_id_counts_once(api):
    first = api.post("/v1/interactions", GOOD | {"id": "once"}).json()
    again = api.post("/v1/interactions", GOOD | {"id": "once"})
    assert again.status_code == 201
    assert again.json() == {**first, "status": "duplicate"}
    assert len(api.get("/v1/users/ann/interactions").json()["interactions"]) == 1


def test_an_id_that_another_interaction_has_is_refused_and_not_lost_in_silence(api):
    first = api.post("/v1/interactions", GOOD | {"id": "mine", "time": 1000}).json()
    later = api.post("/v1/interactions", GOOD | {"id": "mine", "time": 2000}).json()
    assert later == {**first, "status": "duplicate"}, "a clock may have gone on"
    other = api.post("/v1/interactions", GOOD | {"id": "mine", "item": "b08"})
    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    assert "'mine' was used before, for a 'finish' in 'books'" in other.json()["detail"]
    several = api.post(
        "/v1/interactions", [GOOD | {"id": "mine", "user": "bob"}, GOOD | {"id": "new", "user": "bob"}]
    ).json()
    assert [result["status"] for result in several["results"]] == ["rejected", "accepted"]
    assert several["results"][0]["problem"]["errors"][0]["where"] == "body[0].id"


def test_what_nothing_will_be_learned_from_is_said(api):
    warnings = api.post("/v1/interactions", GOOD | {"kind": "finsh"}).json()["warnings"]
    assert warnings == ["the kind 'finsh' is worth nothing; did you mean 'finish'?"]


def test_ids_are_made_where_none_is_given(api):
    ids = {api.post("/v1/interactions", GOOD).json()["id"] for _ in range(3)}
    assert len(ids) == 3


def test_bad_ones_cost_the_good_ones_nothing(api):
    sent = [
        GOOD | {"id": "1"},
        GOOD | {"domain": "boks", "id": "2"},
        {"domain": "books"},
        "rubbish",
        GOOD | {"id": "1"},
        GOOD | {"kind": "Finish!"},
        GOOD | {"id": "3"},
    ]
    answer = api.post("/v1/interactions", sent)
    assert answer.status_code == 200
    body = answer.json()
    assert [result["status"] for result in body["results"]] == [
        "accepted",
        "rejected",
        "rejected",
        "rejected",
        "duplicate",
        "rejected",
        "accepted",
    ]
    assert (body["accepted"], body["duplicate"], body["rejected"]) == (2, 1, 4)
    unknown = body["results"][1]["problem"]
    assert unknown["status"] == 404
    assert unknown["errors"] == [
        {"where": "body[1].domain", "message": "no domain is called 'boks'", "hint": "did you mean 'books'?"}
    ]
    missing = [error["where"] for error in body["results"][2]["problem"]["errors"]]
    assert missing == ["body[2].user", "body[2].item", "body[2].kind"]
    assert body["results"][3]["problem"]["errors"][0]["message"] == "must be an object"
    assert body["results"][5]["problem"]["errors"][0]["where"] == "body[5].kind"
    stored = {one["id"] for one in api.get("/v1/users/ann/interactions").json()["interactions"]}
    assert stored == {"1", "3"}


def test_one_for_an_unknown_domain(api, problem):
    problem(api.post("/v1/interactions", GOOD | {"domain": "boks"}), 404, "not-found")


def test_a_thousand_at_once_and_no_more(api, problem):
    many = [GOOD | {"id": f"n{n}"} for n in range(1001)]
    document = problem(api.post("/v1/interactions", many), 422, "validation")
    assert "1,000" in document["detail"]
    assert api.post("/v1/interactions", many[:1000]).json()["accepted"] == 1000
    assert api.post("/v1/interactions", []).json() == {
        "results": [],
        "accepted": 0,
        "duplicate": 0,
        "rejected": 0,
    }


def test_what_is_odd_is_accepted_with_a_warning(api):
    warnings = api.record("ann", "no such item", slate="no such slate", time=4e9)["warnings"]
    assert len(warnings) == 3
    assert any("no item 'no such item'" in warning for warning in warnings)
    assert any("no slate 'no such slate'" in warning for warning in warnings)
    assert any("future" in warning for warning in warnings)
    (past,) = api.get("/v1/users/ann/interactions").json()["interactions"]
    assert past["time"] < 4e9


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC).timestamp()),
        (1_700_000_000, 1_700_000_000),
        (1_700_000_000.25, 1_700_000_000.25),
        (1_700_000_000_000, 1_700_000_000),
        ("1700000000", 1_700_000_000),
    ],
)
def test_times(api, given, wanted):
    assert api.record("ann", "b01", time=given)["warnings"] == []
    assert api.get("/v1/users/ann/interactions").json()["interactions"][0]["time"] == wanted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "Like"),
        ("kind", "like\n"),
        ("kind", ""),
        ("kind", "a" * 65),
        ("kind", None),
        ("kind", "7up"),
        ("value", "4"),
        ("value", True),
        ("value", [1]),
        ("time", "soon"),
        ("time", ""),
        ("time", True),
        ("time", 1e300),
        ("time", {}),
        ("position", -1),
        ("position", 1.5),
        ("position", 10**12),
        ("user", ""),
        ("user", "a\0b"),
        ("user", "x" * 257),
        ("user", None),
        ("user", ["ann"]),
        ("item", "a\nb"),
        ("item", ""),
        ("id", "x" * 257),
        ("id", ""),
        ("id", "a\0"),
        ("slate", ""),
        ("situation", []),
        ("situation", {"long": "x" * 20_000}),
        ("rating", 5),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(still, problem, field, value):
    document = problem(still.post("/v1/interactions", GOOD | {field: value}), 422, "validation")
    assert document["errors"][0]["where"] == f"body.{field}"
    assert document["errors"][0]["message"]


def test_near_misses_are_named(api, problem):
    document = problem(
        api.post("/v1/interactions", GOOD | {"kind": "Finish Book", "vlaue": 1}), 422, "validation"
    )
    hints = {error["where"]: error["hint"] for error in document["errors"]}
    assert hints == {"body.kind": "did you mean 'finish_book'?", "body.vlaue": "did you mean 'value'?"}


def test_whole_numbers_are_names_too(api):
    api.post("/v1/interactions", GOOD | {"user": 42, "item": 7})
    (past,) = api.get("/v1/users/42/interactions").json()["interactions"]
    assert past["item"] == "7"


def test_neither_an_object_nor_a_list(api, problem):
    for body in (5, "x", True):
        problem(api.post("/v1/interactions", body), 422, "validation")


def test_what_was_learned_shows_in_the_next_slate(api):
    """The seen filter drops what was finished, in the very next answer."""
    first = api.get("/v1/books/recommendations/ann").json()
    taken = first["items"][0]["id"]
    api.record("ann", taken, slate=first["slate"], position=0)
    again = api.get("/v1/books/recommendations/ann?limit=500").json()["items"]
    assert taken not in {item["id"] for item in again}
