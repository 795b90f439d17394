"""`tastemaker simulate`: what the learning of a domain is worth with made-up people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failing import guarded, plain_warnings
from .options import ConfigOption, DomainArgument, JsonOption, SetOption, plan_of, settings_of
from .output import as_json, bar, console, say

if TYPE_CHECKING:
    from ..simulation import Experiment


@guarded
def simulate(
    domain: DomainArgument,
    people: Annotated[int, typer.Option(min=1, help="People in each crowd.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Slates that each of them gets.")] = 40,
    seeds: Annotated[int, typer.Option(min=1, help="Crowds, each living with and without learning.")] = 5,
    png: Annotated[Path | None, typer.Option(help="Draw the learning curve into this file.")] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Measure with made-up people what the learning is worth.

    They have hidden tastes, and use the domain with and without its policies.
    """
    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    plain_warnings("agent", "learning")
    from .. import simulation

    with bar(f"simulating {plan.name}") as progress:
        experiment = simulation.run(
            settings, domain, people=people, rounds=rounds, seeds=seeds, progress=progress
        )
    if json:
        as_json(_facts(experiment))
    else:
        console().print(simulation.table(experiment))
    if png is not None:
        simulation.plot(experiment, png)
        if not json:
            say(f"\nThe learning curve: {png}")


def _facts(experiment: "Experiment") -> dict[str, Any]:
    """What an experiment found, by round and at its end."""
    return {
        "domain": experiment.domain,
        "policies": experiment.policies,
        "people": experiment.people,
        "rounds": experiment.rounds,
        "seeds": experiment.seeds,
        "lift": experiment.lift,
        "liked_lift": experiment.liked_lift,
        "reward": {arm: rounds.mean(axis=0) for arm, rounds in experiment.reward.items()},
        "liked": {arm: rounds.mean(axis=0) for arm, rounds in experiment.liked.items()},
        "degraded": experiment.degraded,
        "decisions": experiment.decisions,
        "seconds": experiment.seconds,
    }
