"""The scorer: how well a video answers what somebody would search for."""

from typing import ClassVar

from ...core import Candidates, Context, Scorer, Scores
from .asking import Asking


class Asked(Asking, Scorer):
    """How well a video answers somebody's searches, from 0 to 1; with the options of `video.search`."""

    blocking: ClassVar[bool] = False

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """From 0 to 1, shape (n,)."""
        # A source may have brought items since the request began.
        return self.answers(context, candidates.catalog)[candidates.rows]
