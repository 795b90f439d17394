"""A WooCommerce shop: REST v3 with keys, the public Store API, a stock that changes, orders that come in.

with serve(woocommerce()) as url: …

As documented in woocommerce-rest-api-docs: Basic authentication over HTTPS, OAuth 1.0a over HTTP; `page`, `per_page`,
`X-WP-Total`, `X-WP-TotalPages`, `Link`; `modified_after`, `after`, `status`, `orderby`, `order`.
"""

import base64
import copy
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlencode

from oauthlib.oauth1.rfc5849 import signature
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .faults import Faults

KEY, SECRET = "ck_0123456789abcdef", "cs_fedcba9876543210"
_ORDERED = {"products": ("date", "id", "title"), "orders": ("date", "id", "title"), "refunds": ("date", "id")}

PRODUCT: dict[str, Any] = {
    "id": 0, "name": "", "slug": "", "permalink": "", "date_created": "", "date_created_gmt": "", "date_modified": "",
    "date_modified_gmt": "", "type": "simple", "status": "publish", "featured": False, "catalog_visibility": "visible",
    "description": "", "short_description": "", "sku": "", "price": "", "regular_price": "", "sale_price": "",
    "date_on_sale_from": None, "date_on_sale_from_gmt": None, "date_on_sale_to": None, "date_on_sale_to_gmt": None,
    "price_html": "", "on_sale": False, "purchasable": True, "total_sales": 0, "virtual": False, "downloadable": False,
    "downloads": [], "download_limit": -1, "download_expiry": -1, "external_url": "", "button_text": "",
    "tax_status": "taxable", "tax_class": "", "manage_stock": False, "stock_quantity": None, "stock_status": "instock",
    "backorders": "no", "backorders_allowed": False, "backordered": False, "sold_individually": False, "weight": "",
    "dimensions": {"length": "", "width": "", "height": ""}, "shipping_required": True, "shipping_taxable": True,
    "shipping_class": "", "shipping_class_id": 0, "reviews_allowed": True, "average_rating": "0.00", "rating_count": 0,
    "related_ids": [], "upsell_ids": [], "cross_sell_ids": [], "parent_id": 0, "purchase_note": "", "categories": [],
    "tags": [], "images": [], "attributes": [], "default_attributes": [], "variations": [], "grouped_products": [],
    "menu_order": 0, "meta_data": [],
}  # fmt: skip
VARIATION: dict[str, Any] = {
    "id": 0, "date_created": "", "date_created_gmt": "", "date_modified": "", "date_modified_gmt": "",
    "description": "", "permalink": "", "sku": "", "price": "", "regular_price": "", "sale_price": "",
    "date_on_sale_from": None, "date_on_sale_from_gmt": None, "date_on_sale_to": None, "date_on_sale_to_gmt": None,
    "on_sale": False, "status": "publish", "purchasable": True, "virtual": False, "downloadable": False,
    "downloads": [], "download_limit": -1, "download_expiry": -1, "tax_status": "taxable", "tax_class": "",
    "manage_stock": False, "stock_quantity": None, "stock_status": "instock", "backorders": "no",
    "backorders_allowed": False, "backordered": False, "weight": "",
    "dimensions": {"length": "", "width": "", "height": ""}, "shipping_class": "", "shipping_class_id": 0,
    "image": {"id": 425, "date_created": "", "date_created_gmt": "", "date_modified": "", "date_modified_gmt": "",
              "src": "https://shop.example/green.jpg", "name": "", "alt": ""},
    "attributes": [{"id": 6, "name": "Color", "option": "Green"}], "menu_order": 0, "meta_data": [],
}  # fmt: skip
ORDER: dict[str, Any] = {
    "id": 0, "parent_id": 0, "number": "", "order_key": "wc_order_1", "created_via": "checkout", "version": "10.3.0",
    "status": "processing", "currency": "USD", "date_created": "", "date_created_gmt": "", "date_modified": "",
    "date_modified_gmt": "", "discount_total": "0.00", "discount_tax": "0.00", "shipping_total": "0.00",
    "shipping_tax": "0.00", "cart_tax": "0.00", "total": "0.00", "total_tax": "0.00", "prices_include_tax": False,
    "customer_id": 0, "customer_ip_address": "", "customer_user_agent": "", "customer_note": "",
    "billing": {"first_name": "", "last_name": "", "company": "", "address_1": "", "address_2": "", "city": "",
                "state": "", "postcode": "", "country": "", "email": "", "phone": ""},
    "shipping": {"first_name": "", "last_name": "", "company": "", "address_1": "", "address_2": "", "city": "",
                 "state": "", "postcode": "", "country": ""},
    "payment_method": "bacs", "payment_method_title": "", "transaction_id": "", "date_paid": None,
    "date_paid_gmt": None, "date_completed": None, "date_completed_gmt": None, "cart_hash": "", "meta_data": [],
    "line_items": [], "tax_lines": [], "shipping_lines": [], "fee_lines": [], "coupon_lines": [], "refunds": [],
}  # fmt: skip
LINE: dict[str, Any] = {
    "id": 0, "name": "", "product_id": 0, "variation_id": 0, "quantity": 1, "tax_class": "", "subtotal": "0.00",
    "subtotal_tax": "0.00", "total": "0.00", "total_tax": "0.00", "taxes": [], "meta_data": [], "sku": "", "price": 0,
}  # fmt: skip


