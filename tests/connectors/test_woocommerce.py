"""shop.woocommerce: a real client against a shop that behaves as documented, in good and in bad hours."""

import asyncio
import hashlib
import hmac
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from tastemaker.connectors.woocommerce import Woocommerce
from tastemaker.connectors.woocommerce_orders import Orders
from tastemaker.connectors.woocommerce_products import Products, rest_item
from tastemaker.core import (
    Collection,
    CollectorError,
    Fault,
    Forbidden,
    Garbage,
    Interaction,
    Invalid,
    Record,
    Refused,
    ServiceError,
    Throttled,
    Unreachable,
)
from tastemaker.core.diagnosis import _empty
from tastemaker.tests.fakes import faults
from tastemaker.tests.fakes.serving import serve
from tastemaker.tests.fakes.using import using
from tastemaker.tests.fakes.woocommerce import KEY, SECRET, Shop, documented, misshapen, woocommerce

EXAMPLES = Path(os.environ.get("SHARED_SPECS", Path(__file__).parents[3] / "shared" / "specs"))
EXAMPLES = EXAMPLES / "examples" / "woocommerce"
needs_examples = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason=f"no WooCommerce documentation at {EXAMPLES}"
)
QUICK: dict[str, Any] = {"timeout_seconds": 30, "retries": 0}


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.put(
        1, name="Tea &amp; mug", price="12.50", description="<p>Holds <b>tea</b>.</p>", sku="M-1", total_sales=7,
        average_rating="4.50", rating_count=2, categories=[{"id": 9, "name": "Kitchen", "slug": "kitchen"},
        {"id": 10, "name": "Mugs", "slug": "mugs"}], tags=[{"id": 3, "name": "gift", "slug": "gift"}],
        images=[{"id": 1, "date_created": "", "date_created_gmt": "", "date_modified": "", "date_modified_gmt": "",
        "src": "https://shop.example/1.jpg", "name": "", "alt": ""}],
        attributes=[{"id": 1, "name": "Colour", "position": 0, "visible": True, "variation": False, "options": ["red"]},
        {"id": 2, "name": "Size", "position": 1, "visible": True, "variation": True, "options": ["S", "M"]}],
    )  # fmt: skip
    shop.put(2, price="9.00", stock_status="outofstock")
    return shop


@pytest.fixture
def app(shop: Shop) -> Starlette:
    return woocommerce(shop)


@pytest.fixture
def url(app: Starlette) -> Iterator[str]:
    with serve(app) as url:
        yield url


def keyed(url: str, **options: Any) -> Woocommerce:
    return Woocommerce(url=url, consumer_key=KEY, consumer_secret=SECRET, **{**QUICK, **options})


def collected(collector: Products | Orders, collection: Collection | None = None) -> list[Any]:
    found: AsyncIterator[Any] = collector.collect(collection or Collection("shop", time.time()))

    async def run() -> list[Any]:
        return [each async for each in found]

    return asyncio.run(run())


def items(found: list[Any]) -> dict[str, dict[str, Any]]:
    assert not [each for each in found if isinstance(each, Fault)]
    return {each.values["id"]: dict(each.values) for each in found if isinstance(each, Record)}


