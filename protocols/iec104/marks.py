"""What an event of this package carries above the flags of `gateway.points.Quality`, in the same 32 bits.

    bit    29      28       27                  22   21   20-16              11-0
           local   remote   clock not trusted   CA   CY   sequence number    Quality

An event keeps how it came about until it is coded, however long it waits, in the journal too. Bits 16 to 22 are those
of the last octet of a binary counter reading (IEC 60870-5-101 7.2.6.9).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import ALL_FLAGS, Qualities

READING_SHIFT: Final = 16
READING_BITS: Final = 0x7F
"""CA, CY and sequence number, once shifted down."""
ADJUSTED: Final = 1 << 22
CARRY: Final = 1 << 21
REMOTE: Final = 1 << 28
"""The first change after a command of a master: return information."""
LOCAL: Final = 1 << 29
"""The first change after a command given at the site."""
UNTRUSTED: Final = 1 << 27
"""The gateway's clock was not trusted when the event was made."""
ORIGIN_SHIFT: Final = 28
ORIGIN_BITS: Final = 3

_FLAGS: Final = np.uint32(int(ALL_FLAGS))


def flags(qualities: Qualities) -> Qualities:
    """The quality flags alone."""
    bits: Qualities = qualities & _FLAGS
    return bits


def readings(qualities: Qualities) -> NDArray[np.uint8]:
    """CA, CY and sequence number as in the last octet of a counter reading."""
    bits: NDArray[np.uint8] = (qualities >> np.uint32(READING_SHIFT) & np.uint32(READING_BITS)).astype(np.uint8)
    return bits


def origins(qualities: Qualities) -> NDArray[np.uint32]:
    """0 spontaneous, 1 return information of a remote command, 2 of a local one."""
    bits: NDArray[np.uint32] = qualities >> np.uint32(ORIGIN_SHIFT) & np.uint32(ORIGIN_BITS)
    return bits
