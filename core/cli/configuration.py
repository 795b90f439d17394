"""`tastemaker validate`, `config show` and `schema`: the configuration, checked and shown."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .failing import MISUSED, guarded
from .options import ConfigOption, JsonOption, SetOption, settings_of
from .output import Column, as_json, counted, say, table

if TYPE_CHECKING:
    from ..config import DomainPlan

config = typer.Typer(name="config", help="Show the configuration.", no_args_is_help=True)


@guarded
def validate(config: ConfigOption = None, set: SetOption = None, json: JsonOption = False) -> None:
    """Check the configuration: every problem at its place."""
    try:
        settings = settings_of(config, set)
    except ConfigError as error:
        if not json:
            raise
        as_json({"valid": False, "problems": [_problem(each) for each in error.problems]})
        raise typer.Exit(MISUSED) from None
    plans = settings.domains.values()
    if json:
        domains = {plan.name: _counts(plan) for plan in plans}
        as_json({"valid": True, "file": str(settings.path), "problems": [], "domains": domains})
        return
    say(f"{settings.path} is valid: {counted(len(settings.domains), 'domain')}")
    if not settings.domains:
        say("Add one with: tastemaker new domain NAME --from FILE")
        return
    say()
    columns = ["domain", "items from"]
    numbers = ["fields", "sources", "filters", "scorers", "policies", "slate"]
    table(
        [*columns, *(Column(title, right=True) for title in numbers)],
        [[plan.name, _origin(plan), *_counts(plan).values()] for plan in plans],
    )


@config.command("show")
@guarded
def show(config: ConfigOption = None, set: SetOption = None) -> None:
    """Print the resolved configuration, and where each value comes from.

    Secrets are hidden.
    """
    from ..config import show as shown

    typer.echo(shown(settings_of(config, set)), nl=False)


@guarded
def schema(
    preset: Annotated[
        bool, typer.Option("--preset", help="Of a preset: what stands under a domain's name.")
    ] = False,
) -> None:
    """Print the JSON Schema of config.yaml, for editors.

    It holds the options of every installed plugin.
    """
    from ..config import json_schema
    from ..registry import Registry

    as_json(json_schema(Registry(), preset=preset))


def _problem(problem: Any) -> Any:
    return problem.as_dict()


def _origin(plan: "DomainPlan") -> str:
    collector = plan.items.collector
    if collector is None:
        return "import and API"
    path = getattr(collector.component, "path", None)
    return path.name if path is not None else collector.use


def _counts(plan: "DomainPlan") -> dict[str, int]:
    return {
        "fields": len(plan.items.schema.fields),
        "sources": len(plan.sources),
        "filters": len(plan.filters),
        "scorers": len(plan.scorers),
        "policies": len(plan.policies),
        "slate": plan.slate.size,
    }