class TestTheFake:
    """It must not drift from what WooCommerce documents."""

    @needs_examples
    def test_its_answers_have_the_documented_shapes(self, app: Starlette, shop: Shop, url: str) -> None:
        orders = (EXAMPLES / "_orders.md").read_text(encoding="utf-8")
        variations = (EXAMPLES / "_product-variations.md").read_text(encoding="utf-8")
        shop.vary(2, {"price": "9.00"})
        shop.give_back(shop.order(26, (1, 2), (2, 1)), 1, 1)
        service = keyed(url)

        async def answers() -> list[Any]:
            public = Woocommerce(url=url, **QUICK)
            return [
                (await service.page("products", {}, 1)).rows,
                (await service.page("products/2/variations", {}, 1)).rows,
                (await service.page("orders", {}, 1)).rows,
                (await public.page("products", {}, 1)).rows,
            ]

        products, varied, orders_given, public = asyncio.run(answers())
        listed = json.loads((EXAMPLES / "products-list.json").read_text(encoding="utf-8"))
        listed = [{key: value for key, value in each.items() if key != "_links"} for each in listed]
        assert misshapen(products, listed) == []
        listed = documented(variations, "## List all product variations ##")
        listed = [{key: value for key, value in each.items() if key != "_links"} for each in listed]
        assert misshapen(varied, listed) == []
        asked = documented(orders, "## List all orders ##")
        asked = [{key: value for key, value in each.items() if key != "_links"} for each in asked]
        assert misshapen(orders_given, asked) == []
        store = json.loads((EXAMPLES / "store-api-product.json").read_text(encoding="utf-8"))
        assert misshapen(public, [store]) == []

    @needs_examples
    def test_the_documented_product_itself_can_be_read(self) -> None:
        raw = json.loads((EXAMPLES / "product.json").read_text(encoding="utf-8"))
        item = rest_item(raw)
        assert (item["id"], item["price"], item["available"]) == ("794", Decimal("21.99"), True)
        assert (item["category"], item["tags"]) == ("Clothing", ["T-shirts"])

    @needs_examples
    def test_a_shape_that_differs_is_found(self) -> None:
        raw = json.loads((EXAMPLES / "product.json").read_text(encoding="utf-8"))
        assert misshapen({**raw, "price": 21.99}, raw) == [".price: 21.99 where '21.99' is documented"]
        assert misshapen({key: raw[key] for key in raw if key != "sku"}, raw) == [".sku is missing"]