@dataclass
class Shop:
    """What the shop holds. Its clock is its own: `clock` seconds ahead of this machine's."""

    products: dict[int, dict[str, Any]] = field(default_factory=dict)
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    variations: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    clock: float = 0.0
    currency: str = "EUR"
    permissions: str = "read"
    between: Callable[[int], None] | None = None
    """Called before a page is made, with its number: things happen while somebody reads."""
    nonces: set[str] = field(default_factory=set)
    _numbers: int = 0

    def now(self) -> str:
        """The time as WooCommerce writes it."""
        return datetime.fromtimestamp(time.time() + self.clock, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    def put(self, product: int, *, created: str | None = None, **values: Any) -> dict[str, Any]:
        """Make a product, or change it."""
        known = self.products.get(product)
        made = known or copy.deepcopy(PRODUCT) | {
            "id": product,
            "name": f"Product {product}",
            "slug": f"p{product}",
        }
        made |= values
        if "price" in values:
            made["regular_price"] = values.get("regular_price", values["price"])
        if known is None:
            made["permalink"] = f"https://shop.example/product/{made['slug']}/"
            made["date_created"] = made["date_created_gmt"] = created or self.now()
        made["date_modified"] = made["date_modified_gmt"] = (
            created if created and known is None else self.now()
        )
        self.products[product] = made
        return made

    def vary(self, product: int, *variations: Mapping[str, Any]) -> None:
        """Make a product come in variations; its own price becomes the lowest of all, as WooCommerce has it."""
        now = self.now()
        self.variations[product] = [
            {**VARIATION, "id": 1000 * product + place, "date_created": now, "date_created_gmt": now,
             "date_modified": now, "date_modified_gmt": now, "regular_price": values.get("price", ""), **values}
            for place, values in enumerate(variations)
        ]  # fmt: skip
        lowest = min((str(each["price"]) for each in variations if each.get("price")), key=float, default="")
        self.put(
            product,
            type="variable",
            price=lowest,
            variations=[each["id"] for each in self.variations[product]],
        )
        self.products[product]["regular_price"] = ""

    def order(self, customer: int, *lines: tuple[int, int], status: str = "processing", **values: Any) -> int:
        """Take an order of (product, quantity); its number."""
        self._numbers += 1
        number = 700 + self._numbers
        made = copy.deepcopy(ORDER) | {
            "id": number,
            "number": str(number),
            "customer_id": customer,
            "status": status,
        }
        now = values.pop("at", None) or self.now()
        for name in ("date_created", "date_modified"):
            made[name] = made[f"{name}_gmt"] = now
        if status in ("processing", "completed"):
            made["date_paid"] = made["date_paid_gmt"] = now
        made["line_items"] = [
            copy.deepcopy(LINE) | {"id": number * 10 + place, "product_id": product, "quantity": quantity,
                                   "name": f"Product {product}", "sku": f"sku-{product}"}
            for place, (product, quantity) in enumerate(lines)
        ]  # fmt: skip
        made["billing"] = made["billing"] | values.pop("billing", {})
        self.orders[number] = made | values
        return number

    def change(self, order: int, **values: Any) -> None:
        """Change an order."""
        self.orders[order] |= values
        self.orders[order]["date_modified"] = self.orders[order]["date_modified_gmt"] = self.now()

    def give_back(self, order: int, product: int, quantity: int) -> None:
        """Refund a part of an order."""
        self._numbers += 1
        refund = 900 + self._numbers
        line = copy.deepcopy(LINE) | {"id": refund * 10, "product_id": product, "quantity": -quantity}
        self.refunds.setdefault(order, []).append({
            "id": refund, "date_created": self.now(), "date_created_gmt": self.now(), "amount": "10.00", "reason": "",
            "refunded_by": 1, "refunded_payment": False, "meta_data": [], "line_items": [line], "tax_lines": [],
            "shipping_lines": [], "fee_lines": [],
        })  # fmt: skip
        known = self.orders[order]["refunds"]
        self.change(order, refunds=[*known, {"id": refund, "refund": "", "total": "-10.00"}])


def woocommerce(shop: Shop | None = None) -> Starlette:
    """The app; `app.state.shop` is what it holds."""
    routes = [
        Route("/wp-json/wc/v3/products", _products),
        Route("/wp-json/wc/v3/products/{product:int}/variations", _variations),
        Route("/wp-json/wc/v3/orders", _orders),
        Route("/wp-json/wc/v3/orders/{order:int}/refunds", _refunds),
        Route("/wp-json/wc/store/v1/products", _store),
        Route("/{path:path}", _nothing),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Faults)])
    app.state.shop = shop or Shop()
    return app


