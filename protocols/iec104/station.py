"""One master's view of the site: what changed for it, what it has confirmed, what it selected. Pure.

A station outlives connections: events wait here for whichever link is started (`session.Session`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.contracts import TableView
from gateway.events import EVENT, EventQueue
from gateway.points import Changes, PointCatalogue
from gateway.points.deadband import Deadband
from protocols.iec104.asdu import Cause
from protocols.iec104.bindings import Bindings, Index
from protocols.iec104.commands import Selections
from protocols.iec104.plan import MasterPlan
from protocols.iec104.scan import Scan
from protocols.iec104.time56 import Zone

EVENTS_AT_ONCE = 1_024
"""Events coded at once; at least a full window of packed ASDUs at the default k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationOptions:
    """What the server's keys say for all its masters; times in s."""

    select_timeout_s: float = 15.0
    command_max_age_s: float | None = None
    confirm_clock: bool = True


@dataclass(slots=True)
class _Cycle:
    period_s: float
    index: Index
    due: float | None = None


class Station:
    """Bindings, deadbands, event queue and selects of one master."""

    def __init__(
        self, plan: MasterPlan, catalogue: PointCatalogue, zone: Zone, table: TableView, options: StationOptions
    ) -> None:
        self.plan = plan
        self.options = options
        self.table = table
        self.zone = zone
        self.bindings = Bindings(plan.bindings, catalogue, zone)
        self.queue = EventQueue(plan.capacity)
        self.selections = Selections(options.select_timeout_s)
        self._deadband = Deadband(plan.bindings.limit.copy())
        self._reported = np.zeros(len(self.bindings), np.bool_)
        self._confirmed_seq = 0
        self._cycles = [_Cycle(period, index) for period, index in self.bindings.cyclic().items()]

    def resume(self, confirmed_seq: int) -> None:
        """This master had confirmed everything up to this feed record before the worker started."""
        self._confirmed_seq = confirmed_seq
        self.queue.note(confirmed_seq)

    def begin(self) -> None:
        """The table is right: what has not been reported since is compared with what the table shows now."""
        quiet = np.flatnonzero(~self._reported)
        rows = self.plan.bindings.row[quiet]
        self._deadband.reset(quiet, self.table.value[rows], self.table.quality[rows])
        # From here on every record is new; what the feed's reader makes up itself (a lost core, a difference between
        # snapshots) is numbered with the last record it had, which may be an old one.
        self._confirmed_seq = 0

    def changes(self, batch: Changes, seq: int) -> int:
        """Make events of changes; `seq` is that of the last record. Returns how many old events were dropped."""
        first = seq - len(batch) + 1
        known = max(0, self._confirmed_seq - first + 1)
        if known:
            batch, first = batch[known:], first + known
        positions, index = self.bindings.of_rows(batch["row"])
        dropped = self._report(batch, positions, index, first) if len(positions) else 0
        self.queue.note(seq)
        return dropped

    def _report(self, batch: Changes, positions: Index, index: Index, first_seq: int) -> int:
        changed = batch[positions]
        passed = self._deadband.passes(index, changed["value"], changed["quality"])
        if not passed.all():
            changed, positions, index = changed[passed], positions[passed], index[passed]
        self._reported[index] = True
        events = np.empty(len(changed), EVENT)
        events["binding"] = index
        events["quality"] = changed["quality"]
        events["value"] = changed["value"]
        events["time_ns"] = changed["time_ns"]
        events["seq"] = positions + first_seq
        return self.queue.append(events)

    def next_events(self) -> list[tuple[bytes, int]]:
        """Waiting events as ASDUs, each with its number of events; they are in flight from now on."""
        if not self.queue.waiting:
            return []
        return self.bindings.encode_events(self.queue.take(EVENTS_AT_ONCE), self.plan.objects_per_asdu)

    def next_cycle(self) -> float | None:
        """When the next cyclic transmission is due, in s of the clock passed in; None without any."""
        return min((cycle.due for cycle in self._cycles if cycle.due is not None), default=None)

    def start_cycles(self, now: float) -> None:
        """Data transfer begins: count periods from now."""
        for cycle in self._cycles:
            cycle.due = now + cycle.period_s

    def stop_cycles(self) -> None:
        """No link is started: nothing is due."""
        for cycle in self._cycles:
            cycle.due = None

    def due_scans(self, now: float) -> list[Scan]:
        """Cyclic transmissions that are due, one scan per common address. A period that was missed is not made up."""
        scans: list[Scan] = []
        for number, cycle in enumerate(self._cycles):
            if cycle.due is not None and now >= cycle.due:
                cycle.due += cycle.period_s * (1 + (now - cycle.due) // cycle.period_s)
                addresses = self.plan.bindings.ca[cycle.index]
                scans += [
                    Scan((address, -1 - number), cycle.index[addresses == address], Cause.PERIODIC)
                    for address in np.unique(addresses).tolist()
                ]
        return scans