class TestProducts:
    def test_with_keys(self, url: str) -> None:
        found = items(collected(Products(service=keyed(url))))
        mug = found["1"]
        assert {key: mug[key] for key in mug if key not in ("added_at", "updated_at", "link")} == {
            "id": "1", "title": "Tea & mug", "description": "Holds tea.", "price": Decimal("12.50"),
            "regular_price": Decimal("12.50"), "availability": "in_stock", "available": True, "mpn": "M-1",
            "units_sold": 7, "rating": Decimal("4.50"), "rating_count": 2, "category": "Kitchen",
            "tags": ["Mugs", "gift"], "image_link": "https://shop.example/1.jpg", "color": "red",
        }  # fmt: skip
        assert mug["added_at"].endswith("Z")
        assert (found["2"]["availability"], found["2"]["available"]) == ("out_of_stock", False)

    @pytest.mark.parametrize(("currency", "price"), [("EUR", "12.5"), ("JPY", "12"), ("KWD", "12.5")])
    def test_without_keys_prices_come_in_the_smallest_unit(
        self, shop: Shop, url: str, currency: str, price: str
    ) -> None:
        shop.currency = currency
        found = items(collected(Products(service=Woocommerce(url=url, **QUICK))))
        assert found["1"]["price"] == Decimal(price)
        assert (found["1"]["currency"], found["1"]["available"]) == (currency, True)
        assert (found["1"]["category"], found["1"]["tags"]) == ("Kitchen", ["Mugs", "gift"])
        assert found["2"]["available"] is False

    @pytest.mark.parametrize("keys", [True, False])
    def test_all_pages_are_read(self, app: Starlette, shop: Shop, url: str, keys: bool) -> None:
        for number in range(3, 251):
            shop.put(number, price="1")
        service = keyed(url) if keys else Woocommerce(url=url, **QUICK)
        found = items(collected(Products(service=service)))
        assert sorted(map(int, found)) == list(range(1, 251))
        assert [asked.query["page"] for asked in app.state.requests] == ["1", "2", "3"]

    def test_what_moves_up_while_it_is_read_is_not_missed(self, shop: Shop, url: str) -> None:
        for number in range(3, 251):
            shop.put(number, price="1")

        def between(page: int) -> None:
            if page == 2:
                shop.products.pop(7, None)

        shop.between = between
        assert set(map(int, items(collected(Products(service=keyed(url)))))) >= set(range(8, 251))

    def test_only_what_was_modified_is_read_again(self, shop: Shop, url: str) -> None:
        shop.clock = 600.0  # the shop's clock is ten minutes ahead
        for product in (1, 2):
            shop.products[product]["date_modified_gmt"] = "2026-01-01T00:00:00"
        products = Products(service=keyed(url))
        now = time.time()
        first = Collection("shop", now)
        assert set(items(collected(products, first))) == {"1", "2"}
        assert not first.partial
        shop.put(2, stock_status="instock", price="8.00")
        second = Collection("shop", now + 60, mark=first.mark)
        found = items(collected(products, second))
        assert (set(found), found["2"]["price"], found["2"]["available"]) == ({"2"}, Decimal(8), True)
        assert second.partial
        whole = Collection("shop", now + 7 * 3600, mark=second.mark)
        assert set(items(collected(products, whole))) == {"1", "2"}
        assert not whole.partial

    def test_what_is_no_longer_published_can_no_longer_be_had(self, shop: Shop, url: str) -> None:
        products = Products(service=keyed(url))
        first = Collection("shop", time.time())
        collected(products, first)
        shop.put(1, status="draft")
        assert (
            items(collected(products, Collection("shop", time.time(), mark=first.mark)))["1"]["available"]
            is False
        )
        assert "1" not in items(collected(products)), "a run that reads all reads what is published"

    def test_a_product_that_can_not_be_read_is_named(self, shop: Shop, url: str) -> None:
        shop.put(3, price="a lot")
        shop.put(4, name="  ")
        shop.put(5, price="5", global_unique_id="123")
        found = collected(Products(service=keyed(url)))
        said = [f"{each.where}: {each.message}" for each in found if isinstance(each, Fault)]
        assert said == [
            "product 3: it can't be read: the price 'a lot' is no amount",
            "product 4: it can't be read: it has no name",
            "product 5: the gtin '123' must have 8, 12, 13 or 14 digits; it is taken without",
        ]
        assert len([each for each in found if isinstance(each, Record)]) == 3

    def test_a_product_in_variations_costs_what_those_do_that_can_be_had(self, shop: Shop, url: str) -> None:
        gone, later = {"stock_status": "outofstock"}, {"stock_status": "onbackorder"}
        shop.vary(3, {"price": "5.00", **gone}, {"price": "8.00", "regular_price": "10.00"},
                  {"price": "12.00", **later}, {"price": "90.00", "status": "private"})  # fmt: skip
        shop.vary(4, {"price": "5.00", "stock_status": "outofstock"}, {"price": "7.00", "purchasable": False})
        found = items(collected(Products(service=keyed(url))))
        names = ("price", "price_max", "regular_price", "availability", "available")
        assert [found["3"][name] for name in names] == [8, 12, 10, "in_stock", True]
        assert [found["4"][name] for name in names] == [5, 7, 5, "out_of_stock", False]
        assert "price_max" not in found["1"]

    def test_without_keys_the_public_range_of_prices_is_known(self, shop: Shop, url: str) -> None:
        shop.vary(3, {"price": "5.00"}, {"price": "8.00"})
        found = items(collected(Products(service=Woocommerce(url=url, **QUICK))))
        assert (found["3"]["price"], found["3"]["price_max"]) == (5, 8)

    def test_no_more_variations_are_asked_for_than_wanted(self, app: Starlette, shop: Shop, url: str) -> None:
        for number in range(3, 8):
            shop.vary(number, {"price": "5.00", "stock_status": "outofstock"}, {"price": "8.00"})
        found = items(collected(Products(service=keyed(url), variations=2)))
        assert [found[str(number)]["price"] for number in range(3, 8)] == [8, 8, 5, 5, 5]
        assert sum(each.path.endswith("/variations") for each in app.state.requests) == 2

    def test_variations_that_can_not_be_had_keep_no_product_back(
        self, app: Starlette, shop: Shop, url: str
    ) -> None:
        shop.vary(3, {"price": "5.00"}, {"price": "8.00"})
        shop.vary(4, {"price": "6.00"}, {"price": "9.00"})
        app.state.faults = [faults.Fault("/wp-json/wc/v3/products/3/variations", status=503)]
        found = collected(Products(service=keyed(url)))
        (fault,) = [each for each in found if isinstance(each, Fault)]
        assert fault.where == "product 3"
        assert "503" in fault.message
        prices = {each.values["id"]: each.values["price"] for each in found if isinstance(each, Record)}
        assert (prices["3"], prices["4"]) == (5, 6)

    @pytest.mark.parametrize("fault", [{"status": 404}, {"garbage": b"<br>Notice"}], ids=["gone", "garbage"])
    def test_one_product_without_variations_keeps_the_next_from_nothing(
        self, app: Starlette, shop: Shop, url: str, fault: dict[str, Any]
    ) -> None:
        gone = {"stock_status": "outofstock"}
        shop.vary(3, {"price": "5.00", **gone}, {"price": "8.00"})
        shop.vary(4, {"price": "6.00", **gone}, {"price": "9.00"})
        app.state.faults = [faults.Fault("/wp-json/wc/v3/products/3/variations", **fault)]
        found = collected(Products(service=keyed(url)))
        assert [each.where for each in found if isinstance(each, Fault)] == ["product 3"]
        prices = {each.values["id"]: each.values["price"] for each in found if isinstance(each, Record)}
        assert (prices["3"], prices["4"]) == (5, 9)

    def test_further_fields_come_by_path(self, shop: Shop, url: str) -> None:
        shop.put(1, weight="0.4", dimensions={"length": "3", "width": "", "height": ""})
        columns = {"weight": "weight", "length": "dimensions.length"}
        mug = items(collected(Products(service=keyed(url), columns=columns)))["1"]
        assert (mug["weight"], mug["length"]) == ("0.4", "3")


