"""The deadband against a plain loop that does what its docstring says."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.points.deadband import Deadband
from gateway.points.shown import ALL_QUALITIES, Shown

VALUES = st.one_of(st.sampled_from([0.0, 1.0, 1.5, 2.0, -3.0, math.nan, math.inf, -math.inf]), st.floats(-10, 10))
LIMITS = st.sampled_from([0.0, math.nan, 0.5, 1.0, 4.0, math.inf])
ELEMENT = st.tuples(st.integers(0, 4), VALUES, st.sampled_from([0, 1, 64]))
BATCHES = st.lists(st.lists(ELEMENT, max_size=60), max_size=5)


class Plain:
    """One binding after the other, one element after the other."""

    def __init__(self, limits: list[float]) -> None:
        self.limits = [0.0 if math.isnan(limit) else limit for limit in limits]
        self.last: dict[int, tuple[float, int]] = {}

    def passes(self, index: int, value: float, quality: int) -> bool:
        if index in self.last:
            before, before_quality = self.last[index]
            same = value == before or (math.isnan(value) and math.isnan(before))
            number = not math.isnan(value - before)
            moved = not same and (not number or abs(value - before) > self.limits[index])
            if not moved and quality == before_quality:
                return False
        self.last[index] = (value, quality)
        return True


@given(st.lists(LIMITS, min_size=5, max_size=5), BATCHES)
def test_batches_pass_as_element_by_element(limits: list[float], batches: list[list[tuple[int, float, int]]]) -> None:
    deadband, plain = Deadband(np.array(limits)), Plain(limits)
    for batch in batches:
        index = np.array([element[0] for element in batch], np.int64)
        values = np.array([element[1] for element in batch], np.float64)
        qualities = np.array([element[2] for element in batch], np.uint32)
        expected = [plain.passes(*element) for element in batch]
        assert deadband.passes(index, values, qualities).tolist() == expected


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=300), st.sampled_from([0.0, 1.5]), st.integers(1, 40))
def test_one_binding_many_times_in_one_batch(steps: list[int], limit: float, others: int) -> None:
    deadband, plain = Deadband(np.full(others + 1, limit)), Plain([limit] * (others + 1))
    elements = [(i, 0.0, 0) for i in range(others)] * 2 + [(others, float(step), 0) for step in steps]
    index, values, qualities = (np.array(column) for column in zip(*elements, strict=True))
    expected = [plain.passes(*element) for element in elements]
    assert deadband.passes(index, values, qualities.astype(np.uint32)).tolist() == expected


SAME = np.array([0, 1, 1, 2], np.uint32)
"""What the peer sees of four qualities: the second and the third are one to it."""


@given(
    st.lists(LIMITS, min_size=3, max_size=3),
    st.lists(st.lists(st.tuples(st.integers(0, 2), VALUES, st.integers(0, 3)), max_size=60), max_size=5),
)
def test_qualities_that_look_the_same_are_the_same(
    limits: list[float], batches: list[list[tuple[int, float, int]]]
) -> None:
    form = np.array([0, 0, 1])
    deadband = Deadband(np.array(limits), Shown(form, [np.resize(SAME, len(ALL_QUALITIES)), ALL_QUALITIES]))
    plain = Plain(limits)
    for batch in batches:
        index, values = (np.array([element[i] for element in batch], kind) for i, kind in ((0, np.int64), (1, float)))
        qualities = np.array([element[2] for element in batch], np.uint32)
        seen = [int(SAME[quality]) if place < 2 else quality for place, _, quality in batch]
        expected = [plain.passes(place, value, one) for (place, value, _), one in zip(batch, seen, strict=True)]
        assert deadband.passes(index, values, qualities).tolist() == expected
