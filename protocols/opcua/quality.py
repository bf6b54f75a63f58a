"""Point quality to OPC UA status codes, total over every combination of flags (OPC 10000-8, 6.3; OPC 10000-4, 7.38).

The first flag of `ORDER` that is set decides. A value that stopped being renewed stays readable: it is *uncertain*, and
the last usable one. Only what never was a value, or what the source itself calls wrong, is *bad*.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import ALL_FLAGS, Qualities, Quality

StatusCodes = NDArray[np.uint32]

GOOD: Final = 0x0000_0000
GOOD_LOCAL_OVERRIDE: Final = 0x0096_0000
UNCERTAIN_NO_COMMUNICATION_LAST_USABLE: Final = 0x408F_0000
UNCERTAIN_LAST_USABLE: Final = 0x4090_0000
UNCERTAIN_SUBSTITUTE: Final = 0x4091_0000
UNCERTAIN_SENSOR_NOT_ACCURATE: Final = 0x4093_0000
UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: Final = 0x4094_0000
UNCERTAIN_SIMULATED: Final = 0x4209_0000
BAD_NO_COMMUNICATION: Final = 0x8031_0000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x8032_0000
BAD_DEVICE_FAILURE: Final = 0x808B_0000

OVERFLOW: Final = 0x0000_0480
"""InfoType DataValue with the bit Overflow (OPC 10000-4, 7.38.1): notifications before this one were discarded."""

ORDER: Final = MappingProxyType(
    {
        Quality.NEVER_REPORTED: BAD_WAITING_FOR_INITIAL_DATA,
        Quality.INVALID: BAD_DEVICE_FAILURE,
        Quality.TEST: UNCERTAIN_SIMULATED,
        # A forced value does not age: what a person entered stands, whatever the link beneath does.
        Quality.SUBSTITUTED: UNCERTAIN_SUBSTITUTE,
        Quality.COMM_LOST: UNCERTAIN_NO_COMMUNICATION_LAST_USABLE,
        Quality.NOT_TOPICAL: UNCERTAIN_LAST_USABLE,
        Quality.BLOCKED: UNCERTAIN_LAST_USABLE,
        Quality.CHATTER: UNCERTAIN_LAST_USABLE,
        Quality.REFERENCE_ERROR: UNCERTAIN_SENSOR_NOT_ACCURATE,
        Quality.OVER_RANGE: UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
        # Forced at the device itself: this is what the process runs on.
        Quality.LOCAL_FORCED: GOOD_LOCAL_OVERRIDE,
        # The value is right and only its time is not: the time is left out instead (`no_time`).
        Quality.TIME_INVALID: GOOD,
    }
)
"""Status code by flag, the strongest first."""


def _code(quality: Quality) -> int:
    if Quality.NEVER_REPORTED in quality and Quality.COMM_LOST in quality:
        return BAD_NO_COMMUNICATION  # there never was a value: nothing usable to fall back on
    return next((code for flag, code in ORDER.items() if flag in quality), GOOD)


_TABLE: Final[StatusCodes] = np.array([_code(Quality(flags)) for flags in range(ALL_FLAGS + 1)], np.uint32)
_NO_TIME: Final = np.uint32(Quality.TIME_INVALID)


def status_codes(qualities: Qualities) -> StatusCodes:
    """Status code of each, u4."""
    out: StatusCodes = _TABLE[qualities & np.uint32(ALL_FLAGS)]
    return out


def no_time(qualities: Qualities) -> NDArray[np.bool_]:
    """Where the source time cannot be trusted and is not sent."""
    out: NDArray[np.bool_] = (qualities & _NO_TIME) != 0
    return out


def is_bad(codes: StatusCodes) -> NDArray[np.bool_]:
    """Where the severity is Bad: there is no value to be sent."""
    out: NDArray[np.bool_] = (codes & np.uint32(0x8000_0000)) != 0
    return out
