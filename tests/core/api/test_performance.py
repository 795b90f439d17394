"""Performance over HTTP."""

import pytest


def test_figures_of_the_last_days(api, problem):
    slate = api.get("/v1/books/recommendations/ann").json()
    api.record("ann", slate["items"][0]["id"], kind="finish", slate=slate["slate"])
    found = api.get("/v1/admin/performance?days=3").json()["domains"]["books"]
    assert len(found["days"]) == 3
    today = found["days"][-1]
    assert (today["slates"], today["shown"], today["click_through_rate"]) == (1, 5, 0.2)
    assert today["reward_per_slate"] == 1.0
    assert found["versions"][0]["version"] == "taste@online"
    assert found["total"]["coverage"] == pytest.approx(5 / 40)
    api.get("/v1/books/recommendations/bob")
    again = api.get("/v1/admin/performance", params={"domain": "books"}).json()["domains"]["books"]
    assert (again["total"]["slates"], len(again["days"])) == (2, 7)


@pytest.mark.parametrize("query", ["days=0", "days=91", "days=week", "day=3", "days=1&days=2"])
def test_what_makes_no_sense_is_refused(api, problem, query):
    problem(api.get(f"/v1/admin/performance?{query}"), 422, "validation")


def test_an_unknown_domain_is_not_found(api, problem):
    assert (
        "did you mean 'books'"
        in problem(api.get("/v1/admin/performance?domain=boks"), 404, "not-found")["detail"]
    )
