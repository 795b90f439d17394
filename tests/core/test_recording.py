"""Interactions over a real store: what was acknowledged is written once, and what is odd about it is said."""

import asyncio

import pytest
from tastemaker.core import NotFound, Request
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.core.bookshop import START, did, lived


class TestRecording:
    def test_what_was_acknowledged_is_learned_from_and_in_the_history(
        self, shop: Settings, clock: ManualClock
    ) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("books", Request("ann"))
            first = slate.picks[0].item
            (recorded,) = await orchestrator.record([did(first, "hide", slate=slate.id)])
            assert not recorded.duplicate
            assert recorded.warnings == ["the kind 'hide' is worth nothing; known: click, skip"]
            await orchestrator.learner.reached(recorded.position, 20)
            for number in range(8):
                later = await orchestrator.recommend("books", Request("ann", size=50))
                assert first not in [pick.item for pick in later.picks], number
            assert later.log >= recorded.position

        lived(shop, life, clock=clock)

    def test_the_same_id_twice_counts_once(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            one, two = await orchestrator.record([did("b1", id="x"), did("b2", id="x")])
            (three,) = await orchestrator.record([did("b3", id="x")])
            assert [found.duplicate for found in (one, two, three)] == [False, True, True]
            assert one.position == two.position == three.position
            orchestrator.learn()
            assert orchestrator.agent("books").feedback.outcomes == 1
            assert [entry.item for _, entry in orchestrator.interactions("ann")] == ["b1"]

        lived(shop, life, follow=False)

    def test_oddities_are_recorded_with_a_warning(self, shop: Settings, clock: ManualClock) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            recorded = await orchestrator.record(
                [
                    did("nothing", id="1"),
                    did("b1", id="2", slate="unknown"),
                    did("b1", id="3", time=START + 3600),
                ]
            )
            assert [len(found.warnings) for found in recorded] == [1, 1, 1]
            assert "no item 'nothing' is in the catalogue of 'books'" in recorded[0].warnings[0]
            assert "no slate 'unknown' is known" in recorded[1].warnings[0]
            assert "its time lies in the future" in recorded[2].warnings[0]
            times = {entry.id: entry.time for _, entry in orchestrator.interactions("ann")}
            assert times == {"1": START, "2": START, "3": START}
            (fine,) = await orchestrator.record([did("b1", id="4", time=START + 30)])
            assert fine.warnings == []

        lived(shop, life, clock=clock)

    def test_a_slate_of_another_process_is_known(self, shop: Settings, clock: ManualClock) -> None:
        async def life() -> None:
            async with Orchestrator(shop, clock=clock) as one, Orchestrator(shop, clock=clock) as two:
                slate = await one.recommend("books", Request("ann"))
                (found,) = await two.record([did(slate.picks[0].item, slate=slate.id)])
                assert found.warnings == []

        asyncio.run(life())

    def test_an_unknown_domain_is_refused_and_nothing_is_written(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            end = orchestrator.store.end()
            with pytest.raises(NotFound, match="no domain is called 'boks'; did you mean 'books'"):
                await orchestrator.record([did("b1"), did("b1", id="x", domain="boks")])
            with pytest.raises(NotFound):
                await orchestrator.recommend("nowhere", Request("ann"))
            assert await orchestrator.record([]) == []
            assert orchestrator.store.end() == end

        lived(shop, life)

    def test_a_hundred_at_once_are_all_there(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            await asyncio.gather(*(orchestrator.record([did(f"b{n % 50}", id=f"x{n}")]) for n in range(100)))
            assert await orchestrator.learner.reached(orchestrator.store.end(), 20)
            assert orchestrator.agent("books").feedback.outcomes == 100

        lived(shop, life)
