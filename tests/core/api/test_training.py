"""Training over HTTP: begun at once, done in a process of its own, and told how far it is."""

import time
from typing import Any

import pytest
from tastemaker.core.clock import ManualClock

RUNS = "/v1/training/runs"
CHANGED = "the configuration has changed since the server started: restart it"


def ended(api: Any, identity: str) -> Any:
    """The run, once it has ended."""
    until = time.monotonic() + 90
    while (run := api.get(f"{RUNS}/{identity}").json())["status"] == "running":
        assert time.monotonic() < until
        time.sleep(0.05)
    return run


@pytest.fixture
def busy(make_api: Any) -> Any:
    """A domain with some feedback, whose schedules are off."""
    api = make_api(overrides=["domains.books.learning.window_minutes=0.001"])
    for number in range(40):
        slate = api.get(f"/v1/books/recommendations/u{number % 8}").json()
        api.record(f"u{number % 8}", slate["items"][number % 5]["id"], "finish", slate=slate["slate"])
    return api


def test_a_run_makes_a_version_beside_what_is_live(busy):
    before = busy.get("/v1/domains").json()["domains"][0]["policies"]
    answer = busy.post(RUNS, {"domain": "books", "promote": False})
    assert answer.status_code == 202
    (begun,) = answer.json()["runs"]
    assert (begun["status"], begun["policy"], begun["trigger"], begun["promote"]) == (
        "running",
        "taste",
        "api",
        "never",
    )
    run = ended(busy, begun["id"])
    assert (run["status"], run["version"], run["error"]) == ("done", 1, "")
    assert run["rows"] >= 40
    assert run["users"] == 8
    assert run["progress"] == 1.0
    (version,) = busy.get("/v1/books/policies/taste/versions").json()["versions"]
    assert (version["name"], version["origin"], version["active"], version["run"]) == (
        "taste@1",
        "training",
        False,
        run["id"],
    )
    assert (
        busy.get("/v1/domains").json()["domains"][0]["policies"][0]["broken"] == before[0]["broken"] is None
    )
    listed = busy.get(f"{RUNS}?domain=books&limit=5").json()["runs"]
    assert [each["id"] for each in listed] == [run["id"]]


def test_a_second_one_at_once_is_refused(busy, problem):
    (begun,) = busy.post(RUNS, {"domain": "books", "policy": "taste"}).json()["runs"]
    document = problem(busy.post(RUNS, {"domain": "books"}), 409, "conflict")
    assert document["title"] == "That doesn't go with what is there"
    assert f"books.taste is being trained by run {begun['id']}" in document["detail"]
    ended(busy, begun["id"])
    (again,) = busy.post(RUNS, {"domain": "books"}).json()["runs"]
    assert ended(busy, again["id"])["status"] == "done"


def test_nothing_to_learn_from_is_refused_and_says_so(make_api):
    api = make_api(shelf=False)
    (begun,) = api.post(RUNS, {"domain": "books"}).json()["runs"]
    run = ended(api, begun["id"])
    assert (run["status"], run["version"]) == ("refused", None)
    assert "nothing to learn from" in run["error"]


def test_a_server_that_stops_ends_what_it_trains(make_api):
    api = make_api()
    (begun,) = api.post(RUNS, {"domain": "books"}).json()["runs"]
    store = api.orchestrator.store
    api.orchestrator.trainer.stop()
    run = store.runs.one(begun["id"])
    assert (run.status, run.error) == ("failed", "it was stopped with the server; start it again")


