"""Nodes to validated options, with every complaint in people's words and at its place."""

import json
import re
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from ..components import ConfigFile, Connector
from ..errors import did_you_mean
from .document import MapNode, Node, ScalarNode, find, missing, plain
from .markers import KEY, Loc, marked
from .marks import Mark
from .problems import Problems
from .words import SHAPES, words

M = TypeVar("M", bound=BaseModel)

_CODES = {"extra_forbidden": "E03", "missing": "E07"}


def validated(
    model: type[M],
    node: MapNode,
    problems: Problems,
    *,
    title: str,
    core: Collection[str] = (),
    known: Iterable[str] = (),
    hints: Mapping[str, str] | None = None,
    held: Mapping[str, Connector | None] | None = None,
) -> M | None:
    """The model with the options that the node holds, or None where `problems` say why not.

    title: what has the options, such as `'catalog.similar'`. core: keys of the node that are no options.
    known: further keys that could be meant. hints: by option, what is said with every wrong value in it.
    held: the connectors that options get, in place of what the node says of these.
    """
    absent = {key for key, child in node.entries.items() if any(missing(child))}
    left_out = absent | set(core)
    data = {key: plain(child) for key, child in node.entries.items() if key not in left_out}
    data = _plain_defaults(model) | data
    _resolve_paths(model, data, node)
    held = held or {}
    data |= {option: option if connector else None for option, connector in held.items()}
    try:
        # As JSON: a text is never taken for a number, nor true for 1, yet lists become tuples and sets.
        return model.model_validate_json(json.dumps(data), strict=True, context=held)
    except ValidationError as error:
        teller = _Teller(model, node, problems, title, known, hints or {})
        found = error.errors(include_url=False)
        teller.tell([each for each in found if not each["loc"] or each["loc"][0] not in absent], data)
    except Exception as error:  # a plugin's validator may raise anything
        problems.add(
            "E08", f"{title} can't take its options: {type(error).__name__}: {_line(error)}", node.mark
        )
    return None


def _plain_defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults that JSON has another form for: as objects they would not fit."""
    fields = model.model_fields.items()
    defaults = {field.alias or name: field.get_default() for name, field in fields}
    return {
        name: default.get_secret_value() if isinstance(default, SecretStr) else str(default)
        for name, default in defaults.items()
        if isinstance(default, SecretStr | PurePath)
    }


def mark_of(node: Node, loc: Loc) -> Mark:
    """The place of a value, or of the key where the loc ends in KEY; else the nearest one above."""
    if loc and loc[-1] == KEY:
        parent, _ = find(node, loc[:-2])
        return parent.at(str(loc[-2])) if isinstance(parent, MapNode) else parent.mark
    return find(node, loc)[0].mark


def _resolve_paths(model: type[BaseModel], data: dict[str, Any], node: MapNode) -> None:
    """Make marked paths absolute: each is relative to the file that it was written in."""
    for loc, marker, value in list(marked(model, data)):
        if not isinstance(marker, ConfigFile) or not isinstance(value, str) or loc[-1] == KEY:
            continue
        written, _ = find(node, loc)
        holder: Any = data
        for step in loc[:-1]:
            holder = holder[step]
        holder[loc[-1]] = str(written.mark.origin.folder / value)


class _Teller:
    """Turns a validator's errors about one node into problems."""

    def __init__(
        self,
        model: type[BaseModel],
        node: MapNode,
        problems: Problems,
        title: str,
        known: Iterable[str],
        hints: Mapping[str, str],
    ) -> None:
        self._model, self._node, self._problems = model, node, problems
        self._title, self._hints = title, hints
        self._options = [field.alias or name for name, field in model.model_fields.items()]
        self._known = [*self._options, *known]

    def _secret(self, loc: Loc) -> bool:
        fields = self._model.model_fields
        found = (field for name, field in fields.items() if loc and (field.alias or name) == loc[0])
        return any(has_secret(field.annotation) for field in found)

    def tell(self, errors: list[Any], data: Mapping[str, Any]) -> None:
        """Say each error once; of the alternatives of one value, say the one that comes nearest."""
        alternatives: dict[Loc, dict[str, list[Any]]] = {}
        for error in errors:
            loc: Loc = error["loc"]
            if error["type"] == "too_short" and any(_inside(loc, other["loc"]) for other in errors):
                continue  # wrong entries are not counted, and they are told
            if error["type"] == "json_invalid":
                self._problems.add("E05", f"{self._title} holds a text that is not Unicode", self._node.mark)
            elif loc and loc[0] in self._options and loc[0] not in data and error["type"] != "missing":
                said = f"{self._title} has a default for {loc[0]!r} that doesn't fit: it {words(error)}"
                self._problems.add("E08", said, self._node.mark)
            elif (branch := self._branch(loc, error["type"])) is None:
                self._say(error)
            else:
                stem, name = branch
                alternatives.setdefault(stem, {}).setdefault(name, []).append(error)
        for stem, branches in alternatives.items():
            nearer = [found for found in branches.values() if not self._misses(stem, found)]
            if nearer:
                for error in min(nearer, key=len):
                    self._say(error)
            else:
                wanted = dict.fromkeys(
                    words(found[0]).removeprefix("must be ") for found in branches.values()
                )
                self._wrong("E05", stem, "must be " + ", or ".join(wanted), of_type=True)

    def _branch(self, loc: Loc, kind: str) -> tuple[Loc, str] | None:
        """Where an error is about one alternative of a value: the value's loc, and the alternative's name."""
        end = len(loc) - (kind in ("missing", "extra_forbidden")) - (2 if loc and loc[-1] == KEY else 0)
        node: Node = self._node
        for position, step in enumerate(loc[:end]):
            child, taken = find(node, (step,))
            if not taken:
                return (loc[:position], str(step)) if position else None
            node = child
        return None

    def _misses(self, stem: Loc, errors: list[Any]) -> bool:
        return any(error["type"] in SHAPES and len(error["loc"]) == len(stem) + 1 for error in errors)

    def _say(self, error: Any) -> None:
        kind, loc = error["type"], tuple(error["loc"])
        code = _CODES.get(kind, "E05")
        parent, taken = find(self._node, loc[:-1])
        name = self._title if not taken else repr(str(taken[-1]))
        if code == "E03":
            key = str(loc[-1])
            known = self._known if not taken else _keys_at(self._model, loc[:-1])
            mark = parent.at(key) if isinstance(parent, MapNode) else parent.mark
            noun = f"{self._title} has no option" if not taken else "no key is called"
            self._problems.add(code, f"{noun} {key!r}", mark, did_you_mean(key, known))
        elif code == "E07" and isinstance(loc[-1], int):
            count = max(map(_fixed_length, _types_at(self._model, loc[:-1])), default=0)
            self._wrong("E05", loc[:-1], f"must have {max(count, loc[-1] + 1)} entries")
        elif code == "E07":
            self._problems.add(code, f"{name} needs the key {str(loc[-1])!r}", parent.mark, self._hint(loc))
        else:
            self._wrong(code, loc, words(error), of_type=kind in SHAPES)

    def _hint(self, loc: Loc) -> str:
        return self._hints.get(str(loc[0]), "") if len(loc) > 1 else ""

    def _wrong(self, code: str, loc: Loc, said: str, *, of_type: bool = False) -> None:
        """Say that a value is wrong; of_type: that its type is. Of lists and mappings, only then is the value shown."""
        node, taken = find(self._node, loc)
        if loc and loc[-1] == KEY:
            subject = f"the key {str(loc[-2])!r}"
        elif not taken:
            subject = self._title
        elif isinstance(taken[-1], int):
            name = next((step for step in reversed(taken) if isinstance(step, str)), self._title)
            subject = f"entry {taken[-1] + 1} of {name!r}"
        else:
            subject = repr(str(taken[-1]))
        whole = not of_type and not isinstance(node, ScalarNode)
        if whole and not said.startswith(("must ", "is wrong: ")):
            subject += ":"  # what a validator says of several options is a sentence of its own
        shown = "" if whole or (loc and loc[-1] == KEY) or self._secret(loc) else _shown(node)
        mark = self._node.mark if not taken else mark_of(self._node, loc)
        self._problems.add(code, f"{subject} {said}{shown}", mark, self._hint(loc) or _quotes(said, node))


