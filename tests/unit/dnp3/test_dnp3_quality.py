"""The flag mapping is total: every combination has its octet, and nothing bad looks good."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.points import ALL_FLAGS, UNUSABLE, Quality
from protocols.dnp3 import quality
from protocols.dnp3.quality import FLAG_BITS, ONLINE, Family

EVERY = np.arange(int(ALL_FLAGS) + 1, dtype=np.uint32)
GOOD_ALONE = int(Quality.TIME_INVALID)
"""Time has no doubt bit in DNP3: this flag alone leaves an object plainly ONLINE."""


@pytest.mark.parametrize("family", Family)
def test_every_flag_has_a_row(family: Family) -> None:
    assert set(FLAG_BITS[family]) == set(Quality)


@pytest.mark.parametrize("family", Family)
def test_a_combination_has_the_bits_of_its_flags(family: Family) -> None:
    octets = quality.flags(family, EVERY)
    for flag in Quality:
        alone = int(quality.flags(family, np.array([int(flag)], np.uint32))[0])
        carries = (EVERY & int(flag)) != 0
        assert np.all(octets[carries] & alone & 0xFE == alone & 0xFE)
        if not alone & ONLINE:
            assert not np.any(octets[carries] & ONLINE)
    assert octets[0] == ONLINE


@pytest.mark.parametrize("family", Family)
def test_only_a_good_point_is_plainly_online(family: Family) -> None:
    octets = quality.flags(family, EVERY)
    plain = (EVERY & ~np.uint32(GOOD_ALONE)) == 0
    assert np.array_equal(octets == ONLINE, plain)
    assert not np.any(octets[(EVERY & int(UNUSABLE)) != 0] == ONLINE)


@pytest.mark.parametrize("family", Family)
def test_no_state_bit_is_touched(family: Family) -> None:
    state = {Family.BINARY: 0xC0, Family.OUTPUT: 0xC0, Family.DOUBLE: 0xC0}.get(family, 0x80)
    assert not np.any(quality.flags(family, EVERY) & state)


def test_flags_of_a_newer_core_are_ignored() -> None:
    assert quality.flags(Family.ANALOG, np.array([1 << 20], np.uint32)).tolist() == [ONLINE]
