import re
from pathlib import Path
from typing import Any

import tastemaker
from tastemaker.core.config import CODES, load
from tastemaker.core.config.compose import DOMAIN_KEYS
from tastemaker.core.config.items import ITEMS_KEYS
from tastemaker.core.config.loading import TOP_KEYS
from tastemaker.core.config.options import (
    AccountsOptions,
    ApiOptions,
    CollectorKeys,
    FilterKeys,
    LearningOptions,
    SlateOptions,
    WeightedKeys,
)

ROOT = Path(str(tastemaker.__file__)).parent
PAGE = ROOT / "docs/configuration.md"


def test_every_code_is_explained() -> None:
    sources = [*ROOT.glob("core/config/*.py"), ROOT / "core/registry.py"]
    used = {code for path in sources for code in re.findall(r"\bE\d\d\b", path.read_text(encoding="utf-8"))}
    assert used == set(CODES)
    explained = re.findall(r"^\| (E\d\d) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert explained == sorted(CODES)


def test_every_key_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    models = (
        AccountsOptions,
        ApiOptions,
        SlateOptions,
        LearningOptions,
        FilterKeys,
        WeightedKeys,
        CollectorKeys,
    )
    keys = {
        *TOP_KEYS,
        *DOMAIN_KEYS,
        *ITEMS_KEYS,
        "use",
        *(key for model in models for key in model.model_fields),
    }
    assert [key for key in sorted(keys) if f"| `{key}` |" not in page] == []


def test_the_defaults_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    sections = {
        "accounts": AccountsOptions,
        "api": ApiOptions,
        "slate": SlateOptions,
        "learning": LearningOptions,
    }
    for name, model in sections.items():
        section = page.partition(f"### `{name}`\n")[2].partition("\n#")[0]
        for key, field in model.model_fields.items():
            (row,) = re.findall(rf"^\| `{key}` \| ([^|]*) \|", section, re.MULTILINE)
            shown = row.strip().strip("`").replace("_", "")
            default = field.default
            if isinstance(default, int | float):
                assert float(shown) == default, key
            elif isinstance(default, str):
                assert shown == default, key


def test_the_examples_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    whole = [block for block in blocks if block.startswith("version: 1")]
    assert whole
    environ: dict[str, Any] = {"TASTEMAKER_KEY": "a-long-key"}
    for number, block in enumerate(whole):
        path = tmp_path / f"example{number}.yaml"
        path.write_text(block, encoding="utf-8")
        assert load(path, environ=environ).domains
