"""A plugin of each kind of component, and configurations around it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from tastemaker.core import ConfigError
from tastemaker.core.config import Settings, load

PLUGIN = '''
import re
from pathlib import Path
from pydantic import Field, SecretStr, field_validator
from tastemaker.core import *

class Popular(Source):
    """What most people like."""
    limit: int = Field(50, ge=1, description="Most ids to propose.")

class Similar(Source):
    limit: int = Field(50, ge=1)
    by: list[WordField] = []
    boost: dict[NumberField, float] = {}

class Seen(Filter):
    days: float = 30

class Where(Filter):
    field: AnyField
    at_least: float | None = None
    flag: FlagField | None = None

class Freshness(Scorer):
    field: TimeField
    half_life_days: float = Field(30, gt=0)

class Picky(Scorer):
    odd: int = 1

    @field_validator("odd")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value == 13:
            raise RuntimeError("thirteen")
        if value % 2 == 0:
            raise ValueError("must be odd")
        return value

class Ranker(Policy):
    prior: float = 1.0

class Table(Collector):
    path: ConfigPath
    more: list[ConfigPath] = []
    token: SecretStr | None = None

class Text(Embedder):
    text: str = "{title}"

    @property
    def item_fields(self):
        return re.findall(r"{(\\w+)}", self.text)

class Wire(Connector):
    pass

class Stars(Reward):
    scale: float = 1.0

@hookimpl
def components():
    return [Popular, Similar, Seen, Where, Freshness, Picky, Ranker, Table, Text, Wire, Stars]

@hookimpl
def presets():
    here = Path(__file__).parent / "presets"
    return {path.stem: path for path in here.glob("*.yaml")} | {"gone": here / "gone.yml"}
'''

PRESET = """
items:
  id: isbn
  from: {use: toy.table, path: books.csv}
  fields: {title: text, genres: tags, rating: number, published: time, new: flag}
sources: [{use: toy.popular}, {use: toy.similar}, {use: toy.similar, limit: 3}]
scorers:
  recent: {use: toy.freshness, field: published}
slate: {size: 10, explore: 0.1}
"""


class House:
    """A folder with a configuration in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("toy.py", PLUGIN)
        self.write("presets/toy.yaml", PRESET)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def load(self, text: str = "", *overrides: str, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of a configuration that knows the plugin `toy`."""
        path = self.write("config.yaml", "plugins: [./toy.py]\n" + dedent(text))
        return load(path, overrides=overrides, environ=environ or {})

    def books(self, text: str = "", *overrides: str, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings with one domain, `books`, whose keys beside `extends: toy` are given."""
        inner = dedent(text).strip("\n").replace("\n", "\n    ")
        return self.load(f"domains:\n  books:\n    extends: toy\n    {inner}\n", *overrides, environ=environ)

    def problems(self, act: Callable[..., object], *given: str, **more: Mapping[str, str]) -> list[str]:
        """What is wrong, with the folder left out."""
        with pytest.raises(ConfigError) as caught:
            act(*given, **more)
        return [str(problem).replace(f"{self.folder}/", "") for problem in caught.value.problems]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)
