"""Point quality to the quality descriptors of IEC 60870-5-101, total over every combination of flags.

    bit         7    6    5    4    3   2   1   0
    SIQ, DIQ    IV   NT   SB   BL   .   .   [value]
    QDS         IV   NT   SB   BL   .   .   .   OV
    BCR octet   IV   CA   CY   [sequence number]

SIQ, DIQ and QDS: IEC 60870-5-101 7.2.6.1 to 7.2.6.3; BCR: 7.2.6.9. `TIME_INVALID` is the IV bit of the
time tag and `TEST` the test bit of the cause: neither is a bit here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import ALL_FLAGS, Qualities, Quality
from protocols.iec104 import marks

IV: Final = 0x80
NT: Final = 0x40
SB: Final = 0x20
BL: Final = 0x10
OV: Final = 0x01
COUNTER_ADJUSTED: Final = 0x40
COUNTER_CARRY: Final = 0x20

QDS_BITS: Final[Mapping[Quality, int]] = {
    Quality.INVALID: IV,
    Quality.NOT_TOPICAL: NT,
    Quality.COMM_LOST: IV | NT,
    Quality.NEVER_REPORTED: IV | NT,
    Quality.SUBSTITUTED: SB,
    Quality.BLOCKED: BL,
    Quality.OVER_RANGE: OV,
    Quality.REFERENCE_ERROR: IV,
    # "blocked ... by a local automatic cause" is what a chatter filter does: the state is the one from before.
    Quality.CHATTER: BL,
    Quality.TIME_INVALID: 0,
    Quality.TEST: 0,
    Quality.LOCAL_FORCED: SB,
}
"""Measured values, step positions and bit strings."""

STATUS_BITS: Final[Mapping[Quality, int]] = {**QDS_BITS, Quality.OVER_RANGE: IV}
"""Single and double points: there is no OV, and a state outside its range is not a state."""

COUNTER_BITS: Final[Mapping[Quality, int]] = {
    # A counter reading has one doubt bit only: whatever is not fresh and the field's own is invalid.
    **{flag: IV if bits & (IV | NT | BL | OV) else 0 for flag, bits in QDS_BITS.items()},
    Quality.SUBSTITUTED: COUNTER_ADJUSTED,
    Quality.LOCAL_FORCED: COUNTER_ADJUSTED,
}


def _lookup(bits: Mapping[Quality, int]) -> NDArray[np.uint8]:
    flags = np.arange(int(ALL_FLAGS) + 1, dtype=np.uint32)
    table = np.zeros(len(flags), np.uint8)
    for flag, value in bits.items():
        table[(flags & np.uint32(int(flag))) != 0] |= value
    return table


_QDS: Final = _lookup(QDS_BITS)
_STATUS: Final = _lookup(STATUS_BITS)
_COUNTER: Final = _lookup(COUNTER_BITS)
_MASK: Final = np.uint32(int(ALL_FLAGS))
_TIME_INVALID: Final = np.uint32(int(Quality.TIME_INVALID) | marks.UNTRUSTED)
_TEST: Final = np.uint32(int(Quality.TEST))


def qds(qualities: Qualities) -> NDArray[np.uint8]:
    """Quality descriptor octets, same shape."""
    bits: NDArray[np.uint8] = _QDS[qualities & _MASK]
    return bits


def status(qualities: Qualities) -> NDArray[np.uint8]:
    """Quality bits of SIQ and DIQ, same shape; the value bits are 0."""
    bits: NDArray[np.uint8] = _STATUS[qualities & _MASK]
    return bits


def counter(qualities: Qualities) -> NDArray[np.uint8]:
    """Last octet of a binary counter reading, same shape: quality, and what `marks` carries beside it."""
    bits: NDArray[np.uint8] = _COUNTER[qualities & _MASK] | marks.readings(qualities)
    return bits


def time_invalid(qualities: Qualities) -> NDArray[np.bool_]:
    """Where the time tag carries IV."""
    where: NDArray[np.bool_] = (qualities & _TIME_INVALID) != 0
    return where


def test(qualities: Qualities) -> NDArray[np.bool_]:
    """Where the cause of transmission carries T."""
    where: NDArray[np.bool_] = (qualities & _TEST) != 0
    return where
