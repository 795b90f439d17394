"""`tastemaker versions`, `save`, `promote`, `rollback` and `export`: kept states of policies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failing import Misuse, guarded, plain_warnings
from .options import ConfigOption, DomainArgument, JsonOption, SetOption, plan_of, settings_of
from .output import Column, as_json, note, say, table

if TYPE_CHECKING:
    from ..learning import PolicyVersions
    from ..learning.versions import Promotion

PolicyArgument = Annotated[str, typer.Argument(help="A policy of the domain.", show_default=False)]
VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="A version, such as taste@3.", show_default=False)
]


@guarded
def versions(
    domain: DomainArgument,
    what: Annotated[
        str | None,
        typer.Argument(metavar="[POLICY|VERSION]", help="A policy, or a version such as taste@3."),
    ] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A version of the same policy to compare with.")
    ] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """List kept versions, show one, or tell how two differ."""
    with _versions(domain, config, set) as kept:
        if other is not None:
            policy, before, after = _pair(what or "", other)
            _show_difference(kept.diff(policy, before, after), json)
        elif what is not None and "@" in what:
            _show_one(kept.one(*_numbered(what)), json)
        else:
            _show_all(kept.all(what), domain, json)


@guarded
def save(
    domain: DomainArgument,
    policy: PolicyArgument,
    note: Annotated[str, typer.Option(help="What to remember it by.")] = "",
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Keep what a policy is now as a version."""
    with _versions(domain, config, set, live=True) as kept:
        version = kept.save(policy, note)
        if json:
            as_json(next(each for each in kept.all(policy) if each["version"] == version.number))
        else:
            say(
                f"{domain}.{version.name}: {version.size:,} bytes, learned up to log position {version.position:,}"
            )


@guarded
def promote(
    domain: DomainArgument,
    version: VersionArgument,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Let a version go live: every process takes it up at the same place of the log.

    What is live now is kept before, and rollback returns to it.
    """
    policy, number = _numbered(version)
    with _versions(domain, config, set, live=True) as kept:
        _show_promotion(kept.promote(policy, number), json)


@guarded
def rollback(
    domain: DomainArgument,
    policy: PolicyArgument,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Return to what was live before the last promotion; once more, and that is undone."""
    with _versions(domain, config, set, live=True) as kept:
        _show_promotion(kept.rollback(policy), json)


@guarded
def export(
    domain: DomainArgument,
    version: VersionArgument,
    file: Annotated[Path, typer.Argument(help="Where the JSON goes; - for the screen.")],
    config: ConfigOption = None,
    set: SetOption = None,
) -> None:
    """Write a version as JSON that people and programs can read: arrays as lists, tables as the policy gives them."""
    policy, number = _numbered(version)
    with _versions(domain, config, set) as kept:
        readable = kept.readable(policy, number)
    if str(file) == "-":
        as_json(readable)
        return
    import orjson

    file.write_bytes(orjson.dumps(readable, option=orjson.OPT_INDENT_2, default=str))
    note(f"wrote {version} of {domain} to {file}")


@contextmanager
def _versions(
    domain: str, config: Path | None, overrides: list[str] | None, *, live: bool = False
) -> "Iterator[PolicyVersions]":
    """The versions of a domain. Raises Misuse for a policy or version that isn't there.

    live: with what is live, for which the log has to be folded.
    """
    settings = settings_of(config, overrides)
    plan = plan_of(settings, domain)
    plain_warnings("agent", "learning")
    from ..errors import NotFound
    from ..learning.versions import PolicyVersions, restored, untaught
    from ..store import Store

    store = Store(settings.store.get_secret_value())
    try:
        yield PolicyVersions(store, (restored if live else untaught)(store, plan))
    except NotFound as error:
        raise Misuse(str(error)) from None
    finally:
        store.close()


def _numbered(name: str) -> tuple[str, int]:
    from ..learning.versions import numbered

    return numbered(name)


def _pair(first: str, second: str) -> tuple[str, int, int]:
    policy, before = _numbered(first)
    other, after = _numbered(second)
    if policy != other:
        raise Misuse(f"{first} and {second} are of different policies: nothing can be compared")
    return policy, before, after


def _show_all(listed: list[dict[str, Any]], domain: str, json: bool) -> None:
    if json:
        as_json(listed)
        return
    if not listed:
        say(f"no version is kept; make one with: tastemaker train {domain}")
        return
    from ..learning.span import iso

    columns = [Column(title) for title in ("version", "live", "from", "made")]
    columns += [Column("position", right=True), Column("bytes", right=True), Column("note", whole=True)]
    rows = [
        [
            each["name"],
            "live" if each["active"] else "" if each["fits"] else "unfit",
            each["origin"],
            iso(each["created"]),
            f"{each['position']:,}",
            f"{each['bytes']:,}",
            each["note"],
        ]
        for each in listed
    ]
    table(columns, rows)


def _show_one(facts: dict[str, Any], json: bool) -> None:
    if json:
        as_json(facts)
        return
    from ..learning.span import iso

    live = "; live" if facts["active"] else ""
    fits = "" if facts["fits"] else "; made with other options or rewards than the policy has now"
    say(f"{facts['domain']}.{facts['name']}: {facts['origin']}, {iso(facts['created'])}{live}{fits}")
    say(
        f"learned up to log position {facts['position']:,}; {facts['bytes']:,} bytes; {facts['note']}".rstrip(
            "; "
        )
    )
    if (run := facts["training"]) is not None:
        say(
            f"trained by {run['trigger']} on {run['rows']:,} outcomes of {run['users']:,} users: {run['outcome']}"
        )
    say()
    shapes = [" × ".join(map(str, entry["shape"])) for entry in facts["entries"]]
    rows = [
        [entry["name"], entry["type"], shape] for entry, shape in zip(facts["entries"], shapes, strict=True)
    ]
    table(["entry", "type", "shape"], rows)


def _show_difference(found: dict[str, Any], json: bool) -> None:
    if json:
        as_json(found)
        return
    say(f"{found['domain']}.{found['policy']}: from {found['before']} to {found['after']}\n")
    rows = [[entry["name"], entry["before"], entry["after"], _changed(entry)] for entry in found["entries"]]
    entry = Column("entry", width=max((len(row[0]) for row in rows), default=None))
    table([entry, *(Column(title, whole=True) for title in ("before", "after", "change"))], rows)


def _changed(entry: dict[str, Any]) -> str:
    if not entry["changed"]:
        return "none"
    if "added" in entry:
        return f"{entry['added']:,} came, {entry['removed']:,} went"
    if "mean_change" in entry:
        return f"{entry['mean_change']:.4g} on average, {entry['max_change']:.4g} at most"
    return "another"


def _show_promotion(promotion: "Promotion", json: bool) -> None:
    if json:
        as_json(promotion.as_dict())
        return
    where = f"from log position {promotion.position:,}"
    say(f"{promotion.domain}.{promotion.policy} is {promotion.policy}@{promotion.version} {where}")
    if promotion.before is not None:
        say(
            f"What was live is kept as {promotion.policy}@{promotion.before}; to return to it: "
            f"tastemaker rollback {promotion.domain} {promotion.policy}"
        )
    if promotion.doubt:
        note(f"note: {promotion.doubt}")
