"""Options that several commands have, and what they come to."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import did_you_mean
from .failing import Misuse

if TYPE_CHECKING:
    from ..config import DomainPlan, Settings
    from ..store import Store

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration; without it config.yaml in this folder, else the one that comes with Tastemaker.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value, such as domains.music.slate.size=5; repeatable.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
DomainArgument = Annotated[str, typer.Argument(help="A domain of the configuration.", show_default=False)]


def settings_of(config: Path | None, overrides: Sequence[str] | None) -> "Settings":
    """The configuration. Raises ConfigError."""
    from ..config import load

    return load(config, overrides=overrides or ())


def plan_of(settings: "Settings", domain: str) -> "DomainPlan":
    """The plan of a domain. Raises Misuse where there is none of that name."""
    plan = settings.domains.get(domain)
    if plan is None:
        known = did_you_mean(domain, settings.domains) or "; none is configured"
        raise Misuse(f"no domain is called {domain!r} in {settings.path}{known}")
    return plan


def existing_store(settings: "Settings") -> "Store | None":
    """The store; None where it isn't there yet, and opening it would make it. Raises StoreError."""
    from ..store import Store

    url = settings.store.get_secret_value()
    scheme, _, rest = url.partition(":///")
    path = Path(rest.partition("?")[0])
    if scheme.startswith("sqlite") and not path.exists() and path.absolute().parent.is_dir():
        return None
    return Store(url)


def only(settings: "Settings", plan: "DomainPlan") -> "Settings":
    """The same configuration with one domain, so that a command doesn't load the catalogues of all."""
    from dataclasses import replace

    return replace(settings, domains={plan.name: plan})


def pairs(texts: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    """What a repeatable `key=value` option holds. Raises Misuse."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise Misuse(f"{option} {text!r} has no name and value; write it as {example}")
        found[key.strip()] = value.strip()
    return found


def meanings(texts: dict[str, str]) -> dict[str, Any]:
    """Texts as numbers, true and false where they read as such in YAML; `a,b` stays a text."""
    from ..config.scalars import meaning

    return {key: meaning(text) for key, text in texts.items()}
