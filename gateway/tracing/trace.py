"""The last octets of every link of a worker, for `gridgate trace`; as octets, decoded by whoever looks."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.contracts.server import LinkName, LinkSocket
from gateway.linkbook import LinkBook

BYTES_HELD: Final = 4 << 20
"""Memory kept per master, about: octets and what each record costs beside them. Oldest dropped first."""
RECORD_COST: Final = 200
"""Memory of a record beside its octets: a link of short frames is to be as bounded as one of long ones."""


class Happening(StrEnum):
    """What a record tells of its link."""

    OPENED = "opened"
    DATA = "data"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """Octets of one link, or its beginning or end (without octets). `time_ns` is UTC."""

    link: LinkName
    time_ns: int
    outgoing: bool
    data: bytes
    happening: Happening = Happening.DATA


class TraceRing:
    """Implements `gateway.contracts.FrameTrace`. Watchers are called with every record as it comes."""

    def __init__(self, bytes_held: int = BYTES_HELD) -> None:
        self._limit = bytes_held
        self.book = LinkBook()
        self._rings: dict[str, deque[TraceRecord]] = {}
        self._held: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        """Records dropped, by master."""
        self._watchers: list[Callable[[TraceRecord], None]] = []

    def opened(self, link: LinkName, sock: LinkSocket | None = None) -> None:
        """See `FrameTrace`."""
        self.book.opened(link, sock)
        self._keep(TraceRecord(link, time.time_ns(), False, b"", Happening.OPENED))

    def record(self, link: LinkName, outgoing: bool, data: bytes) -> None:
        """Keep octets; see `FrameTrace`."""
        now_ns = time.time_ns()
        self.book.record(link, outgoing, len(data), now_ns)
        self._keep(TraceRecord(link, now_ns, outgoing, data))

    def closed(self, link: LinkName, outgoing: bool, cause: str = "") -> None:
        """See `FrameTrace`."""
        self.book.closed(link, outgoing, cause)
        self._keep(TraceRecord(link, time.time_ns(), outgoing, b"", Happening.CLOSED))

    def _keep(self, record: TraceRecord) -> None:
        master = record.link.master
        ring = self._rings.get(master)
        if ring is None:
            ring = self._rings[master] = deque()
        ring.append(record)
        held = self._held[master] + len(record.data) + RECORD_COST
        while held > self._limit and len(ring) > 1:
            held -= len(ring.popleft().data) + RECORD_COST
            self.dropped[master] += 1
        self._held[master] = held
        for watcher in self._watchers:
            watcher(record)

    def records(self, master: str) -> list[TraceRecord]:
        """What is kept of this master, oldest first."""
        return list(self._rings.get(master, ()))

    def watch(self, watcher: Callable[[TraceRecord], None]) -> Callable[[], None]:
        """Call `watcher` with every record from now on; returns what ends it. `watcher` is quick and never raises."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)
