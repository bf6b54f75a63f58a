"""Samples and buckets as rows of a table, for files that people read. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from gateway.history.downsample import Buckets
from gateway.history.samples import Samples
from gateway.points.quality import Quality

SAMPLE_HEAD: Final = ("time", "point", "value", "unit", "quality")
BUCKET_HEAD: Final = ("time", "point", "mean", "lowest", "highest", "last", "unit", "known", "quality")


def sample_rows(samples: Samples, name: str, unit: str) -> Iterator[tuple[Any, ...]]:
    """One row a sample, as `SAMPLE_HEAD` says; the time in ns."""
    columns = (samples.time_ns.tolist(), samples.value.tolist(), samples.quality.tolist())
    for time_ns, value, quality in zip(*columns, strict=True):
        yield time_ns, name, value, unit, Quality(quality).words


def bucket_rows(found: Buckets, name: str, unit: str) -> Iterator[tuple[Any, ...]]:
    """One row a bucket, as `BUCKET_HEAD` says; the time, of its beginning, in ns."""
    rows = zip(
        *(found.start_ns.tolist(), found.mean.tolist(), found.low.tolist(), found.high.tolist()),
        *(found.last.tolist(), found.known.tolist(), found.quality.tolist()),
        strict=True,
    )
    for time_ns, mean, low, high, last, known, quality in rows:
        yield time_ns, name, mean, low, high, last, unit, round(known, 3), Quality(quality).words


def iso(time_ns: int) -> str:
    """Such as 2026-03-01T08:35:09.123456Z."""
    at = dt.datetime.fromtimestamp(time_ns // 1_000_000_000, dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ns % 1_000_000_000 // 1000:06d}Z"
