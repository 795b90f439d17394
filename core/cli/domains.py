"""`tastemaker domains`: what is configured."""

from typing import TYPE_CHECKING

from .failing import guarded
from .options import ConfigOption, JsonOption, SetOption, existing_store, settings_of
from .output import Column, as_json, say, table

if TYPE_CHECKING:
    from ..config import DomainPlan, Settings


@guarded
def domains(config: ConfigOption = None, set: SetOption = None, json: JsonOption = False) -> None:
    """List the domains, what learns in each, and their items."""
    settings = settings_of(config, set)
    counts = _item_counts(settings)
    if json:
        as_json({name: _facts(plan, counts.get(name)) for name, plan in settings.domains.items()})
        return
    if not settings.domains:
        say(f"{settings.path} configures no domain; add one with: tastemaker new domain NAME --from FILE")
        return
    rows = [
        [
            name,
            plan.title,
            counts.get(name, "–"),
            " ".join(step.use for step in plan.policies) or "nothing",
            plan.slate.size,
        ]
        for name, plan in settings.domains.items()
    ]
    number = Column("items", right=True)
    table(["domain", "title", number, "learns with", Column("slate", right=True)], rows)
    if not counts:
        say("\nThe store is still empty: items come in with the first start, such as tastemaker serve.")


def _facts(plan: "DomainPlan", items: int | None) -> dict[str, object]:
    return {
        "title": plan.title,
        "description": plan.description,
        "items": items,
        "fields": dict(plan.items.schema.fields),
        "sources": [step.use for step in plan.sources],
        "filters": [step.use for step in plan.filters],
        "scorers": [step.use for step in plan.scorers],
        "policies": [step.use for step in plan.policies],
        "slate": plan.slate.size,
        "digest": plan.digest,
    }


def _item_counts(settings: "Settings") -> dict[str, int]:
    """Items by domain; nothing where the store isn't there yet."""
    store = existing_store(settings)
    if store is None:
        return {}
    try:
        return {name: store.count_items(name) for name in settings.domains}
    finally:
        store.close()
