"""Several calls at once, of which some may fail."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from .errors import Missing, ServiceError

T = TypeVar("T")


async def gathered(calls: Iterable[Awaitable[T]]) -> tuple[list[T], list[ServiceError]]:
    """What several calls of services give, in their order, and what failed. Raises the first failure of all failed.

    That something doesn't exist is no failure: it is left out. What is no ServiceError is raised.
    """
    answers = await asyncio.gather(*calls, return_exceptions=True)
    found: list[T] = []
    failures: list[ServiceError] = []
    for answer in answers:
        match answer:
            case Missing():
                continue
            case ServiceError():
                failures.append(answer)
            case BaseException():
                raise answer
            case _:
                found.append(answer)
    if failures and not found:
        raise failures[0]
    return found, failures
