"""An experiment as a picture: reward per slate by round, both arms, with intervals over the seeds."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RequestError
from .experiment import Experiment, interval
from .report import gain

_COLOURS = {"with": "#0b6e4f", "without": "#8a8d91"}
_LABELS = {"with": "with learning", "without": "without (no policies, no exploration)"}


def plot(experiment: Experiment, path: Path) -> None:
    """Write a PNG. Raises RequestError where matplotlib isn't there or the file can't be written."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise RequestError("plots need matplotlib: pip install 'tastemaker[plots]'") from error
    figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rounds = np.arange(1, experiment.rounds + 1)
    window = max(1, experiment.rounds // 20)
    for arm, colour in _COLOURS.items():
        mean, low, high = interval(smoothed(experiment.reward[arm], window))
        axes.fill_between(rounds, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(rounds, mean, color=colour, linewidth=2)
        axes.annotate(
            _LABELS[arm].split(" (")[0],
            (float(rounds[-1]), float(mean[-1])),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
        )
    end = experiment.last
    axes.axvspan(end.start + 0.5, end.stop + 0.5, color="#000000", alpha=0.04, linewidth=0)
    axes.annotate(
        "the end",
        ((end.start + end.stop + 1) / 2, 0.02),
        xycoords=("data", "axes fraction"),
        ha="center",
        color="#666666",
        fontsize=8,
    )
    axes.set_xlim(0.5, experiment.rounds + 0.5)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("round (each person gets one slate)")
    axes.set_ylabel(f"reward per slate of {experiment.size} items")
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    title = experiment.title or experiment.domain
    axes.set_title(f"{title}: {gain(experiment.lift)}", loc="left", fontsize=11)
    bands = ", bands: 95 % t-interval" if experiment.seeds > 1 else ""
    smoothing = f", moving mean of {window} rounds" if window > 1 else ""
    figure.supxlabel(
        f"{experiment.people} simulated people, mean of {experiment.seeds} seeds{bands}{smoothing}",
        fontsize=8,
        color="#666666",
    )
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise RequestError(f"{path} can't be written: {error.strerror or error}") from error


def smoothed(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Each row's mean over the last `window` rounds, fewer at the beginning; same shape.

    >>> smoothed(np.array([[1.0, 3.0, 5.0]]), 2).tolist()
    [[1.0, 2.0, 4.0]]
    """
    sums = np.cumsum(values, axis=1)
    before = np.zeros_like(sums)
    before[:, window:] = sums[:, :-window]
    counts = np.minimum(np.arange(1, values.shape[1] + 1), window)
    means: NDArray[np.float64] = (sums - before) / counts
    return means
