"""Domains, plugins, health, the OpenAPI document, and the routes that plugins bring."""

import time

import anyio.to_thread
import jsonschema
from tastemaker.core import StoreUnavailable
from tastemaker.core.agent import state_digest
from tastemaker.core.api import platform

ROUTES = """
from fastapi import APIRouter
from pydantic import BaseModel
from tastemaker.core import hookimpl


class Wish(BaseModel):
    mood: str


@hookimpl
def routes():
    router = APIRouter()

    @router.get("/moods/{name}")
    def mood(name: str, loud: int = 0):
        return {"name": name, "loud": loud}

    @router.post("/wishes")
    def wish(wish: Wish):
        return wish

    @router.get("/broken")
    def broken():
        raise RuntimeError("secret of the plugin")

    return [router]
"""


def test_domains(api):
    api.record("ann", "b01")
    answer = api.get("/v1/domains").json()
    (books,) = answer["domains"]
    agent = api.orchestrator.agents["books"]
    assert (books["name"], books["items"], books["config"]) == ("books", 40, agent.plan.digest)
    assert books["scorers"] == [{"name": "rated", "use": "catalog.numeric", "weight": 1.0}]
    assert [step["use"] for step in books["sources"]] == ["catalog.popular"]
    assert [step["use"] for step in books["filters"]] == ["catalog.seen"]
    (taste,) = books["policies"]
    assert taste["state"] == state_digest(agent.policies["taste"].state())
    assert taste["position"] == books["position"] == answer["log"] == api.orchestrator.store.end()


def test_plugins(still):
    plugins = {plugin["name"]: plugin for plugin in still.get("/v1/plugins").json()["plugins"]}
    assert {"catalog", "thompson"} <= set(plugins)
    assert "catalog.seen" in [component["name"] for component in plugins["catalog"]["components"]]
    assert plugins["catalog"]["error"] is None


def test_health_and_readiness(still):
    assert still.get("/healthz").json() == {"status": "ok"}
    ready = still.get("/readyz").json()
    assert ready["status"] == "ready"
    assert ready["lag"] == max(ready["log"] - ready["learned"], 0)


def test_not_ready_without_the_store(api, problem):
    api.run(anyio.to_thread.run_sync, api.orchestrator.store.close)
    answer = api.get("/readyz")
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert api.get("/healthz").status_code == 200


def test_a_store_that_fails_is_told_with_when_to_come_back(api, problem):
    api.run(anyio.to_thread.run_sync, api.orchestrator.store.close)
    body = {"domain": "books", "user": "ann", "item": "b01", "kind": "finish"}
    for answer in (
        api.post("/v1/interactions", body),
        api.put("/v1/users/ann", {}),
        api.delete("/v1/users/ann"),
    ):
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
    slate = api.get("/v1/books/recommendations/ann").json()
    assert len(slate["items"]) == 5, "a slate comes all the same"
    assert "log" in [entry["component"] for entry in slate["degraded"]]


def test_a_passing_fault_of_the_store(api, problem, monkeypatch):
    def refuse(*_):
        raise StoreUnavailable("the database is locked")

    monkeypatch.setattr(api.orchestrator.store, "profile", refuse)
    assert "locked" in problem(api.get("/v1/users/ann"), 503, "unavailable")["detail"]


def test_what_nobody_foresaw_is_logged_under_the_id_in_the_answer(api, problem, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.orchestrator.store, "profile", fail)
    answer = api.get("/v1/users/ann")
    document = problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (entry,) = [entry for entry in caplog.records if document["id"] in entry.getMessage()]
    assert entry.exc_info is not None


