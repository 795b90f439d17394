"""Items that come and go while their catalogue is served."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from tastemaker.core import Context, ItemError, Request, Source
from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.core.bookshop import lived, with_steps


class TestItems:
    def test_put_and_removed_items_are_seen_at_once_and_after_a_restart(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            assert (
                await orchestrator.put_items("books", [{"isbn": "new", "title": "New", "moods": ["a"]}]) == 1
            )
            assert await orchestrator.remove_items("books", ["b1", "nobody"]) == 1
            snapshot = orchestrator.agent("books").catalog.snapshot()
            assert snapshot.item(snapshot.row("new")) == {"title": "New", "moods": ["a"]}
            assert snapshot.row("b1") == -1

        async def later(orchestrator: Orchestrator) -> None:
            snapshot = orchestrator.agent("books").catalog.snapshot()
            assert (snapshot.row("new") >= 0, snapshot.row("b1")) == (True, -1)

        lived(shop, life)
        lived(shop, later)

    def test_one_bad_item_and_none_is_written(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            with pytest.raises(ItemError, match=r"items\[1\]: 'rating' must be a finite number, not 'many'"):
                await orchestrator.put_items("books", [{"isbn": "new"}, {"isbn": "bad", "rating": "many"}])
            assert orchestrator.agent("books").catalog.snapshot().row("new") == -1

        lived(shop, life)

    def test_what_a_source_brings_is_kept_and_written_once(self, shop: Settings) -> None:
        class Outside(Source):
            blocking: ClassVar[bool] = False

            def propose(self, context: Context) -> Sequence[Mapping[str, Any]]:
                return [
                    {"isbn": "far", "title": "Far", "rating": 123_456_789, "moods": [], "more": "ignored"},
                    {"isbn": "b1", "title": "Book 1", "rating": 1, "genre": "novel", "moods": "a|b"},
                ]

        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("books", Request("ann", size=2))
            assert sorted(pick.item for pick in slate.picks) == ["b1", "far"]
            assert slate.degraded == []
            end = orchestrator.store.end()
            await orchestrator.recommend("books", Request("ann", size=2))
            assert orchestrator.store.end() == end + 1, "the slate, and no items again"

        lived(with_steps(shop, sources={"outside": Outside()}, filters={}), life)

    def test_what_a_source_brings_too_late_is_there_the_next_time(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            agent = orchestrator.agent("books")
            assert agent.adopt is not None
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):  # as a request does at its deadline
                    await agent.adopt("books", [{"isbn": "late", "title": "Late"}], "source")
            for _ in range(500):
                if agent.catalog.snapshot().row("late") >= 0:
                    return
                await asyncio.sleep(0.02)
            raise AssertionError("it was not kept")

        lived(shop, life)