DAY = timedelta(days=1)


class TestOrders:
    def test_lines_are_purchases(self, shop: Shop, url: str) -> None:
        number = shop.order(26, (1, 2), (2, 1), at="2026-11-01T10:00:00")
        orders = Orders(service=keyed(url), customers="plain")
        when = datetime(2026, 11, 1, 10, tzinfo=UTC).timestamp()
        at = url.removeprefix("http://")
        assert collected(orders) == [
            Interaction(
                f"{at} {number} {number * 10 + place}", "shop", "26", item, "purchase", when, quantity,
                situation={"order": str(number)},
            )
            for place, (item, quantity) in enumerate([("1", 2.0), ("2", 1.0)])
        ]  # fmt: skip

    def test_customers_are_hashed_unless_told_otherwise(self, shop: Shop, url: str) -> None:
        shop.order(26, (1, 1))
        salted = Orders(service=keyed(url), salt="pepper")
        (bought,) = collected(salted)
        assert bought.user == hmac.new(b"pepper", b"26", hashlib.sha256).hexdigest()[:32]
        assert bought.user == salted.user("26") != Orders(service=keyed(url)).user("26") != "26"

    def test_guests_are_nobody_unless_told_otherwise(self, shop: Shop, url: str) -> None:
        shop.order(0, (1, 1), billing={"email": "Ann@Example.org"})
        shop.order(0, (2, 1), billing={"email": "ann@example.org "})
        assert collected(Orders(service=keyed(url))) == []
        users = {each.user for each in collected(Orders(service=keyed(url), guests=True, customers="plain"))}
        assert len(users) == 1
        assert "ann" not in users.pop()

    @pytest.mark.parametrize("status", ["pending", "on-hold", "cancelled", "failed"])
    def test_what_was_never_paid_is_no_purchase(self, shop: Shop, url: str, status: str) -> None:
        shop.order(26, (1, 1), status=status)
        assert collected(Orders(service=keyed(url))) == []

    @pytest.mark.parametrize("status", ["cancelled", "refunded"])
    def test_what_was_undone_is_taken_back(self, shop: Shop, url: str, status: str) -> None:
        number = shop.order(26, (1, 1))
        shop.change(number, status=status)
        found = collected(Orders(service=keyed(url)))
        assert [(each.kind, each.item) for each in found] == [("purchase", "1"), ("refund", "1")]
        assert len({each.id for each in found}) == 2

    def test_a_part_that_was_given_back_is_taken_back(self, shop: Shop, url: str) -> None:
        number = shop.order(26, (1, 2), (2, 1))
        shop.give_back(number, 1, 1)
        assert [each.kind for each in collected(Orders(service=keyed(url)))] == ["purchase", "purchase"]
        shop.give_back(number, 1, 1)
        found = collected(Orders(service=keyed(url)))
        assert [(each.kind, each.item) for each in found] == [
            ("purchase", "1"), ("refund", "1"), ("purchase", "2")
        ]  # fmt: skip

    def test_only_what_was_modified_is_read_again_under_the_same_ids(self, shop: Shop, url: str) -> None:
        old = shop.order(26, (1, 1), at=(datetime.now(UTC) - 9 * DAY).strftime("%Y-%m-%dT%H:%M:%S"))
        shop.order(27, (2, 1), at=(datetime.now(UTC) - 8 * DAY).strftime("%Y-%m-%dT%H:%M:%S"))
        orders, first = Orders(service=keyed(url)), Collection("shop", time.time())
        before = collected(orders, first)
        assert len(before) == 2
        shop.change(old, status="refunded")
        again = collected(orders, Collection("shop", time.time(), mark=first.mark))
        assert [each.kind for each in again] == ["purchase", "refund"]
        assert again[0] == before[0]

    def test_the_first_run_goes_back_so_far_only(self, shop: Shop, url: str) -> None:
        shop.order(26, (1, 1), at=(datetime.now(UTC) - 31 * DAY).strftime("%Y-%m-%dT%H:%M:%S"))
        assert collected(Orders(service=keyed(url), since_days=30)) == []
        assert len(collected(Orders(service=keyed(url), since_days=32))) == 1

    def test_a_product_that_is_gone_is_told(self, shop: Shop, url: str) -> None:
        number = shop.order(26, (0, 1), (1, 1))
        fault, bought = collected(Orders(service=keyed(url)))
        assert fault == Fault(f"order {number}", "the product 'Product 0' is not in the shop any more")
        assert bought.item == "1"

    def test_items_may_have_other_ids(self, shop: Shop, url: str) -> None:
        shop.order(26, (1, 1))
        (bought,) = collected(Orders(service=keyed(url), item="woo-{sku}"))
        assert bought.item == "woo-sku-1"
        for wrong in ("{price}", "product", "{", "{}"):
            with pytest.raises(ValidationError, match=r"must be a text with \{product_id\}"):
                Orders(service=keyed(url), item=wrong)

    def test_without_an_address_that_alone_is_missing(self) -> None:
        assert _empty(Woocommerce()) == ["url"]

    def test_without_keys_it_says_so(self, url: str) -> None:
        with pytest.raises(CollectorError, match="without consumer_key and consumer_secret"):
            collected(Orders(service=Woocommerce(url=url)))


