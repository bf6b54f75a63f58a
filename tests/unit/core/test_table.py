"""The point table: what a driver publishes, what a person holds, what time does to it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from gateway.points import CHANGE, Kind, Point, PointCatalogue, Quality
from gateway.points.table import PointTable

S = 1_000_000_000


def table(*max_ages: float, low: float = float("nan"), high: float = float("nan")) -> PointTable:
    points = [
        Point(row=i, name=f"p{i}", kind=Kind.ANALOG, max_age_s=age, low=low, high=high)
        for i, age in enumerate(max_ages)
    ]
    return PointTable(PointCatalogue.of(points))


def publish(t: PointTable, rows: list[int], values: list[float], time_ns: int = 1, now_ns: int = 0, quality: int = 0):
    n = len(rows)
    return t.publish(
        np.array(rows, np.uint32), np.array(values, np.float64), np.full(n, quality, np.uint32), time_ns, now_ns
    )


def test_a_change_is_24_bytes():
    assert CHANGE.itemsize == 24


def test_only_what_differs_is_told():
    t = table(1, 1, 1)
    assert_array_equal(publish(t, [0, 1, 2], [1, 2, 3])["row"], [0, 1, 2])
    assert_array_equal(publish(t, [0, 1, 2], [1, 9, 3], time_ns=2)["row"], [1])
    assert_array_equal(t.time_ns, [1, 2, 1])
    assert_array_equal(t.seen_ns, [2, 2, 2])


def test_a_row_that_comes_twice_in_a_batch_is_two_changes_in_order():
    t = table(1, 1)
    batch = publish(t, [0, 1, 0, 0, 1], [1, 5, 0, 1, 5])
    assert batch["row"].tolist() == [0, 1, 0, 0]
    assert batch["value"].tolist() == [1, 5, 0, 1]
    assert t.value.tolist() == [1, 5]


def test_nan_is_equal_to_itself_here():
    t = table(1)
    assert len(publish(t, [0], [float("nan")], quality=Quality.INVALID)) == 1
    assert len(publish(t, [0], [float("nan")], quality=Quality.INVALID)) == 0


def test_outside_the_engineering_range_says_over_range():
    t = table(1, low=0, high=100)
    assert publish(t, [0], [101])["quality"].tolist() == [Quality.OVER_RANGE]
    assert publish(t, [0], [100])["quality"].tolist() == [0]


def test_silence_makes_not_topical_and_touches_neither_value_nor_time():
    t = table(1, 10, float("nan"))
    publish(t, [0, 1, 2], [7, 8, 9], time_ns=123, now_ns=0)
    assert len(t.sweep(1 * S)) == 0
    swept = t.sweep(1 * S + 1)
    assert swept.tolist() == [(0, Quality.NOT_TOPICAL, 7.0, 123)]
    assert len(t.sweep(2 * S)) == 0, "it is told once"
    assert t.sweep(11 * S)["row"].tolist() == [1]
    back = publish(t, [0], [7], time_ns=456, now_ns=12 * S)
    assert back.tolist() == [(0, 0, 7.0, 456)]


def test_a_lost_device_keeps_the_last_value_and_its_time():
    t = table(1)
    publish(t, [0], [7], time_ns=123)
    lost = t.degrade(np.array([0], np.uint32), Quality.COMM_LOST)
    assert lost.tolist() == [(0, Quality.COMM_LOST, 7.0, 123)]
    assert len(t.sweep(100 * S)) == 0, "whoever was told that it is lost need not be told that it ages"
    assert len(t.degrade(np.array([0], np.uint32), Quality.COMM_LOST)) == 0


def test_a_point_never_heard_of_does_not_become_not_topical():
    t = table(1)
    assert len(t.sweep(100 * S)) == 0
    assert t.quality.tolist() == [Quality.NEVER_REPORTED]


def test_a_forced_value_shows_until_released_and_the_field_goes_on_underneath():
    t = table(1)
    publish(t, [0], [7], time_ns=1)
    assert t.substitute(0, 50.0, 2).tolist() == [(0, Quality.SUBSTITUTED, 50.0, 2)]
    assert len(publish(t, [0], [8], time_ns=3)) == 0
    assert t.field_value(0) == (8.0, Quality(0), 3)
    assert t.value[0] == 50.0
    assert t.release(0).tolist() == [(0, 0, 8.0, 3)]
    assert len(t.release(0)) == 0


def test_a_blocked_point_stands_still_and_says_so():
    t = table(1)
    publish(t, [0], [7], time_ns=1)
    assert t.block(0).tolist() == [(0, Quality.BLOCKED, 7.0, 1)]
    assert len(publish(t, [0], [9], time_ns=5)) == 0
    assert t.is_blocked(0)
    assert t.release(0).tolist() == [(0, 0, 9.0, 5)]


def test_under_a_force_the_field_value_ages_all_the_same():
    t = table(1)
    publish(t, [0], [7], time_ns=1)
    t.substitute(0, 1.0, 2)
    assert len(t.sweep(5 * S)) == 0
    assert t.release(0)["quality"].tolist() == [Quality.NOT_TOPICAL]


def test_a_row_beyond_the_table_is_an_error():
    with pytest.raises(IndexError):
        publish(table(1), [1], [0.0])
