"""A domain's sample: what `items.from` brings to stand in for the items of connectors, until there are others."""

from collections.abc import Sequence

from ..components import Connector
from ..config import DomainPlan, Step
from ..store import Store
from .ingest import StoredItem

Change = tuple[str, bytes | None]


def sample_step(plan: DomainPlan) -> Step | None:
    """The entry that stands in for connectors that are configured; None: it takes part, or can't do its work."""
    step = _superseded(plan)
    if step is None or sample_origin(plan) is None:
        return None
    held = (getattr(step.component, option) for option in step.connectors)
    usable = all(each.configured for each in held if isinstance(each, Connector))
    return step if usable else None


def sample_origin(plan: DomainPlan) -> str | None:
    """The origin of the sample's items, which have to go when others come; None where there are none."""
    step = _superseded(plan)
    if step is None:
        return None
    # What comes through a connector that others use, too, is no sample.
    if step.origin is not None and step.origin in {
        other.origin for other in (*plan.sources, *plan.collectors)
    }:
        return None
    return origin_of(step)


def origin_of(step: Step) -> str:
    """The origin of the items that `items.from` brings."""
    return step.origin or "collector"


def has_others(store: Store, plan: DomainPlan) -> bool:
    """Whether a domain has items that are not of its sample. Raises StoreError."""
    origin = sample_origin(plan)
    return any(count.origin != origin for count in store.ages.by_origin(plan.name))


def parting(store: Store, plan: DomainPlan, changes: Sequence[Change]) -> list[Change]:
    """Changes of a domain's items; where they bring some, the sample goes with them. Raises StoreError.

    Both are to be one write, so that neither a kill nor another process ever finds the sample beside the others.
    """
    origin = sample_origin(plan)
    if origin is None:
        return list(changes)
    leaving = dict.fromkeys(store.ages.ids(plan.name, origin))
    if not leaving or all(
        body is None or StoredItem.from_bytes(body).origin == origin for _, body in changes
    ):
        return list(changes)
    return [*_removal(store, plan, list(leaving)), *changes]


def drop_sample(store: Store, plan: DomainPlan) -> None:
    """Remove the sample's items. Raises StoreError."""
    origin = sample_origin(plan)
    if origin is None:
        return
    leaving = list(store.ages.ids(plan.name, origin))
    if leaving:
        store.put_items(plan.name, _removal(store, plan, leaving)).result()


def _removal(store: Store, plan: DomainPlan, ids: Sequence[str]) -> list[Change]:
    # First: it has to be read again whenever it is wanted again.
    store.put_note(collected_note(plan.name), "")
    return [(identity, None) for identity in ids]


def collected_note(domain: str) -> str:
    """The name of the store's note on what `items.from` was asked for the last time."""
    return f"collected {domain}"


def _superseded(plan: DomainPlan) -> Step | None:
    left = plan.left_out.get("items.from")
    return left.step if left is not None and left.superseded else None
