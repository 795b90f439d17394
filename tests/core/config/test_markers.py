"""Options that name an item's field are found wherever they are."""

from typing import Annotated

from pydantic import BaseModel
from tastemaker.core import NumberField, WordField
from tastemaker.core.config.markers import named_fields


class Twig(BaseModel):
    """May hold others of its kind, and has its mark in one that comes after them."""

    below: list["Twig"] = []
    length: int = 1
    field: NumberField | None = None


class Tree(BaseModel):
    unmarked: dict[str, Annotated[int, "a note"]] = {}
    twigs: dict[str, Twig | int] = {}
    pairs: tuple[int, WordField] | None = None


class Early(BaseModel):
    """Its types are known later than it is."""

    late: "Late | None" = None


def test_in_models_within_models() -> None:
    leaf = Twig(field="rating")
    tree = Tree(
        unmarked={"a": 1}, twigs={"low": 3, "high": Twig(below=[Twig(below=[leaf])])}, pairs=(1, "genre")
    )
    assert list(named_fields(tree)) == [
        (("twigs", "high", "below", 0, "below", 0, "field"), "rating"),
        (("pairs", 1), "genre"),
    ]
    assert list(named_fields(leaf)) == [(("field",), "rating")]
    assert list(named_fields(Tree())) == []


class Late(BaseModel):
    field: NumberField


def test_in_a_model_whose_types_are_known_late() -> None:
    assert list(named_fields(Early.model_construct())) == []
    assert list(named_fields(Early(late=Late(field="rating")))) == [(("late", "field"), "rating")]
