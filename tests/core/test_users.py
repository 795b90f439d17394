"""What is known of users."""

from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.core.bookshop import lived


def test_a_profile_is_what_was_put_last(shop: Settings) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        assert await orchestrator.profile("ann") == {}
        await orchestrator.put_profile("ann", {"likes": ["poems"]})
        assert await orchestrator.profile("ann") == {"likes": ["poems"]}
        await orchestrator.put_profile("ann", {})
        assert await orchestrator.profile("ann") == {}

    lived(shop, life)
