"""The clock that one server's time tags are told by. Pure: the shell says what the kernel thinks of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ClockSync(StrEnum):
    """What C_CS does."""

    CONFIRM = "confirm"
    """Nothing but the confirmation: the machine has a better source of time."""
    OFFSET = "offset"
    """Time tags of this server are moved by the difference that the master's time had to ours."""
    SYSTEM = "system"
    """The machine's clock is set."""
    REFUSE = "refuse"


@dataclass(slots=True)
class EventClock:
    """`offset_ns` is added to the time of every event when it is made; `trusted` clears IV of the tags."""

    offset_ns: int = 0
    trusted: bool = True

    def now_ns(self, wall_ns: int) -> int:
        """ns UTC as the masters of this server know it."""
        return wall_ns + self.offset_ns
