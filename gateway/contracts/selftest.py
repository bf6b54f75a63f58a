"""What a grid package offers for the SOE buffer test: a master that knows what it must be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from gateway.points.change import Changes


@dataclass(slots=True, kw_only=True)
class SoeTally:
    """What became of the events. A repeat is an event that came again although it had come before."""

    made: int = 0
    received: int = 0
    """Different events, each once."""
    out_of_order: int = 0
    """Events that came behind a later one."""
    unexpected: int = 0
    """Objects that no change explains."""
    doubled: int = 0
    """Repeats that nothing excuses."""
    repeated_unacknowledged: int = 0
    """Repeats of what the master had received but not acknowledged when the link was cut."""
    repeated_acknowledgement_cut: int = 0
    """Repeats of what the master had acknowledged less than a window before the cut: that was cut off too."""
    repeated_after_kill: int = 0
    """Repeats of what the killed server had not yet written down as confirmed."""

    @property
    def lost(self) -> int:
        return self.made - self.received

    @property
    def passed(self) -> bool:
        """Everything came, in order, and nothing twice without an excuse."""
        return not (self.lost or self.out_of_order or self.unexpected or self.doubled)


class SoeSelftest(Protocol):
    """The master's side of the test. Built as ``Selftest(plan, catalogue, master, seed)``.

    Raises `ValueError`, in words for a person, when the master's map leaves nothing to test.
    """

    capacity: int
    """Events that the server holds for this master."""
    tally: SoeTally

    def private_plan(self, port: int) -> Any:
        """The server's plan for this master alone, on loopback at `port`, without TLS; all else as configured."""
        ...

    def start_values(self) -> Changes:
        """What the points show before the first change."""
        ...

    def changes(self, count: int, time_ns: int) -> Changes:
        """The next `count` changes, each of which is exactly one event for the master; 1 ms apart from `time_ns` on."""
        ...

    async def visit(self, port: int, octets: int | None) -> None:
        """Connect, receive, acknowledge as a master does; cut the link after so many octets.

        None: stay until everything that was made has come and nothing follows, then end in order. Raises `OSError`
        when there is no connection to be had and `TimeoutError` when nothing comes any more.
        """
        ...

    def killed(self, held_from: int) -> None:
        """The server was killed; on its disk the events numbered from `held_from` (0: the first made) are held."""
        ...
