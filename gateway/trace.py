"""The last frames of every link of a worker, for `gridgate trace`; as octets, decoded by whoever looks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.contracts.server import LinkName

BYTES_HELD: Final = 4 << 20
"""Octets kept per master, oldest dropped first."""


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """Octets of one link: `time_ns` UTC, `dropped` counts records of this master that were dropped before it."""

    link: LinkName
    time_ns: int
    outgoing: bool
    data: bytes


class TraceRing:
    """Implements `gateway.contracts.FrameTrace`. Watchers are called with every record as it comes."""

    def __init__(self, bytes_held: int = BYTES_HELD) -> None:
        self._limit = bytes_held
        self._rings: dict[str, deque[TraceRecord]] = {}
        self._held: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        """Records dropped, by master."""
        self._watchers: list[Callable[[TraceRecord], None]] = []

    def record(self, link: LinkName, outgoing: bool, data: bytes) -> None:
        """Keep octets; see `FrameTrace`."""
        record = TraceRecord(link, time.time_ns(), outgoing, data)
        master = link.master
        ring = self._rings.setdefault(master, deque())
        ring.append(record)
        held = self._held.get(master, 0) + len(data)
        while held > self._limit and len(ring) > 1:
            held -= len(ring.popleft().data)
            self.dropped[master] = self.dropped.get(master, 0) + 1
        self._held[master] = held
        for watcher in self._watchers:
            watcher(record)

    def records(self, master: str) -> list[TraceRecord]:
        """What is kept of this master, oldest first."""
        return list(self._rings.get(master, ()))

    def watch(self, watcher: Callable[[TraceRecord], None]) -> Callable[[], None]:
        """Call `watcher` with every record from now on; returns what ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)
