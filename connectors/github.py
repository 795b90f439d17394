"""GitHub: repositories to find, their details, and what a user has starred.

connectors:
  github: {use: github.api, token: "${GITHUB_TOKEN:-}"}
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field, PrivateAttr, SecretStr, field_validator

from ..core import (
    Budget,
    Call,
    Component,
    Exhausted,
    Forbidden,
    Garbage,
    Invalid,
    Left,
    Missing,
    ServiceError,
    Throttled,
    Unreachable,
    hookimpl,
)
from .web import Answer, HttpService

Sort = Literal["stars", "forks", "help-wanted-issues", "updated", "best-match"]

_VERSION = "2022-11-28"
_MOST_FOUND = 1000
"""GitHub gives no more results of one search than that."""
_SECONDARY_SECONDS = 60.0
_LONGEST_SECONDARY_SECONDS = 900.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}\Z")
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}\Z")
_NOT_ALLOWED = frozenset({"x-accepted-github-permissions", "x-github-sso"})
"""Headers that say what a token that is known lacks for what was asked for."""
_AT_ONCE = 100
"""Repositories in one GraphQL query."""

_ENRICH = """repository(owner: $o{n}, name: $n{n}) {{
  nameWithOwner description stargazerCount forkCount isArchived pushedAt createdAt url
  primaryLanguage {{ name }} licenseInfo {{ spdxId }}
  issues(states: OPEN) {{ totalCount }}
  languages(first: 10, orderBy: {{field: SIZE, direction: DESC}}) {{ edges {{ size node {{ name }} }} }}
  repositoryTopics(first: 20) {{ nodes {{ topic {{ name }} }} }}
}}"""


class Api(HttpService):
    """GitHub's REST API, with GraphQL for many repositories at once where there is a token.

    Without a token GitHub allows 60 requests an hour and 10 searches a minute, with one 5,000 and 30. Repositories
    come as items with the fields `full_name`, `description`, `topics`, `language`, `stars`, `forks`, `open_issues`,
    `license`, `created_at`, `updated_at`, `archived` and `url`.
    """

    fills: ClassVar[frozenset[str] | None] = None

    url: str = Field(
        "https://api.github.com", description="Where the API is; https://HOST/api/v3 of an own server."
    )
    token: SecretStr = Field(SecretStr(""), description="A token; one without any scope is enough.")
    anonymous: bool = Field(False, description="Whether to use GitHub without a token, too.")
    budgets: Mapping[str, Budget] = Field(
        default={
            "core": Budget(limit=5000, per=3600),
            "search": Budget(limit=30, per=60),
            "graphql": Budget(limit=5000, per=3600),
            "core_anonymous": Budget(limit=60, per=3600),
            "search_anonymous": Budget(limit=10, per=60),
        },
        description="By bucket; the anonymous ones hold where there is no token.",
    )

    _secondary: int = PrivateAttr(0)

    @field_validator("url")
    @classmethod
    def _whole(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://, such as https://api.github.com")
        return url.rstrip("/")

    @property
    def configured(self) -> bool:
        """Whether there is a token, or none is wanted."""
        return self.anonymous or bool(self.token.get_secret_value())

    def headers(self) -> Mapping[str, str]:
        """The pinned version, and the token."""
        token = self.token.get_secret_value()
        return {
            "accept": "application/vnd.github+json",
            "x-github-api-version": _VERSION,
            **({"authorization": f"Bearer {token}"} if token else {}),
        }

    async def health(self) -> str | None:
        """None when GitHub answers and takes the token, else what is wrong; costs none of the quota."""
        try:
            await self.fetch(Call("rate_limit", cost=0), f"{self.url}/rate_limit")
        except ServiceError as error:
            return str(error)
        return None

    async def remaining(self) -> Mapping[str, Left]:
        """What is left of the budgets that hold with or without a token, as it is."""
        anonymous = not self.token.get_secret_value()
        return {
            name: left
            for name, left in (await super().remaining()).items()
            if name.endswith("_anonymous") == anonymous
        }

    async def search(
        self, query: str, *, sort: Sort = "best-match", limit: int = 100, page: int = 1
    ) -> list[dict[str, Any]]:
        """Repositories of a page of a search, as items. Raises ServiceError.

        query: in GitHub's words, such as `topic:jazz language:python stars:>50`. limit: at most 100 a page.
        """
        limit = max(1, min(limit, 100))
        if page < 1 or page * limit > _MOST_FOUND:
            raise Invalid(
                f"search: GitHub gives the first {_MOST_FOUND} results only, not page {page} of {limit}"
            )
        query = " ".join(query.split())
        params = {"q": query, "per_page": limit, "page": page}
        if sort != "best-match":
            params |= {"sort": sort, "order": "desc"}
        key = f"{query.lower()} {sort} {limit} {page}"
        call = Call("search", bucket=self._bucket("search"), key=key)
        answer = await self.fetch(call, f"{self.url}/search/repositories", params, pick=_found)
        found: list[dict[str, Any]] = answer.value
        return found

    async def repository(self, name: str) -> dict[str, Any]:
        """One repository, as an item. Raises Missing, ServiceError."""
        path = f"/repos/{_named(name)}"
        answer = await self._read("repository", path, lambda given: repository(_mapping(given)))
        item: dict[str, Any] = answer.value
        return item

    async def topics(self, name: str) -> list[str]:
        """A repository's topics. Raises Missing, ServiceError."""
        answer = await self._read("topics", f"/repos/{_named(name)}/topics", _mapping)
        return [str(topic) for topic in answer.value.get("names", [])]

    async def languages(self, name: str) -> dict[str, int]:
        """Bytes of code by language, most first. Raises Missing, ServiceError."""
        answer = await self._read("languages", f"/repos/{_named(name)}/languages", _mapping)
        return {str(language): int(size) for language, size in answer.value.items()}

    async def starred(
        self, login: str, *, most: int = 100, user: str = ""
    ) -> list[tuple[str, dict[str, Any]]]:
        """What an account starred, newest first: when, as an ISO time, and the repository as an item.

        user: for whom it is asked, with whom the answer is forgotten; without one it is the account's own.
        Raises Missing where there is no such user, ServiceError.
        """
        if not _LOGIN.match(login):
            raise Missing(f"starred: {login[:40]!r} can't be the name of a GitHub account")
        found: list[tuple[str, dict[str, Any]]] = []
        accept = {"accept": "application/vnd.github.star+json"}
        size = min(100, most)
        for page in range(1, -(-most // size) + 1):
            params = {"per_page": size, "page": page, "sort": "created", "direction": "desc"}
            key = f"{login.lower()} {size} {page}"
            call = Call(
                "starred", bucket=self._bucket("core"), key=key, keep="user", user=user or login.lower()
            )
            url = f"{self.url}/users/{login}/starred"
            answer = await self.fetch(call, url, params, headers=accept, pick=_stars)
            found += [(at, item) for at, item in answer.value]
            if answer.next is None:
                break
        return found[:most]

    async def enriched(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Items of many repositories at once, with all their topics and `languages`; those that are gone are left out.

        Needs a token. Raises Invalid without one, ServiceError.
        """
        if not self.token.get_secret_value():
            raise Invalid("GitHub's GraphQL needs a token")
        wanted = sorted({name for name in names if _NAME.match(name)})
        parts = [wanted[begin : begin + _AT_ONCE] for begin in range(0, len(wanted), _AT_ONCE)]
        found = await asyncio.gather(*map(self._enriched, parts))
        return {name: item for part in found for name, item in part.items()}

    async def refresh(self, ids: Sequence[str]) -> list[Mapping[str, Any] | None]:
        """Items anew, None where the repository is gone. Raises ServiceError."""
        if self.token.get_secret_value():
            found = {name.lower(): item for name, item in (await self.enriched(ids)).items()}
            return [found.get(name.lower()) for name in ids]

        async def one(name: str) -> Mapping[str, Any] | None:
            try:
                return await self.repository(name)
            except Missing:
                return None

        return [await one(name) for name in ids]

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
        """GitHub's limits come as 403 or as 429; the headers tell which one was met.

        A 403 may also be about a single repository: GitHub has blocked it, or this token may not see it.
        """
        usual = super().refusal(status, headers, body)
        if status == 451 or (status == 403 and b'"block"' in body):
            return Missing(str(usual))
        if status not in (403, 429):
            return usual
        after = self.retry_after(headers)
        if after is None and headers.get("x-ratelimit-remaining") == "0":
            return Exhausted(str(usual), _number(headers.get("x-ratelimit-reset")))
        if after is None and status == 403 and b"rate limit" not in body.lower():
            return Forbidden(str(usual)) if _NOT_ALLOWED & headers.keys() else usual
        if after is None:
            after = min(_SECONDARY_SECONDS * 2**self._secondary, _LONGEST_SECONDARY_SECONDS)
            self._secondary += 1
        return Throttled(str(usual), after)

    async def noticed(self, call: Call, headers: Mapping[str, str]) -> None:
        """Close a bucket with the request that spends the last of it, whoever spent the rest."""
        self._secondary = 0
        until = _number(headers.get("x-ratelimit-reset"))
        if headers.get("x-ratelimit-remaining") == "0" and until is not None and call.bucket:
            await self.spent(call.bucket, until, "GitHub says that the limit is reached")

    async def _read(self, name: str, path: str, pick: Callable[[Any], Any]) -> Answer:
        call = Call(name, bucket=self._bucket("core"), key=path.lower())
        return await self.fetch(call, self.url + path, pick=pick)

    async def _enriched(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        owned = [name.split("/", 1) for name in names]
        variables = {
            f"{letter}{n}": part
            for n, pair in enumerate(owned)
            for letter, part in zip("on", pair, strict=True)
        }
        declared = ", ".join(f"${name}: String!" for name in variables)
        fields = "\n".join(f"r{n}: {_ENRICH.format(n=n)}" for n in range(len(names)))
        body = {"query": f"query({declared}) {{\n{fields}\n}}", "variables": variables}
        # An own server has its GraphQL beside its REST.
        url = f"{self.url.removesuffix('/v3')}/graphql"
        call = Call("enriched", bucket="graphql", key="\n".join(names).lower())
        found: dict[str, dict[str, Any]] = (
            await self.fetch(call, url, method="POST", body=body, pick=_enriched_items)
        ).value
        return found

    def _bucket(self, name: str) -> str:
        return name if self.token.get_secret_value() else f"{name}_anonymous"


def repository(given: Mapping[str, Any]) -> dict[str, Any]:
    """A repository of the REST API as an item. Raises Garbage where it has no name."""
    name = given.get("full_name")
    if not isinstance(name, str) or "/" not in name:
        raise Garbage("a repository without a name")
    licence = given.get("license")
    return {
        "full_name": name,
        "description": given.get("description") or "",
        "topics": list(given.get("topics") or ()),
        "language": given.get("language"),
        "stars": given.get("stargazers_count"),
        "forks": given.get("forks_count"),
        "open_issues": given.get("open_issues_count"),
        "license": _licence(licence.get("spdx_id") if isinstance(licence, Mapping) else None),
        "created_at": given.get("created_at"),
        # `updated_at` changes with every star; people mean the code.
        "updated_at": given.get("pushed_at") or given.get("updated_at"),
        "archived": bool(given.get("archived")),
        "url": given.get("html_url"),
    }


def _found(given: Any) -> list[dict[str, Any]]:
    """The items of a search."""
    found = _mapping(given)
    repositories = [repository(each) for each in _listed(found.get("items"))]
    if found.get("incomplete_results") and not repositories:
        raise Unreachable("GitHub ran out of time, and found nothing")
    return repositories


def _stars(given: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(str(row.get("starred_at", "")), repository(_mapping(row.get("repo")))) for row in _listed(given)]


def _enriched_items(given: Any) -> dict[str, dict[str, Any]]:
    answer = _mapping(given)
    data = answer.get("data")
    if not isinstance(data, Mapping):
        raise _graphql_error(answer)
    try:
        return {node["nameWithOwner"]: _enriched_item(node) for node in data.values() if node}
    except (AttributeError, KeyError, TypeError) as error:
        raise Garbage(f"a repository is not as it was asked for: {error!r}") from None


def _enriched_item(node: Mapping[str, Any]) -> dict[str, Any]:
    edges = (node.get("languages") or {}).get("edges") or ()
    topics = (node.get("repositoryTopics") or {}).get("nodes") or ()
    return {
        "full_name": node["nameWithOwner"],
        "description": node.get("description") or "",
        "topics": [each["topic"]["name"] for each in topics],
        "language": (node.get("primaryLanguage") or {}).get("name"),
        "languages": [edge["node"]["name"] for edge in edges],
        "stars": node.get("stargazerCount"),
        "forks": node.get("forkCount"),
        "open_issues": (node.get("issues") or {}).get("totalCount"),
        "license": _licence((node.get("licenseInfo") or {}).get("spdxId")),
        "created_at": node.get("createdAt"),
        "updated_at": node.get("pushedAt"),
        "archived": bool(node.get("isArchived")),
        "url": node.get("url"),
    }


def _graphql_error(given: Mapping[str, Any]) -> ServiceError:
    """What a GraphQL answer without data means: its status is 200 whatever went wrong."""
    errors = [error for error in given.get("errors") or () if isinstance(error, dict)]
    said = (
        "; ".join(str(error.get("message", "")) for error in errors)[:200]
        or orjson.dumps(given)[:80].decode()
    )
    if any(error.get("type") == "RATE_LIMITED" for error in errors):
        return Exhausted(said)
    return Invalid(said)


def _licence(spdx: str | None) -> str | None:
    return None if spdx in (None, "", "NOASSERTION") else spdx


def _named(name: str) -> str:
    if not _NAME.match(name) or name.endswith(("/.", "/..")):
        raise Missing(f"{name[:80]!r} can't be the name of a repository; one is written owner/name")
    return name


def _mapping(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Garbage(f"an object was expected, and {type(given).__name__} came")
    return given


def _listed(given: Any) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise Garbage("a list of objects was expected, and something else came")
    return given


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None


@hookimpl
def components() -> Sequence[type[Component]]:
    """What the plugin `github` offers."""
    return [Api]
