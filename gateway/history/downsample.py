"""Many samples as few buckets: lowest, highest, mean and last of each, with quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.history.samples import Samples
from gateway.points.quality import UNUSABLE

_UNUSABLE: Final = np.uint32(int(UNUSABLE))


@dataclass(frozen=True, slots=True)
class Buckets:
    """Arrays of one length; `start_ns` of each bucket. NaN where the value was not known at any moment of it.

    A value stands until the next one. `mean` is over time; `quality` is every flag that stood at some moment;
    `known` is the part of the bucket in which the value could be used; `count` is how many samples fell into it.
    """

    start_ns: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    last: NDArray[np.float64]
    quality: NDArray[np.uint32]
    known: NDArray[np.float64]
    count: NDArray[np.int64]


def downsample(samples: Samples, start_ns: int, end_ns: int, count: int) -> Buckets:
    """Cut `start_ns` to `end_ns` into `count` buckets. A sample before `start_ns` says what stood at the beginning.

    The samples must be in order of time. Raises `ValueError` for a range or count that makes no buckets.
    """
    if count < 1 or end_ns <= start_ns:
        raise ValueError("a range that is not empty and at least one bucket are needed")
    edges = start_ns + (np.arange(count + 1, dtype=np.float64) * ((end_ns - start_ns) / count)).astype(np.int64)
    edges[-1] = end_ns
    inside = samples.between(start_ns, end_ns)
    first = int(np.searchsorted(samples.time_ns, start_ns))
    if not len(samples):
        return _nothing(edges, count)
    # One piece of time for each sample and each edge: what stood from there on.
    starts = np.concatenate((edges[:-1], inside.time_ns))
    source = np.concatenate(
        (np.searchsorted(samples.time_ns, edges[:-1]) - 1, np.arange(first, first + len(inside), dtype=np.int64))
    )
    order = np.lexsort((source, starts))
    starts, source = starts[order], source[order]
    ends = np.append(starts[1:], end_ns)
    bucket = np.searchsorted(edges, starts, side="right") - 1
    return _reduced(samples, edges, count, starts, ends, source, bucket)


def _nothing(edges: NDArray[np.int64], count: int) -> Buckets:
    nan = np.full(count, np.nan)
    zero = np.zeros(count)
    return Buckets(edges[:-1], nan, nan, nan, nan, np.zeros(count, np.uint32), zero, np.zeros(count, np.int64))


def _reduced(
    samples: Samples,
    edges: NDArray[np.int64],
    count: int,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    source: NDArray[np.int64],
    bucket: NDArray[np.int64],
) -> Buckets:
    there = source >= 0
    value = np.where(there, samples.value[source], np.nan)
    quality = np.where(there, samples.quality[source], np.uint32(0)).astype(np.uint32)
    usable = there & ((quality & _UNUSABLE) == 0) & np.isfinite(value)
    weight = np.where(usable, (ends - starts).astype(np.float64), 0.0)
    at = np.searchsorted(bucket, np.arange(count))
    total = np.bincount(bucket, weight, count)
    area = np.bincount(bucket, weight * np.where(usable, value, 0.0), count)
    # A value that stood for no time (two samples at one moment) still was one.
    low = np.minimum.reduceat(np.where(usable, value, np.inf), at)
    high = np.maximum.reduceat(np.where(usable, value, -np.inf), at)
    seen = high >= low
    ending = np.append(at[1:], len(bucket)) - 1
    mean = np.divide(area, total, out=np.full(count, np.nan), where=total > 0)
    return Buckets(
        start_ns=edges[:-1],
        low=np.where(seen, low, np.nan),
        high=np.where(seen, high, np.nan),
        mean=np.where(total > 0, mean, np.where(seen, low, np.nan)),
        last=np.where(usable[ending], value[ending], np.nan),
        quality=np.bitwise_or.reduceat(quality, at),
        known=total / np.diff(edges),
        count=np.bincount(
            np.searchsorted(edges, samples.between(int(edges[0]), int(edges[-1])).time_ns, "right") - 1, minlength=count
        ),
    )
