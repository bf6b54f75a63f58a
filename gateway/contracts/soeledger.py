"""What a master must be told and what it has been told, for the SOE buffer test. Pure."""

from __future__ import annotations

from gateway.contracts.selftest import SoeTally


class Ledger:
    """Events by what they look like on the wire, in the order in which they were made.

    Three cursors over that order, of what the server must count as confirmed: `_acknowledged` by what the master sent,
    `_proven` by what the server has shown to have received. A kill moves both back to what was on its disk.
    """

    def __init__(self) -> None:
        self.tally = SoeTally()
        self._place: dict[bytes, int] = {}
        self._told = bytearray()
        self._newest = -1
        self._last = -1
        """The last event on this link."""
        self._acknowledged = self._proven = 0
        self._confirmed_before_kill = 0
        self._frames: list[int] = []

    @property
    def complete(self) -> bool:
        """Everything that was made has come."""
        return self.tally.received == self.tally.made

    def made(self, looks: list[bytes]) -> None:
        """Events that were made. `ValueError` when one looks like another: they could not be told apart."""
        for look in looks:
            if self._place.setdefault(look, len(self._told)) != len(self._told):
                raise ValueError("two events look alike on the wire")
            self._told.append(0)
        self.tally.made += len(looks)

    def connected(self) -> None:
        """A new link: its frames count anew."""
        self._frames.clear()
        self._last = -1

    def frame(self, looks: list[bytes], window: int) -> None:
        """Events of one frame or fragment.

        The server sends no more than `window` of them without an acknowledgement (k in IEC 104, 1 in DNP3): that of the
        one so many before this one, on the same link, has reached it.
        """
        if len(self._frames) >= window:
            self._proven = max(self._proven, self._frames[-window])
        for look in looks:
            self._event(look)
        self._frames.append(self._last + 1)

    def acknowledged(self) -> None:
        """The master acknowledges all that came on this link."""
        self._acknowledged = max(self._acknowledged, self._last + 1)

    def killed(self, held_from: int) -> None:
        """The server died; what it had written down as confirmed ends before event `held_from`."""
        self._confirmed_before_kill = max(self._confirmed_before_kill, self._acknowledged)
        self._acknowledged = min(self._acknowledged, held_from)
        self._proven = min(self._proven, held_from)

    def _event(self, look: bytes) -> None:
        tally, place = self.tally, self._place.get(look)
        if place is None:
            tally.unexpected += 1
            return
        if not self._told[place]:
            self._told[place] = 1
            tally.received += 1
            tally.out_of_order += place < self._newest
        elif place <= self._last or place < self._proven:
            tally.doubled += 1
        elif place < self._confirmed_before_kill:
            tally.repeated_after_kill += 1
        elif place < self._acknowledged:
            tally.repeated_acknowledgement_cut += 1
        else:
            tally.repeated_unacknowledged += 1
        self._last = max(self._last, place)
        self._newest = max(self._newest, place)
