"""Users over HTTP."""

import pytest


def test_a_profile_comes_back_as_it_was_put(api):
    profile = {"languages": ["de", "en"], "openness": 0.8, "nested": {"a": [1, None, True]}}
    assert api.put("/v1/users/ann", profile).json() == {"id": "ann", "profile": profile}
    assert api.get("/v1/users/ann").json() == {"id": "ann", "profile": profile}
    assert api.put("/v1/users/ann", {}).status_code == 200
    assert api.get("/v1/users/ann").json()["profile"] == {}


def test_an_unknown_user_is_not_found(api, problem):
    assert "'bob'" in problem(api.get("/v1/users/bob"), 404, "not-found")["detail"]
    assert api.get("/v1/users/bob/interactions").json() == {"interactions": [], "next": None}


def test_a_user_who_only_did_something_is_known(api):
    api.record("ann", "b01")
    assert api.get("/v1/users/ann").json() == {"id": "ann", "profile": {}}


@pytest.mark.parametrize("profile", [[], "x", 5, {"x": "y" * 65_536}])
def test_profiles_that_do_not_fit(still, problem, profile):
    document = problem(still.put("/v1/users/ann", profile), 422, "validation")
    assert document["errors"][0]["where"] == "body"


def test_erasing_leaves_no_trace(api, problem):
    api.put("/v1/users/ann", {"a": 1})
    slate = api.get("/v1/books/recommendations/ann").json()["slate"]
    api.record("ann", "b01", slate=slate)
    api.record("bob", "b02")
    counts = api.delete("/v1/users/ann").json()
    assert (counts["id"], counts["profiles"], counts["entries"] >= 2) == ("ann", 1, True)
    problem(api.get("/v1/users/ann"), 404, "not-found")
    problem(api.get(f"/v1/slates/{slate}"), 404, "not-found")
    assert api.get("/v1/users/ann/interactions").json()["interactions"] == []
    assert len(api.get("/v1/users/bob/interactions").json()["interactions"]) == 1
    again = api.delete("/v1/users/ann").json()
    assert (again["profiles"], again["entries"]) == (0, 0)


def test_interactions_page_newest_first(api):
    for number in range(7):
        api.record("ann", f"b{number:02}")
    seen, before = [], ""
    while True:
        page = api.get(f"/v1/users/ann/interactions?limit=3{before}").json()
        seen += [one["item"] for one in page["interactions"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == [f"b{number:02}" for number in reversed(range(7))]
    exact = api.get("/v1/users/ann/interactions?limit=7").json()
    assert exact["next"] is None


def test_parameters_of_the_listing(api, problem):
    path = "/v1/users/ann/interactions"
    for query, where in (
        ("limit=0", "query.limit"),
        ("limit=1001", "query.limit"),
        ("before=x", "query.before"),
        ("before=" + "9" * 19, "query.before"),
        ("domain=boks", "query.domain"),
        ("limt=5", "query.limt"),
        ("limit=5&limit=6", "query.limit"),
    ):
        document = problem(api.get(f"{path}?{query}"), 422, "validation")
        assert document["errors"][0]["where"] == where
    hint = problem(api.get(f"{path}?limt=5"), 422, "validation")["errors"][0]["hint"]
    assert hint == "did you mean 'limit'?"


def test_users_whose_names_are_words_of_ours(api):
    for name in ("recommendations", "interactions", "items", "slates"):
        api.put(f"/v1/users/{name}", {"who": name})
        api.record(name, "b01")
        assert api.get(f"/v1/users/{name}").json()["profile"] == {"who": name}
        assert len(api.get(f"/v1/users/{name}/interactions").json()["interactions"]) == 1


class TestAssessments:
    def test_answers_become_traits_and_nothing_else_is_lost(self, api):
        api.put("/v1/users/ann", {"languages": ["en"], "traits": {"neuroticism": 30}})
        answers = {str(number): 4 for number in (5, 10, 15, 20, 25, 30, 40, 44)} | {"35": 2, "41": None}
        answer = api.post("/v1/users/ann/assessments", {"answers": answers})
        assert answer.status_code == 201
        found = answer.json()
        assert (found["id"], found["answered"], found["traits"]) == ("ann", 9, {"openness": 75.0})
        assert 0.7 < found["confidence"]["openness"] < 0.81
        profile = api.get("/v1/users/ann").json()["profile"]
        assert profile == found["profile"]
        assert profile["languages"] == ["en"]
        assert profile["traits"] == {"neuroticism": 30, "openness": 75.0}
        assert profile["assessment"]["inventory"] == "bfi-44"

    def test_somebody_unknown_can_be_assessed(self, api):
        assert api.post("/v1/users/new/assessments", {"answers": {"1": 1}}).status_code == 201
        assert api.get("/v1/users/new").json()["profile"]["traits"] == {"extraversion": 0.0}

    @pytest.mark.parametrize(
        ("body", "where"),
        [
            ({"answers": {"0": 3}}, "body.answers.0"),
            ({"answers": {"45": 3}}, "body.answers.45"),
            ({"answers": {"07": 3}}, "body.answers.07"),
            ({"answers": {"one": 3}}, "body.answers.one"),
            ({"answers": {"": 3}}, "body.answers."),
            ({"answers": {"²": 3}}, "body.answers.²"),
            ({"answers": {"9" * 99: 3}}, "body.answers." + "9" * 16),
            ({"answers": {"1": 6}}, "body.answers.1"),
            ({"answers": {"1": 0}}, "body.answers.1"),
            ({"answers": {"1": 2.5}}, "body.answers.1"),
            ({"answers": {"1": True}}, "body.answers.1"),
            ({"answers": {"1": "4"}}, "body.answers.1"),
            ({"answers": {}}, "body.answers"),
            ({"answers": {"1": None}}, "body.answers"),
            ({"answers": [4, 4]}, "body.answers"),
            ({}, "body.answers"),
            ({"answers": {"1": 4}, "inventory": "bfi-2"}, "body.inventory"),
            ({"answers": {"1": 4}, "questions": 1}, "body.questions"),
            ([], "body"),
        ],
    )
    def test_bad_answers_are_named_and_change_nothing(self, api, problem, body, where):
        api.put("/v1/users/ann", {"kept": 1})
        document = problem(api.post("/v1/users/ann/assessments", body), 422, "validation")
        assert [error["where"] for error in document["errors"]] == [where]
        assert api.get("/v1/users/ann").json()["profile"] == {"kept": 1}

    def test_all_that_is_wrong_is_told_at_once(self, still, problem):
        answers = {"1": 6, "45": 1, "2": 3}
        document = problem(still.post("/v1/users/ann/assessments", {"answers": answers}), 422, "validation")
        assert [error["where"] for error in document["errors"]] == ["body.answers.1", "body.answers.45"]

    def test_a_profile_that_would_become_too_large_stays_as_it_was(self, api, problem):
        profile = {"x": "y" * (65_536 - 9)}
        assert api.put("/v1/users/ann", profile).status_code == 200
        problem(api.post("/v1/users/ann/assessments", {"answers": {"1": 4}}), 422, "validation")
        assert api.get("/v1/users/ann").json()["profile"] == profile
