"""Vectors for items and profiles: a light embedder that is always there, or any sentence-transformers model.

items:
  embedding: {use: embeddings.text, text: "{title}. {description}", profile: "{interests}"}
"""

import math
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PrivateAttr

from ..core import Component, Embedder, hookimpl
from . import text_hashing
from .nested import reached
from .sentence_model import SentenceModel


def _template(text: str) -> str:
    _placeholders(text)
    return text


Template = Annotated[str, AfterValidator(_template)]
"""A text with `{field}` in it; `{owner.login}` reaches into a mapping, `{{` is a brace."""


class Text(Embedder):
    """Embeds a text made from an item's fields.

    `model` is a name or a local path for sentence-transformers (extra `embeddings`); without it the light
    embedder answers, which hashes parts of words: it knows what is spelt alike, not what means the same.
    Nothing is downloaded unless `download` says so.
    """

    text: Template = Field(description='what to embed of an item, such as "{title}. {description}"')
    profile: Template = Field(
        "", description='what to embed of a profile, such as "{interests}"; empty: nothing'
    )
    model: str | None = Field(
        None, description="name or local path of a sentence-transformers model; without it the light embedder"
    )
    download: bool = Field(
        False, description="let the model be fetched from the hub where it isn't on the disk"
    )
    dimensions: int = Field(384, ge=16, le=4096, description="of the light embedder; a model has its own")
    batch_size: int = Field(64, ge=1, description="texts that the model takes at once")

    _sentences: SentenceModel | None = PrivateAttr(None)

    def model_post_init(self, _: Any) -> None:
        """Names the model; loads nothing."""
        if self.model is not None:
            self._sentences = SentenceModel(self.model, download=self.download)

    def open(self) -> None:
        """Load the model. Raises ConnectorError where it or its library is missing."""
        if self._sentences is not None:
            self._sentences.load()

    def health(self) -> str | None:
        """What keeps the model from loading, None when it is fine."""
        return None if self._sentences is None else self._sentences.trouble()

    @property
    def name(self) -> str:
        """The model's name without the folder it lies in, so that replicas may keep it anywhere."""
        return "hashed-text" if self._sentences is None else self._sentences.name

    @property
    def version(self) -> str:
        """From the content of the model's files; for the light embedder its version and width."""
        if self._sentences is None:
            return f"{text_hashing.VERSION}-{self.dimensions}"
        return self._sentences.version

    @property
    def width(self) -> int:
        """The length of a vector. Loads the model."""
        return self.dimensions if self._sentences is None else self._sentences.width

    @property
    def item_fields(self) -> Sequence[str]:
        """The item fields that `text` names, each once."""
        return tuple(dict.fromkeys(name for _, name in _placeholders(self.text) if name))

    def item_text(self, item: Mapping[str, Any]) -> str:
        """`text` filled in; empty where the item has none of its fields."""
        return _filled(self.text, item)

    def profile_text(self, profile: Mapping[str, Any]) -> str:
        """`profile` filled in; empty where the user's profile has none of its names."""
        return _filled(self.profile, profile)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (n, width); zero for an empty text. Safe to call from several threads."""
        if self._sentences is None:
            return text_hashing.hashed(texts, self.dimensions)
        return self._sentences.encode(texts, self.batch_size)


def _placeholders(template: str) -> list[tuple[str, str | None]]:
    """Pairs of literal text and the name that follows it. Raises ValueError for a malformed template."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as problem:
        raise ValueError(
            f"{template!r} is no template ({problem}); write a brace itself as {{{{ or }}}}"
        ) from None
    for _, name, form, conversion in parts:
        if name is not None and (not name.strip() or form or conversion):
            raise ValueError(
                f"{template!r} is no template: between braces stands just a field's name, as in {{title}}"
            )
    return [(literal, name) for literal, name, _, _ in parts]


def _filled(template: str, values: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    found = False
    for literal, name in _placeholders(template):
        pieces.append(literal)
        if name is not None and (word := _spoken(reached(values, name))):
            pieces.append(word)
            found = True
    return "".join(pieces).strip() if found else ""


def _spoken(value: Any) -> str:
    """A value as words: lists joined by commas, of a mapping the keys; missing values are empty."""
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case float():
            return "" if math.isnan(value) else f"{value:.0f}" if value.is_integer() else repr(value)
        case Mapping() | list() | tuple() | set() | frozenset():
            return ", ".join(word for part in value if (word := _spoken(part)))
        case _:
            return str(value)


@hookimpl
def components() -> Sequence[type[Component]]:
    """What the plugin `embeddings` offers."""
    return [Text]
