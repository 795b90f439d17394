"""Components that misbehave: an answer comes all the same, and names them."""

import time

import pytest

PLUGIN = """
import asyncio
import time
import numpy as np
from tastemaker.core import Filter, Policy, Scorer, Source, hookimpl


class Raises(Source):
    def propose(self, context):
        raise RuntimeError("out of order")


class Hangs(Source):
    def propose(self, context):
        time.sleep(12)
        return ["b01"]


class Sleeps(Source):
    async def propose(self, context):
        await asyncio.sleep(60)
        return ["b01"]


class Rubbish(Source):
    def propose(self, context):
        return [None, 5]


class Nonsense(Source):
    def propose(self, context):
        return 42


class Strangers(Source):
    def propose(self, context):
        return ["no such item", "b01"]


class NanScores(Scorer):
    def score(self, context, candidates):
        return np.full(len(candidates), np.nan)


class WrongLength(Scorer):
    def score(self, context, candidates):
        return np.zeros(len(candidates) + 1)


class Texts(Scorer):
    def score(self, context, candidates):
        return ["good"] * len(candidates)


class BadMask(Filter):
    def keep(self, context, candidates):
        return np.ones(3)


class BadPolicy(Policy):
    def tune(self, context):
        return {"scorers.nobody.weight": 3}

    def rank(self, context, candidates):
        raise KeyError(context.user)

    def learn(self, outcomes):
        raise ValueError("can't learn")

    def explain(self, item, memo):
        raise ValueError("can't explain")


@hookimpl
def components():
    return [Raises, Hangs, Sleeps, Rubbish, Nonsense, Strangers, NanScores, WrongLength, Texts, BadMask, BadPolicy]
"""

CONFIG = """
version: 1
store: sqlite:///books.db
plugins: [./plugin.py]
domains:
  books:
    items:
      fields: {{title: text, genres: tags, rating: number, published: time}}
    sources:
      - {{use: catalog.popular, field: rating, limit: 30}}
      {source}
    filters: [{filter}]
    scorers:
      rated: {{use: catalog.numeric, field: rating, low: 0, high: 50}}
      {scorer}
    policies: {policies}
    rewards: {{finish: 1.0}}
    slate: {{size: 5}}
"""


def config(source="", filter="", scorer="", policies="{}"):
    return CONFIG.format(
        source=f"- {{use: plugin.{source}, timeout_ms: 50}}" if source else "",
        filter=f"{{use: plugin.{filter}}}" if filter else "",
        scorer=f"odd: {{use: plugin.{scorer}}}" if scorer else "",
        policies=policies,
    )


@pytest.mark.parametrize("source", ["raises", "hangs", "sleeps", "rubbish", "nonsense"])
def test_sources(make_api, source):
    api = make_api(config(source=source), plugin=PLUGIN)
    began = time.monotonic()
    answer = api.get("/v1/books/recommendations/ann")
    assert time.monotonic() - began < 11
    assert answer.status_code == 200
    slate = answer.json()
    assert len(slate["items"]) == 5
    assert [entry["component"] for entry in slate["degraded"]] == [f"sources.{source}"]
    assert slate["degraded"][0]["reason"]


def test_a_source_that_names_strangers(make_api):
    api = make_api(config(source="strangers"), plugin=PLUGIN)
    slate = api.get("/v1/books/recommendations/ann?limit=500").json()
    assert slate["degraded"] == []
    assert {item["id"]: item["sources"] for item in slate["items"]}["b01"] == ["strangers"]


@pytest.mark.parametrize("scorer", ["nan_scores", "wrong_length", "texts"])
def test_scorers(make_api, scorer):
    api = make_api(config(scorer=scorer), plugin=PLUGIN)
    slate = api.get("/v1/books/recommendations/ann").json()
    assert [item["id"] for item in slate["items"]] == ["b39", "b38", "b37", "b36", "b35"]
    assert [entry["component"] for entry in slate["degraded"]] == ["scorers.odd"]


def test_a_filter_that_fails_drops_all(make_api):
    api = make_api(config(filter="bad_mask"), plugin=PLUGIN)
    slate = api.get("/v1/books/recommendations/ann").json()
    assert slate["items"] == []
    assert "filters.bad_mask" in [entry["component"] for entry in slate["degraded"]]


def test_a_policy_that_fails_at_everything(make_api):
    api = make_api(config(policies="{bad: {use: plugin.bad_policy}}"), plugin=PLUGIN)
    slate = api.get("/v1/books/recommendations/ann").json()
    assert [item["id"] for item in slate["items"]] == ["b39", "b38", "b37", "b36", "b35"]
    assert {entry["component"] for entry in slate["degraded"]} == {"knobs", "policies.bad"}
    api.record("ann", "b39", slate=slate["slate"])
    trace = api.get(f"/v1/slates/{slate['slate']}/trace").json()
    assert trace["items"][0]["learned"] == {"bad": "can't say: ValueError"}
    assert api.get("/readyz").status_code == 200
