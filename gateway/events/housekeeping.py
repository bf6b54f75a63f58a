"""What a server tells the core besides frames: confirmed sequence numbers and its system points, at a gentle rate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from gateway.contracts import Log, MasterSystemRows, ServerPort
from gateway.points import NO_ROW

CONFIRM_EVERY_S: Final = 0.1
PUBLISH_EVERY_S: Final = 1.0
FULL: Final = "buffer full, oldest dropped"


class Held(Protocol):
    """The events that are held for one master: an `EventQueue`, or what stands on one."""

    def __len__(self) -> int:
        """Events that are not confirmed."""
        ...

    @property
    def lost(self) -> int:
        """Events dropped."""
        ...

    @property
    def overflowing(self) -> bool:
        """Events were dropped and no room was made since."""
        ...

    @property
    def confirmed_seq(self) -> int:
        """What came of feed records up to and including this one need not be given again."""
        ...

    @property
    def settled(self) -> bool:
        """`confirmed_seq` stays as it is until something more happens here."""
        ...

    def settle(self) -> None:
        """Let go of everything that is confirmed."""
        ...


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

    def __init__(
        self, masters: Iterable[str], system: Mapping[str, MasterSystemRows], port: ServerPort, log: Log
    ) -> None:
        """Names of the masters, and the system points of those that have any."""
        self._told = {name: _Told() for name in masters}
        self._rows = {name: system.get(name) or MasterSystemRows() for name in self._told}
        self._port, self._log = port, log
        self._held: Mapping[str, Held] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._confirm_timer: asyncio.TimerHandle | None = None
        self._publish_timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop, held: Mapping[str, Held]) -> None:
        """Timers run on this loop from now on, `held` is told of by master; nobody is online yet."""
        self._loop, self._held = loop, held
        for name, events in held.items():
            self._told[name].overflowing = events.overflowing
            self.online(name, False)
        self.due()

    def stop(self) -> None:
        """Tell the last state and end the timers."""
        self._loop = None
        for timer in (self._confirm_timer, self._publish_timer):
            if timer is not None:
                timer.cancel()
        self._confirm()
        self._publish()

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
        """The master takes what is told, or does no more: told at once."""
        row = self._rows[master].online
        if row != NO_ROW:
            self._port.publish(np.array([row], np.uint32), np.array([float(online)]))

    def overflowed(self, master: str, cause: str = FULL, **facts: object) -> None:
        """Events were dropped: one line when it begins, with these facts."""
        told = self._told[master]
        if not told.overflowing:
            told.overflowing = True
            self._log.warning(f"events lost: {cause}", master=master, **facts)

    def _confirm(self) -> None:
        self._confirm_timer = None
        for name, events in self._held.items():
            events.settle()
            told, seq = self._told[name], events.confirmed_seq
            if seq > told.seq:
                told.seq = seq
                self._port.confirm(name, seq)
        if self._loop is not None and not all(events.settled for events in self._held.values()):
            self._confirm_timer = self._loop.call_later(CONFIRM_EVERY_S, self._confirm)

    def _publish(self) -> None:
        self._publish_timer = None
        for name, events in self._held.items():
            told, overflow = self._told[name], int(events.overflowing)
            if told.overflowing and not overflow:
                told.overflowing = False
                self._log.info("event buffer has room again", master=name, lost=events.lost)
            changed = _changed(self._rows[name], events, told)
            told.waiting, told.lost, told.overflow = len(events), events.lost, overflow
            if changed:
                rows = np.array(list(changed), np.uint32)
                self._port.publish(rows, np.array(list(changed.values()), np.float64))


def _changed(rows: MasterSystemRows, events: Held, told: _Told) -> dict[int, int]:
    """By row: what the core has not been told."""
    numbers = (
        (rows.events_waiting, len(events), told.waiting),
        (rows.events_lost, events.lost, told.lost),
        (rows.overflow, int(events.overflowing), told.overflow),
    )
    return {row: now for row, now, last in numbers if row != NO_ROW and now != last}
