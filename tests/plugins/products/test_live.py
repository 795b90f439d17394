"""The preset on a live shop: prices, availability and orders of a minute ago are in the slate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from tastemaker.core import Request, Slate
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.fakes import faults
from tastemaker.tests.fakes.serving import serve
from tastemaker.tests.fakes.woocommerce import KEY, SECRET, Shop, woocommerce

MINUTE = 60.0
Life = Callable[[Orchestrator, ManualClock], Awaitable[None]]


class Products:
    """A shop's feed: price and availability by id."""

    def __init__(self) -> None:
        self.rows = {f"p{number}": (f"{number}.00 EUR", "in_stock") for number in range(1, 6)}

    def text(self) -> str:
        lines = [
            f"{name},Mug {name},{price},{there},Kind of {name}" for name, (price, there) in self.rows.items()
        ]
        return "\n".join(["id,title,price,availability,product_type", *lines])


@pytest.fixture
def feed() -> Iterator[tuple[str, Products, Starlette]]:
    products = Products()

    async def answer(request: HttpRequest) -> Response:
        return Response(products.text(), media_type="text/csv")

    app = Starlette(routes=[Route("/feed.csv", answer)], middleware=[Middleware(faults.Faults)])
    app.state.faults = []
    with serve(app) as url:
        yield f"{url}/feed.csv", products, app


@pytest.fixture
def shop() -> Iterator[tuple[str, Shop, Starlette]]:
    held = Shop()
    for number in range(1, 9):
        held.put(number, price=f"{number}.00", categories=[{"id": 1, "name": "Kitchen", "slug": "kitchen"}])
    app = woocommerce(held)
    app.state.faults = []
    with serve(app) as url:
        yield url, held, app


def lived(folder: Path, environ: dict[str, str], life: Life, clock: ManualClock | None = None) -> None:
    path = folder / "config.yaml"
    if not path.exists():
        path.write_text(
            f"version: 1\nstore: sqlite:///{folder / 'x.db'}\n"
            f"domains:\n  products: {{extends: products, slate: {{deadline_ms: 20000}}}}\n"
        )
    clock = clock or ManualClock(time.time())

    async def run() -> None:
        async with Orchestrator(load(path, environ=environ), clock=clock) as orchestrator:
            await life(orchestrator, clock)

    asyncio.run(run())


async def slate(orchestrator: Orchestrator, user: str = "ann", **situation: Any) -> Slate:
    return await orchestrator.recommend("products", Request(user, situation=situation))


def shown(found: Slate) -> set[str]:
    return {pick.item for pick in found.picks}


def price(orchestrator: Orchestrator, item: str) -> Any:
    catalog = orchestrator.agent("products").catalog.snapshot()
    return catalog.item(catalog.row(item)).get("price")


async def ran(orchestrator: Orchestrator, name: str, since: float) -> None:
    """Do as the schedule does, and wait until a collector has run that began at a time or later."""
    until = time.monotonic() + 20
    await asyncio.to_thread(orchestrator.collecting.look)
    while True:
        run = await asyncio.to_thread(orchestrator.collecting.last, "products", name)
        if run is not None and run.started >= since and run.status != "running":
            assert run.status == "done", run.error
            await asyncio.to_thread(orchestrator.learn)  # what follows the log in the background does so, too
            return
        assert time.monotonic() < until, f"{name} has not run: {run}"
        await asyncio.sleep(0.02)


def test_a_minute_later_the_slate_knows(tmp_path: Path, feed: tuple[str, Products, Starlette]) -> None:
    url, products, _ = feed

    async def life(orchestrator: Orchestrator, clock: ManualClock) -> None:
        await ran(orchestrator, "feed", clock())
        assert shown(await slate(orchestrator)) == {"p1", "p2", "p3", "p4", "p5"}, "and nothing of the sample"
        products.rows["p2"] = ("2.00 EUR", "out_of_stock")
        products.rows["p3"] = ("33.00 EUR", "in_stock")
        del products.rows["p4"]
        products.rows["p9"] = ("9.00 EUR", "in_stock")
        clock.advance(MINUTE)
        await ran(orchestrator, "feed", clock())
        assert shown(await slate(orchestrator)) == {"p1", "p3", "p5", "p9"}
        assert price(orchestrator, "p3") == 33.0
        assert shown(await slate(orchestrator, max_price=10)) == {"p1", "p5", "p9"}

    lived(tmp_path, {"SHOP_FEED_URL": url}, life)


@pytest.mark.parametrize(
    "fault",
    [
        faults.Fault(status=503, times=-1),
        faults.Fault(drop=True, times=-1),
        faults.Fault(garbage=b"<html>Back soon</html>", times=-1),
        faults.Fault(garbage=b"id,title\n", times=-1),
    ],
)
def test_a_shop_that_does_not_answer_changes_nothing(
    tmp_path: Path, feed: tuple[str, Products, Starlette], fault: faults.Fault
) -> None:
    url, products, app = feed

    async def life(orchestrator: Orchestrator, clock: ManualClock) -> None:
        await ran(orchestrator, "feed", clock())
        app.state.faults.append(fault)
        clock.advance(MINUTE)
        run = await orchestrator.collect("products", "feed", "cli")
        assert run.status == "failed"
        assert len((await slate(orchestrator)).picks) == 5
        assert (await slate(orchestrator)).degraded == []
        app.state.faults.clear()
        products.rows["p1"] = ("11.00 EUR", "in_stock")
        clock.advance(10 * MINUTE)  # past the breaker, and past the wait after a failure
        await ran(orchestrator, "feed", clock())
        assert price(orchestrator, "p1") == 11.0

    path = tmp_path / "config.yaml"
    path.write_text(
        f"version: 1\nstore: sqlite:///{tmp_path / 'x.db'}\ndomains:\n  products:\n    extends: products\n"
        "    connectors: {feed: {retries: 0}}\n"
    )
    lived(tmp_path, {"SHOP_FEED_URL": url}, life)


