"""Finding the marked options of a component: those that name an item's field, or a path."""

import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..catalog.items import ItemSchema
from ..components import ConfigFile, FieldOf
from ..errors import did_you_mean

Loc = tuple[str | int, ...]
"""A place in options: keys and positions; a last step of KEY means the mapping's key itself."""

KEY = "[key]"

Marker = FieldOf | ConfigFile


def marked(model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[tuple[Loc, Marker, Any]]:
    """Every marked value in a model's options, at any depth, with its place.

    values: by option name, raw or validated.
    """
    for name, field in _options(model):
        if name in values:
            yield from _walk(field.annotation, field.metadata, values[name], (field.alias or name,))


def field_faults(model: BaseModel, schema: ItemSchema) -> Iterator[tuple[Loc, str, str]]:
    """Options that name no field of the items, or one of a type that doesn't fit: place, message and hint."""
    for loc, marker, value in _fields(model):
        option = str(next(step for step in loc if isinstance(step, str)))
        fitting = schema.of_type(*marker.types) if marker.types else list(schema.fields)
        if value not in schema.fields:
            hint = did_you_mean(value, fitting) or "; no field has a type that fits"
            yield loc, f"{option!r} names {value!r}, which is no field of the items", hint.removeprefix("; ")
        elif value not in fitting:
            wanted = " or ".join(marker.types)
            fits = ", ".join(sorted(fitting)) or "none"
            yield (
                loc,
                f"{option!r} needs a field of the type {wanted}, and {value!r} is {schema.fields[value]}",
                f"fields that fit: {fits}",
            )


def named_fields(model: BaseModel) -> Iterator[tuple[Loc, str]]:
    """The items' fields that options name, and where."""
    return ((loc, name) for loc, _, name in _fields(model))


def _fields(model: BaseModel) -> Iterator[tuple[Loc, FieldOf, Any]]:
    values = {name: getattr(model, name) for name in type(model).model_fields}
    for loc, marker, value in marked(type(model), values):
        if isinstance(marker, FieldOf):
            yield loc, marker, value


def _options(model: type[BaseModel]) -> Iterable[tuple[str, FieldInfo]]:
    """The options of a model that may hold something marked; all, where its types aren't known yet."""
    return _holding(model) if model.__pydantic_complete__ else model.model_fields.items()


@lru_cache(maxsize=1024)
def _holding(model: type[BaseModel]) -> tuple[tuple[str, FieldInfo], ...]:
    return tuple(
        (name, field)
        for name, field in model.model_fields.items()
        if _may_hold(field.annotation, field.metadata)
    )


def _may_hold(annotation: Any, metadata: Iterable[Any], outside: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of a type can hold something marked. outside: models and aliases that it was reached through."""
    if any(isinstance(mark, Marker) for mark in metadata):
        return True
    arguments = get_args(annotation)
    if hasattr(annotation, "__value__"):  # a `type X = …` alias
        return annotation not in outside and _may_hold(annotation.__value__, (), outside | {annotation})
    if get_origin(annotation) is Annotated:
        return _may_hold(arguments[0], arguments[1:], outside)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields, inside = annotation.model_fields.values(), outside | {annotation}
        return annotation not in outside and any(
            _may_hold(field.annotation, field.metadata, inside) for field in fields
        )
    return any(_may_hold(argument, (), outside) for argument in arguments)


def _walk(
    annotation: Any, metadata: Iterable[Any], value: Any, loc: Loc
) -> Iterator[tuple[Loc, Marker, Any]]:
    if value is None:
        return
    found = [mark for mark in metadata if isinstance(mark, Marker)]
    if found:
        yield from (
            (loc, mark, value) for mark in found if isinstance(mark, ConfigFile) or isinstance(value, str)
        )
        return
    annotation = getattr(annotation, "__value__", annotation)  # a `type X = …` alias
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _walk(arguments[0], arguments[1:], value, loc)
    elif origin in (Union, types.UnionType):
        if not any(get_origin(arm) is Literal and value in get_args(arm) for arm in arguments):
            for arm in arguments:
                yield from _walk(arm, (), value, loc)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in _options(annotation):
            inner = _member(value, name, field)
            yield from _walk(field.annotation, field.metadata, inner, (*loc, field.alias or name))
    elif isinstance(value, Mapping) and len(arguments) == 2:
        for key, inner in value.items():
            yield from _walk(arguments[0], (), key, (*loc, key, KEY))
            yield from _walk(arguments[1], (), inner, (*loc, key))
    elif isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping) and arguments:
        for position, inner in enumerate(value):
            fixed = origin is tuple and arguments[-1] is not Ellipsis
            kind = arguments[min(position, len(arguments) - 1)] if fixed else arguments[0]
            yield from _walk(kind, (), inner, (*loc, position))


def _member(value: Any, name: str, field: FieldInfo) -> Any:
    if isinstance(value, Mapping):
        return value.get(field.alias or name)
    return getattr(value, name, None) if isinstance(value, BaseModel) else None
