"""Point quality to DNP3 flag octets, total over every combination of flags (IEEE 1815-2012).

    bit          7      6               5                4             3              2          1        0
    BINARY       STATE  .               CHATTER_FILTER   LOCAL_FORCED  REMOTE_FORCED  COMM_LOST  RESTART  ONLINE
    DOUBLE       STATE  STATE           CHATTER_FILTER   LOCAL_FORCED  REMOTE_FORCED  COMM_LOST  RESTART  ONLINE
    OUTPUT       STATE  .               .                LOCAL_FORCED  REMOTE_FORCED  COMM_LOST  RESTART  ONLINE
    COUNTER      .      DISCONTINUITY   ROLLOVER         LOCAL_FORCED  REMOTE_FORCED  COMM_LOST  RESTART  ONLINE
    ANALOG       .      REFERENCE_ERR   OVER_RANGE       LOCAL_FORCED  REMOTE_FORCED  COMM_LOST  RESTART  ONLINE

Here "local" is us: a value forced at the gateway is LOCAL_FORCED, one forced at the device behind it REMOTE_FORCED.
A family that has no bit for a doubt takes ONLINE away: nothing doubtful looks good. ROLLOVER is never set: a
master sees it in the count itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import ALL_FLAGS, Qualities, Quality

Octets = NDArray[np.uint8]

ONLINE: Final = 0x01
RESTART: Final = 0x02
COMM_LOST: Final = 0x04
REMOTE_FORCED: Final = 0x08
LOCAL_FORCED: Final = 0x10
CHATTER_FILTER: Final = 0x20
OVER_RANGE: Final = 0x20
ROLLOVER: Final = 0x20
REFERENCE_ERR: Final = 0x40
DISCONTINUITY: Final = 0x40
STATE: Final = 0x80
OFFLINE: Final = 0x100
"""In the tables only, no bit of the octet: this flag takes ONLINE away."""


class Family(StrEnum):
    """Which meaning the bits 5 to 7 have."""

    BINARY = "binary"
    DOUBLE = "double"
    OUTPUT = "output"
    COUNTER = "counter"
    ANALOG = "analog"


_COMMON: Final[Mapping[Quality, int]] = {
    Quality.INVALID: OFFLINE,
    # No update within max_age: what the master must know is that the source went silent.
    Quality.NOT_TOPICAL: COMM_LOST | OFFLINE,
    Quality.COMM_LOST: COMM_LOST | OFFLINE,
    Quality.NEVER_REPORTED: RESTART | OFFLINE,
    Quality.SUBSTITUTED: LOCAL_FORCED,
    Quality.BLOCKED: OFFLINE,
    Quality.OVER_RANGE: OFFLINE,
    Quality.REFERENCE_ERROR: OFFLINE,
    Quality.CHATTER: OFFLINE,
    Quality.TIME_INVALID: 0,
    # There is no test bit in DNP3: a test value is not a process value.
    Quality.TEST: OFFLINE,
    Quality.LOCAL_FORCED: REMOTE_FORCED,
}
_INPUT: Final[Mapping[Quality, int]] = {**_COMMON, Quality.CHATTER: CHATTER_FILTER}

FLAG_BITS: Final[Mapping[Family, Mapping[Quality, int]]] = MappingProxyType(
    {
        Family.BINARY: _INPUT,
        Family.DOUBLE: _INPUT,
        Family.OUTPUT: _COMMON,
        Family.COUNTER: _COMMON,
        Family.ANALOG: {**_COMMON, Quality.OVER_RANGE: OVER_RANGE, Quality.REFERENCE_ERROR: REFERENCE_ERR},
    }
)
"""What each quality flag brings, per family; a point with no flag is ONLINE."""

_MASK: Final = np.uint32(int(ALL_FLAGS))


def _lookup(bits: Mapping[Quality, int]) -> Octets:
    combinations = np.arange(int(ALL_FLAGS) + 1, dtype=np.uint32)
    gathered = np.zeros(len(combinations), np.uint16)
    for flag, value in bits.items():
        gathered[(combinations & np.uint32(int(flag))) != 0] |= np.uint16(value)
    online = np.where(gathered & OFFLINE, 0, ONLINE)
    return ((gathered & 0xFF) | online).astype(np.uint8)


_TABLES: Final = {family: _lookup(bits) for family, bits in FLAG_BITS.items()}


def flags(family: Family, qualities: Qualities) -> Octets:
    """Flag octets of the same shape; the state bits of binaries are 0."""
    octets: Octets = _TABLES[family][qualities & _MASK]
    return octets
