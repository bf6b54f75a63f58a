"""The quality mapping is total: every combination of flags has its bits, and nothing bad looks good."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.points import ALL_FLAGS, UNUSABLE, Quality
from protocols.iec104 import quality

EVERY = np.arange(int(ALL_FLAGS) + 1, dtype=np.uint32)


@pytest.mark.parametrize("table", [quality.QDS_BITS, quality.STATUS_BITS, quality.COUNTER_BITS])
def test_every_flag_has_a_row(table: dict[Quality, int]) -> None:
    assert set(table) == set(Quality)


@pytest.mark.parametrize("encode", [quality.qds, quality.status, quality.counter])
def test_a_combination_has_the_bits_of_its_flags(encode: object) -> None:
    bits = encode(EVERY)  # type: ignore[operator]
    for flag in Quality:
        alone = int(encode(np.array([int(flag)], np.uint32))[0])  # type: ignore[operator]
        carries = (EVERY & int(flag)) != 0
        assert np.all(bits[carries] & alone == alone)
    assert bits[0] == 0


@pytest.mark.parametrize("encode", [quality.qds, quality.status, quality.counter])
def test_what_is_unusable_is_invalid_or_not_topical(encode: object) -> None:
    unusable = (EVERY & int(UNUSABLE)) != 0
    bits = encode(EVERY)  # type: ignore[operator]
    assert np.all(bits[unusable] & (quality.IV | quality.NT))


def test_only_time_invalid_and_test_are_said_elsewhere() -> None:
    silent = {flag for flag, bits in quality.QDS_BITS.items() if not bits}
    assert silent == {Quality.TIME_INVALID, Quality.TEST}


@pytest.mark.parametrize(
    ("flag", "qds", "status", "counter"),
    [
        (Quality.NOT_TOPICAL, 0x40, 0x40, 0x80),
        (Quality.COMM_LOST, 0xC0, 0xC0, 0x80),
        (Quality.NEVER_REPORTED, 0xC0, 0xC0, 0x80),
        (Quality.SUBSTITUTED, 0x20, 0x20, 0x40),
        (Quality.BLOCKED, 0x10, 0x10, 0x80),
        (Quality.OVER_RANGE, 0x01, 0x80, 0x80),
        (Quality.CHATTER, 0x10, 0x10, 0x80),
    ],
)
def test_the_bits_of_a_flag(flag: Quality, qds: int, status: int, counter: int) -> None:
    one = np.array([int(flag)], np.uint32)
    assert (quality.qds(one)[0], quality.status(one)[0], quality.counter(one)[0]) == (qds, status, counter)
