"""HMI: what a trend of 20 points costs the disk's thread, over an hour, a day and 30 days of a sample every 5 s."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from bench.result import Result, percentile
from gateway.history.batch import RECORD
from gateway.history.days import DAY_NS
from gateway.history.plan import Retention
from gateway.history.reader import HistoryReader
from gateway.history.spool import SeriesInfo
from gateway.history.writer import HistoryWriter
from hmi.trending import long_buckets, numbers

POINTS: Final = 20
BUCKETS: Final = 1_000
DAYS: Final = 30
DAY_S: Final = 86_400
EVERY_S: Final = 5
START_NS: Final = 20_000 * DAY_NS
ROUNDS: Final = 3
_SPANS: Final = {"hour": (3_600, 2.0), "day": (DAY_S, 2.0), "month": (DAYS * DAY_S, None)}
"""Seconds, and what an operator waits for at most (s)."""


def _record(folder: Path) -> None:
    writer = HistoryWriter(folder, Retention(days=DAYS + 1))
    ids = writer.register([SeriesInfo(f"p{at}") for at in range(POINTS)])
    chance = np.random.default_rng(1)
    for day in range(DAYS):
        for number in ids.values():
            batch = np.zeros(DAY_S // EVERY_S, RECORD)
            batch["series"] = number
            batch["value"] = np.round(50 + 0.01 * chance.normal(size=len(batch)), 3)
            batch["time_ns"] = START_NS + day * DAY_NS + np.arange(len(batch)) * EVERY_S * 1_000_000_000
            writer.append(batch, 1, 0.0)
        writer.take()
    writer.close()


def _read(reader: HistoryReader, seconds: int) -> float:
    """s for all points, to the numbers that are sent."""
    end_ns = START_NS + DAYS * DAY_NS
    began_s = time.perf_counter()
    for at in range(POINTS):
        found = long_buckets(reader, f"p{at}", end_ns - seconds * 1_000_000_000, end_ns, BUCKETS)
        for values in (found.low, found.mean, found.high):
            numbers(values)
    return time.perf_counter() - began_s


def measure() -> Iterator[Result]:
    """See the module."""
    with tempfile.TemporaryDirectory() as folder:
        _record(Path(folder))
        reader = HistoryReader(Path(folder))
        for name, (seconds, budget) in _SPANS.items():
            took = [_read(reader, seconds) for _ in range(ROUNDS)]
            yield Result(
                name=f"hmi_trend_{name}",
                value=percentile(took, 50),
                unit="s",
                budget=budget,
                note=f"{POINTS} points to {BUCKETS} buckets from {POINTS * seconds // EVERY_S:,} samples",
            )
        reader.close()
