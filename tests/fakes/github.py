"""GitHub as its documentation has it, on this machine: search, repositories, stars, limits, ETags, GraphQL.

    app = github()
    app.state.tokens["good-token"] = "ann"
    with serve(app) as base_url: …

Times are those of `app.state.clock`. Limits can be set: `app.state.limits["search"] = 5`.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

from graphql import build_schema, graphql_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .faults import Faults

DOCS = "https://docs.github.com/rest"
VERSIONS = ("2022-11-28", "2026-03-10")
TOPICS = (
    "jazz",
    "music",
    "bioinformatics",
    "maps",
    "games",
    "compilers",
    "databases",
    "robots",
    "education",
    "web",
)
LANGUAGES = ("Python", "Rust", "Go", "TypeScript", "C++", "Jupyter Notebook")

_LINKS = {
    "archive_url": "{archive_format}{/ref}", "assignees_url": "assignees{/user}", "blobs_url": "git/blobs{/sha}",
    "branches_url": "branches{/branch}", "collaborators_url": "collaborators{/collaborator}",
    "comments_url": "comments{/number}", "commits_url": "commits{/sha}", "compare_url": "compare/{base}...{head}",
    "contents_url": "contents/{+path}", "contributors_url": "contributors", "deployments_url": "deployments",
    "downloads_url": "downloads", "events_url": "events", "forks_url": "forks", "git_commits_url": "git/commits{/sha}",
    "git_refs_url": "git/refs{/sha}", "git_tags_url": "git/tags{/sha}", "hooks_url": "hooks",
    "issue_comment_url": "issues/comments{/number}", "issue_events_url": "issues/events{/number}",
    "issues_url": "issues{/number}", "keys_url": "keys{/key_id}", "labels_url": "labels{/name}",
    "languages_url": "languages", "merges_url": "merges", "milestones_url": "milestones{/number}",
    "notifications_url": "notifications{?since,all,participating}", "pulls_url": "pulls{/number}",
    "releases_url": "releases{/id}", "stargazers_url": "stargazers", "statuses_url": "statuses/{sha}",
    "subscribers_url": "subscribers", "subscription_url": "subscription", "tags_url": "tags", "teams_url": "teams",
    "trees_url": "git/trees{/sha}",
}  # fmt: skip
_PEOPLE = {
    "followers_url": "followers", "following_url": "following{/other_user}", "gists_url": "gists{/gist_id}",
    "starred_url": "starred{/owner}{/repo}", "subscriptions_url": "subscriptions", "organizations_url": "orgs",
    "repos_url": "repos", "events_url": "events{/privacy}", "received_events_url": "received_events",
}  # fmt: skip

SCHEMA = build_schema("""
    scalar DateTime
    scalar URI
    enum IssueState { OPEN CLOSED }
    enum LanguageOrderField { SIZE }
    enum OrderDirection { ASC DESC }
    input LanguageOrder { field: LanguageOrderField!, direction: OrderDirection! }
    type Language { name: String! }
    type LanguageEdge { size: Int!, node: Language! }
    type LanguageConnection { edges: [LanguageEdge] }
    type License { spdxId: String }
    type IssueConnection { totalCount: Int! }
    type Topic { name: String! }
    type RepositoryTopic { topic: Topic! }
    type RepositoryTopicConnection { nodes: [RepositoryTopic] }
    type Repository {
      nameWithOwner: String!, description: String, stargazerCount: Int!, forkCount: Int!, isArchived: Boolean!
      pushedAt: DateTime, createdAt: DateTime!, url: URI!, primaryLanguage: Language, licenseInfo: License
      issues(states: [IssueState!]): IssueConnection!
      languages(first: Int, orderBy: LanguageOrder): LanguageConnection
      repositoryTopics(first: Int): RepositoryTopicConnection!
    }
    type Query { repository(owner: String!, name: String!): Repository }
""")


def repositories(count: int = 300, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Repositories by their name in small letters, as little as a test needs to know of each."""
    random, made = Random(seed), {}
    for number in range(count):
        topics = random.sample(TOPICS, random.randint(1, 3))
        name = f"owner{number % 17}/{topics[0]}-{number}"
        made[name.lower()] = {
            "full_name": name,
            "id": number + 1,
            "description": f"A tool for {' and '.join(topics)}" if number % 11 else None,
            "topics": topics,
            "language": random.choice(LANGUAGES) if number % 13 else None,
            "stars": int(10 ** random.uniform(0, 5)),
            "forks": random.randint(0, 500),
            "open_issues": random.randint(0, 90),
            "license": random.choice(("MIT", "Apache-2.0", "NOASSERTION", None)),
            "created": datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=random.randint(0, 3000)),
            "pushed": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=random.randint(0, 320)),
            "archived": number % 19 == 0,
        }
    return made


