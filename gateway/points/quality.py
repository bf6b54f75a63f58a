"""One set of quality flags for every point; each protocol maps from it by a total table."""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class Quality(IntFlag):
    """What a value is worth. No flag set means good.

    Protocol packages publish a total mapping of these flags (IEC 60870-5-101 7.2.6.1 to 7.2.6.3 for
    BL/SB/NT/IV/OV, IEEE 1815 for ONLINE/RESTART/COMM_LOST/..., OPC 10000-4 for status codes).
    """

    INVALID = 1 << 0
    """The source says that the value is wrong, or it could not be converted."""
    NOT_TOPICAL = 1 << 1
    """No update within the point's max_age: value and time are the last ones known."""
    COMM_LOST = 1 << 2
    """The device does not answer."""
    NEVER_REPORTED = 1 << 3
    """No value since the core started."""
    SUBSTITUTED = 1 << 4
    """A person forced the value; the field's own value is kept underneath."""
    BLOCKED = 1 << 5
    """Updates are held back by a person; the value is the one from before the block."""
    OVER_RANGE = 1 << 6
    """Outside the engineering range of the point."""
    REFERENCE_ERROR = 1 << 7
    """The measuring reference of the device is off."""
    CHATTER = 1 << 8
    """A binary that changes too often; its changes are held back."""
    TIME_INVALID = 1 << 9
    """The source time cannot be trusted."""
    TEST = 1 << 10
    """A test value, not a process value."""
    LOCAL_FORCED = 1 << 11
    """Forced at the device itself."""

    @property
    def words(self) -> str:
        """The flags in words for a person, ``good`` when none is set."""
        if not self:
            return "good"
        names = (flag.name or "" for flag in Quality if flag in self)
        return ", ".join(name.lower().replace("_", " ") for name in names)


GOOD: Final = Quality(0)

UNUSABLE: Final = (
    Quality.INVALID | Quality.NOT_TOPICAL | Quality.COMM_LOST | Quality.NEVER_REPORTED | Quality.REFERENCE_ERROR
)
"""Flags that make a value unfit for a decision (calculation, interlock, control)."""

ALL_FLAGS: Final = Quality((1 << 12) - 1)
