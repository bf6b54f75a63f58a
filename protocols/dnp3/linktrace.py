"""Whose octets are they? One connection's traffic, told to the trace under the name of the master it belongs to."""

from __future__ import annotations

from typing import Final

from gateway.contracts import FrameTrace, LinkName, LinkSocket

_HELD: Final = 1_024
"""Octets without a frame of anybody that are kept back to see whose they are."""


class LinkTrace:
    """A connection that one master alone may use is his from the start; on any other, the master who speaks.

    What comes before the first frame of a master, and what nobody owns, is told to all of them.
    """

    def __init__(
        self,
        trace: FrameTrace,
        masters: list[str],
        number: int,
        local: tuple[str, int],
        peer: tuple[str, int],
        sock: LinkSocket | None = None,
    ) -> None:
        self._trace, self._sock = trace, sock
        self._links = {name: LinkName(name, number, local, peer) for name in masters}
        self._open: set[str] = set()
        self._unclaimed = bytearray()
        self._last: list[str] = masters if len(masters) == 1 else []
        for name in self._last:
            self._opened(name)

    def received(self, data: bytes, speakers: list[str]) -> None:
        """Octets that completed frames of `speakers`; none while a frame is not whole yet, or is of a stranger.

        A connection of one master needs no speakers.
        """
        if not speakers and len(self._unclaimed) + len(data) <= _HELD and len(self._links) > 1:
            self._unclaimed += data
            return
        self._last = speakers or list(self._links)
        whole = bytes(self._unclaimed) + data
        self._unclaimed.clear()
        for name in self._last:
            self._opened(name)
            self._trace.record(self._links[name], False, whole)

    def sent(self, master: str, data: bytes) -> None:
        """Octets of ours to one master."""
        self._opened(master)
        self._trace.record(self._links[master], True, data)

    def closed(self, outgoing: bool, cause: str = "") -> None:
        """The connection has ended; by us if `outgoing`."""
        if self._unclaimed:
            self.received(b"", self._last or list(self._links))
        for name in sorted(self._open):
            self._trace.closed(self._links[name], outgoing, cause)
        self._open.clear()

    def _opened(self, name: str) -> None:
        if name not in self._open:
            self._open.add(name)
            self._trace.opened(self._links[name], self._sock)
