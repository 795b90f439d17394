"""Slates over HTTP: what was shown, and why; why something else was not."""

import pytest
from tastemaker.core.explain import explain


def shown(api, query=""):
    return api.get(f"/v1/books/recommendations/ann{query}").json()


def test_a_slate_as_it_was_logged(api, problem):
    slate = shown(api, "?mood=calm&exclude=b01&limit=3")
    logged = api.get(f"/v1/slates/{slate['slate']}").json()
    assert [item["id"] for item in logged["items"]] == [item["id"] for item in slate["items"]]
    assert logged["situation"] == {"mood": "calm"}
    assert logged["exclude"] == ["b01"]
    assert (logged["size"], logged["user"], logged["traced"]) == (3, "ann", False)
    problem(api.get("/v1/slates/nothing"), 404, "not-found")
    problem(api.get("/v1/slates/nothing/trace"), 404, "not-found")


@pytest.mark.parametrize("traced", ["", "?trace=true"])
def test_the_fate_of_every_item(api, traced):
    """With a trace in the log, and by replay without one: the same answers."""
    api.record("ann", "b39")
    joint = "&" if traced else "?"
    slate = shown(api, f"{traced}{joint}exclude=b38")
    path = f"/v1/slates/{slate['slate']}/trace"
    trace = api.get(path).json()
    assert trace["replayed"] is (traced == "")
    assert trace["exact"] is (True if traced == "" else None)
    assert [item["id"] for item in trace["items"]] == [item["id"] for item in slate["items"]]
    for item in trace["items"]:
        assert item["score"] == pytest.approx(sum(item["parts"].values()))
        assert set(item["parts"]) == {"rated", "taste"}
        assert item["sources"] == ["popular"]
        assert item["learned"]["taste"]

    def fate(item):
        return api.get(path, params={"item": item}).json()["item"]

    first = slate["items"][0]["id"]
    assert fate(first)["verdict"] == "shown"
    assert fate("b39") == {
        "id": "b39",
        "title": "Book 39",
        "verdict": "dropped",
        "why": "'b39' (Book 39) was dropped by filters.seen.",
        "dropped_by": "filters.seen",
    }
    assert fate("b38")["why"] == "'b38' (Book 38) was excluded by the request."
    assert fate("b00")["verdict"] == "not proposed"
    assert fate("emma")["verdict"] == "not in the catalogue"
    last = fate("b10")
    assert (last["verdict"], last["rank"]) == ("ranked", 28)
    assert last["score"] == pytest.approx(0.2)
    assert last["parts"] == {"rated": pytest.approx(0.2)}
    assert "ranked 28th by the scorers, with 0.2 = rated 0.2" in last["why"]


def test_runners_up_stand_in_order_and_outside_the_slate(api):
    slate = shown(api)
    trace = api.get(f"/v1/slates/{slate['slate']}/trace").json()
    ranks = [fate["rank"] for fate in trace["runners_up"]]
    assert ranks == sorted(ranks)
    assert len(ranks) == 10
    assert not {fate["id"] for fate in trace["runners_up"]} & {item["id"] for item in slate["items"]}


def test_a_replay_that_differs_says_so(api):
    """The best books leave the catalogue: deciding again can't give what was shown."""
    slate = shown(api)
    for item in slate["items"][:2]:
        api.delete(f"/v1/books/items/{item['id']}")
    trace = api.get(f"/v1/slates/{slate['slate']}/trace").json()
    assert (trace["replayed"], trace["exact"]) == (True, False)
    assert [item["id"] for item in trace["items"]] == [item["id"] for item in slate["items"]]
    before = {item["id"] for item in slate["items"]}
    explanation = api.run(explain, api.orchestrator, slate["slate"])
    assert "likely, not certain" in explanation.lines()[-1]
    verdicts = {
        api.get(f"/v1/slates/{slate['slate']}/trace?item=b{n:02}").json()["item"]["verdict"]
        for n in range(40)
        if f"b{n:02}" not in before
    }
    assert "would be shown" in verdicts


def test_a_replay_sees_the_history_as_it_was(api):
    slate = shown(api, "?limit=500")
    api.record("ann", slate["items"][0]["id"], kind="glance")  # worth nothing, so nothing is learned from it
    trace = api.get(f"/v1/slates/{slate['slate']}/trace").json()
    assert (trace["replayed"], trace["exact"]) == (True, True)


def test_an_explanation_reads_well(api):
    slate = shown(api, "?mood=calm")
    lines = api.run(explain, api.orchestrator, slate["slate"], "b00").lines()
    text = "\n".join(lines)
    assert lines[0].startswith(f"Slate {slate['slate']}: 5 items of books for ann, 20")
    assert "Situation: mood = calm" in text
    assert "30 items considered" in text
    assert "'b00' (Book 0) was not proposed by any source." in text
    first = slate["items"][0]
    assert f"   1. '{first['id']}' ({first['item']['title']}): {first['score']:.3g} = rated " in text
    assert "proposed by popular; stood here with a probability of " in text
    assert text.endswith("worked out again from the log; this gave the very same slate.")


@pytest.mark.parametrize("query", ["item=", "item=%00", "item=a&item=b", "itm=b01", "item=" + "x" * 257])
def test_questions_that_do_not_fit(still, problem, query):
    problem(still.get(f"/v1/slates/x/trace?{query}"), 422, "validation")
