"""Numbers on their way to the wire: rounded, held inside what an element can say, never wrong and good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Values


@dataclass(frozen=True, slots=True)
class Batch:
    """Points to be coded: columns of one length. `low` and `high` matter to normalised values only."""

    values: Values
    qualities: Qualities
    low: Values
    high: Values


def clamp(values: Values, lowest: float, highest: float) -> tuple[Values, NDArray[np.bool_]]:
    """Whole numbers within the limits (NaN becomes 0), and where a value lay outside; NaN is not outside."""
    rounded = np.rint(values)
    outside = (rounded < lowest) | (rounded > highest)
    return np.nan_to_num(np.clip(rounded, lowest, highest), nan=0.0), outside
