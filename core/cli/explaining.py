"""`tastemaker explain`: why a slate is what it is."""

from typing import TYPE_CHECKING, Annotated

import typer

from .failing import guarded, plain_warnings
from .options import ConfigOption, JsonOption, SetOption, settings_of
from .output import as_json, say

if TYPE_CHECKING:
    from ..config import Settings
    from ..explain import Explanation


@guarded
def explain(
    slate: Annotated[str, typer.Argument(help="The id of a logged slate, as recommend prints it.")],
    item: Annotated[
        str | None, typer.Option(help="Say what became of this item, whether it was shown or not.")
    ] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Tell why a slate is what it is.

    Names what speaks for each of its items, what came near, and what became of another item.
    """
    import asyncio

    settings = settings_of(config, set)
    plain_warnings("agent")
    explanation = asyncio.run(_explained(settings, slate, item))
    if json:
        as_json(explanation.as_dict())
        return
    for line in explanation.lines():
        say(line)


async def _explained(settings: "Settings", slate: str, item: str | None) -> "Explanation":
    from ..explain import explain as explained
    from ..orchestrator import Orchestrator

    async with Orchestrator(settings, follow=False) as tastemaker:
        return await explained(tastemaker, slate, item)
