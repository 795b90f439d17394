"""Values inside of nested mappings, by dotted path."""

from collections.abc import Iterator, Mapping
from typing import Any


def reached(values: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """The value at a path; a key that has the dots itself comes first.

    >>> reached({"owner": {"login": "ada"}}, "owner.login")
    'ada'
    """
    if path in values:
        return values[path]
    head, dot, rest = path.partition(".")
    inner = values.get(head)
    return reached(inner, rest, default) if dot and isinstance(inner, Mapping) else default


def leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping itself, with its path.

    >>> list(leaves({"id": 1, "owner": {"login": "ada"}}))
    [('id', 1), ('owner.login', 'ada')]
    """
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            for path, leaf in leaves(value):
                yield f"{key}.{path}", leaf
        else:
            yield key, value
