"""A domain's `items`: their fields, where they come from, and what makes vectors of them."""

from ..catalog.items import FIELD_TYPES, FieldType, ItemSchema
from ..components import Embedder
from ..errors import did_you_mean
from ..terms import withheld
from .checks import check_fields, own_fields
from .document import MapNode, ScalarNode
from .entries import Entries
from .options import ItemsOptions
from .problems import Problems
from .reading import known_keys, mapping, text
from .settings import ItemsPlan
from .validation import validated

ITEMS_KEYS = ("id", "from", "fields", "embedding", "most")


def items_plan(
    domain: str, node: MapNode, entries: Entries, problems: Problems, *, complete: bool
) -> ItemsPlan | None:
    """The plan of a domain's `items`; None where there is none, or where `problems` say why not.

    complete: False where a preset that the domain extends is not there.
    """
    items = mapping(node, "items", problems)
    if items is None:
        if complete and "items" not in node.entries:
            problems.add("E07", f"the domain {domain!r} needs 'items' with 'fields'", node.mark)
        return None
    known_keys(items, ITEMS_KEYS, problems)
    fields = _fields(items, problems, complete=complete)
    collector = entries.step(items, "from", "collector", "items.from", None)
    separator = getattr(collector.component, "separator", "|") if collector else "|"
    identity = text(items, "id", "id", problems)
    if fields is None:
        return None
    schema = ItemSchema(fields, identity, separator)
    if collector is not None:
        written = mapping(items, "from", problems) or items
        check_fields(collector.component, written, schema, entries.origins, problems)
    embedder = _embedder(items, schema, entries, problems)
    own = {key: child for key, child in items.entries.items() if key == "most"}
    options = validated(ItemsOptions, MapNode(items.mark, own, items.keys), problems, title="'items'")
    return None if options is None else ItemsPlan(schema, collector, embedder, options.most)


def _fields(items: MapNode, problems: Problems, *, complete: bool) -> dict[str, FieldType] | None:
    node = mapping(items, "fields", problems)
    if node is None or not node.entries:
        if complete and (node is not None or "fields" not in items.entries):
            mark = items.at("fields")
            problems.add("E07", "'items' needs 'fields' with at least one field, such as {title: text}", mark)
        return None
    fields: dict[str, FieldType] = {}
    fine = True
    for name, child in node.entries.items():
        value = child.value if isinstance(child, ScalarNode) else None
        kind = next((kind for kind in FIELD_TYPES if kind == value), None)
        if kind is None:
            fine = False
            if not (isinstance(child, ScalarNode) and child.missing):
                hint = did_you_mean(str(value), FIELD_TYPES)
                problems.add("E05", f"{value!r} is no type of a field", child.mark, hint)
        elif not name or not name.isprintable() or len(name) > 64:
            fine = False
            said = "a field's name must have 1 to 64 printable characters"
            problems.add("E05", said, node.at(name))
        else:
            fields[name] = kind
    return fields if fine else None


def _embedder(items: MapNode, schema: ItemSchema, entries: Entries, problems: Problems) -> Embedder | None:
    step = entries.step(items, "embedding", "connector", "items.embedding", schema)
    node = items.entries.get("embedding")
    if step is None or node is None:
        return None
    if not isinstance(step.component, Embedder):
        mark = node.at("use") if isinstance(node, MapNode) else node.mark
        said = f"{step.use!r} is a connector that embeds nothing"
        problems.add("E09", said, mark, "'embedding' needs an embedder")
        return None
    try:
        named = list(step.component.item_fields)
    except Exception as error:  # a plugin's code may raise anything
        said = f"{step.use!r} can't name its item fields: {type(error).__name__}: {error}"
        problems.add("E08", said, node.mark)
        return None
    for field in named:
        if field not in schema.fields:
            mark = node.at("text") if isinstance(node, MapNode) else node.mark
            said = f"{step.use!r} embeds the field {field!r}, which the items don't have"
            problems.add("E12", said, mark, did_you_mean(field, schema.fields))
        elif field in (reasons := withheld(entries.origins, schema.fields)):
            mark = node.at("text") if isinstance(node, MapNode) else node.mark
            said = f"{step.use!r} embeds the field {field!r}: {reasons[field]}"
            problems.add("E15", said, mark, own_fields(schema, reasons))
    return step.component