def error(code: str, message: str, status: int, **data: Any) -> JSONResponse:
    """WordPress's own error."""
    return JSONResponse({"code": code, "message": message, "data": {"status": status, **data}}, status)


async def _nothing(request: Request) -> Response:
    if not request.url.path.startswith("/wp-json"):
        return Response("<!DOCTYPE html><title>Not found</title>", 404, media_type="text/html")
    message = "No route was found matching the URL and request method."
    return error("rest_no_route", message, 404)


async def _products(request: Request) -> Response:
    return _refused(request) or _page(request, list(_shop(request).products.values()), "products")


async def _variations(request: Request) -> Response:
    held = _shop(request).variations.get(request.path_params["product"], [])
    return _refused(request) or _page(request, held, "variations")


async def _orders(request: Request) -> Response:
    return _refused(request) or _page(request, list(_shop(request).orders.values()), "orders")


async def _refunds(request: Request) -> Response:
    shop, order = _shop(request), request.path_params["order"]
    if order not in shop.orders:
        return _refused(request) or error("woocommerce_rest_invalid_order_id", "Invalid order ID.", 404)
    return _refused(request) or _page(request, shop.refunds.get(order, []), "refunds")


async def _store(request: Request) -> Response:
    shop = _shop(request)
    shown = [
        each for each in shop.products.values()
        if each["status"] == "publish" and each["catalog_visibility"] != "hidden"
    ]  # fmt: skip

    def dearest(product: Mapping[str, Any]) -> str | None:
        prices = [each["price"] for each in shop.variations.get(product["id"], []) if each["price"]]
        return max(prices, key=float, default=None)

    return _page(request, shown, "store", lambda each: _public(each, shop.currency, dearest(each)))


