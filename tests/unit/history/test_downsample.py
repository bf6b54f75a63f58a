"""Buckets against a slow reference that looks at every moment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.history.downsample import downsample
from gateway.history.samples import Samples
from gateway.points.quality import Quality

LOST = int(Quality.COMM_LOST)


def samples(rows: list[tuple[int, float, int]]) -> Samples:
    rows = sorted(rows, key=lambda row: row[0])
    return Samples(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.uint32),
    )


def test_a_value_stands_until_the_next_one() -> None:
    found = downsample(samples([(0, 10.0, 0), (15, 20.0, 0), (25, 0.0, LOST)]), 0, 40, 4)
    np.testing.assert_array_equal(found.low, [10, 10, 20, np.nan])
    np.testing.assert_array_equal(found.high, [10, 20, 20, np.nan])
    np.testing.assert_array_equal(found.mean, [10, 15, 20, np.nan])
    np.testing.assert_array_equal(found.last, [10, 20, np.nan, np.nan])
    np.testing.assert_array_equal(found.known, [1, 1, 0.5, 0])
    np.testing.assert_array_equal(found.quality, [0, 0, LOST, LOST])
    np.testing.assert_array_equal(found.count, [1, 1, 1, 0])


def test_what_stood_before_the_range_counts() -> None:
    found = downsample(samples([(-100, 7.0, 0)]), 0, 20, 2)
    np.testing.assert_array_equal(found.mean, [7, 7])
    np.testing.assert_array_equal(found.count, [0, 0])


def test_nothing_is_a_gap() -> None:
    found = downsample(samples([(15, 3.0, 0)]), 0, 20, 2)
    np.testing.assert_array_equal(found.mean, [np.nan, 3])
    assert np.isnan(downsample(Samples.none(), 0, 20, 2).mean).all()


def test_no_peak_is_lost() -> None:
    random = np.random.default_rng(2)
    rows = samples(
        [(int(at), float(value), 0) for at, value in zip(range(0, 86_400), random.normal(size=86_400), strict=True)]
    )
    found = downsample(rows, 0, 86_400, 1000)
    assert np.nanmax(found.high) == rows.value.max()
    assert np.nanmin(found.low) == rows.value.min()
    assert found.count.sum() == 86_400


@pytest.mark.parametrize(("start", "end", "count"), [(0, 0, 1), (5, 1, 1), (0, 5, 0)])
def test_what_makes_no_buckets_is_refused(start: int, end: int, count: int) -> None:
    with pytest.raises(ValueError, match="at least one bucket"):
        downsample(Samples.none(), start, end, count)


@given(
    st.lists(
        st.tuples(st.integers(-20, 70), st.sampled_from([1.0, 2.5, -3.0]), st.sampled_from([0, LOST])), max_size=30
    ),
    st.sampled_from([1, 2, 5, 10, 50]),
)
def test_against_a_reference_that_looks_at_every_moment(rows: list[tuple[int, float, int]], count: int) -> None:
    data = samples(rows)
    found = downsample(data, 0, 50, count)
    width = 50 // count
    for bucket in range(count):
        moments = []
        for moment in range(bucket * width, (bucket + 1) * width):
            held = np.flatnonzero(data.time_ns <= moment)
            if len(held) and not data.quality[held[-1]] & LOST:
                moments.append(float(data.value[held[-1]]))
        if moments:
            assert found.mean[bucket] == pytest.approx(np.mean(moments))
            assert found.low[bucket] <= min(moments)
            assert found.high[bucket] >= max(moments)
        assert found.known[bucket] == pytest.approx(len(moments) / width)
