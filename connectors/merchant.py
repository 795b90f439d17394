"""Products by Google Merchant's attributes, the common language of shops' feeds: checked, and made into items.

The names, and what their values may be: https://support.google.com/merchants/answer/7052112
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from ..core import did_you_mean
from .money import Money, money
from .plain_text import plain_text

AVAILABILITY = ("in_stock", "out_of_stock", "preorder", "backorder")

_MOST = {"id": 50, "title": 150, "description": 5000}
"""Characters that Merchant allows; longer texts are cut, a longer id is refused."""
_PATH = re.compile(r"\s*>\s*")
_LISTS = ("additional_image_link", "product_highlight", "product_detail")
_MISSING = frozenset({"", "null", "none", "n/a", "na"})


class Unusable(ValueError):
    """A product that can't be taken, with the reason."""


@lru_cache(4096)
def attribute(name: str) -> str:
    """The attribute that a column or element is: with a space or an underscore, with or without the prefix `g:`.

    >>> attribute("g:image link"), attribute("Sale_Price")
    ('image_link', 'sale_price')
    """
    plain = name.strip().lower()
    return re.sub(r"[\s_]+", "_", plain.removeprefix("g:"))


@dataclass(slots=True)
class Product:
    """An item made of a product's attributes.

    complaints: what of it is wrong and was left out. changes: when a sale begins or ends next, seconds since the
    epoch, None where none does.
    """

    item: dict[str, Any]
    complaints: list[str] = field(default_factory=list)
    changes: float | None = None


def product(
    raw: Mapping[str, Any],
    now: float,
    *,
    currency: str | None = None,
    sellable: Collection[str] = AVAILABILITY,
) -> Product:
    """The item of a product whose attributes have their plain names.

    Its price is the one that is asked now; the usual one is its `regular_price`. `available` is whether its
    availability is among the `sellable` ones. `category` is the first part of its product type (else of Google's
    category), `tags` are the others. Attributes that Merchant doesn't have stay as they are. Raises Unusable where
    id, title, price or availability can't be used.
    """
    made = Product({name: value for name, value in raw.items() if not _missing(value)})
    item = made.item
    identity = str(item.get("id", "")).strip()
    if not identity:
        raise Unusable("it has no id")
    if len(identity) > _MOST["id"]:
        raise Unusable(
            f"its id {identity[:20] + '…'!r} has {len(identity)} characters; {_MOST['id']} are allowed"
        )
    for name in ("title", "description"):
        if name in item:
            item[name] = plain_text(str(item[name]))[: _MOST[name]]
    if not item.get("title"):
        raise Unusable(f"{identity!r} has no title")
    try:
        made.changes = _priced(item, made.complaints, now, currency)
        _availability(item, sellable)
    except ValueError as problem:
        raise Unusable(f"{identity!r}: {problem}") from None
    if "gtin" in item:
        try:
            item["gtin"] = gtin(str(item["gtin"]))
        except ValueError as problem:
            made.complaints.append(f"{identity!r}: {problem}; it is taken without")
            del item["gtin"]
    for name in _LISTS:
        if isinstance(item.get(name), str):
            item[name] = [part.strip() for part in item[name].split(",") if part.strip()]
    _categorised(item)
    made.complaints[:] = [
        text if text.startswith(repr(identity)) else f"{identity!r}: {text}" for text in made.complaints
    ]
    return made


def gtin(text: str) -> str:
    """A Global Trade Item Number of 8, 12, 13 or 14 digits whose check digit is right. Raises ValueError.

    >>> gtin("4006381 333931")
    '4006381333931'
    """
    digits = re.sub(r"[\s-]", "", text)
    if re.fullmatch(r"\d(\.\d+)?[eE]\+?\d+", digits):
        raise ValueError(f"the gtin {text[:40]!r} was spoiled by a spreadsheet; keep the column as text")
    if not (digits.isascii() and digits.isdigit()) or len(digits) not in (8, 12, 13, 14):
        raise ValueError(f"the gtin {text[:40]!r} must have 8, 12, 13 or 14 digits")
    wanted = check_digit(digits[:-1])
    if int(digits[-1]) != wanted:
        raise ValueError(
            f"the gtin {text[:40]!r} must end in {wanted}, its check digit, or has a wrong digit"
        )
    return digits


def check_digit(digits: str) -> int:
    """The last digit of a GTIN whose others are given (GS1: weights 3, 1, 3 … from the right).

    >>> check_digit("400638133393")
    1
    """
    return -sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits))) % 10


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in _MISSING)


def _priced(item: dict[str, Any], complaints: list[str], now: float, currency: str | None) -> float | None:
    """Set what the item costs now; when that changes next."""
    if "price" not in item:
        return None
    usual = _money("price", item["price"], currency)
    item.update(price=usual.amount, regular_price=usual.amount, currency=usual.currency)
    if "sale_price" not in item:
        return None
    try:
        sale = _money("sale_price", item.pop("sale_price"), usual.currency)
        if sale.amount > usual.amount:
            raise ValueError(f"the sale_price {sale.amount} is above the price {usual.amount}")
        begins, ends = _period(item.get("sale_price_effective_date"))
    except ValueError as problem:
        complaints.append(f"{problem}; it is taken at its usual price")
        return None
    if begins <= now < ends:
        item["price"] = sale.amount
    return next((moment for moment in (begins, ends) if now < moment < _NEVER), None)


_NEVER = 1e11


def _period(value: Any) -> tuple[float, float]:
    if value is None:
        return -_NEVER, _NEVER
    begins, slash, ends = str(value).partition("/")
    try:
        if not slash:
            raise ValueError
        return _moment(begins), _moment(ends)
    except ValueError:
        raise ValueError(
            f"the sale_price_effective_date {str(value)[:60]!r} must be two times with a slash between them, "
            "such as 2026-11-20T08:00+0100/2026-11-27T23:59+0100"
        ) from None


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _money(name: str, value: Any, currency: str | None) -> Money:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"the {name} must be one amount of money, such as 15.00 USD")
    try:
        return money(value, currency)
    except ValueError as problem:
        raise ValueError(f"the {name} {problem}") from None


def _availability(item: dict[str, Any], sellable: Collection[str]) -> None:
    if "availability" not in item:
        return
    said = str(item["availability"])
    word = re.sub(r"[\s_]+", "_", said.strip().lower())
    if word not in AVAILABILITY:
        near = did_you_mean(word, AVAILABILITY)
        raise ValueError(f"the availability {said[:40]!r} must be one of {', '.join(AVAILABILITY)}{near}")
    item["availability"] = word
    item["available"] = word in sellable


def _categorised(item: dict[str, Any]) -> None:
    parts = list(_parts(item))
    if parts and "category" not in item:
        item["category"] = parts[0]
    if parts[1:] and "tags" not in item:
        item["tags"] = parts[1:]


def _parts(item: Mapping[str, Any]) -> Iterator[str]:
    """The parts of the first category path that is given in words: Google's may be a number."""
    for name in ("product_type", "google_product_category"):
        value = item.get(name)
        path = str(value[0] if isinstance(value, list) and value else value or "").strip()
        if path and not path.isdigit():
            yield from filter(None, _PATH.split(plain_text(path)))
            return
