"""Items over HTTP."""

from urllib.parse import quote

import pytest


def test_an_item_looks_the_same_going_in_and_coming_out(api):
    item = {
        "id": "emma",
        "title": "Emma",
        "genres": ["classic", "novel"],
        "rating": 4.5,
        "published": -4859913600.0,
    }
    assert api.put("/v1/books/items", [item]).json() == {"written": 1}
    assert api.get("/v1/books/items/emma").json() == item
    fields = {name: value for name, value in item.items() if name != "id"}
    assert api.put("/v1/books/items/emma", fields).json() == item
    assert api.put("/v1/books/items/emma", item).json() == item


def test_all_or_none(api, problem):
    before = api.get("/v1/books/items/b01").json()
    sent = [{"id": "b01", "rating": 9}, {"id": "new", "rating": "high"}, {"titel": "x"}, 5]
    document = problem(api.put("/v1/books/items", sent), 422, "validation")
    assert [error["where"] for error in document["errors"]] == ["body[1]", "body[2]", "body[3]"]
    assert api.get("/v1/books/items/b01").json() == before
    assert api.get("/v1/books/items/new").status_code == 404


def test_duplicate_ids_in_one_request(api, problem):
    document = problem(api.put("/v1/books/items", [{"id": "x"}, {"id": "y"}, {"id": "x"}]), 422, "validation")
    assert document["errors"] == [
        {"where": "body[2]", "message": "has the id 'x', as body[0]", "hint": "give each id once"}
    ]


def test_a_misspelt_field_names_the_near_miss(api, problem):
    document = problem(api.put("/v1/books/items/x", {"titel": "X"}), 422, "validation")
    assert document["errors"][0]["hint"] == "did you mean 'title'?"


def test_an_id_that_contradicts_the_path(api, problem):
    document = problem(api.put("/v1/books/items/x", {"id": "y"}), 422, "validation")
    assert document["errors"][0]["where"] == "body.id"


@pytest.mark.parametrize("body", [{"id": "x"}, "x", 5])
def test_a_list_is_needed(still, problem, body):
    problem(still.put("/v1/books/items", body), 422, "validation")


def test_too_many_at_once(make_api, problem):
    api = make_api(more="api: {body_limit_bytes: 10000000}", shelf=False)
    many = [{"id": f"n{number}"} for number in range(10_001)]
    assert "10,000" in problem(api.put("/v1/books/items", many), 422, "validation")["detail"]
    assert api.put("/v1/books/items", many[:10_000]).json() == {"written": 10_000}
    assert api.put("/v1/books/items", []).json() == {"written": 0}


def test_removing(api, problem):
    assert api.delete("/v1/books/items/b39").json() == {"removed": 1}
    problem(api.delete("/v1/books/items/b39"), 404, "not-found")
    problem(api.get("/v1/books/items/b39"), 404, "not-found")
    shown = api.get("/v1/books/recommendations/ann?limit=500").json()["items"]
    assert "b39" not in {item["id"] for item in shown}


@pytest.mark.parametrize("identity", ["a/b", "100%", "ü 🎉", "..", "items", "x?y#z"])
def test_any_printable_id(still, identity):
    path = f"/v1/books/items/{quote(identity, safe='')}".encode()
    headers = [(b"content-type", b"application/json")]
    assert still.raw("PUT", path, headers=headers, chunks=[b'{"title": "T"}'])[0] == 200
    assert still.raw("GET", path)[1]["id"] == identity
    assert still.raw("DELETE", path) == (200, {"removed": 1})


def test_paging_gives_every_item_once_in_order(api):
    seen, after = [], {}
    while True:
        page = api.get("/v1/books/items", params={"limit": 7, **after}).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [f"b{number:02}" for number in range(40)]


def test_an_empty_listing(make_api):
    assert make_api(shelf=False).get("/v1/books/items").json() == {"items": [], "next": None}


def test_another_key_for_the_id(make_api):
    api = make_api(overrides=["domains.books.items.id=isbn"], shelf=False)
    assert api.put("/v1/books/items", [{"isbn": 978, "title": "T"}]).json() == {"written": 1}
    assert api.get("/v1/books/items/978").json() == {"isbn": "978", "title": "T"}
