"""Tokens that come with a request: the connector gets them, and nobody else ever sees them."""

import base64
import logging
import re
import sqlite3

import pytest

TOKEN = "BQD-s3cr3t.QZX_token/with+all=kinds~"

PLUGIN = '''
import json
from tastemaker.core import *

class Station(Service):
    """Where users have accounts of their own."""

class Mine(Source):
    """What the user's own account knows."""
    service: Station
    fault: str = ""

    async def propose(self, context):
        token = context.credentials.get(self.service.entry)
        if token is None:
            raise ConnectorError("no token")
        said = token.get_secret_value()
        if self.fault == "raise":
            raise RuntimeError(f"GET https://example.org/me?access_token={said} failed")
        if self.fault == "known":
            raise ConnectorError(f"refused: Bearer {said}")
        if self.fault == "memo":
            context.memo["token"] = said
            context.cached("token", lambda: said)
        return ["b01", "b02"]

class Curious(Policy):
    """Writes down what it is shown."""
    def rank(self, context, candidates):
        context.memo["seen"] = repr(dict(context.credentials)) + repr(context.cached("token", lambda: None) or "")
        return candidates["rating"]

@hookimpl
def components():
    return [Station, Mine, Curious]
'''

CONFIG = """
version: 1
store: sqlite:///books.db
accounts: {keys: ["c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXMsIG5vdHM="]}
plugins: [./own.py]
domains:
  books:
    connectors: {station: {use: own.station}}
    items: {fields: {title: text, rating: number}}
    sources: {mine: {use: own.mine}}
    policies: {curious: {use: own.curious}}
    slate: {size: 2, deadline_ms: 20000}
"""


@pytest.fixture
def ask(make_api, tmp_path, caplog):
    """Asks for a slate with a token; then nothing but the request may hold it."""
    caplog.set_level(logging.DEBUG)
    answers = []

    def asked(fault="", *, body=True):
        (tmp_path / "own.py").write_text(PLUGIN)
        api = make_api(CONFIG, shelf=False, overrides=[f"domains.books.sources.mine.fault={fault!r}"])
        api.put("/v1/books/items/b01", {"title": "one", "rating": 1})
        api.put("/v1/books/items/b02", {"title": "two", "rating": 2})
        if body:
            sent = {"user": "ann", "credentials": {"station": TOKEN}, "trace": True}
            answer = api.post("/v1/books/recommendations", sent)
        else:
            headers = {"X-Credentials": f"station={TOKEN}"}
            answer = api.get("/v1/books/recommendations/ann?trace=true", headers=headers)
        assert answer.status_code == 200, answer.text
        answers.append(answer.text)
        answers.append(api.get(f"/v1/slates/{answer.json()['slate']}").text)
        return answer.json()

    yield asked
    database = sqlite3.connect(tmp_path / "books.db")
    written = "\n".join(database.iterdump())
    database.close()
    for place in [*answers, caplog.text, written, *(str(record.args) for record in caplog.records)]:
        assert "QZX" not in place
        assert base64.b64encode(TOKEN.encode()).decode() not in place
    assert b"QZX" not in (tmp_path / "books.db").read_bytes()


@pytest.mark.parametrize("body", [True, False])
def test_a_source_gets_the_token_and_nobody_else(ask, body):
    slate = ask(body=body)
    assert slate["degraded"] == []
    assert [(item["id"], item["sources"]) for item in slate["items"]] == [
        ("b02", ["mine"]),
        ("b01", ["mine"]),
    ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [("raise", "raised RuntimeError: GET https://example.org/me?access_token=*** failed"),
     ("known", "refused: Bearer ***")],
)  # fmt: skip
def test_a_failure_is_told_without_the_token(ask, fault, said):
    reasons = {each["component"]: each["reason"] for each in ask(fault)["degraded"]}
    assert reasons["sources.mine"] == said


def test_what_a_source_notes_is_not_written_down(ask):
    assert ask("memo")["degraded"] == []


def test_a_slate_can_be_asked_for_without(make_api, tmp_path):
    (tmp_path / "own.py").write_text(PLUGIN)
    api = make_api(CONFIG, shelf=False)
    api.put("/v1/books/items/b01", {"title": "one", "rating": 1})
    slate = api.get("/v1/books/recommendations/ann").json()
    assert {"component": "sources.mine", "reason": "no token"} in slate["degraded"]
    assert [item["id"] for item in slate["items"]] == ["b01"]


