"""The orders of a WooCommerce shop as purchases, and what was given back or cancelled as refunds."""

import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from ..core import Collection, Collector, CollectorError, Fault, Interaction
from .watermark import Watermark
from .woocommerce import Woocommerce
from .woocommerce_products import gmt

_DAY = 86_400.0
_OVERLAP = 60.0
_BOUGHT = ("processing", "completed", "refunded")
_UNDONE = ("cancelled", "refunded", "failed", "trash")
_KEYS = ("product_id", "variation_id", "sku")


class Orders(Collector):
    """Brings in a WooCommerce shop's orders: each line is a purchase of its product by its customer.

    It needs keys. What was refunded, cancelled or failed after it had been paid comes as a `refund`, too. Ids are
    made of shop, order and line, so that an order which is read again counts once.
    """

    service: Woocommerce
    kind: str = Field("purchase", min_length=1, description="of the interactions that are purchases")
    refund: str = Field("refund", min_length=1, description="… and of those that take one back")
    item: str = Field(
        "{product_id}", description="the item's id, made of the line's {product_id}, {variation_id} and {sku}"
    )
    customers: Literal["hashed", "plain"] = Field(
        "hashed", description="plain: users have the ids that the shop gave its customers"
    )
    salt: SecretStr = Field(SecretStr(""), description="of the hash; with an empty one, the shop's address")
    guests: bool = Field(
        False, description="whether to tell guests apart by the hash of their e-mail address"
    )
    since_days: float = Field(730, gt=0, le=36_500, description="how far the first run goes back")

    @field_validator("item")
    @classmethod
    def _template(cls, item: str) -> str:
        try:
            if item.format(**dict.fromkeys(_KEYS, "1")) == item:
                raise KeyError
        except (KeyError, IndexError, ValueError):
            named = ", ".join(f"{{{key}}}" for key in _KEYS)
            raise ValueError(f"must be a text with {named} in it, not {item!r}") from None
        return item

    async def collect(self, collection: Collection) -> AsyncIterator[Interaction | Fault]:
        """Purchases and refunds, by order. Raises ServiceError, or CollectorError, where the shop can't be asked."""
        if not self.service.keyed:
            raise CollectorError("without consumer_key and consumer_secret, a shop's orders can't be read")
        since, began = Watermark.of(collection.mark, self.service.url).since, None
        asked = {"after": gmt(collection.now - self.since_days * _DAY), "dates_are_gmt": "true"}
        if since is not None:
            asked["modified_after"] = gmt(since)
        async for page in self.service.pages("orders", asked):
            began = began if began is not None else page.time or collection.now
            for order in page.rows:
                where = f"order {order.get('id')}"
                try:
                    returned = await self._returned(order)
                    found = list(self._deeds(order, returned, collection.domain, where))
                except (ValueError, TypeError, KeyError) as problem:
                    found = [Fault(where, f"it can't be read: {problem or type(problem).__name__}")]
                for each in found:
                    yield each
        if began is not None:
            collection.mark = Watermark(began - _OVERLAP, collection.now, self.service.url).text()

    def user(self, customer: str) -> str:
        """The user that a customer is: HMAC-SHA256 of its id with the salt, 32 hexadecimal digits; or the id itself."""
        if self.customers == "plain":
            return customer
        salt = self.salt.get_secret_value() or self.service.url
        return hmac.new(salt.encode(), customer.encode(), hashlib.sha256).hexdigest()[:32]

    def _deeds(
        self, order: Mapping[str, Any], returned: Counter[tuple[int, int]], domain: str, where: str
    ) -> Iterator[Interaction | Fault]:
        """What an order's customer did. Raises ValueError, TypeError, KeyError for one that has another shape."""
        user, time, status = self._customer(order), _paid(order), order["status"]
        if user is None or time is None:
            return
        shop = self.service.url.partition("://")[2]
        for line in order["line_items"]:
            product = (int(line["product_id"]), int(line["variation_id"]))
            if not product[0]:
                yield Fault(where, f"the product {str(line['name'])[:60]!r} is not in the shop any more")
                continue
            item = self.item.format(**{key: line[key] for key in _KEYS})
            identity = f"{shop} {order['id']} {line['id']}"
            quantity, situation = float(line["quantity"]), {"order": str(order["id"])}
            yield Interaction(identity, domain, user, item, self.kind, time, quantity, situation=situation)
            whole = returned[product] >= quantity > 0
            if status in _UNDONE or whole:
                at = _moment(order["date_modified_gmt"]) or time
                returned[product] -= int(quantity) if whole else 0
                yield Interaction(
                    f"{identity} refund", domain, user, item, self.refund, at, quantity, situation=situation
                )

    def _customer(self, order: Mapping[str, Any]) -> str | None:
        """The user whose order it is; None for a guest who isn't told apart."""
        if int(order["customer_id"]):
            return self.user(str(order["customer_id"]))
        email = str(order["billing"].get("email") or "").strip().lower()
        if not self.guests or not email:
            return None
        salt = self.salt.get_secret_value() or self.service.url
        return hmac.new(salt.encode(), email.encode(), hashlib.sha256).hexdigest()[:32]

    async def _returned(self, order: Mapping[str, Any]) -> "Counter[tuple[int, int]]":
        """How much of each product and variation was given back, where that wasn't the whole order."""
        returned: Counter[tuple[int, int]] = Counter()
        if order["refunds"] and order["status"] not in _UNDONE:
            async for page in self.service.pages(f"orders/{int(order['id'])}/refunds", {}):
                for refund in page.rows:
                    for line in refund["line_items"]:
                        product = (int(line["product_id"]), int(line["variation_id"]))
                        returned[product] += abs(int(line["quantity"]))
        return returned


def _paid(order: Mapping[str, Any]) -> float | None:
    """When it became a purchase; None where it didn't, such as an order that was cancelled before it was paid."""
    moment = _moment(order["date_paid_gmt"]) or _moment(order["date_completed_gmt"])
    if moment is None and order["status"] in _BOUGHT:
        moment = _moment(order["date_created_gmt"])
    return moment


def _moment(text: str | None) -> float | None:
    """Seconds since the epoch. Raises ValueError."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else None