def _public(product: Mapping[str, Any], currency: str, dearest: str | None = None) -> dict[str, Any]:
    """A product as the Store API shows it: prices in the smallest unit."""
    digits = {"JPY": 0, "KWD": 3}.get(currency, 2)

    def minor(text: str) -> str:
        return "" if not text else str(round(float(text) * 10**digits))

    return {
        "id": product["id"], "name": product["name"], "slug": product["slug"], "variation": "",
        "permalink": product["permalink"], "sku": product["sku"], "summary": product["short_description"],
        "short_description": product["short_description"], "description": product["description"],
        "on_sale": product["on_sale"],
        "prices": {
            "currency_code": currency, "currency_symbol": "€", "currency_minor_unit": digits,
            "currency_decimal_separator": ".", "currency_thousand_separator": ",", "currency_prefix": "€",
            "currency_suffix": "", "price": minor(product["price"]),
            "regular_price": minor(product["regular_price"]), "sale_price": minor(product["price"]),
            "price_range": dearest and {"min_amount": minor(product["price"]), "max_amount": minor(dearest)},
        },
        "average_rating": product["average_rating"], "review_count": product["rating_count"],
        "images": [
            {"id": image["id"], "src": image["src"], "thumbnail": image["src"], "name": image["name"], "alt": ""}
            for image in product["images"]
        ],
        "categories": [{**each, "link": ""} for each in product["categories"]],
        "tags": [{**each, "link": ""} for each in product["tags"]],
        "has_options": False, "is_purchasable": product["purchasable"],
        "is_in_stock": product["stock_status"] != "outofstock", "is_password_protected": False,
        "low_stock_remaining": None,
        "_links": {"self": [{"href": product["permalink"]}], "related": [{"href": "", "embeddable": True}]},
    }  # fmt: skip