def test_the_openapi_document_is_whole(still):
    document = still.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    text = still.get("/openapi.json").text
    used = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used
    for name in used:
        assert name in schemas, name
    assert "HTTPValidationError" not in schemas
    served = {(method, path) for path, operations in document["paths"].items() for method in operations}
    assert served == {
        ("get", "/v1/{domain}/recommendations/{user}"),
        ("post", "/v1/{domain}/recommendations"),
        ("post", "/v1/interactions"),
        ("get", "/v1/users/{user}"),
        ("put", "/v1/users/{user}"),
        ("delete", "/v1/users/{user}"),
        ("get", "/v1/users/{user}/interactions"),
        ("post", "/v1/users/{user}/assessments"),
        ("get", "/v1/users/{user}/accounts"),
        ("delete", "/v1/users/{user}/accounts"),
        ("get", "/v1/{domain}/items"),
        ("put", "/v1/{domain}/items"),
        ("get", "/v1/{domain}/items/{item}"),
        ("put", "/v1/{domain}/items/{item}"),
        ("delete", "/v1/{domain}/items/{item}"),
        ("get", "/v1/slates/{slate}"),
        ("get", "/v1/slates/{slate}/trace"),
        ("get", "/v1/domains"),
        ("get", "/v1/plugins"),
        ("get", "/v1/admin/performance"),
        ("get", "/v1/admin/services"),
        ("get", "/v1/admin/domains/{domain}/collectors"),
        ("post", "/v1/admin/domains/{domain}/collectors/{collector}/runs"),
        ("post", "/v1/training/runs"),
        ("get", "/v1/training/runs"),
        ("get", "/v1/training/runs/{run}"),
        ("get", "/v1/{domain}/policies/{policy}/versions"),
        ("post", "/v1/{domain}/policies/{policy}/versions"),
        ("get", "/v1/{domain}/policies/{policy}/versions/{version}"),
        ("get", "/v1/{domain}/policies/{policy}/versions/{version}/diff/{other}"),
        ("post", "/v1/{domain}/policies/{policy}/versions/{version}/promote"),
        ("post", "/v1/{domain}/policies/{policy}/rollback"),
        ("get", "/healthz"),
        ("get", "/readyz"),
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            names = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert names == {part[1:-1] for part in path.split("/") if part.startswith("{")}, where
            says_all = path.endswith(("/promote", "/rollback", "/collectors/{collector}/runs"))
            assert ("requestBody" in operation) == (method in ("post", "put") and not says_all), where
            for status, response in operation["responses"].items():
                kind = "application/problem+json" if int(status) >= 400 else "application/json"
                assert kind in response["content"], f"{where} {status}"


def test_answers_are_as_the_openapi_document_says(api):
    api.put("/v1/users/ann", {"a": 1})
    slate = api.get("/v1/books/recommendations/ann?trace=true").json()
    receipt = api.record("ann", slate["items"][0]["id"], slate=slate["slate"])
    item = {"domain": "books", "user": "ann", "item": "b01", "kind": "open"}
    plain = api.get("/v1/books/recommendations/ann").json()
    answers = {
        "Recommendations": slate,
        "Receipt": receipt,
        "Results": api.post("/v1/interactions", [item, {}]).json(),
        "User": api.get("/v1/users/ann").json(),
        "PastInteractions": api.get("/v1/users/ann/interactions").json(),
        "ItemPage": api.get("/v1/books/items").json(),
        "ItemsWritten": api.put("/v1/books/items", []).json(),
        "LoggedSlate": api.get(f"/v1/slates/{slate['slate']}").json(),
        "Trace": api.get(f"/v1/slates/{plain['slate']}/trace?item=b00").json(),
        "Domains": api.get("/v1/domains").json(),
        "Plugins": api.get("/v1/plugins").json(),
        "Health": api.get("/healthz").json(),
        "Readiness": api.get("/readyz").json(),
        "ItemsRemoved": api.delete("/v1/books/items/b00").json(),
        "Erased": api.delete("/v1/users/ann").json(),
        "ProblemDocument": api.get("/v1/nothing").json(),
    }
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.validate(answer, schema)


def test_routes_of_a_plugin(make_api, problem):
    api = make_api(more="plugins: [./plugin.py]", plugin=ROUTES)
    assert api.get("/v1/plugins/plugin/moods/calm").json() == {"name": "calm", "loud": 0}
    assert api.raw("GET", b"/v1/plugins/plugin/moods/a%20b")[1]["name"] == "a b"
    document = problem(api.get("/v1/plugins/plugin/moods/calm?loud=x"), 422, "validation")
    assert document["errors"][0]["where"] == "query.loud"
    document = problem(api.post("/v1/plugins/plugin/wishes", {}), 422, "validation")
    assert document["errors"] == [{"where": "body.mood", "message": "is missing"}]
    problem(api.call("POST", "/v1/plugins/plugin/wishes", content=b"x" * 2_000_000), 413, "too-large")
    answer = api.get("/v1/plugins/plugin/broken")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text
    problem(api.get("/v1/plugins/plugin/nothing"), 404, "not-found")
    assert "/v1/plugins/plugin/moods/{name}" in api.get("/openapi.json").json()["paths"]


STUBBORN = """
import threading
from tastemaker.core import Policy, hookimpl

go_on = threading.Event()


class Stubborn(Policy):
    how: str

    def rank(self, context, candidates):
        return context.rng.random(len(candidates))

    def learn(self, outcomes):
        if self.how == "raise":
            raise SystemExit("no more")
        go_on.wait(30)

    def state(self):
        return {}

    def load(self, state):
        pass


@hookimpl
def components():
    return [Stubborn]
"""
WITH_STUBBORN = """
version: 1
plugins: [./plugin.py]
store: sqlite:///store.db
domains:
  books: {items: {fields: {title: text}}, sources: [{use: catalog.random}], rewards: {finish: 1},
          policies: {taste: {use: thompson.ranker}, odd: {use: plugin.stubborn, how: HOW}}}
  films: {items: {fields: {title: text}}, sources: [{use: catalog.random}], rewards: {finish: 1},
          policies: {taste: {use: thompson.ranker}}}
"""


def seen_by_policy(api) -> dict[str, dict[str, object]]:
    domains = api.get("/v1/domains").json()["domains"]
    return {
        f"{domain['name']}.{policy['name']}": policy for domain in domains for policy in domain["policies"]
    }


def test_a_policy_that_fails_to_learn_is_named_and_keeps_nobody_else_from_it(make_api):
    api = make_api(WITH_STUBBORN.replace("HOW", "raise"), plugin=STUBBORN, shelf=False)
    for domain in ("books", "films"):
        assert api.put(f"/v1/{domain}/items", [{"id": "one", "title": "One"}]).status_code == 200
    before = seen_by_policy(api)["books.odd"]["position"]
    for number in range(2):
        for domain in ("books", "films"):
            sent = {
                "domain": domain,
                "user": "ann",
                "item": "one",
                "kind": "finish",
                "id": f"{domain} {number}",
            }
            assert api.post("/v1/interactions", sent).status_code == 201
    policies = seen_by_policy(api)
    end = api.get("/readyz").json()["log"]
    assert policies["books.taste"]["position"] == policies["films.taste"]["position"] == end
    assert policies["books.odd"]["position"] < end
    assert policies["books.odd"]["position"] >= before
    assert "learn() raised SystemExit: no more" in policies["books.odd"]["broken"]
    assert policies["books.taste"]["broken"] is None
    (failure,) = api.get("/v1/books/recommendations/eve").json()["degraded"]
    assert failure["component"] == "policies.odd"
    assert "learns no more" in failure["reason"]


def test_a_policy_that_hangs_while_it_learns_hangs_no_call(make_api, monkeypatch):
    monkeypatch.setattr(platform, "_LONGEST_LEARNING", 0.5)
    api = make_api(WITH_STUBBORN.replace("HOW", "hang"), plugin=STUBBORN, shelf=False)
    go_on = api.orchestrator.agents["books"].policies["odd"].component.learn.__globals__["go_on"]
    try:
        api.put("/v1/books/items", [{"id": "one", "title": "One"}])
        sent = {"domain": "books", "user": "ann", "item": "one", "kind": "finish"}
        assert api.post("/v1/interactions", sent).status_code == 201
        assert seen_by_policy(api)["books.odd"]["state"] is None
        deadline = time.monotonic() + 20
        while (answer := api.get("/readyz")).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "Learning hangs at log position" in answer.json()["detail"]
        assert api.get("/v1/books/recommendations/eve").json()["items"]
    finally:
        go_on.set()
    deadline = time.monotonic() + 20
    while api.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_health_can_be_asked_with_head(still):
    for path in ("/healthz", "/readyz"):
        answer = still.call("HEAD", path)
        assert answer.status_code == 200
    assert "head" not in still.get("/openapi.json").json()["paths"]["/healthz"]
