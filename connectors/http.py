"""Any JSON-over-HTTP API, by YAML alone.

connectors:
  shelf: {use: http.api, url: https://api.shelf.example, token: "${SHELF_TOKEN:-}"}
collectors:
  books: {use: http.items, path: /v1/books, items: data, fields: {isbn: id, title: attributes.title}, every: 6h}
sources:
  search: {use: http.source, path: "/v1/search?q={profile.interests}", items: data, fields: {isbn: id}}
"""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, field_validator

from ..core import (
    Budget,
    Call,
    Collection,
    Collector,
    CollectorError,
    Component,
    Context,
    Fault,
    FieldType,
    Garbage,
    Missing,
    Record,
    ServiceError,
    Source,
    did_you_mean,
    hookimpl,
)
from .paging import Paging, compiled
from .templates import Template
from .web import Answer, HttpService

_log = logging.getLogger("tastemaker.connectors")

Keep = Literal["answers", "features", "user", "recommendations"]


def _expression(text: str) -> str:
    compiled(text)
    return text


def _template(text: str) -> str:
    Template.of(text)
    if text.startswith("//") or "://" in text.partition("?")[0]:
        raise ValueError("must be a path, such as /v1/items: the host is that of the connector's `url`")
    return text


JmesPath = Annotated[str, AfterValidator(_expression)]
UrlTemplate = Annotated[str, AfterValidator(_template)]