def failure(service: Woocommerce) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        collected(Products(service=service))
    return caught.value


class TestBadHours:
    @pytest.mark.parametrize(
        ("key", "secret", "said"),
        [("ck_other", SECRET, "Consumer key is invalid"), (KEY, "cs_other", "signature does not match")],
    )
    def test_wrong_keys(self, url: str, key: str, secret: str, said: str) -> None:
        found = failure(Woocommerce(url=url, consumer_key=key, consumer_secret=secret, **QUICK))
        assert isinstance(found, Refused)
        assert said in str(found)
        assert secret not in str(found)

    def test_what_the_keys_user_may_not_see_keeps_nothing_else_back(self, app: Starlette, url: str) -> None:
        body = b'{"code": "woocommerce_rest_cannot_view", "message": "Sorry, you cannot list resources."}'
        app.state.faults = [faults.Fault("/wp-json/wc/v3/orders", status=403, body=body, times=-1)]

        async def work(service: Woocommerce) -> None:
            for _ in range(3):
                with pytest.raises(Forbidden, match="you cannot list"):
                    await service.page("orders", {}, 1)
            assert (await service.page("products", {}, 1)).rows

        using(keyed(url, breaker={"failures": 2, "seconds": 30}), work)

    def test_keys_that_may_not_read(self, shop: Shop, url: str) -> None:
        shop.permissions = "write"
        assert "does not have read permissions" in str(failure(keyed(url)))

    def test_a_clock_that_is_off_is_told_by_the_shop(self, shop: Shop, url: str) -> None:
        shop.clock = 3600.0
        service = keyed(url)
        assert "Invalid timestamp" in str(failure(service))

    def test_an_address_below_which_there_is_no_shop(self, url: str) -> None:
        found = failure(Woocommerce(url=f"{url}/blog", **QUICK))
        assert "404" in str(found)

    def test_an_address_of_a_wordpress_without_a_shop(self, app: Starlette, url: str) -> None:
        body = b'{"code":"rest_no_route","message":"No route was found.","data":{"status":404}}'
        app.state.faults = [faults.Fault(status=404, body=body)]
        found = failure(keyed(url))
        assert isinstance(found, Invalid)
        assert "is that the address of the shop itself?" in str(found)

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (faults.Fault(status=502, body=b"<html>Bad gateway</html>"), Unreachable),
            (faults.Fault(drop=True), Unreachable),
            (faults.Fault(garbage=b"<html>We are upgrading</html>"), Garbage),
            (faults.Fault(garbage=b'{"products": []}'), Garbage),
            (faults.Fault(status=429, headers={"Retry-After": "120"}), Throttled),
            (faults.Fault(delay=3.0), Unreachable),
        ],
    )
    def test_trouble_has_its_name(
        self, app: Starlette, url: str, fault: faults.Fault, kind: type[ServiceError]
    ) -> None:
        app.state.faults = [fault]
        assert isinstance(failure(keyed(url, timeout_seconds=1)), kind)

    def test_an_attempt_that_failed_is_signed_anew(self, app: Starlette, shop: Shop, url: str) -> None:
        app.state.faults = [faults.Fault(status=500)]
        assert len(items(collected(Products(service=keyed(url, retries=2))))) == 2
        assert len({asked.query["oauth_nonce"] for asked in app.state.requests}) == 2

    def test_half_of_the_pages_leaves_no_mark(self, app: Starlette, shop: Shop, url: str) -> None:
        for number in range(3, 150):
            shop.put(number, price="1")
        shop.between = lambda page: app.state.faults.append(faults.Fault(status=500)) if page == 1 else None
        collection = Collection("shop", time.time())
        with pytest.raises(Unreachable):
            collected(Products(service=keyed(url)), collection)
        assert collection.mark == ""

    def test_health(self, app: Starlette, url: str) -> None:
        assert asyncio.run(keyed(url).health()) is None
        wrong = Woocommerce(url=url, consumer_key=KEY, consumer_secret="cs_x", **QUICK)
        assert "signature" in str(asyncio.run(wrong.health()))


