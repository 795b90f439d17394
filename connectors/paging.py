"""Ways in which APIs give long lists page by page."""

from collections.abc import Mapping
from typing import Any, Literal

import jmespath
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .web import Answer

By = Literal["page", "offset", "cursor", "url", "link"]


class Paging(BaseModel):
    """How the next page is asked for.

    by: `page`, a page number; `offset`, how many items came before; `cursor`, a text that each page names at `next`;
    `url`, the next page's URL at `next`; `link`, a Link header.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: By = Field(description="page, offset, cursor, url or link.")
    parameter: str = Field("", description="The parameter for it; by default `page`, `offset` or `cursor`.")
    first: int = Field(1, ge=0, description="Number of the first page.")
    next: str = Field("", description="JMESPath of the next cursor or URL in the answer.")
    size: int | None = Field(None, ge=1, description="Items of a page, asked for and expected.")
    size_parameter: str = Field("", description="The parameter for that; none: it isn't asked for.")
    most: int = Field(100, ge=1, le=100_000, description="Pages that are read at most.")

    @model_validator(mode="after")
    def _whole(self) -> "Paging":
        if (self.by in ("cursor", "url")) != bool(self.next):
            raise ValueError(f"`by: {self.by}` " + ("has no" if self.next else "needs a") + " `next`")
        if self.by == "offset" and self.size is None:
            raise ValueError("`by: offset` needs the `size` of a page")
        if self.size_parameter and self.size is None:
            raise ValueError("`size_parameter` needs the `size` of a page")
        if self.next:
            compiled(self.next)
        return self

    def beginning(self) -> dict[str, Any]:
        """Parameters of the first page."""
        size = {self.size_parameter: self.size} if self.size_parameter else {}
        match self.by:
            case "page":
                return {**size, self.parameter or "page": self.first}
            case "offset":
                return {**size, self.parameter or "offset": 0}
            case _:
                return dict(size)

    def following(
        self, answer: Answer, count: int, url: str, parameters: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        """URL and parameters of the page after this one, which had `count` items; None after the last."""
        match self.by:
            case "link":
                return None if answer.next is None else (answer.next, {})
            case "url":
                target = compiled(self.next).search(answer.value)
                return (target, {}) if isinstance(target, str) and target else None
            case "cursor":
                cursor = compiled(self.next).search(answer.value)
                name = self.parameter or "cursor"
                ended = (
                    cursor in (None, "", False)
                    or isinstance(cursor, dict | list)
                    or str(cursor) == parameters.get(name)
                )
                return None if ended else (url, {**parameters, name: str(cursor)})
            case _:
                if count == 0 or (self.size is not None and count < self.size):
                    return None
                name = self.parameter or self.by
                step = 1 if self.by == "page" else self.size or 0
                return url, {**parameters, name: parameters[name] + step}


def compiled(expression: str) -> Any:
    """A JMESPath expression. Raises ValueError where it is none."""
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{expression!r} is no JMESPath: {said}") from None
