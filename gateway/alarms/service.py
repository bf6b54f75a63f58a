"""Alarms in the core: the engine between the table and whoever listens, its clock, its store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from gateway.alarms.actions import AlarmRefused, Asked
from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.engine import AlarmEngine
from gateway.alarms.model import AlarmRecord
from gateway.alarms.store import AlarmStore, Line
from gateway.alarms.summary import AlarmSystemRows, group_summary, summary
from gateway.alarms.wire import WireError, line_of, record_of
from gateway.contracts.command import Action, Command, Origin, Reason
from gateway.contracts.log import Log
from gateway.contracts.places import nearest
from gateway.contracts.screen import SCREEN
from gateway.feed.frames import EPOCH_SHIFT
from gateway.feed.hub import FeedHub
from gateway.points.change import Changes, Rows, Values
from gateway.points.table import PointTable

PublishPoints = Callable[[Rows, Values], None]
"""Sets system points, now, with good quality."""

_SLICE_NS: Final = 700_000
"""Of one turn of the core's loop for alarms that move; telling of them takes about as long again."""
_SETTLE_S: Final = 1.0
"""Windows (flood, chatter, standing) are looked at this often."""
_SUMMARY_S: Final = 0.1
"""The summary points follow within this time."""


class AlarmService:
    """Lives on the core's loop."""

    def __init__(
        self,
        alarms: AlarmCatalogue,
        system: AlarmSystemRows,
        table: PointTable,
        hub: FeedHub,
        store: AlarmStore,
        publish: PublishPoints,
        log: Log,
    ) -> None:
        self.engine = AlarmEngine(alarms)
        self._alarms, self._table, self._hub, self._store = alarms, table, hub, store
        self._publish, self._log = publish, log
        self._wake = asyncio.Event()
        self._planned_ns = 0
        self._backlog: deque[tuple[Changes, int]] = deque()
        self._again: asyncio.Handle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._flood = False
        self._points = [(name, "", row) for name, row in system.summary.items()]
        self._points += [(name, group, row) for group, rows in system.groups.items() for name, row in rows.items()]
        self._rows = np.array([row for _, _, row in self._points], np.uint32)

    def start(self) -> None:
        """Go on from what was written. Raises `OSError` when the state directory cannot be used."""
        lines, known, removed = self._store.load(), list[AlarmRecord](), list[Line]()
        for line in lines:
            index = self._alarms.find(line["alarm"])
            if index is None:
                removed.append(line)
                continue
            with contextlib.suppress(WireError):
                known.append(record_of(line, index) if "seq" in line else AlarmRecord(index=index, count=line["count"]))
        seq = (self._hub.ring.seq >> EPOCH_SHIFT) << EPOCH_SHIFT
        self.engine.restore(known, seq, time.monotonic_ns(), time.time_ns())
        self._hub.alarms.begin(seq, self.engine.records.values, self._alarms.digest)
        self._store.start()
        self._forget(removed)
        if self.engine.records:
            self._log.info("alarms stand from before", alarms=len(self.engine.records))

    def stop(self) -> None:
        """Finish what has come, write what is waiting."""
        while self._again is not None:
            self._again.cancel()
            self._work()
        self._store.stop()

    def after(self, batch: Changes) -> None:
        """What changes of the table, which it already shows, make of alarms; in order, and when they come in a flood
        a slice in each turn of the loop.
        """
        self._backlog.append((batch, time.monotonic_ns()))
        if self._again is None and not self.engine.looking:
            self._work()

    def _work(self) -> None:
        """One slice."""
        self._again = None
        engine, table, backlog = self.engine, self._table, self._backlog
        end_ns = time.perf_counter_ns() + _SLICE_NS
        while True:
            more = engine.go_on()
            if not more and backlog:
                batch, now_ns = backlog.popleft()
                engine.begin(batch, table.value, table.quality, now_ns)
                more = True
            if not more or time.perf_counter_ns() >= end_ns:
                break
        self._tell(engine.taken())
        if more:
            self._idle.clear()
            self._again = asyncio.get_running_loop().call_soon(self._work)
            return
        self._idle.set()
        if engine.deadline_ns < self._planned_ns:
            self._wake.set()

    async def run(self) -> None:
        """Delays, shelves and summary points, until cancelled."""
        while True:
            await self._idle.wait()  # what came before a deadline counts before it
            now_ns = time.monotonic_ns()
            records = self.engine.tick(now_ns, time.time_ns())
            if records:
                self._tell(records)
            self._wake.clear()
            self._show()
            self._planned_ns = min(self.engine.deadline_ns, now_ns + int(_SETTLE_S * 1e9))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, (self._planned_ns - time.monotonic_ns()) / 1e9)):
                    await self._wake.wait()
                    await asyncio.sleep(min(_SUMMARY_S, self._left_s()))

    def _left_s(self) -> float:
        return max(0.0, (self.engine.deadline_ns - time.monotonic_ns()) / 1e9)

    def act(self, command: Command) -> tuple[Reason, str] | None:
        """A person's action on an alarm, or on all; see `gateway.commands.Handler`."""
        now_ns = time.monotonic_ns()
        asked = Asked(by=_who(command.origin), text=command.text, duration_s=command.value, utc_ns=time.time_ns())
        try:
            records = self._acted(command, asked, now_ns)
        except AlarmRefused as refused:
            return refused.reason, str(refused)
        self._tell(records)
        return None

    def _acted(self, command: Command, asked: Asked, now_ns: int) -> list[AlarmRecord]:
        if not command.subject:
            if command.action not in (Action.ACKNOWLEDGE, Action.EXECUTE):
                raise AlarmRefused(Reason.OUT_OF_RANGE, f"{command.action}: for which alarm?")
            return self.engine.acknowledge_all(asked, now_ns)
        index = self._alarms.find(command.subject)
        if index is None:
            near = nearest(command.subject, self._alarms.names())
            raise AlarmRefused(Reason.UNKNOWN_POINT, f"there is no alarm {command.subject}{near}")
        return self.engine.act(command.action, index, asked, now_ns)

    def _tell(self, records: Sequence[AlarmRecord]) -> None:
        if not records:
            return
        self._store.append([line_of(record, self._alarms) for record in records])
        self._hub.tell_alarms(records)
        self._wake.set()

    def _forget(self, lines: Sequence[Line]) -> None:
        """Alarms that the configuration no longer has leave the state; the history says so."""
        if not lines:
            return
        self._log.warning("alarms of an earlier configuration are gone", alarms=", ".join(at["alarm"] for at in lines))
        gone = replace(AlarmRecord(index=0), seq=self.engine.seq, time_ns=time.time_ns())
        facts = {"seq": gone.seq, "time_ns": gone.time_ns, "acknowledged": True, "confirmed": True}
        self._store.append([{"alarm": line["alarm"], "event": "removed", "state": "normal"} | facts for line in lines])

    def _show(self) -> None:
        """The summary points, and the log line of a flood."""
        now = summary(self.engine, time.time_ns())
        groups = group_summary(self.engine)
        values = [groups[group].get(name, 0.0) if group else now[name] for name, group, _ in self._points]
        if values:
            self._publish(self._rows, np.array(values))
        flood = self.engine.statistics.flood
        if flood is not self._flood:
            self._flood = flood
            tell = self._log.warning if flood else self._log.info
            tell("alarm flood begins" if flood else "alarm flood is over", recent=self.engine.statistics.recent)


def _who(origin: Origin) -> str:
    """Name, address and role of a person at the HMI; of others the server and the master."""
    if origin.server == SCREEN and origin.peer:
        return f"{origin.peer} ({origin.master})"
    return f"{origin.server}/{origin.master}"