def test_a_training_process_that_is_killed_is_told_at_once(busy):
    (begun,) = busy.post(RUNS, {"domain": "books"}).json()["runs"]
    until = time.monotonic() + 90
    while (process := busy.orchestrator.trainer._process) is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    run = ended(busy, begun["id"])
    assert (run["status"], run["version"]) == ("failed", None)
    assert "its process ended with the code -9; start it again" in run["error"]
    assert busy.get("/v1/books/policies/taste/versions").json() == {"versions": []}
    (again,) = busy.post(RUNS, {"domain": "books"}).json()["runs"]
    assert ended(busy, again["id"])["version"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("domains:\n", "domains:\n  - oops\n"), "config.yaml"),
        (lambda text: text.replace("taste", "flavour"), CHANGED),
        (lambda text: text.replace("  books:", "  films:"), CHANGED),
    ],
)
def test_what_the_server_does_not_know_is_not_trained(make_api, tmp_path, change, said):
    api = make_api()
    config = tmp_path / "config.yaml"
    changed = change(config.read_text())
    assert changed != config.read_text()
    config.write_text(changed)
    (begun,) = api.post(RUNS, {"domain": "books"}).json()["runs"]
    run = ended(api, begun["id"])
    assert run["status"] == "failed"
    assert said in run["error"]
    assert "its process" not in run["error"]


def test_while_one_is_trained_the_next_waits_for_its_turn(make_api):
    api = make_api()
    trainer = api.orchestrator.trainer
    with trainer._turn:  # as while a process works
        (begun,) = api.post(RUNS, {"domain": "books"}).json()["runs"]
        time.sleep(0.2)
        assert trainer._process is None
        assert api.get(f"{RUNS}/{begun['id']}").json()["status"] == "running"
    assert ended(api, begun["id"])["status"] == "refused"  # there is nothing to learn from
    until = time.monotonic() + 90
    while trainer._watchers:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert not trainer._turn.locked()


@pytest.mark.parametrize(
    ("sent", "status", "kind", "said"),
    [
        ({}, 422, "validation", "body.domain is missing"),
        ({"domain": "bocks"}, 404, "not-found", "did you mean 'books'"),
        ({"domain": "books", "policy": "tast"}, 404, "not-found", "did you mean 'taste'"),
        ({"domain": "books", "since": "2999-01-01"}, 422, "validation", "has not come yet"),
        ({"domain": "books", "since": "soon"}, 422, "validation", "write 7d, 36h"),
        ({"domain": "books", "until": "soon"}, 422, "validation", "body.until 'soon' is no time"),
        ({"domain": "books", "since": "7d", "until": "soon"}, 422, "validation", "body.until 'soon' is no"),
        ({"domain": "books", "since": "soon", "until": "1d"}, 422, "validation", "body.since 'soon' is no"),
        ({"domain": "books", "since": "1d", "until": "2d"}, 422, "validation", "ends before"),
        ({"domain": "books", "promote": "yes"}, 422, "validation", "body.promote must be true or false"),
        ({"domain": "books", "sinse": "7d"}, 422, "validation", "did you mean 'since'"),
        ({"domain": "books", "since": 7.5}, 422, "validation", "body.since"),
        ([], 422, "validation", "must be"),
    ],
)
def test_bad_requests(still, problem, sent, status, kind, said):
    document = problem(still.post(RUNS, sent), status, kind)
    assert said in document["detail"] + str(document["errors"])


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        (f"{RUNS}/none", 404, "not-found"),
        (f"{RUNS}?domain=bocks", 422, "validation"),
        (f"{RUNS}?limit=0", 422, "validation"),
        (f"{RUNS}?colour=red", 422, "validation"),
        (f"{RUNS}/none?colour=red", 422, "validation"),
    ],
)
def test_bad_questions(still, problem, path, status, kind):
    problem(still.get(path), status, kind)


def test_a_key_is_asked_for(make_api, problem):
    api = make_api(more="api: {keys: [a-long-key]}", shelf=False)
    problem(api.post(RUNS, {"domain": "books"}), 401, "key")
    problem(api.post("/v1/books/policies/taste/rollback", {}), 401, "key")


def test_schedules_train_by_themselves(make_api):
    clock = ManualClock(time.time() - 3 * 86_400)
    api = make_api(clock=clock)
    api.record("ann", "b01")
    until = time.monotonic() + 60
    while api.orchestrator.store.note("schedule books rankers") is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    clock.advance(2 * 86_400)
    while not (runs := api.get(RUNS).json()["runs"]):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (runs[0]["trigger"], runs[0]["policy"]) == ("rankers", "taste")
