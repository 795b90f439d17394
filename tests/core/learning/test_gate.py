"""The gate as it stands: what is trained is compared off-policy with what is live, on a log of real decisions."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from tastemaker.core import Interaction, Request
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings
from tastemaker.core.evaluation.states import state_named
from tastemaker.core.learning.gate import comparison
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.core.learning.training import open_runs, train
from tastemaker.core.learning.versions import PolicyVersions, restored
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.store import Store

BOOKS = """
books:
  items: {fields: {title: text}}
  sources: [{use: catalog.random, limit: 6}]
  policies: {taste: {use: thompson.ranker}}
  rewards: {click: 1, seen: 0}
  slate: {size: 2, explore: 0.5}
  learning: {window_minutes: 1}
"""
LIKED = ("b0", "b1")


def live(settings: Settings, clock: ManualClock, name: str, requests: int) -> None:
    """People who click on two of six books, most of the time."""
    chance = random.Random(7)

    async def go() -> None:
        slates = (f"{name}{number:06}" for number in range(requests))
        async with Orchestrator(
            settings, clock=clock, follow=False, slate_ids=lambda _: next(slates)
        ) as tastemaker:
            await tastemaker.put_items("books", [{"id": f"b{n}", "title": f"Book {n}"} for n in range(6)])
            for number in range(requests):
                clock.advance(10.0)
                user = f"u{number % 50}"
                slate = await tastemaker.recommend("books", Request(user))
                clicks = [
                    Interaction(
                        f"{slate.id}{pick.item}", "books", user, pick.item, "click", clock(), slate=slate.id
                    )
                    for pick in slate.picks
                    if chance.random() < (0.8 if pick.item in LIKED else 0.1)
                ]
                await tastemaker.record(clicks)
                tastemaker.learn()

    asyncio.run(go())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000.0)


def test_what_is_spoilt_is_replaced_by_what_the_log_knows_to_be_better(
    settings_of: Callable[..., Settings], clock: ManualClock
) -> None:
    settings = settings_of(BOOKS)
    plan = settings.domains["books"]
    live(settings, clock, "a", 150)
    store = Store(settings.store.get_secret_value(), clock=clock)
    try:
        # What is live comes to think that everybody likes what nobody likes.
        versions = PolicyVersions(store, restored(store, plan))
        right = versions._now_live("taste", "saved", "")
        state = unpack(right.state)
        wrong = {**state, "item_won": 30 * state["item_lost"], "item_lost": 30 * state["item_won"]}
        spoilt = store.versions.add(replace(right, state=pack(wrong)), keep=20)
        promoted = versions.promote("taste", spoilt)
    finally:
        store.close()
    live(settings, clock, "b", 400)
    store = Store(settings.store.get_secret_value(), clock=clock)
    try:
        runs = open_runs(store, plan, trigger="cli", now=clock())
        (run,) = train(settings, store, runs, compare=comparison())
        assert (run.status, run.error) == ("done", "")
        assert run.outcome == "promoted: better than what was live by more than 0"
        low, high = run.estimates["difference"]["interval"]
        assert 0 < low < run.estimates["difference"]["value"] < high
        assert run.estimates["replayed"] == 1.0, "every decision comes out again, promotions included"
        assert run.estimates["since"] > promoted.position
        after = restored(store, plan).states()["taste"][1]
        counts = dict(zip(after["item_ids"], (after["item_won"] - after["item_lost"])[1:], strict=True))
        assert all(counts[book] > 0 for book in LIKED)
        named = state_named(store, plan, f"taste@{run.version}")
        assert named.learned == run.until
        # Once more, and it is no better than what is live now.
        (again,) = train(
            settings, store, open_runs(store, plan, trigger="cli", now=clock()), compare=comparison()
        )
        assert again.outcome.startswith("kept: ")
    finally:
        store.close()
