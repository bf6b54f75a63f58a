"""What STAT and the time quality of a frame make of a value: total tables. Pure.

STAT is IEEE C37.118.2-2011, 6.3 (data frame); the time quality code is 6.2 (FRACSEC). Where the standard of 2005 says
less, its bits mean the same: 15 data not valid, 14 PMU error; what 2011 made of bits 8 to 6 is 0 there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Quality

STAT_DATA_ERROR: Final = 0xC000
STAT_SYNC_LOST: Final = 0x2000
STAT_BY_ARRIVAL: Final = 0x1000
STAT_TRIGGER: Final = 0x0800
STAT_CONFIG_CHANGE: Final = 0x0400
STAT_MODIFIED: Final = 0x0200

STAT_BITS: Final = {
    "data_error": STAT_DATA_ERROR,
    "sync_lost": STAT_SYNC_LOST,
    "by_arrival": STAT_BY_ARRIVAL,
    "trigger": STAT_TRIGGER,
    "config_change": STAT_CONFIG_CHANGE,
    "modified": STAT_MODIFIED,
}
"""What a map may bind as ``STAT.name``: 1 when any bit of the mask is set."""

_GOOD = Quality(0)
_TIME = Quality.TIME_INVALID
_REFERENCE = Quality.REFERENCE_ERROR

_FIELDS: Final[tuple[tuple[int, int, tuple[Quality, ...], tuple[Quality, ...]], ...]] = (
    # shift, bits, flags of every value of the PMU, further flags of its angles
    # Data error: none; PMU error; test mode or absent data (one code for both: do not use); PMU error.
    (14, 2, (_GOOD, Quality.INVALID, Quality.INVALID, Quality.INVALID), (_GOOD,) * 4),
    # In step with UTC or not. An angle is measured against UTC, so it has lost its reference.
    (13, 1, (_GOOD, _TIME), (_GOOD, _REFERENCE)),
    # Sorted by time stamp, or by arrival: then the frame's time is not this PMU's.
    (12, 1, (_GOOD, _TIME), (_GOOD, _REFERENCE)),
    # Trigger, configuration about to change, modified by processing: the value is as good as before.
    (11, 1, (_GOOD, _GOOD), (_GOOD, _GOOD)),
    (10, 1, (_GOOD, _GOOD), (_GOOD, _GOOD)),
    (9, 1, (_GOOD, _GOOD), (_GOOD, _GOOD)),
    # PMU_TQ: not used; better than 100 ns, 1 us, 10 us, 100 us, 1 ms; 10 ms; worse or unknown.
    (6, 3, (*(_GOOD,) * 6, _TIME, _TIME), (*(_GOOD,) * 6, _REFERENCE, _REFERENCE)),
    # Unlocked time: how long since sync was lost; the sync bit says that it was.
    (4, 2, (_GOOD,) * 4, (_GOOD,) * 4),
    # Trigger reason.
    (0, 4, (_GOOD,) * 16, (_GOOD,) * 16),
)
"""All 16 bits of STAT."""


def _table(angle: bool) -> NDArray[np.uint32]:
    words = np.arange(1 << 16)
    flags: NDArray[np.uint32] = np.zeros(1 << 16, np.uint32)
    for shift, bits, every, further in _FIELDS:
        of_code = [int(a | b) if angle else int(a) for a, b in zip(every, further, strict=True)]
        flags |= np.array(of_code, np.uint32)[words >> shift & (1 << bits) - 1]
    return flags


STAT_FLAGS: Final = _table(angle=False)
"""Quality of a PMU's values, by its STAT word (65,536 entries)."""
STAT_ANGLE_FLAGS: Final = _table(angle=True)
"""The same for its angles."""

TIME_CODES: Final[tuple[tuple[str, Quality], ...]] = (
    ("locked to a UTC source", _GOOD),
    ("within 1 ns of UTC", _GOOD),
    ("within 10 ns of UTC", _GOOD),
    ("within 100 ns of UTC", _GOOD),
    ("within 1 us of UTC", _GOOD),
    ("within 10 us of UTC", _GOOD),
    ("within 100 us of UTC", _GOOD),
    ("within 1 ms of UTC", _GOOD),
    ("within 10 ms of UTC", _TIME),
    ("within 100 ms of UTC", _TIME),
    ("within 1 s of UTC", _TIME),
    ("within 10 s of UTC", _TIME),
    ("code 12 is not assigned", _TIME),
    ("code 13 is not assigned", _TIME),
    ("code 14 is not assigned", _TIME),
    ("clock failure, time not reliable", _TIME),
)
"""By code: in words, and what it means for a time tag of milliseconds."""

LEAP_DELETE: Final = 0x40
LEAP_OCCURRED: Final = 0x20
LEAP_PENDING: Final = 0x10

TIME_FLAGS: Final[NDArray[np.uint32]] = np.array([int(TIME_CODES[octet & 15][1]) for octet in range(256)], np.uint32)
"""Quality of every value of a frame, by its time quality octet: a leap second at hand does not spoil the time."""
