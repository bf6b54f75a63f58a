"""A contact that chatters: told once, held, and told as it is when it has come to rest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.points import Kind, Point, PointCatalogue, Quality
from gateway.points.chatter import ChatterFilter
from gateway.points.table import PointTable

SECOND = 1_000_000_000
CHATTER = int(Quality.CHATTER)


def catalogue(*counts: float) -> PointCatalogue:
    """One binary each: so many changes in 10 s; NaN without a filter."""
    return PointCatalogue.of(
        [
            Point(row=row, name=f"b{row}", kind=Kind.BINARY, chatter_count=count, chatter_s=10.0)
            for row, count in enumerate(counts)
        ]
    )


class Field:
    """Contacts, the filter behind them, the table behind that, and what a master would be told."""

    def __init__(self, *counts: float) -> None:
        points = catalogue(*counts)
        self.table = PointTable(points)
        made = ChatterFilter.of(points)
        assert made is not None
        self.filter = made
        self.told: list[tuple[int, float, int, float]] = []

    def scan(self, at_s: float, rows: list[int], values: list[float], times_s: list[float] | None = None) -> None:
        times = np.array([int(t * SECOND) for t in (times_s or [at_s] * len(rows))], np.int64)
        index, now = np.array(rows, np.uint32), int(at_s * SECOND)
        good = np.zeros(len(rows), np.uint32)
        admitted, qualities = self.filter.admit(index, np.array(values, float), good, times, now)
        self._tell(self.table.publish(index, admitted, qualities, times, now))

    def sweep(self, at_s: float) -> None:
        quiet = self.filter.settle(int(at_s * SECOND))
        if quiet is not None:
            self._tell(self.table.lift(quiet.rows, quiet.values, quiet.times_ns, CHATTER))

    def _tell(self, batch: np.ndarray) -> None:
        for row, quality, value, time_ns in batch.tolist():
            self.told.append((row, value, quality, time_ns / SECOND))


def test_more_changes_than_allowed_are_told_once_and_the_end_is_told() -> None:
    field = Field(3)
    for second in range(8):
        field.scan(second, [0], [second % 2])
    assert field.told == [
        (0, 0.0, 0, 0.0),
        (0, 1.0, 0, 1.0),
        (0, 0.0, 0, 2.0),
        (0, 1.0, 0, 3.0),
        (0, 1.0, CHATTER, 4.0),
    ], "the fourth change within 10 s is one too many"
    field.sweep(16.9)
    assert len(field.told) == 5
    field.scan(17.5, [0], [1.0])
    field.sweep(17.5)
    assert field.told[5:] == [(0, 1.0, 0, 7.0)], "its last change was at 7 s: that is its time"


def test_slow_changes_are_no_chatter() -> None:
    field = Field(3)
    for turn in range(20):
        field.scan(turn * 4, [0], [turn % 2])
    assert [quality for _, _, quality, _ in field.told] == [0] * 20


def test_scans_that_find_the_same_are_no_changes() -> None:
    field = Field(1)
    for second in range(20):
        field.scan(second / 10, [0], [1.0])
    assert len(field.told) == 1


def test_neighbours_without_a_filter_pass() -> None:
    field = Field(1, float("nan"))
    for second in range(6):
        field.scan(second, [0, 1], [second % 2, second % 2])
    assert [told for told in field.told if told[0] == 1] == [(1, s % 2, 0, float(s)) for s in range(6)]
    assert field.filter.chattering.tolist() == [0]


def test_a_late_delivery_is_counted_by_source_time() -> None:
    field = Field(3)
    field.scan(1000, [0] * 8, [0, 1] * 4, times_s=[100 * t for t in range(8)])
    assert [quality for _, _, quality, _ in field.told] == [0] * 8


def test_many_changes_in_one_batch_are_chatter() -> None:
    field = Field(3)
    field.scan(10, [0] * 8, [0, 1] * 4, times_s=[t / 10 for t in range(8)])
    assert [(value, quality) for _, value, quality, _ in field.told] == [(0, 0), (1, 0), (0, 0), (1, 0), (1, CHATTER)]


def test_a_lost_device_stays_lost_when_its_contact_is_quiet() -> None:
    field = Field(1)
    for second in range(5):
        field.scan(second, [0], [second % 2])
    field._tell(field.table.degrade(np.array([0], np.uint32), int(Quality.COMM_LOST)))
    field.sweep(30)
    assert field.told[-1][1:3] == (0.0, int(Quality.COMM_LOST))


def test_a_substituted_point_comes_to_rest_underneath() -> None:
    field = Field(1)
    for second in range(4):
        field.scan(second, [0], [second % 2])
    field.table.substitute(0, 5.0, 0)
    field.sweep(30)
    assert field.table.value[0] == 5.0
    field._tell(field.table.release(0))
    assert field.told[-1] == (0, 1.0, 0, 3.0)


@given(st.lists(st.tuples(st.floats(0.1, 8), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60), st.integers(1, 4))
def test_at_rest_the_table_shows_the_field(steps: list[tuple[float, float]], count: int) -> None:
    field, now = Field(count), 0.0
    for wait, value in steps:
        now += wait
        field.sweep(now)
        field.scan(now, [0], [value])
    field.sweep(now + 11)
    assert (field.table.value[0], field.table.quality[0]) == (steps[-1][1], 0)
    recent = [time for _, _, quality, time in field.told if not quality]
    for first, later in zip(recent, recent[count + 2 :], strict=False):
        assert later - first >= 10 - 1e-6, "no more than `count` plain changes, and one end of a chatter, in a window"