def github(clock: Callable[[], float] = time.time, *, graphql_path: str = "/graphql") -> Starlette:
    """The app. `state`: repositories, stars by login, tokens (token: login), moved (old name: new name)."""
    routes = [
        Route("/search/repositories", _search),
        Route("/repos/{owner}/{repo}", _repository),
        Route("/repositories/{id:int}", _by_id),
        Route("/repos/{owner}/{repo}/topics", _topics),
        Route("/repos/{owner}/{repo}/languages", _languages),
        Route("/users/{username}/starred", _starred),
        Route("/rate_limit", _rate_limit),
        Route(graphql_path, _graphql, methods=["POST"]),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Faults)], exception_handlers={404: _not_found})
    state = app.state
    state.clock, state.repositories = clock, repositories()
    state.stars, state.tokens, state.moved = (
        dict[str, list[tuple[str, str]]](),
        dict[str, str](),
        dict[str, str](),
    )
    state.limits, state.used = dict[str, int](), dict[tuple[str, str], tuple[int, float]]()
    state.requests, state.answers, state.faults = [], [], []
    state.incomplete = False
    state.base_url = "http://127.0.0.1"
    return app


def _limit(state: Any, resource: str, login: str | None) -> tuple[int, float]:
    known, unknown, seconds = {
        "core": (5000, 60, 3600.0),
        "search": (30, 10, 60.0),
        "graphql": (5000, 0, 3600.0),
    }[resource]
    return state.limits.get(resource, known if login else unknown), seconds


def _rate(state: Any, resource: str, login: str | None, cost: int) -> tuple[bool, dict[str, str]]:
    """Whether a request may be, and the headers that say so."""
    limit, seconds = _limit(state, resource, login)
    who = (login or "anonymous", resource)
    used, reset = state.used.get(who, (0, 0.0))
    if reset <= state.clock():
        used, reset = 0, state.clock() + seconds
    allowed = used + cost <= limit
    used = used + cost if allowed else used
    state.used[who] = (used, reset)
    return allowed, {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(limit - used),
        "x-ratelimit-used": str(used),
        "x-ratelimit-reset": str(int(reset) + 1),
        "x-ratelimit-resource": resource,
    }


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"message": message, "documentation_url": DOCS, "status": str(status)}
    return JSONResponse(body, status, dict(headers or {}))


def _not_found(request: Request, error: Exception) -> Response:
    return _error(404, "Not Found")


def _guarded(
    request: Request, resource: str, make: Callable[[], Any], links: Callable[[], str] = str
) -> Response:
    """Token, version, limits and ETag, around what an endpoint says."""
    state = request.app.state
    login, refusal = _login(request)
    if refusal is not None:
        return refusal
    if request.headers.get("x-github-api-version", VERSIONS[0]) not in VERSIONS:
        return _error(400, "The API version is not supported")
    value = make()
    if isinstance(value, Response):
        _rate(state, resource, login, 1)
        return value
    body = json.dumps(value).encode()
    etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
    same = request.headers.get("if-none-match") == etag
    # What has not changed costs nothing, if it is asked for with a token.
    allowed, headers = _rate(state, resource, login, 0 if same and login else 1)
    if not allowed:
        who = f"user ID {len(login)}" if login else "127.0.0.1"
        return _error(403, f"API rate limit exceeded for {who}.", headers)
    headers |= {"etag": etag, "x-github-media-type": "github.v3; format=json"}
    if link := links():
        headers["link"] = link
    if same:
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "application/json; charset=utf-8")


def _login(request: Request) -> tuple[str | None, Response | None]:
    authorization = request.headers.get("authorization")
    if authorization is None:
        return None, None
    login = request.app.state.tokens.get(authorization.removeprefix("Bearer "))
    return login, None if login else _error(401, "Bad credentials")


