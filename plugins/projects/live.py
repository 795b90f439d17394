"""Projects from GitHub as it is now: searched for a profile, or like what somebody has starred."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from ...connectors.github import Api, Sort
from ...core import (
    Collection,
    Collector,
    CollectorError,
    Context,
    Fault,
    Missing,
    Proposal,
    Question,
    Record,
    ServiceError,
    Source,
)
from ..catalog.joint_wait import JointWait
from ..catalog.ranking import in_turn

_SEPARATORS = re.compile(r"[,|;\n]")
_NOT_IN_A_TERM = re.compile(r"[^\w\s+#.&/-]|(?<!\w)-")
_LONGEST_TERM = 50
_FADING = 20.0
"""Stars after which a star counts half as much as the newest one."""


class _Live(Source):
    """What the sources that search have in common."""

    service: Api
    limit: int = Field(100, ge=1, le=1000, description="How many projects to propose.")
    queries: int = Field(
        3, ge=1, le=10, description="Searches for one user; each costs one of the search budget."
    )
    min_stars: int = Field(20, ge=0, description="Projects with fewer stars are not looked for.")
    sort: Sort = Field("best-match", description="By what GitHub sorts what it finds.")
    again_minutes: float = Field(
        30,
        ge=0,
        description="How long a profile's projects are proposed without asking the cache or GitHub again.",
    )

    async def _found(
        self,
        context: Context,
        question: Question,
        queries: Sequence[str],
        without: frozenset[str] = frozenset(),
    ) -> list[dict[str, Any]]:
        """What the searches find, their best first. Raises ServiceError where all failed."""
        size = min(100, -(-self.limit // len(queries)) + len(without))
        wait = JointWait()
        lists = await wait.all([self.service.search(query, sort=self.sort, limit=size) for query in queries])
        wait.tell(context)
        items = {
            item["full_name"]: item for item in in_turn(lists) if item["full_name"].lower() not in without
        }
        found = list(items.values())[: self.limit]
        if wait.complete:  # what is missing from it may be there the next time
            question.remember((item["full_name"] for item in found), 60 * self.again_minutes)
        return found


class Search(_Live):
    """Searches GitHub for what the user's profile is interested in, in the languages that it names.

    What it finds joins the catalogue. A profile that has changed is searched for at once; answers to the same
    search are shared by all users.
    """

    interests: tuple[str, ...] = Field(
        ("interests", "field_of_study", "goals"),
        description="Keys of the profile that hold topics, best first.",
    )
    languages: str = Field(
        "languages", description="The key of the profile that holds programming languages."
    )

    async def propose(self, context: Context) -> Proposal:
        """Projects found, best first; nothing for a profile without interests and languages. Raises ServiceError."""
        topics = [term for key in self.interests for term in terms(context.profile.get(key))]
        languages = terms(context.profile.get(self.languages))
        queries = [self._query(*pair) for pair in _pairs(topics, languages)[: self.queries]]
        if not queries:
            return []
        question = context.asked((*queries, self.sort, self.limit))
        return await self._found(context, question, queries) if question.rows is None else question.rows

    def _query(self, topic: str, language: str) -> str:
        parts = [f'"{topic}"'] if topic else []
        parts += [f'language:"{language}"'] if language else []
        return " ".join([*parts, f"stars:>={self.min_stars}", "archived:false"])


class Stars(_Live):
    """Searches GitHub for projects with the topics and languages of those that the user has starred there.

    The profile names the user's GitHub account; newer stars count more. What is starred already is not proposed.
    """

    account: str = Field(
        "github", description="The key of the profile that holds the name of the GitHub account."
    )
    stars: int = Field(100, ge=1, le=1000, description="The newest stars that are looked at.")

    async def propose(self, context: Context) -> Proposal:
        """Projects found, best first; nothing without an account or stars. Raises ServiceError."""
        login = context.profile.get(self.account)
        if not isinstance(login, str) or not login.strip():
            return []
        options = (self.stars, self.queries, self.min_stars, self.sort, self.limit)
        question = context.asked((context.user, login.strip().lower(), *options))
        if question.rows is not None:
            return question.rows
        try:
            starred = await self.service.starred(login.strip(), most=self.stars, user=context.user)
        except Missing:  # the profile names no account that there is
            return []
        queries = self._queries([item for _, item in starred])
        if not queries:
            return []
        have = frozenset(item["full_name"].lower() for _, item in starred)
        return await self._found(context, question, queries, have)

    def _queries(self, starred: Iterable[Mapping[str, Any]]) -> list[str]:
        """The topics that weigh most, each with the language that weighs most among its projects."""
        topics: Counter[str] = Counter()
        languages: dict[str, Counter[str]] = {}
        for place, item in enumerate(starred):
            weight = 1 / (1 + place / _FADING)
            for topic in item["topics"]:
                topics[topic] += weight  # type: ignore[assignment]  # weights are no whole numbers
                languages.setdefault(topic, Counter())[item["language"] or ""] += weight  # type: ignore[assignment]
        queries = []
        for topic, _ in topics.most_common(self.queries):
            language = languages[topic].most_common(1)[0][0]
            parts = [f"topic:{topic}", *([f'language:"{language}"'] if language else [])]
            queries.append(" ".join([*parts, f"stars:>={self.min_stars}", "archived:false"]))
        return queries


class Harvest(Collector):
    """Brings what GitHub finds for some searches into the catalogue, in the background.

    So there is something to recommend before anybody has asked, and when GitHub can't be asked.
    """

    service: Api
    queries: tuple[str, ...] = Field(
        min_length=1, description="Searches in GitHub's words, such as `topic:games stars:>500`."
    )
    pages: int = Field(1, ge=1, le=10, description="Pages of 100 that are read of each search.")
    sort: Sort = Field("stars", description="By what GitHub sorts what it finds.")

    async def collect(self, collection: Collection) -> AsyncIterator[Record | Fault]:
        """Repositories, search after search. Raises CollectorError where not one of the searches succeeds."""
        failures = 0
        for query in self.queries:
            try:
                for page in range(1, self.pages + 1):
                    found = await self.service.search(query, sort=self.sort, page=page)
                    for item in found:
                        yield Record(item, f"search {query!r}")
                    if len(found) < 100:
                        break
            except ServiceError as error:
                failures += 1
                yield Fault(f"search {query!r}", str(error))
                if failures == len(self.queries):
                    raise CollectorError(str(error)) from None

    def fingerprint(self) -> str:
        """Nothing tells beforehand whether a search would find something else."""
        return ""


def terms(value: Any) -> list[str]:
    """The terms in a part of a profile, each once, without what means something to GitHub's search.

    >>> terms("Machine Learning, C++; stars:>1 | machine learning")
    ['Machine Learning', 'C++', 'stars 1']
    """
    texts = _SEPARATORS.split(value) if isinstance(value, str) else value
    if not isinstance(texts, Iterable):
        return []
    found: dict[str, str] = {}
    for text in texts:
        term = " ".join(_NOT_IN_A_TERM.sub(" ", str(text)).split())[:_LONGEST_TERM].strip()
        if term:
            found.setdefault(term.lower(), term)
    return list(found.values())


def _pairs(topics: Sequence[str], languages: Sequence[str]) -> list[tuple[str, str]]:
    """Topics with languages, those first that come first in both."""
    pairs = [(i + j, i, j) for i in range(max(1, len(topics))) for j in range(max(1, len(languages)))]
    chosen = [(topics[i] if topics else "", languages[j] if languages else "") for _, i, j in sorted(pairs)]
    return [pair for pair in chosen if any(pair)]
