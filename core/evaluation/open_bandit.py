"""Logs in the format of the Open Bandit Dataset (Saito et al. 2021, arXiv 2008.07146)."""

import csv
import gzip
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CollectorError, EvaluationError, did_you_mean
from .log import LoggedBandit, Target

_COLUMNS = ("item_id", "position", "click", "propensity_score")


def read_open_bandit(path: Path) -> LoggedBandit:
    """The log in a CSV file, plain or as `.gz`.

    Read are `item_id` (from 0), `position` (there from 1, here from 0), `click` and `propensity_score`; other columns
    are left alone. Raises CollectorError, with the line, where the file can't be read, and EvaluationError where it
    holds what no log can.
    """
    rows: list[tuple[float, ...]] = []
    try:
        with (gzip.open if path.suffix == ".gz" else open)(
            path, "rt", encoding="utf-8", newline=""
        ) as stream:
            lines = csv.reader(stream)
            header = next(lines, [])
            for name in _COLUMNS:
                if name not in header:
                    raise CollectorError(f"{path}: no column {name!r}{did_you_mean(name, header)}")
            wanted = itemgetter(*(header.index(name) for name in _COLUMNS))
            for line in lines:
                try:
                    rows.append(tuple(map(float, wanted(line))))
                except (IndexError, ValueError):
                    raise CollectorError(
                        f"{path}:{lines.line_num}: {', '.join(_COLUMNS)} must be numbers"
                    ) from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise CollectorError(f"{path}: {error}") from None
    table: NDArray[Any] = np.array(rows, dtype=np.float64).reshape(-1, len(_COLUMNS))
    item, position, click, propensity = table.T
    try:
        return LoggedBandit(item, click, propensity, position - 1)
    except EvaluationError as error:
        raise EvaluationError(f"{path}: {error}") from None


def item_shares(log: LoggedBandit, of: LoggedBandit) -> Target:
    """The policy that wrote another log, as this log asks about it: each item's share of the rows at its position.

    For a policy that is blind to the context. Don't average logged propensities instead: rows come to an item the
    more often the larger its propensity was, so their mean is too large. Raises EvaluationError where a log has no
    positions, or the other none of a row's.
    """
    if log.position is None or of.position is None:
        raise EvaluationError("item shares are taken by position: both logs need their positions")
    shares = np.zeros(
        (1 + max(log.position.max(), of.position.max()), 1 + max(log.action.max(), of.action.max()))
    )
    np.add.at(shares, (of.position, of.action), 1.0)
    rows = shares.sum(axis=1)
    unseen = np.setdiff1d(log.position, np.flatnonzero(rows))
    if len(unseen):
        raise EvaluationError(f"the other log has no row at position {unseen[0]}")
    return Target(shares[log.position, log.action] / rows[log.position])
