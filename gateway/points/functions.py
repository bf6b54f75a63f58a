"""The functions that expressions may call: over single values, and over whole arrays of points. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np


def _least(*values: float) -> float:
    return math.nan if any(map(math.isnan, values)) else min(values)


def _greatest(*values: float) -> float:
    return math.nan if any(map(math.isnan, values)) else max(values)


def _clamp(value: float, low: float, high: float) -> float:
    if low > high:
        raise ValueError("clamp with low above high")
    return _least(_greatest(value, low), high)


def _sum(*values: float) -> float:
    return math.fsum(values)


def _mean(*values: float) -> float:
    return math.fsum(values) / len(values)


def _spread(*values: float) -> float:
    return _greatest(*values) - _least(*values)


FUNCTIONS: Final[Mapping[str, tuple[Callable[..., float], int, int]]] = {
    "min": (_least, 2, 100),
    "max": (_greatest, 2, 100),
    "abs": (abs, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "clamp": (_clamp, 3, 3),
    "sum": (_sum, 1, 100),
    "mean": (_mean, 1, 100),
    "spread": (_spread, 2, 100),
}
"""Name -> (function, fewest arguments, most arguments)."""

OF_ARRAYS: Final[Mapping[str, Callable[..., float]]] = {
    "min": lambda *values: np.hstack(values).min(),
    "max": lambda *values: np.hstack(values).max(),
    "sum": lambda *values: np.hstack(values).sum(),
    "mean": lambda *values: np.hstack(values).mean(),
    "spread": lambda *values: np.ptp(np.hstack(values)),
}
"""What the same functions are where one of the arguments is an array; NaN stays NaN."""