def _inside(outer: Loc, loc: Loc) -> bool:
    return len(loc) > len(outer) and tuple(loc[: len(outer)]) == tuple(outer)


def _keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The options of the model, or of each of the alternatives, that stands at a place in another."""
    models = [
        kind for kind in _types_at(model, loc) if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]
    return [field.alias or name for kind in models for name, field in kind.model_fields.items()]


def _fixed_length(annotation: Any) -> int:
    """How many entries a list of this type has; 0 where that is not fixed.

    >>> _fixed_length(tuple[str, str]), _fixed_length(tuple[str, ...]), _fixed_length(list[str])
    (2, 0, 0)
    """
    arguments = get_args(annotation)
    return len(arguments) if get_origin(annotation) is tuple and Ellipsis not in arguments else 0


def _types_at(model: type[BaseModel], loc: Loc) -> list[Any]:
    """The types that the value at a place in a model may have."""
    found: list[Any] = [model]
    for step in loc:
        inner = [arm for kind in found for member in _members(kind, step) for arm in arms(member)]
        named = [kind for kind in found if getattr(kind, "__name__", None) == step]
        found = named or inner or found  # a step may be the validator's name of an alternative
    return found


def _members(annotation: Any, step: str | int) -> Iterator[Any]:
    """The type of what a value of this type has at a key or position."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        yield from (field.annotation for name, field in fields if (field.alias or name) == step)
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not isinstance(origin, type) or not arguments:
        return
    if issubclass(origin, Mapping):
        yield arguments[1]
    elif isinstance(step, int):
        yield arguments[step] if 0 <= step < _fixed_length(annotation) else arguments[0]


def arms(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type, without what annotates them."""
    annotation = getattr(annotation, "__value__", annotation)  # a `type X = …` alias
    if get_origin(annotation) is Annotated:
        yield from arms(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for arm in get_args(annotation):
            yield from arms(arm)
    else:
        yield annotation


def has_secret(annotation: Any) -> bool:
    """Whether values of this type hold secrets, at any depth.

    >>> has_secret(dict[str, SecretStr] | None), has_secret(list[str])
    (True, False)
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(has_secret(field.annotation) for field in annotation.model_fields.values())
    return annotation in (SecretStr, SecretBytes) or any(map(has_secret, get_args(annotation)))


def _shown(node: Node) -> str:
    """`, not 'x'` for a value that can be shown; what came from the environment may be a secret."""
    if not isinstance(node, ScalarNode):
        return ", not a mapping" if isinstance(node, MapNode) else ", not a list"
    if node.substituted:
        return ", as the environment's value isn't"
    text = json.dumps(node.value, ensure_ascii=False)
    return f", not {text if len(text) <= 60 else text[:59] + '…'}"


def _quotes(said: str, node: Node) -> str:
    if not isinstance(node, ScalarNode):
        return ""
    if "a text" in said and not isinstance(node.value, str):
        return "put it in quotes"
    if "number" in said and isinstance(node.value, str) and re.fullmatch(r"[-+]?[0-9.]+", node.value):
        return "take the quotes off"
    return ""


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
