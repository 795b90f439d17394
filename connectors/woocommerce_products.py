"""The products of a WooCommerce shop as items."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import Field

from ..core import Collection, Collector, Fault, Garbage, Missing, Record, ServiceError
from .merchant import attribute, gtin
from .money import minor_units
from .nested import reached
from .plain_text import plain_text
from .watermark import Watermark
from .woocommerce import Woocommerce

_HOUR = 3600.0
_OVERLAP = 60.0
"""Seconds before the mark that are read again: a change that was still being written."""
_STOCK = {"instock": "in_stock", "outofstock": "out_of_stock", "onbackorder": "backorder"}
_OWN = {"colour": "color"}
_SINGLE = ("brand", "color", "size", "material", "gender", "age_group", "pattern")
"""Attributes of a product that become a field of their own, where there is one value."""


class Products(Collector):
    """Brings in a WooCommerce shop's products, with the names of Google Merchant's attributes.

    With keys, a run reads what was modified since the last one, and every `whole_every_hours` all that is published,
    so that what is gone can be told (see `replace`). Without keys, each run reads all that is public.
    """

    service: Woocommerce
    columns: Mapping[str, str] = Field(
        default_factory=dict,
        description="further fields: path in WooCommerce's own product, such as dimensions.weight",
    )
    whole_every_hours: float = Field(
        6, gt=0, le=8760, description="how often to read all products all the same"
    )
    variations: int = Field(
        500,
        ge=0,
        le=100_000,
        description="with keys: of how many products with variations a run asks for these, one request each",
    )

    async def collect(self, collection: Collection) -> AsyncIterator[Record | Fault]:
        """Products, oldest first. Raises ServiceError where the shop can't be asked."""
        mark = Watermark.of(collection.mark, self.service.url)
        keyed = self.service.keyed
        since = mark.since if keyed and collection.now - mark.whole < self.whole_every_hours * _HOUR else None
        began: float | None = None
        left = self.variations if keyed else 0
        async for page in self.service.pages("products", _asked(since) if keyed else {}):
            began = began if began is not None else page.time or collection.now
            for raw in page.rows:
                where = f"product {raw.get('id')}"
                sold: list[Mapping[str, Any]] = []
                if left > 0 and raw.get("type") == "variable":
                    left -= 1
                    try:
                        sold = await self._variations(raw)
                    except ServiceError as problem:
                        if not isinstance(problem, Missing | Garbage):  # the next would fail as well
                            left = 0
                        yield Fault(where, f"its price is the shop's own, without its variations: {problem}")
                try:
                    item = rest_item(raw, sold) if keyed else store_item(raw)
                except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation) as problem:
                    yield Fault(where, f"it can't be read: {problem or type(problem).__name__}")
                    continue
                if "gtin" in item:
                    try:
                        item["gtin"] = gtin(item["gtin"])
                    except ValueError as problem:
                        yield Fault(where, f"{problem}; it is taken without")
                        del item["gtin"]
                yield Record(
                    item | {field: reached(raw, path) for field, path in self.columns.items()}, where
                )
        collection.partial = since is not None
        if keyed and began is not None:
            whole = mark.whole if since is not None else collection.now
            collection.mark = Watermark(began - _OVERLAP, whole, self.service.url).text()

    async def _variations(self, raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Those of a product that are published. Raises ServiceError."""
        pages = self.service.pages(f"products/{raw['id']}/variations", {"status": "publish"})
        return [variation async for page in pages for variation in page.rows]


def gmt(moment: float) -> str:
    """A time as WooCommerce takes it, with `dates_are_gmt`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _asked(since: float | None) -> dict[str, str]:
    """All that is published; or all that was modified, so that what is published no longer is among it."""
    if since is None:
        return {"status": "publish"}
    return {"status": "any", "modified_after": gmt(since), "dates_are_gmt": "true"}


def rest_item(raw: Mapping[str, Any], variations: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The item of a product of REST v3. Raises ValueError, TypeError, KeyError for one that has another shape.

    variations: those of the product that were asked for. Of these, one that can be had is in stock, and `price` and
    `price_max` are the lowest and the highest of those that can be had, or of all where none can.
    """
    stock = _STOCK.get(str(raw["stock_status"]), "out_of_stock")
    lowest, regular, highest = _amount(raw["price"]), _amount(raw["regular_price"]), None
    if variations:
        there = [each for each in variations if each["purchasable"] and each["stock_status"] != "outofstock"]
        states = {_STOCK.get(str(each["stock_status"]), "out_of_stock") for each in there}
        stock = next((state for state in ("in_stock", "backorder") if state in states), "out_of_stock")
        prices = [(_amount(each["price"]), _amount(each["regular_price"])) for each in there or variations]
        priced = sorted((price, usual or price) for price, usual in prices if price is not None)
        if priced:
            (lowest, regular), highest = priced[0], priced[-1][0]
    offered = raw["status"] == "publish" and raw["catalog_visibility"] != "hidden"
    sold = raw["purchasable"] or raw["type"] == "external"
    item = {
        **_common(raw),
        "price": lowest,
        "price_max": highest,
        "regular_price": regular,
        "availability": stock,
        "available": bool(offered and sold and stock != "out_of_stock"),
        "rating_count": raw["rating_count"],
        "units_sold": raw["total_sales"],
        "gtin": raw.get("global_unique_id"),
        "added_at": _time(raw["date_created_gmt"]),
        "updated_at": _time(raw["date_modified_gmt"]),
    }
    for each in raw["attributes"]:
        name = _OWN.get(attribute(each["name"]), attribute(each["name"]))
        if name in _SINGLE and len(each["options"]) == 1:
            item[name] = plain_text(each["options"][0])
    return {name: value for name, value in item.items() if value not in (None, "", [])}


def store_item(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The item of a product of the Store API. Raises ValueError, TypeError, KeyError."""
    prices = raw["prices"]
    digits, spread = int(prices["currency_minor_unit"]), prices.get("price_range")
    item = {
        **_common(raw),
        "price": minor_units(prices["price"], digits) if prices["price"] else None,
        "price_max": minor_units(spread["max_amount"], digits) if spread else None,
        "regular_price": minor_units(prices["regular_price"], digits) if prices["regular_price"] else None,
        "currency": prices["currency_code"],
        "availability": "in_stock" if raw["is_in_stock"] else "out_of_stock",
        "available": bool(raw["is_in_stock"] and (raw["is_purchasable"] or raw.get("type") == "external")),
        "rating_count": raw["review_count"],
    }
    return {name: value for name, value in item.items() if value not in (None, "", [])}


def _common(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What both APIs call by the same names."""
    title = plain_text(raw["name"])
    if not title:
        raise ValueError("it has no name")
    images = [image["src"] for image in raw["images"]]
    categories, tags = _names(raw.get("categories", ())), _names(raw.get("tags", ()))
    return {
        "id": str(raw["id"]),
        "title": title,
        "description": plain_text(f"{raw['short_description']} {raw['description']}"),
        "link": raw["permalink"],
        "image_link": images[0] if images else None,
        "additional_image_link": images[1:],
        "mpn": raw["sku"],
        "brand": next(iter(_names(raw.get("brands", ()))), None),
        "category": categories[0] if categories else None,
        "tags": [*categories[1:], *tags],
        "rating": Decimal(raw["average_rating"]) if float(raw["average_rating"]) > 0 else None,
    }


def _names(terms: Iterable[Mapping[str, Any]]) -> Sequence[str]:
    return [plain_text(term["name"]) for term in terms]


def _amount(text: str) -> Decimal | None:
    """A price, which is empty where there is none. Raises ValueError."""
    if text == "":
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the price {text[:40]!r} is no amount") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"the price {text[:40]!r} is no amount")
    return amount


def _time(text: str | None) -> str | None:
    return f"{text}Z" if text else None
