"""What goes wrong in an evaluation.

EvaluationError              a log or a target can't be evaluated as it is given
└── EvaluationRefused        it can, but no honest interval goes with the estimate
"""

from ..errors import TastemakerError


class EvaluationError(TastemakerError):
    """A log or a target can't be evaluated as it is given: wrong shapes, probabilities that are none."""


class EvaluationRefused(EvaluationError):
    """No honest interval goes with an estimate; the message gives every reason."""
