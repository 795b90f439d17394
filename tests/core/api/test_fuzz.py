"""Whatever is sent, the answer is defined: never a 5xx, always JSON, and a problem document for every error."""

import string
from urllib.parse import quote

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIMITS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON = [(b"content-type", b"application/json")]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_letters, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["ann", "b01", "books"]
)
FIELDS = [
    "id",
    "domain",
    "user",
    "item",
    "kind",
    "value",
    "slate",
    "position",
    "time",
    "situation",
    "limit",
    "exclude",
    "trace",
    "title",
    "genres",
    "rating",
    "published",
]
nearly = st.dictionaries(
    st.sampled_from(FIELDS), anything | names | st.sampled_from(["books", "finish", 1, 4.5]), max_size=10
)
bodies = nearly | st.lists(nearly, max_size=4) | anything
TARGETS = [
    ("POST", "/v1/interactions"),
    ("PUT", "/v1/users/ann"),
    ("PUT", "/v1/books/items"),
    ("PUT", "/v1/books/items/x"),
    ("POST", "/v1/books/recommendations"),
]


def check(status, document):
    assert status < 500, document
    if status >= 400:
        assert document["status"] == status
        assert {"type", "title", "detail", "instance", "errors"} <= set(document)
        for error in document["errors"]:
            assert error["where"]
            assert error["message"]


@pytest.mark.parametrize(("method", "path"), TARGETS)
@LIMITS
@given(body=bodies)
def test_bodies(still, method, path, body):
    content = orjson.dumps(body)
    status, document = still.raw(method, path.encode(), headers=JSON, chunks=[content])
    check(status, document)


@pytest.mark.parametrize(("method", "path"), TARGETS[:2])
@LIMITS
@given(content=st.binary(max_size=200))
def test_bytes(still, method, path, content):
    check(*still.raw(method, path.encode(), headers=JSON, chunks=[content]))


@LIMITS
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]),
    segments=st.lists(
        st.sampled_from(
            ["v1", "users", "books", "items", "slates", "recommendations", "interactions", "trace"]
        )
        | names.map(lambda name: quote(name, safe="")),
        max_size=5,
    ),
    query=st.lists(
        st.tuples(st.sampled_from(["limit", "exclude", "trace", "before", "item"]) | names, names), max_size=3
    ),
    content=st.sampled_from([b"", b"{}", b"[]"]),
)
def test_paths_and_queries(still, method, segments, query, content):
    text = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query)
    path = "/" + "/".join(segments)
    check(*still.raw(method, path.encode(), text.encode(), headers=JSON, chunks=[content]))


@LIMITS
@given(
    path=st.binary(max_size=40).map(lambda tail: b"/v1/users/" + tail.replace(b"?", b"")),
    query=st.binary(max_size=40),
)
def test_bytes_in_paths_and_queries(still, path, query):
    check(*still.raw("GET", path, query))


@LIMITS
@given(
    profile=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8), anything, max_size=5
    )
)
def test_profiles_come_back(still, profile):
    assert still.put("/v1/users/fuzz", profile).status_code == 200
    assert still.get("/v1/users/fuzz").json()["profile"] == profile


@LIMITS
@given(user=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_names_come_back(still, user):
    path = f"/v1/books/recommendations/{quote(user, safe='')}".encode()
    assert still.raw("GET", path)[1]["user"] == user
