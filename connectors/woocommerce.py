"""WooCommerce shops: REST v3 with keys, and the public Store API without any.

https://developer.woocommerce.com/docs/apis/rest-api/v3/ and https://developer.woocommerce.com/docs/apis/store-api/
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import Field, SecretStr, field_validator

from ..core import Budget, Call, Forbidden, Garbage, Invalid, ServiceError
from .web import HttpService

_PAGE = 100
"""Items of a page, the most that it gives."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what was asked for. total, pages: how much there is. time: by the shop's clock; None where untold."""

    rows: Sequence[Mapping[str, Any]]
    total: int
    pages: int
    time: float | None


class Woocommerce(HttpService):
    """A WooCommerce shop. Without keys it gives its public products; with them, orders and more of the products."""

    heard: ClassVar[frozenset[str]] = frozenset({"x-wp-total", "x-wp-totalpages", "date"})

    url: str = Field("", description="of the shop, such as https://shop.example; empty: not configured")
    consumer_key: SecretStr = Field(
        SecretStr(""), description="from WooCommerce > Settings > Advanced > REST API"
    )
    consumer_secret: SecretStr = Field(SecretStr(""), description="… and its secret; read access is enough")
    timeout_seconds: float = Field(30, gt=0, le=300, description="Time limit of one request.")
    budgets: Mapping[str, Budget] = Field(
        default={"api": Budget(limit=3000, per=600.0)}, description="By bucket: how much of a quota is spent."
    )

    @field_validator("url")
    @classmethod
    def _shop(cls, url: str) -> str:
        url = url.strip().rstrip("/")
        parts = urlsplit(url)
        if url and (
            parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc
        ):
            raise ValueError("must be the shop's address, such as https://shop.example")
        return url

    @property
    def configured(self) -> bool:
        """Whether there is an address."""
        return bool(self.url)

    @property
    def keyed(self) -> bool:
        """Whether there are keys."""
        return bool(self.consumer_key.get_secret_value() and self.consumer_secret.get_secret_value())

    async def health(self) -> str | None:
        """None where the shop answers, else what is wrong."""
        try:
            await self.page("products", {}, 1, size=1)
        except ServiceError as error:
            return str(error)
        return None

    async def page(self, path: str, parameters: Mapping[str, str], number: int, *, size: int = _PAGE) -> Page:
        """One page, from 1, of a collection such as `products`, `orders`, `orders/7/refunds`. Raises ServiceError."""
        url = f"{self.url}/wp-json/{'wc/v3' if self.keyed else 'wc/store/v1'}/{path}"
        asked = {**parameters, "page": str(number), "per_page": str(size)}
        found = await self.fetch(Call(path.rpartition("/")[2], bucket="api"), url, asked)
        rows, headers = found.value, found.headers
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Garbage(f"{path}: no list of objects but {str(rows)[:60]!r}")
        total, pages = headers.get("x-wp-total", ""), headers.get("x-wp-totalpages", "")
        return Page(
            rows,
            int(total) if total.isdigit() else len(rows),
            int(pages) if pages.isdigit() else 1,
            _time(headers),
        )

    async def pages(self, path: str, parameters: Mapping[str, str]) -> AsyncIterator[Page]:
        """All pages of a collection, oldest first, so that what is added meanwhile comes last. Raises ServiceError.

        Where something was deleted meanwhile, what follows it has moved up: the page before is read once more.
        """
        number, total, pages = 1, 0, 1
        while number <= pages:
            page = await self.page(path, {"orderby": "id", "order": "asc", **parameters}, number)
            yield page
            number = max(1, number - 1) if page.total < total else number + 1
            total, pages = page.total, page.pages

    def headers(self) -> Mapping[str, str]:
        """The keys, which only HTTPS may carry."""
        if not self.keyed or not self.url.startswith("https:"):
            return {}
        keys = f"{self.consumer_key.get_secret_value()}:{self.consumer_secret.get_secret_value()}".encode()
        return {"authorization": f"Basic {base64.b64encode(keys).decode()}"}

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
        """What an answer with a status from 300 on means: 401 is about the keys, 403 about what their user may see."""
        usual = super().refusal(status, headers, body)
        if status == 403 and b'"woocommerce_rest_cannot_' in body:
            return Forbidden(str(usual))
        if status == 404 and b'"rest_no_route"' in body:
            return Invalid(
                f"no WooCommerce answers below {self.url}: is that the address of the shop itself?"
            )
        return usual

    async def _sent_once(
        self, client: httpx.AsyncClient, request: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        # Every attempt has a signature of its own: the shop takes none twice.
        if self.keyed and not request.url.startswith("https:"):
            key, secret = self.consumer_key.get_secret_value(), self.consumer_secret.get_secret_value()
            parameters = signed(request.method, request.url, request.params, key, secret, self._clock())
            request = replace(request, params=parameters)
        return await super()._sent_once(client, request)


def signed(
    method: str, url: str, parameters: Mapping[str, str], key: str, secret: str, now: float
) -> dict[str, str]:
    """The parameters with an OAuth 1.0a one-legged signature (RFC 5849, HMAC-SHA256), as plain HTTP needs it."""
    given = {
        **parameters,
        "oauth_consumer_key": key,
        "oauth_nonce": secrets.token_hex(16),
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(int(now)),
    }
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in given.items())
    text = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join((method, quote(url, safe="~"), quote(text, safe="~")))
    digest = hmac.new(f"{quote(secret, safe='~')}&".encode(), base.encode(), hashlib.sha256).digest()
    return {**given, "oauth_signature": base64.b64encode(digest).decode()}


def _time(headers: Mapping[str, str]) -> float | None:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
