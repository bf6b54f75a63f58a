"""What the server tells the core besides frames: confirmed sequence numbers and its system points, at a gentle rate."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.contracts import Log, ServerPort
from protocols.iec104.group import Group
from protocols.iec104.plan import NO_SYSTEM_ROW, ServerPlan, SystemRows

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

    def __init__(self, plan: ServerPlan, groups: dict[str, Group], port: ServerPort, log: Log) -> None:
        self._groups = groups
        self._system = plan.system
        self._port = port
        self._log = log
        self._told = {name: _Told(overflowing=group.station.queue.overflowing) for name, group in groups.items()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._confirm_timer: asyncio.TimerHandle | None = None
        self._publish_timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Timers run on this loop from now on; nobody is online yet."""
        self._loop = loop
        for name in self._groups:
            self.online(name, False)
        self.due()

    def stop(self) -> None:
        """Tell the last state and end the timers."""
        self._confirm()
        self._publish()
        self._loop = None
        for timer in (self._confirm_timer, self._publish_timer):
            if timer is not None:
                timer.cancel()

    def due(self) -> None:
        """Queues or confirmations moved."""
        if self._loop is None:
            return
        if self._confirm_timer is None:
            self._confirm_timer = self._loop.call_later(CONFIRM_EVERY_S, self._confirm)
        if self._publish_timer is None:
            self._publish_timer = self._loop.call_later(PUBLISH_EVERY_S, self._publish)

    def online(self, master: str, online: bool) -> None:
        """Data transfer with this master began or ended: told at once."""
        rows = self._rows(master)
        if rows.online != NO_SYSTEM_ROW:
            self._port.publish(np.array([rows.online], np.uint32), np.array([float(online)]))

    def overflowed(self, master: str, cause: str = "queue full, oldest dropped") -> None:
        """Events were dropped: one line when it begins."""
        told = self._told[master]
        if not told.overflowing:
            told.overflowing = True
            station = self._groups[master].station
            self._log.warning(f"events lost: {cause}", master=master, capacity=station.plan.capacity)

    def _confirm(self) -> None:
        self._confirm_timer = None
        for name, group in self._groups.items():
            told, seq = self._told[name], group.station.queue.confirmed_seq
            if seq > told.seq:
                told.seq = seq
                self._port.confirm(name, seq)
        if self._loop is not None and not all(group.station.queue.settled for group in self._groups.values()):
            self._confirm_timer = self._loop.call_later(CONFIRM_EVERY_S, self._confirm)

    def _publish(self) -> None:
        self._publish_timer = None
        for name, group in self._groups.items():
            queue, told, rows = group.station.queue, self._told[name], self._rows(name)
            if told.overflowing and not queue.overflowing:
                told.overflowing = False
                self._log.info("event queue drained", master=name, lost=queue.lost)
            changed = [
                (row, now)
                for row, now, last in (
                    (rows.events_waiting, len(queue), told.waiting),
                    (rows.events_lost, queue.lost, told.lost),
                    (rows.overflow, int(queue.overflowing), told.overflow),
                )
                if row != NO_SYSTEM_ROW and now != last
            ]
            told.waiting, told.lost, told.overflow = len(queue), queue.lost, int(queue.overflowing)
            if changed:
                numbers = np.array([row for row, _ in changed], np.uint32)
                self._port.publish(numbers, np.array([float(now) for _, now in changed]))

    def _rows(self, master: str) -> SystemRows:
        return self._system.get(master) or SystemRows()
