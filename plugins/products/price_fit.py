"""How well an item's price fits what the user usually spends."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Candidates, Context, NumberField, Scorer


class PriceFit(Scorer):
    """How near an item's price is to what the user usually spends: 1 at that price, 0.5 at `spread` times it.

    The usual price is that of the situation or the profile where one is given, else the median of what the user
    showed interest in. Where nothing is known, or an item has no price, the score is 0.5.
    """

    blocking: ClassVar[bool] = False

    field: NumberField = Field("price", description="The number that holds the price.")
    key: str = Field(
        "usual_price", description="The key of the situation or the profile that holds a usual price."
    )
    spread: float = Field(
        2.0, gt=1, le=100, description="The factor above or below the usual price that scores 0.5."
    )

    def score(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
        """From 0 to 1, shape (n,)."""
        usual = self._usual(context)
        price = candidates[self.field].astype(np.float64)
        score = np.full(len(price), 0.5)
        if usual is None:
            return score
        priced = price > 0
        distance = np.log(price[priced] / usual) / np.log(self.spread)
        score[priced] = np.exp2(-(distance**2))
        return score

    def _usual(self, context: Context) -> float | None:
        for known in (context.situation, context.profile):
            price = _positive(known.get(self.key))
            if price is not None:
                return price
            if known is context.situation:
                context.unheeded(self.key, "an amount above 0")
        history = context.history
        if len(history) == 0:
            return None
        prices = history[self.field][np.nan_to_num(history["reward"]) > 0]
        prices = prices[prices > 0]
        return float(np.median(prices)) if len(prices) else None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < np.inf else None