@pytest.fixture
def own(make_api, tmp_path):
    (tmp_path / "own.py").write_text(PLUGIN)
    return make_api(CONFIG, shelf=False)


@pytest.mark.parametrize(
    ("credentials", "where", "message"),
    [
        ({"staton": TOKEN}, "body.credentials", "has a name that is no connector's of this domain"),
        ({TOKEN: "station"}, "body.credentials", "has a name that is no connector's of this domain"),
        ({TOKEN: 1234567890}, "body.credentials", "has a name that is no connector's of this domain"),
        (TOKEN, "body.credentials", "must be an object: a token by the name of a connector"),
        ([TOKEN], "body.credentials", "must be an object: a token by the name of a connector"),
        ({"station": 1234567890}, "body.credentials", "'station' must be a token"),
        ({"station": ""}, "body.credentials", "'station' must be a token"),
        ({"station": f"{TOKEN} {TOKEN}"}, "body.credentials", "'station' must be a token"),
        ({"station": {"token": TOKEN}}, "body.credentials", "'station' must be a token"),
        ({str(n): TOKEN for n in range(21)}, "body.credentials", "must have at most 20 tokens"),
    ],
)
def test_credentials_that_do_not_fit_are_refused_without_being_shown(
    own, problem, credentials, where, message
):
    answer = own.post("/v1/books/recommendations", {"user": "ann", "credentials": credentials})
    (issue,) = problem(answer, 422, "validation")["errors"]
    assert (issue["where"], issue["message"].startswith(message)) == (where, True)
    assert "QZX" not in answer.text
    assert "1234567890" not in answer.text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (f"staton={TOKEN}", "has a name that is no connector's of this domain"),
        ("BQDQZXsecret=", "has a name that is no connector's of this domain"),
        (f"station={TOKEN},BQDQZXsecret=", "has a name that is no connector's of this domain"),
        (TOKEN.partition("=")[0], "must be connector=token"),
        ("station=", "'station' must be a token"),
    ],
)
def test_headers_that_do_not_fit_are_refused(own, problem, header, message):
    answer = own.get("/v1/books/recommendations/ann", headers={"X-Credentials": header})
    (issue,) = problem(answer, 422, "validation")["errors"]
    assert issue["where"] == "header.x-credentials"
    assert issue["message"].startswith(message)
    assert "QZX" not in answer.text


def test_the_connectors_that_there_are_are_named(own, problem):
    answer = own.get("/v1/books/recommendations/ann", headers={"X-Credentials": f"staton={TOKEN}"})
    assert problem(answer, 422, "validation")["errors"][0]["hint"] == (
        "write connector=token; it has 'station'"
    )


class TestAccounts:
    def test_links_are_listed_and_removed_without_secrets(self, own):
        accounts = own.orchestrator.accounts
        for service in ("station", "other"):
            own.run(accounts.put, "ann", service, {"refresh_token": TOKEN})
        answer = own.get("/v1/users/ann/accounts")
        assert [each["service"] for each in answer.json()["accounts"]] == ["other", "station"]
        assert all(each["updated"] > 1.7e9 for each in answer.json()["accounts"])
        assert not re.search("QZX|refresh", answer.text)
        assert own.delete("/v1/users/ann/accounts?service=other").json() == {"id": "ann", "removed": 1}
        assert own.delete("/v1/users/ann/accounts?service=other").json() == {"id": "ann", "removed": 0}
        assert own.delete("/v1/users/ann/accounts").json() == {"id": "ann", "removed": 1}
        assert own.get("/v1/users/ann/accounts").json() == {"id": "ann", "accounts": []}

    def test_an_erased_user_has_no_links(self, own):
        own.run(own.orchestrator.accounts.put, "ann", "station", {"refresh_token": TOKEN})
        assert own.delete("/v1/users/ann").json()["accounts"] == 1
        assert own.get("/v1/users/ann/accounts").json()["accounts"] == []

    def test_a_service_finds_the_accounts_of_its_users(self, own):
        (service,) = [step.component for step in own.orchestrator.agent("books").plan.connectors]
        own.run(service.accounts.put, "ann", service.entry, {"refresh_token": TOKEN})
        assert own.run(own.orchestrator.accounts.get, "ann", "station") == {"refresh_token": TOKEN}
