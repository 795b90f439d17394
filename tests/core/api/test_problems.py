"""What is no good request: every one gets a problem document that says what, where and what would be right."""

import pytest

JSON = [(b"content-type", b"application/json")]
PATHS = [
    ("POST", b"/v1/interactions"),
    ("PUT", b"/v1/users/ann"),
    ("PUT", b"/v1/books/items"),
    ("PUT", b"/v1/books/items/x"),
    ("POST", b"/v1/books/recommendations"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty"),
        (b"  ", "is empty"),
        (b'{"a": 1,}', "line 1, column 8"),
        (b'{\n  "a": oops}', "line 2, column 8"),
        (b'{"a": NaN}', "no NaN"),
        (b'{"a": -Infinity}', "no NaN"),
        (b'{"a": 1e999}', "infinity"),
        (b'{"a": ' + b"9" * 400 + b"}", "infinity"),
        (b'{"a": "\xff\xfe"}', "not UTF-8 at byte 7 (0xff)"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * 100_000, "line 1, column"),
        (b"[" * 2000 + b"]" * 2000, "depth"),
    ],
)
def test_broken_json(still, method, path, body, said):
    status, document = still.raw(method, path, headers=JSON, chunks=[body])
    assert (status, document["type"]) == (400, "/problems/syntax")
    issue = document["errors"][0]
    assert issue["where"] == "body"
    assert said in issue["message"] + issue.get("hint", "")


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_deep_json(still, method, path):
    body = b'{"situation": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}"
    status, document = still.raw(method, path, headers=JSON, chunks=[body])
    assert (status, document["type"]) == (422, "/problems/validation")
    assert "deeper than 32" in document["detail"]


def test_nul_and_huge_numbers_inside_free_objects_come_back(still):
    profile = {"nul": "a\0b", "huge": 1.8446744073709552e19, "small": 5e-324, "large": 2**63}
    assert still.put("/v1/users/odd", profile).status_code == 200
    assert still.get("/v1/users/odd").json()["profile"] == profile


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"content-type", b"multipart/form-data; boundary=x")],
        [(b"content-type", b"application/json; charset=latin-1")],
        [(b"content-type", b"\xff\xfe")],
    ],
)
def test_other_media(still, method, path, headers):
    status, document = still.raw(method, path, headers=headers, chunks=[b"{}"])
    assert (status, document["type"]) == (415, "/problems/media-type")


@pytest.mark.parametrize(
    "kind", [b"application/json; charset=UTF-8", b"Application/JSON", b"application/merge-patch+json"]
)
def test_ways_to_say_json(still, kind):
    status, _ = still.raw("PUT", b"/v1/users/ann", headers=[(b"content-type", kind)], chunks=[b"{}"])
    assert status == 200


def test_ten_megabytes_declared_and_undeclared(still):
    declared = [*JSON, (b"content-length", b"10000000")]
    status, document = still.raw("PUT", b"/v1/users/ann", headers=declared, chunks=[b"{}"])
    assert (status, document["type"]) == (413, "/problems/too-large")
    chunks = [b'{"a": "'] + [b"x" * 100_000] * 100 + [b'"}']
    for method, path in PATHS:
        status, document = still.raw(method, path, headers=JSON, chunks=chunks)
        assert (status, document["type"]) == (413, "/problems/too-large")
        assert "1,048,576" in document["detail"]


def test_long_queries_and_paths(still):
    assert still.raw("GET", b"/v1/books/recommendations/ann", b"a=" + b"x" * 20_000)[0] == 413
    assert still.raw("GET", b"/v1/users/" + b"x" * 10_000)[0] == 413
    many = b"&".join(b"k%d=1" % n for n in range(200))
    assert still.raw("GET", b"/v1/books/recommendations/ann", many)[0] == 422


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/users/%FF",
        b"/v1/users/%ED%A0%80",
        b"/v1/users/\xff",
        b"/v1/users/a%00b",
        b"/v1/users/a%0Ab",
        b"/v1/users/" + b"x" * 257,
        b"/v1/users/%FF/interactions",
        b"/v1/books/items/%00",
        b"/v1/books/items/%20",
        b"/v1/books/recommendations/%7F",
        b"/v1/slates/%00",
    ],
)
def test_names_in_paths_that_cannot_be(still, path):
    status, document = still.raw("GET", path)
    assert (status, document["type"]) == (422, "/problems/validation")
    assert document["errors"][0]["where"].startswith("path.")
    assert document["instance"].isascii()


@pytest.mark.parametrize("query", [b"a=%FF", b"a=\xff", b"%ED%A0%80=1", b"limit=%00", b"exclude=%01"])
def test_queries_that_cannot_be(still, query):
    status, document = still.raw("GET", b"/v1/books/recommendations/ann", query)
    assert (status, document["type"]) == (422, "/problems/validation")


@pytest.mark.parametrize(
    "path",
    [b"/", b"/v1", b"/v1/", b"/v2/x", b"/v1/users/", b"//", b"/v1/books/recommendations/a/b", b"/%00", b""],
)
def test_unknown_paths(still, path):
    status, document = still.raw("GET", path)
    assert (status, document["type"]) == (404, "/problems/not-found")


def test_a_misspelt_path_names_the_near_miss(still, problem):
    answer = still.get("/v1/books/recomendations/ann")
    assert "did you mean 'recommendations'?" in problem(answer, 404, "not-found")["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/users/ann", "DELETE, GET, PUT"),
        ("POST", "/v1/users/ann", "DELETE, GET, PUT"),
        ("GET", "/v1/interactions", "POST"),
        ("DELETE", "/v1/books/recommendations", "POST"),
        ("OPTIONS", "/v1/books/items", "GET, PUT"),
    ],
)
def test_other_methods(still, problem, method, path, allowed):
    answer = still.call(method, path)
    problem(answer, 405, "method")
    assert answer.headers["allow"] == allowed


KEYS = "api: {keys: [first-key, second-key]}"


def test_keys(make_api, problem):
    api = make_api(more=KEYS, shelf=False)
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer first-ke"},
        {"Authorization": "Basic Zmlyc3Qta2V5"},
        {"Authorization": "first-key"},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong", "Authorization": "Bearer first-key"},
        {"X-API-Key": "ü".encode()},
    ):
        for path in ("/v1/domains", "/v1/nothing", "/v1/users/ann", "/v1"):
            answer = api.get(path, headers=headers)
            problem(answer, 401, "key")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    for headers in (
        {"Authorization": "Bearer first-key"},
        {"authorization": "bearer second-key"},
        {"X-API-Key": "second-key"},
    ):
        assert api.get("/v1/domains", headers=headers).status_code == 200
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert api.get(path).status_code == 200
    assert "first-key" not in api.get("/openapi.json").text


def test_a_key_is_asked_for_before_the_body_is_read(make_api):
    api = make_api(more=KEYS, shelf=False)
    chunks = [b"x" * 100_000] * 100
    assert api.raw("POST", b"/v1/interactions", headers=JSON, chunks=chunks)[0] == 401


def test_paths_cannot_be_written_to_get_past_the_key(make_api):
    api = make_api(more=KEYS, shelf=False)
    for path in (
        b"/v1/domains",
        b"/%761/domains",
        b"/v1%2Fdomains",
        b"//v1/domains",
        b"/V1/domains",
        b"/./v1/domains",
    ):
        assert api.raw("GET", path)[0] in (401, 404)