def test_a_shop_takes_the_place_of_the_sample(tmp_path: Path, feed: tuple[str, Products, Starlette]) -> None:
    async def sample(orchestrator: Orchestrator, _: ManualClock) -> None:
        assert len(orchestrator.agent("products").catalog.snapshot().live) == 800
        assert (await slate(orchestrator)).degraded == []

    async def live(orchestrator: Orchestrator, clock: ManualClock) -> None:
        await ran(orchestrator, "feed", clock())
        until = time.monotonic() + 20  # the sample goes when there is something else
        while len(orchestrator.agent("products").catalog.snapshot().live) > 5:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        assert shown(await slate(orchestrator)) == {"p1", "p2", "p3", "p4", "p5"}

    lived(tmp_path, {}, sample)
    lived(tmp_path, {"SHOP_FEED_URL": feed[0]}, live)


def test_a_woocommerce_shop_with_its_orders(tmp_path: Path, shop: tuple[str, Shop, Starlette]) -> None:
    url, held, _ = shop
    for customer in range(10, 22):
        held.order(customer, (1, 1), (2, 1))
        held.order(customer + 20, (3, 1))
    held.order(77, (1, 1))
    environ = {"WOOCOMMERCE_URL": url, "WOOCOMMERCE_KEY": KEY, "WOOCOMMERCE_SECRET": SECRET}
    path = tmp_path / "config.yaml"
    path.write_text(
        f"version: 1\nstore: sqlite:///{tmp_path / 'x.db'}\ndomains:\n  products:\n    extends: products\n"
        "    collectors: {orders: {customers: plain}}\n"
    )

    async def life(orchestrator: Orchestrator, clock: ManualClock) -> None:
        for name in ("products", "orders"):
            await ran(orchestrator, name, clock())
        found = await slate(orchestrator, "77")
        assert shown(found) == {str(number) for number in range(2, 9)}, "all but what 77 just bought"
        (second,) = [pick for pick in found.picks if pick.item == "2"]
        assert second.parts["together"] > 0, "as 12 people bought both"
        assert shown(await slate(orchestrator, "10")) == {str(number) for number in range(3, 9)}
        cart = await slate(orchestrator, "zoe", cart=["1"])
        (second,) = [pick for pick in cart.picks if pick.item == "2"]
        assert second.parts["together"] == max(pick.parts["together"] for pick in cart.picks) > 0

        held.put(2, stock_status="outofstock")
        held.put(3, price="30.00")
        held.order(77, (3, 1))
        clock.advance(5 * MINUTE)
        held.clock += 5 * MINUTE
        for name in ("products", "orders"):
            await ran(orchestrator, name, clock())
        assert price(orchestrator, "3") == 30.0
        assert shown(await slate(orchestrator, "77")) == {str(number) for number in range(4, 9)}
        run = orchestrator.collecting.last("products", "orders")
        assert run is not None
        assert (run.interactions, run.rejected) == (1, 0)

    lived(tmp_path, environ, life)


def test_a_product_that_was_deleted_is_gone_within_hours(
    tmp_path: Path, shop: tuple[str, Shop, Starlette]
) -> None:
    url, held, _ = shop

    async def life(orchestrator: Orchestrator, clock: ManualClock) -> None:
        await ran(orchestrator, "products", clock())
        del held.products[8]
        clock.advance(MINUTE)
        await ran(orchestrator, "products", clock())
        assert shown(await slate(orchestrator)) == {str(number) for number in range(1, 9)}, (
            "only changes are read"
        )
        clock.advance(6 * 60 * MINUTE)
        held.clock += 6 * 60 * MINUTE
        await ran(orchestrator, "products", clock())
        assert shown(await slate(orchestrator)) == {str(number) for number in range(1, 8)}

    keys = {"WOOCOMMERCE_KEY": KEY, "WOOCOMMERCE_SECRET": SECRET}
    lived(tmp_path, {"WOOCOMMERCE_URL": url, **keys}, life)


def test_without_keys_the_public_products_do(tmp_path: Path, shop: tuple[str, Shop, Starlette]) -> None:
    url, held, _ = shop

    async def life(orchestrator: Orchestrator, clock: ManualClock) -> None:
        await ran(orchestrator, "products", clock())
        assert len((await slate(orchestrator)).picks) == 8
        held.put(1, stock_status="outofstock")
        del held.products[2]
        clock.advance(MINUTE)
        await ran(orchestrator, "products", clock())
        assert shown(await slate(orchestrator)) == {str(number) for number in range(3, 9)}

    lived(tmp_path, {"WOOCOMMERCE_URL": url}, life)
