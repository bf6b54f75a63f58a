"""The record in which a difference of the table travels: 24 bytes, numpy, as it lies in memory."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

CHANGE: Final = np.dtype([("row", "<u4"), ("quality", "<u4"), ("value", "<f8"), ("time_ns", "<i8")])
"""One change: table row, `Quality` flags, value in engineering units, source time in ns since 1970 UTC."""

Changes = NDArray[np.void]
"""A one-dimensional array of dtype `CHANGE`."""

Rows = NDArray[np.uint32]
Values = NDArray[np.float64]
Qualities = NDArray[np.uint32]
Times = NDArray[np.int64]


def changes(rows: NDArray[np.integer], values: Values, qualities: Qualities, times_ns: Times) -> Changes:
    """Gather four columns of equal length into one array of `CHANGE` records."""
    out = np.empty(len(rows), CHANGE)
    out["row"] = rows
    out["quality"] = qualities
    out["value"] = values
    out["time_ns"] = times_ns
    return out
