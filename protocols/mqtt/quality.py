"""Quality flags as Sparkplug tells them, and back. Pure.

| ours                                       | Sparkplug `Quality`  |
|--------------------------------------------|----------------------|
| invalid, reference error, never reported   | 0 (bad)              |
| not topical, comm lost                     | 500 (stale)          |
| all others                                 | 192 (good)           |

`gridgate_quality` carries the flags as they are. Without it: 192 to 255 is good, 500 and 64 to 127 not topical, the
rest invalid (OPC's quality octet, which Sparkplug's codes come from).
"""

from __future__ import annotations

from typing import Final

from gateway.points import ALL_FLAGS, Quality
from protocols.mqtt.sparkplug import FLAGS, QUALITY, Properties

BAD, GOOD, STALE = 0, 192, 500
_BAD: Final = int(Quality.INVALID | Quality.REFERENCE_ERROR | Quality.NEVER_REPORTED)
_STALE: Final = int(Quality.NOT_TOPICAL | Quality.COMM_LOST)
_BITS: Final = int(ALL_FLAGS)
_NEVER: Final = int(Quality.NEVER_REPORTED)


def code_of(flags: int) -> int:
    """Sparkplug's code."""
    return BAD if flags & _BAD else STALE if flags & _STALE else GOOD


def properties_of(flags: int) -> Properties:
    """What a metric of this quality carries."""
    return {QUALITY: code_of(flags), FLAGS: flags & _BITS}


def flags_of(properties: Properties, null: bool) -> int:
    """Our flags of a metric; one without a quality is good, one without a value invalid.

    What the sender never heard of has no value here either: it stays invalid, whatever is known from before.
    """
    own = properties.get(FLAGS)
    if isinstance(own, int):
        flags = own & _BITS
        if flags & _NEVER:
            flags = flags & ~_NEVER | int(Quality.INVALID)
        return flags | (int(Quality.INVALID) if null else 0)
    code = properties.get(QUALITY, GOOD)
    if null or not isinstance(code, int) or isinstance(code, bool):
        return int(Quality.INVALID)
    if GOOD <= code <= 255:
        return 0
    return int(Quality.NOT_TOPICAL) if code == STALE or 64 <= code <= 127 else int(Quality.INVALID)
