"""Ranges of any length as few numbers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from gateway.history.batch import RECORD
from gateway.history.days import DAY_NS
from gateway.history.downsample import Buckets
from gateway.history.plan import Retention
from gateway.history.reader import HistoryReader
from gateway.history.spool import SeriesInfo
from gateway.history.writer import HistoryWriter
from hmi import trending
from hmi.trending import HEART, long_buckets, numbers, unrecorded

START_NS = 20_000 * DAY_NS
S = 1_000_000_000


def recorded(folder: Path, series: dict[str, list[int]]) -> HistoryReader:
    """A value every so often: the times in s of each series."""
    writer = HistoryWriter(folder, Retention())
    ids = writer.register([SeriesInfo(name) for name in series])
    for name, seconds in series.items():
        batch = np.empty(len(seconds), RECORD)
        for at, second in enumerate(seconds):
            batch[at] = (ids[name], 0, np.sin(second), START_NS + second * S, 0)
        writer.append(batch, 1, 0.0)
    writer.take()
    return HistoryReader(folder)


def test_read_in_pieces_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = recorded(tmp_path, {"poi/frequency": [*range(0, 3_000, 3)]})
    end_ns = START_NS + 3_000 * S
    whole = reader.buckets("poi/frequency", START_NS, end_ns, 60)
    monkeypatch.setattr(trending, "PIECE_SAMPLES", 77)
    parts = long_buckets(reader, "poi/frequency", START_NS, end_ns, 60)
    for field in fields(Buckets):
        np.testing.assert_allclose(getattr(parts, field.name), getattr(whole, field.name), atol=1e-9)


def test_while_nothing_was_recorded_nothing_is_known(tmp_path: Path) -> None:
    beats = [*range(100), *range(400, 1_000)]
    reader = recorded(tmp_path, {HEART: beats, "poi/frequency": beats})
    end_ns = START_NS + 1_000 * S
    part = unrecorded(reader, START_NS, end_ns, end_ns, 100)
    assert (part[11:39] == 1).all() and (part[:9] == 0).all() and (part[41:] == 0).all()
    later = unrecorded(reader, START_NS, START_NS + 2_000 * S, START_NS + 1_500 * S, 100)
    assert (later[51:74] == 1).all() and (later[76:] == 0).all(), "of the future nothing is said"
    wide = unrecorded(reader, START_NS - DAY_NS, START_NS + DAY_NS, end_ns, 20)
    assert wide.tolist() == [1.0] * 10 + [0.0] + [1.0] * 9
    silent = recorded(tmp_path / "other", {"poi/frequency": beats})
    assert not unrecorded(silent, START_NS, end_ns, end_ns, 100).any(), "without its own count nothing can be told"


def test_numbers_are_short_and_never_nan() -> None:
    found = numbers(np.array([50.0123456789, np.nan, np.inf, 0.0, -1.23456789e-12, 3e300]))
    assert found == [50.01235, None, None, 0.0, -1.234568e-12, 3e300]
