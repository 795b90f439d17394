"""An experiment for people: a learning curve in ten lines, and what came out in one sentence."""

import math

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from .experiment import Experiment, Lift

_LINES = 10
_BAR = 30
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def table(experiment: Experiment) -> Table:
    """The learning curve: mean reward per slate by rounds, with and without learning, over all seeds."""
    learned, plain = (experiment.reward[arm].mean(axis=0) for arm in ("with", "without"))
    liked = experiment.liked["with"].mean(axis=0)
    spans = np.array_split(np.arange(experiment.rounds), min(_LINES, experiment.rounds))
    most = max(max(learned[span].mean(), plain[span].mean()) for span in spans)
    shown = Table(box=SIMPLE_HEAD, caption=sentence(experiment), caption_style="", caption_justify="left")
    shown.add_column("round", justify="right", no_wrap=True)
    shown.add_column("without", justify="right")
    shown.add_column("with", justify="right")
    shown.add_column("", no_wrap=True, min_width=_BAR)
    shown.add_column("gain", justify="right")
    shown.add_column("liked", justify="right")
    for span in spans:
        before, now = float(plain[span].mean()), float(learned[span].mean())
        shown.add_row(
            _span(span[0], span[-1]),
            f"{before:.2f}",
            f"{now:.2f}",
            Text(bar(now / most if most > 0 else 0.0), style="green" if now >= before else "red"),
            f"{now / before - 1:+.0%}" if before > 0 else f"{now - before:+.2f}",
            f"{liked[span].mean():.1%}",
        )
    return shown


def sentence(experiment: Experiment) -> str:
    """What the learning is worth, with its interval, and how that was measured."""
    end = experiment.last
    learned, plain = (float(experiment.end(arm).mean()) for arm in ("with", "without"))
    names = " and ".join(f"'{name}'" for name in experiment.policies)
    crowds = f"{experiment.seeds} crowds" if experiment.seeds > 1 else "1 crowd"
    text = (
        f"In the last {_rounds(end.stop - end.start)} of {experiment.rounds}, the answers to a slate were worth "
        f"{learned:.2f} with {names} and {plain:.2f} without: {gain(experiment.lift)} "
        f"({crowds} of {experiment.people} people)."
    )
    if experiment.degraded:
        text += f" Something was missing for {experiment.degraded} of {experiment.decisions} slates."
    return text


def bar(share: float, width: int = _BAR) -> str:
    """A bar of eighths of a character.

    >>> bar(0.5, 4), bar(0.3, 4), bar(-1, 4)
    ('██', '█▎', '')
    """
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def gain(lift: Lift) -> str:
    """A lift in words."""

    def shown(value: float) -> str:
        return f"{100 * value:+.1f} %" if lift.relative else f"{value:+.2f} reward per slate"

    if math.isnan(lift.low):
        return f"{shown(lift.mean)}, of which a single crowd tells no interval"
    return f"{shown(lift.mean)}, 95 % interval {shown(lift.low)} to {shown(lift.high)}"


def _span(first: int, last: int) -> str:
    return str(first + 1) if first == last else f"{first + 1}–{last + 1}"


def _rounds(count: int) -> str:
    return f"{count} rounds" if count > 1 else "round"
