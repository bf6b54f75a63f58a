"""What the server tells the core besides frames: confirmed sequence numbers and its system points, at a gentle rate."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.contracts import Log, ServerPort
from protocols.dnp3.eventstore import EventStore
from protocols.dnp3.plan import NO_SYSTEM_ROW, ServerPlan, SystemRows

CONFIRM_EVERY_S: Final = 0.1
PUBLISH_EVERY_S: Final = 1.0


@dataclass(slots=True)
class _Told:
    """What the core was last told about one master."""

    seq: int = 0
    waiting: int = -1
    lost: int = -1
    overflow: int = -1
    overflowing: bool = False


class Housekeeping:
    """Call `due` when something may have moved; it acts at most every `CONFIRM_EVERY_S`."""

    def __init__(self, plan: ServerPlan, port: ServerPort, log: Log) -> None:
        self._system = plan.system
        self._port = port
        self._log = log
        self._stores: dict[str, EventStore] = {}
        self._told = {master.name: _Told() for master in plan.masters}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._confirm_timer: asyncio.TimerHandle | None = None
        self._publish_timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop, stores: dict[str, EventStore]) -> None:
        """Timers run on this loop from now on; nobody is online yet."""
        self._loop, self._stores = loop, stores
        for name, store in stores.items():
            self._told[name].overflowing = store.overflowing
            self.online(name, False)
        self.due()

    def stop(self) -> None:
        """Tell the last state and end the timers."""
        self._loop = None
        self._confirm()
        self._publish()
        for timer in (self._confirm_timer, self._publish_timer):
            if timer is not None:
                timer.cancel()

    def due(self) -> None:
        """Events or confirmations moved."""
        if self._loop is None:
            return
        if self._confirm_timer is None:
            self._confirm_timer = self._loop.call_later(CONFIRM_EVERY_S, self._confirm)
        if self._publish_timer is None:
            self._publish_timer = self._loop.call_later(PUBLISH_EVERY_S, self._publish)

    def resume(self, master: str, seq: int) -> None:
        """The core holds this already."""
        self._told[master].seq = seq

    def online(self, master: str, online: bool) -> None:
        """The master began to speak on a connection, or lost it: told at once."""
        rows = self._rows(master)
        if rows.online != NO_SYSTEM_ROW:
            self._port.publish(np.array([rows.online], np.uint32), np.array([float(online)]))

    def overflowed(self, master: str, cause: str = "buffer full, oldest dropped") -> None:
        """Events were dropped: one line when it begins."""
        told = self._told[master]
        if not told.overflowing:
            told.overflowing = True
            self._log.warning(f"events lost: {cause}", master=master)

    def _confirm(self) -> None:
        self._confirm_timer = None
        for name, store in self._stores.items():
            store.settle()
            told, seq = self._told[name], store.queue.confirmed_seq
            if seq > told.seq:
                told.seq = seq
                self._port.confirm(name, seq)
        if self._loop is not None and not all(store.queue.settled for store in self._stores.values()):
            self._confirm_timer = self._loop.call_later(CONFIRM_EVERY_S, self._confirm)

    def _publish(self) -> None:
        self._publish_timer = None
        for name, store in self._stores.items():
            told, rows, overflow = self._told[name], self._rows(name), int(store.overflowing)
            if told.overflowing and not overflow:
                told.overflowing = False
                self._log.info("event buffer has room again", master=name, lost=store.lost)
            changed = [
                (row, now)
                for row, now, last in (
                    (rows.events_waiting, len(store), told.waiting),
                    (rows.events_lost, store.lost, told.lost),
                    (rows.overflow, overflow, told.overflow),
                )
                if row != NO_SYSTEM_ROW and now != last
            ]
            told.waiting, told.lost, told.overflow = len(store), store.lost, overflow
            if changed:
                numbers = np.array([row for row, _ in changed], np.uint32)
                self._port.publish(numbers, np.array([float(now) for _, now in changed]))

    def _rows(self, master: str) -> SystemRows:
        return self._system.get(master) or SystemRows()