def _pages(request: Request, total: int) -> tuple[int, int, Callable[[], str]]:
    """Page size, page, and the Link header."""
    size = max(1, min(100, int(request.query_params.get("per_page", 30))))
    page = max(1, int(request.query_params.get("page", 1)))
    last = max(1, -(-total // size))

    def links() -> str:
        if page >= last:
            return ""
        url = f"{request.app.state.base_url}{request.url.path}"
        targets = {"next": page + 1, "last": last}
        return ", ".join(
            f'<{url}?{urlencode({**request.query_params, "page": number})}>; rel="{name}"'
            for name, number in targets.items()
        )

    return size, page, links


def _matches(repository: Mapping[str, Any], query: str) -> bool:
    for part in re.findall(r'(?:[^\s"]|"[^"]*")+', query):
        key, colon, value = part.partition(":")
        value = value.strip('"')
        if not colon:
            text = f"{repository['full_name']} {repository['description']} {' '.join(repository['topics'])}".lower()
            if part.strip('"').lower() not in text:
                return False
            continue
        wanted = not key.startswith("-")
        match key.removeprefix("-"):
            case "topic":
                held = value.lower() in repository["topics"]
            case "language":
                held = (repository["language"] or "").lower() == value.lower()
            case "archived":
                held = repository["archived"] == (value == "true")
            case "stars":
                held = _compares(repository["stars"], value)
            case "pushed":
                held = _compares(repository["pushed"].date().isoformat(), value)
            case _:
                raise ValueError(key)
        if held is not wanted:
            return False
    return True


def _compares(found: Any, test: str) -> bool:
    sign, number = re.fullmatch(r"(>=|<=|>|<|)(.+)", test).groups()  # type: ignore[union-attr]
    wanted = type(found)(number)
    return {
        ">=": found >= wanted,
        "<=": found <= wanted,
        ">": found > wanted,
        "<": found < wanted,
        "": found == wanted,
    }[sign]


async def _search(request: Request) -> Response:
    query, state = request.query_params.get("q", ""), request.app.state
    found = []
    try:
        if query.strip():
            found = [each for each in state.repositories.values() if _matches(each, query)]
    except ValueError:
        found = []
    sort = request.query_params.get("sort")
    if sort in ("stars", "forks"):
        found.sort(key=lambda each: -each[sort])
    elif sort == "updated":
        found.sort(key=lambda each: -each["pushed"].timestamp())
    size, page, links = _pages(request, min(len(found), 1000))

    def make() -> Any:
        if not query.strip():
            return _error(422, "Validation Failed")
        if (page - 1) * size >= 1000:
            return _error(422, "Only the first 1000 search results are available")
        if state.incomplete:
            return {"total_count": len(found), "incomplete_results": True, "items": []}
        part = found[(page - 1) * size : page * size]
        items = [{**whole(each, state.base_url), "score": 1.0} for each in part]
        return {"total_count": len(found), "incomplete_results": False, "items": items}

    return _guarded(request, "search", make, links)


def _found(request: Request) -> Any:
    name = f"{request.path_params['owner']}/{request.path_params['repo']}".lower()
    state = request.app.state
    if name in state.moved:
        new = state.repositories[state.moved[name].lower()]
        url = f"{state.base_url}/repositories/{new['id']}"
        body = {"message": "Moved Permanently", "url": url, "documentation_url": DOCS}
        return JSONResponse(body, 301, {"location": url})
    return state.repositories.get(name) or _error(404, "Not Found")


async def _repository(request: Request) -> Response:
    def make() -> Any:
        found = _found(request)
        return found if isinstance(found, Response) else _full(found, request)

    return _guarded(request, "core", make)


async def _by_id(request: Request) -> Response:
    def make() -> Any:
        for each in request.app.state.repositories.values():
            if each["id"] == request.path_params["id"]:
                return _full(each, request)
        return _error(404, "Not Found")

    return _guarded(request, "core", make)


def _full(each: Mapping[str, Any], request: Request) -> dict[str, Any]:
    return {**whole(each, request.app.state.base_url), "network_count": each["forks"], "subscribers_count": 3}


async def _topics(request: Request) -> Response:
    def make() -> Any:
        found = _found(request)
        return found if isinstance(found, Response) else {"names": found["topics"]}

    return _guarded(request, "core", make)


async def _languages(request: Request) -> Response:
    def make() -> Any:
        found = _found(request)
        if isinstance(found, Response):
            return found
        return {found["language"]: 10_000 + found["id"], "Shell": 120} if found["language"] else {}

    return _guarded(request, "core", make)


async def _starred(request: Request) -> Response:
    state = request.app.state
    stars = state.stars.get(request.path_params["username"].lower())
    size, page, links = _pages(request, len(stars or ()))

    def make() -> Any:
        if stars is None:
            return _error(404, "Not Found")
        newest = sorted(stars, reverse=request.query_params.get("direction", "desc") == "desc")
        part = newest[(page - 1) * size : page * size]
        rows = [(at, whole(state.repositories[name.lower()], state.base_url)) for at, name in part]
        if "star+json" in request.headers.get("accept", ""):
            return [{"starred_at": at, "repo": repository} for at, repository in rows]
        return [repository for _, repository in rows]

    return _guarded(request, "core", make, links)


async def _rate_limit(request: Request) -> Response:
    login, refusal = _login(request)
    if refusal is not None:
        return refusal
    state = request.app.state
    resources = {}
    for resource in ("core", "search", "graphql"):
        _, headers = _rate(state, resource, login, 0)
        names = ("limit", "used", "remaining", "reset")
        resources[resource] = {name: int(headers[f"x-ratelimit-{name}"]) for name in names}
    return JSONResponse({"resources": resources, "rate": resources["core"]})


async def _graphql(request: Request) -> Response:
    login, refusal = _login(request)
    if refusal is not None or login is None:
        return refusal or _error(401, "This endpoint requires you to be authenticated.")
    allowed, headers = _rate(request.app.state, "graphql", login, 1)
    if not allowed:
        error = {"type": "RATE_LIMITED", "message": "API rate limit already exceeded"}
        return JSONResponse({"errors": [error]}, 200, headers)
    asked, state = await request.json(), request.app.state

    def one(_: Any, owner: str, name: str) -> Any:
        each = state.repositories.get(f"{owner}/{name}".lower())
        if each is None:
            raise ValueError(f"Could not resolve to a Repository with the name '{owner}/{name}'.")
        return {
            "nameWithOwner": each["full_name"], "description": each["description"], "stargazerCount": each["stars"],
            "forkCount": each["forks"], "isArchived": each["archived"], "pushedAt": _iso(each["pushed"]),
            "createdAt": _iso(each["created"]), "url": f"https://github.com/{each['full_name']}",
            "primaryLanguage": {"name": each["language"]} if each["language"] else None,
            "licenseInfo": {"spdxId": each["license"]} if each["license"] else None,
            "issues": lambda *_, **__: {"totalCount": each["open_issues"]},
            "languages": lambda *_, **__: {
                "edges": [{"size": 10, "node": {"name": name}} for name in (each["language"], "Shell") if name]
            },
            "repositoryTopics": lambda *_, **__: {"nodes": [{"topic": {"name": name}} for name in each["topics"]]},
        }  # fmt: skip

    done = graphql_sync(
        SCHEMA,
        asked["query"],
        {"repository": lambda info, **names: one(info, **names)},
        variable_values=asked["variables"],
    )
    return JSONResponse(done.formatted, 200, headers)


def whole(each: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """A repository with all that GitHub says of one."""
    owner, _, name = each["full_name"].partition("/")
    url, page = f"{base_url}/repos/{owner}/{name}", f"https://github.com/{owner}/{name}"
    person = f"{base_url}/users/{owner}"
    licence = each["license"]
    return {
        "id": each["id"], "node_id": f"R_{each['id']}", "name": name, "full_name": each["full_name"],
        "owner": {
            "login": owner, "id": 1, "node_id": "U_1", "avatar_url": f"https://avatars.example/{owner}",
            "gravatar_id": "", "url": person, "html_url": f"https://github.com/{owner}", "type": "User",
            "site_admin": False, **{key: f"{person}/{path}" for key, path in _PEOPLE.items()},
        },
        "private": False, "html_url": page, "description": each["description"], "fork": False, "url": url,
        **{key: f"{url}/{path}" for key, path in _LINKS.items()},
        "clone_url": f"{page}.git", "git_url": f"git://github.com/{owner}/{name}.git", "mirror_url": None,
        "ssh_url": f"git@github.com:{owner}/{name}.git", "svn_url": page, "homepage": None,
        "language": each["language"], "forks_count": each["forks"], "forks": each["forks"],
        "stargazers_count": each["stars"], "watchers_count": each["stars"], "watchers": each["stars"], "size": 108,
        "default_branch": "main", "open_issues_count": each["open_issues"], "open_issues": each["open_issues"],
        "is_template": False, "topics": list(each["topics"]), "has_issues": True, "has_projects": True,
        "has_wiki": False, "has_pages": False, "has_downloads": True, "has_discussions": False,
        "archived": each["archived"], "disabled": False, "visibility": "public", "pushed_at": _iso(each["pushed"]),
        "created_at": _iso(each["created"]), "updated_at": _iso(each["pushed"]),
        "license": {
            "key": licence.lower(), "name": licence, "spdx_id": licence, "url": None, "node_id": "L_1",
        } if licence else None,
        "allow_forking": True, "web_commit_signoff_required": False,
    }  # fmt: skip


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