class Api(HttpService):
    """An API that answers in JSON. Its calls are charged to the budget `calls`, which YAML may set.

    Without `token` it is one that needs none; with an empty one it is not configured.
    """

    url: str = Field(description="What all its paths are added to, such as https://api.shelf.example/v1.")
    token: SecretStr | None = Field(
        None, description="The secret that the API wants; leave it out where it wants none."
    )
    header: str = Field("Authorization", min_length=1, description="The header that the token goes into.")
    scheme: str = Field("Bearer", description="The word before the token; empty for none.")
    parameter: str = Field("", description="A parameter that the token goes into instead; a header is safer.")
    send: Mapping[str, str] = Field(default={}, description="More headers, such as `accept-language: de`.")
    budgets: Mapping[str, Budget] = Field(default={}, description="`calls`: how many it allows.")

    @field_validator("url")
    @classmethod
    def _absolute(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://, such as https://api.shelf.example/v1")
        return url.rstrip("/")

    @field_validator("budgets")
    @classmethod
    def _of_calls(cls, budgets: Mapping[str, Budget]) -> Mapping[str, Budget]:
        for name in budgets:
            if name != "calls":
                raise ValueError(f"its only budget is `calls`, not {name!r}")
        return budgets

    @property
    def configured(self) -> bool:
        """Whether it has the token that it wants."""
        return self.token is None or bool(self.token.get_secret_value().strip())

    def headers(self) -> Mapping[str, str]:
        """The token, and what else the config says."""
        if self.token is None or self.parameter:
            return dict(self.send)
        return {**self.send, self.header: f"{self.scheme} {self.token.get_secret_value()}".strip()}

    async def page(
        self, call: Call, target: str, parameters: Mapping[str, Any], items: str
    ) -> tuple[Answer, list[Any]]:
        """An answer, and the list that a JMESPath finds in it. target: a path, or a whole URL. Raises ServiceError.

        Where something of the list is an object, the rest may be anything.
        """
        secret = {self.parameter: self.token.get_secret_value()} if self.parameter and self.token else {}
        url = target if target.startswith(("https://", "http://")) else f"{self.url}/{target.lstrip('/')}"
        answer = await self.fetch(call, url, {**parameters, **secret})
        found = compiled(items).search(answer.value)
        if found is None:
            found = []
        if not isinstance(found, list) or (found and not any(isinstance(each, Mapping) for each in found)):
            raise Garbage(
                f"{self.entry or 'http.api'}: {call.name}: at {items!r} there is no list of objects"
            )
        return answer, found


class _Reading(Component):
    """What a collector and a source of an API have in common: where items are, and what their fields are called."""

    path: UrlTemplate = Field(
        description="What is asked for, with placeholders such as {profile.interests|jazz}."
    )
    items: JmesPath = Field("@", description="JMESPath of the list of items in an answer.")
    fields: Mapping[str, JmesPath] = Field(
        default={}, description="field: JMESPath in an item; the item's id too. None: items are as they come."
    )
    settings: Mapping[str, str | int | float | bool] = Field(
        default={}, description="Values for placeholders, as {settings.NAME}."
    )

    def misfits(self, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
        """Placeholders of settings that there are none of, and fields that the domain doesn't have."""
        for path, default in Template.of(self.path).places:
            root, _, name = path.partition(".")
            if root == "settings" and default is None and name not in self.settings:
                yield (
                    "path",
                    f"`{{{path}}}` names a setting that `settings` doesn't have{did_you_mean(name, self.settings)}",
                )

        strange = [field for field in self.fields if field not in fields]
        if self.fields and not strange:
            yield "fields", "none of them is the item's id; where items are read by fields, it is one of them"
        if len(strange) > 1:  # one of them is the id
            named, near = " and ".join(map(repr, strange)), did_you_mean(strange[-1], fields)
            yield (
                "fields",
                f"of {named} only one can be the id, and the domain has no such field{near}",
            )

    def mapped(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """An item with the fields' names."""
        if not self.fields:
            return dict(item)
        return {field: compiled(expression).search(item) for field, expression in self.fields.items()}


class Items(_Reading, Collector):
    """Collects items from an API, page by page; of an item with a watermark only what is newer than the last time.

    The path may hold {mark}, what the last run left, as in `/books?changed_since={mark|1970-01-01}`.
    """

    service: Api
    paging: Paging | None = Field(
        None, description="How the next page is asked for; none: there is one page."
    )
    mark: JmesPath | None = Field(
        None, description="JMESPath in an item; its largest value is {mark} the next time."
    )

    async def collect(self, collection: Collection) -> AsyncIterator[Record | Fault]:
        """Items in the API's order. Raises CollectorError where the API can't be asked or has nothing to say."""
        values = {
            "settings": self.settings,
            "domain": collection.domain,
            "now": collection.now,
            "mark": collection.mark,
        }
        target = Template.of(self.path).filled(values)
        if target is None:
            raise CollectorError(
                f"{self.path!r} can't be filled in: a value is missing; write a default, as {{mark|0}}"
            )
        parameters = self.paging.beginning() if self.paging else {}
        best: Any = None
        seen = set()
        for number in range(self.paging.most if self.paging else 1):
            where = f"{target} page {number + 1}"
            if (key := f"{target} {urlencode(sorted(parameters.items()))}") in seen:
                yield Fault(where, "the API says that the next page is one that was read already")
                break
            seen.add(key)
            try:
                answer, found = await self.service.page(
                    Call("items", bucket="calls"), target, parameters, self.items
                )
            except ServiceError as error:
                raise CollectorError(f"page {number + 1}: {error}") from None
            for place, item in enumerate(found):
                if not isinstance(item, Mapping):
                    yield Fault(f"{where}, item {place + 1}", f"it is no object but {_kind(item)}")
                    continue
                best = _larger(best, compiled(self.mark).search(item) if self.mark else None)
                yield Record(self.mapped(item), f"{where}, item {place + 1}")
            following = self.paging.following(answer, len(found), target, parameters) if self.paging else None
            if following is None:
                break
            target, parameters = following
        if best is not None:
            collection.mark = str(best)

    def fingerprint(self) -> str:
        """Nothing tells beforehand whether the API has something else."""
        return ""


class Proposals(_Reading, Source):
    """Proposes what an API answers to a request; what it brings joins the catalogue.

    The path may hold the user's profile and the request's situation; where a value is missing and has no default,
    there is nothing to propose. Answers are kept, and shared by all whose path is the same.
    """

    service: Api
    limit: int = Field(100, ge=1, le=10_000, description="How many items to propose.")
    keep: Keep = Field(
        "answers", description="How long answers are kept: as the connector's `cache` says of these."
    )

    _told: bool = PrivateAttr(False)

    @classmethod
    def component_name(cls) -> str:
        """`http.source`."""
        return "source"

    async def propose(self, context: Context) -> list[dict[str, Any]]:
        """Items in the API's order, at most `limit`. Raises ServiceError."""
        values = {
            "profile": context.profile, "situation": context.situation, "settings": self.settings,
            "user": context.user, "domain": context.domain, "now": context.now, "size": context.size,
        }  # fmt: skip
        template = Template.of(self.path)
        target = template.filled(values)
        if target is None:
            return []
        # What depends on more than the request's situation is one user's, and forgotten with it.
        personal = any(path.partition(".")[0] in ("user", "profile") for path, _ in template.places)
        user = context.user if personal and self.keep == "user" else ""
        call = Call("proposals", bucket="calls", key=f"{target} {self.items}", keep=self.keep, user=user)
        try:
            _, found = await self.service.page(call, target, {}, self.items)
        except Missing:
            return []
        items = [item for item in found if isinstance(item, Mapping)]
        if len(items) < len(found) and not self._told:
            self._told = True
            _log.warning(
                "%s: %s: %d of %d are no objects and left out; said once",
                self.service.entry,
                self.path,
                len(found) - len(items),
                len(found),
            )
        return [self.mapped(item) for item in items[: self.limit]]


def _kind(value: Any) -> str:
    """What a value of JSON that is no object is.

    >>> _kind(None), _kind([]), _kind("x"), _kind(True)
    ('null', 'a list', 'a text', 'true or false')
    """
    if value is None:
        return "null"
    names = {list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


def _larger(best: Any, value: Any) -> Any:
    """The larger of two values of one type; the first that is none of a strange one."""
    if value is None or isinstance(value, bool | list | dict):
        return best
    if best is None:
        return value
    try:
        return max(best, value)
    except TypeError:
        return best


@hookimpl
def components() -> Sequence[type[Component]]:
    """What the plugin `http` offers."""
    return [Api, Items, Proposals]
