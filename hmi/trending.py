"""Ranges of any length as few numbers: read in pieces, so that a year of ten samples a second fits into memory."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.history.downsample import Buckets
from gateway.history.reader import HistoryReader

HEART: Final = "system/history/samples"
"""Recorded about every second while anything is: what lies between two of its samples far apart was not recorded."""
_PAUSE_NS: Final = 30 * 1_000_000_000
PIECE_SAMPLES: Final = 1_000_000
"""Read at one time; 20 octets each."""
_DIGITS: Final = 7


def long_buckets(reader: HistoryReader, name: str, start_ns: int, end_ns: int, count: int) -> Buckets:
    """As `HistoryReader.buckets`, for any number of samples: no piece has fewer buckets than one."""
    pieces = min(count, math.ceil(reader.count(name, start_ns, end_ns) / PIECE_SAMPLES)) or 1
    if pieces == 1:
        return reader.buckets(name, start_ns, end_ns, count)
    edges = [start_ns + (end_ns - start_ns) * at // count for at in range(count + 1)]
    parts = [
        reader.buckets(name, edges[int(cut[0])], edges[int(cut[-1]) + 1], len(cut))
        for cut in np.array_split(np.arange(count), pieces)
    ]
    return Buckets(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Buckets)))


def unrecorded(reader: HistoryReader, start_ns: int, end_ns: int, now_ns: int, count: int) -> NDArray[np.float64]:
    """Which part of each bucket nothing was recorded in: while the gateway was off, a value that stood says nothing."""
    step_ns = (end_ns - start_ns) / count
    if step_ns > 2 * _PAUSE_NS:
        beats = long_buckets(reader, HEART, start_ns, end_ns, count).count
        return np.where((beats == 0) & bool(beats.any()), 1.0, 0.0)
    samples = reader.range(HEART, start_ns - _PAUSE_NS, end_ns)
    before = reader.before(HEART, start_ns - _PAUSE_NS)
    times = np.concatenate((before.time_ns, samples.time_ns, [max(min(now_ns, end_ns), start_ns)]))
    edges = start_ns + step_ns * np.arange(count + 1)
    out = np.zeros(count)
    if len(times) < 2:
        return out
    for at in np.flatnonzero(np.diff(times) > _PAUSE_NS).tolist():
        covered = np.minimum(edges[1:], times[at + 1]) - np.maximum(edges[:-1], times[at])
        out += np.clip(covered / step_ns, 0.0, 1.0)
    return np.minimum(out, 1.0)


def numbers(values: NDArray[np.float64]) -> list[Any]:
    """For JSON: no more digits than a chart can show, None for what is not known."""
    size = np.abs(values)
    usable = np.isfinite(values) & (size > 1e-290) & (size < 1e290)
    scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.where(usable, size, 1.0))))
    short = np.where(usable, np.round(np.where(usable, values, 0.0) * scale) / scale, values)
    return [value if math.isfinite(value) else None for value in short.tolist()]