def _page(
    request: Request,
    rows: list[dict[str, Any]],
    kind: str,
    shown: Callable[[dict[str, Any]], dict[str, Any]] = copy.deepcopy,
) -> Response:
    asked, shop = request.query_params, _shop(request)
    try:
        page, size = int(asked.get("page", "1")), int(asked.get("per_page", "10"))
    except ValueError:
        return error("rest_invalid_param", "Invalid parameter(s): page", 400)
    if not 1 <= size <= 100:
        message = "per_page must be between 1 (inclusive) and 100 (inclusive)"
        return error(
            "rest_invalid_param", "Invalid parameter(s): per_page", 400, params={"per_page": message}
        )
    by = asked.get("orderby", "date")
    if by not in _ORDERED.get(kind, ("date", "id", "modified", "title", "price", "popularity", "rating")):
        return error("rest_invalid_param", "Invalid parameter(s): orderby", 400)
    if shop.between is not None:
        shop.between(page)
        rows = [row for row in rows if kind == "variations" or row["id"] in {**shop.products, **shop.orders}]
    for name, column in (("modified_after", "date_modified_gmt"), ("after", "date_created_gmt")):
        if name in asked and kind != "store":
            if asked.get("dates_are_gmt") != "true":
                raise AssertionError("the shop's own zone is nobody's business")
            rows = [row for row in rows if row[column] > asked[name]]
    if kind in ("products", "variations") and asked.get("status", "any") != "any":
        rows = [row for row in rows if row["status"] == asked["status"]]
    key = "id" if by == "id" else "date_created_gmt"
    rows = sorted(rows, key=lambda row: row[key], reverse=asked.get("order", "desc") == "desc")
    total, pages = len(rows), -(-len(rows) // size)
    headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
    headers["Date"] = formatdate(time.time() + shop.clock, usegmt=True)
    if page < pages:
        following = urlencode({**dict(asked), "page": page + 1})
        headers["Link"] = f'<{request.url.replace(query=following)}>; rel="next"'
    return JSONResponse([shown(row) for row in rows[(page - 1) * size : page * size]], headers=headers)


def _shop(request: Request) -> Shop:
    found: Shop = request.app.state.shop
    return found


def _refused(request: Request) -> Response | None:
    """Why the request isn't answered: as WC_REST_Authentication has it."""
    shop, given = _shop(request), dict(parse_qsl(request.url.query, keep_blank_values=True))
    if request.url.scheme == "https":
        header = request.headers.get("authorization", "")
        if not header.startswith("Basic "):
            return error("woocommerce_rest_cannot_view", "Sorry, you cannot list resources.", 401)
        key, _, secret = base64.b64decode(header[6:]).decode().partition(":")
        if key != KEY:
            return error("woocommerce_rest_authentication_error", "Consumer key is invalid.", 401)
        if secret != SECRET:
            return error("woocommerce_rest_authentication_error", "Consumer secret is invalid.", 401)
    else:
        if "oauth_consumer_key" not in given:
            return error("woocommerce_rest_cannot_view", "Sorry, you cannot list resources.", 401)
        wrong = _unsigned(request, given, shop)
        if wrong:
            return error("woocommerce_rest_authentication_error", wrong, 401)
    if shop.permissions not in ("read", "read_write"):
        message = "The API key provided does not have read permissions."
        return error("woocommerce_rest_authentication_error", message, 401)
    return None


def _unsigned(request: Request, given: Mapping[str, str], shop: Shop) -> str:
    """What is wrong with an OAuth 1.0a signature, judged by oauthlib."""
    if given["oauth_consumer_key"] != KEY:
        return "Consumer key is invalid."
    pairs = signature.collect_parameters(uri_query=request.url.query, exclude_oauth_signature=True)
    base = signature.signature_base_string(
        request.method, str(request.url.replace(query="")), signature.normalize_parameters(pairs)
    )
    signs = {
        "HMAC-SHA1": signature.sign_hmac_sha1_with_client,
        "HMAC-SHA256": signature.sign_hmac_sha256_with_client,
    }
    sign = signs.get(given.get("oauth_signature_method", ""))
    if sign is None:
        return "Invalid signature - signature method is invalid."
    if sign(base, _Client()) != given.get("oauth_signature"):
        return "Invalid signature - provided signature does not match."
    if abs(time.time() + shop.clock - int(given["oauth_timestamp"])) > 15 * 60:
        return "Invalid timestamp."
    if given["oauth_nonce"] in shop.nonces:
        return "Invalid nonce - nonce has already been used."
    shop.nonces.add(given["oauth_nonce"])
    return ""


class _Client:
    client_secret, resource_owner_secret = SECRET, ""


def documented(text: str, heading: str) -> Any:
    """The first JSON answer below a heading of WooCommerce's documentation."""
    below = text[text.index(heading) :]
    found = re.search(r"JSON response example:\s*```json\n(.*?)```", below, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def misshapen(answer: Any, example: Any, where: str = "") -> list[str]:
    """Where an answer hasn't the shape of a documented one: keys that it lacks, and values of another type."""
    if isinstance(example, dict):
        if not isinstance(answer, dict):
            return [f"{where}: {answer!r} is no object"]
        lacks = [f"{where}.{key} is missing" for key in example if key not in answer]
        return lacks + [
            line
            for key in example
            if key in answer
            for line in misshapen(answer[key], example[key], f"{where}.{key}")
        ]
    if isinstance(example, list):
        if not isinstance(answer, list):
            return [f"{where}: {answer!r} is no list"]
        return (
            [line for each in answer for line in misshapen(each, example[0], f"{where}[]")] if example else []
        )
    numbers = (int, float)
    if example is None or answer is None or (type(answer) in numbers and type(example) in numbers):
        return []
    return [] if type(answer) is type(example) else [f"{where}: {answer!r} where {example!r} is documented"]