class TestConnections:
    def test_keys_go_over_https_as_they_are_and_never_over_http(
        self, shop: Shop, tmp_path: Path, url: str, app: Starlette
    ) -> None:
        collected(Products(service=keyed(url)))
        assert "authorization" not in app.state.requests[0].headers
        assert SECRET not in str(app.state.requests)
        certificate = _certificate(tmp_path)
        trusted = ssl.create_default_context(cafile=str(certificate))
        secure = woocommerce(shop)

        class Trusting(Woocommerce):
            def _client(self) -> httpx.AsyncClient:
                return httpx.AsyncClient(verify=trusted, timeout=5)

        with serve(secure, certificate=certificate) as https:
            service = Trusting(url=https, consumer_key=KEY, consumer_secret=SECRET, **QUICK)
            assert len(items(collected(Products(service=service)))) == 2
            assert secure.state.requests[0].headers["authorization"].startswith("Basic ")
            wrong = Trusting(url=https, consumer_key=KEY, consumer_secret="cs_x", **QUICK)
            assert "Consumer secret is invalid" in str(failure(wrong))

    def test_what_is_configured(self) -> None:
        assert not Woocommerce().configured
        assert Woocommerce(url="https://shop.example/").url == "https://shop.example"
        assert Woocommerce(url="https://shop.example").hosts == {"shop.example"}
        assert SECRET not in repr(keyed("https://shop.example"))
        for wrong in (
            "shop.example",
            "ftp://shop.example",
            "https://a:b@shop.example",
            "https://shop.example?x=1",
        ):
            with pytest.raises(ValidationError, match="must be the shop's address"):
                Woocommerce(url=wrong)


def _certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, in one file."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a shop of a test")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - DAY).not_valid_after(now + DAY).add_extension(names, False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "shop.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
