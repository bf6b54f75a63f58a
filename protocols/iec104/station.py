"""One master's view of the site: what changed for it, what it has confirmed, what it selected. Pure.

A station outlives connections: events wait here for whichever link is started (`session.Session`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import TableView
from gateway.events import EVENT, EventQueue
from gateway.points import NO_ROW, Changes, PointCatalogue, Qualities, Quality, Values, changes
from gateway.points.deadband import Deadband
from protocols.iec104 import marks
from protocols.iec104.asdu import Cause, single
from protocols.iec104.bindings import Bindings, Index
from protocols.iec104.clock import ClockSync, EventClock
from protocols.iec104.commands import Selections
from protocols.iec104.counters import Counters, Freeze
from protocols.iec104.cycles import Cycles
from protocols.iec104.parameters import Loaded, ParameterKind, Parameters
from protocols.iec104.plan import MasterPlan, ResetProcess
from protocols.iec104.returninfo import ReturnInformation
from protocols.iec104.scan import Scan
from protocols.iec104.time56 import Zone

EVENTS_AT_ONCE: Final = 1_024
"""Events coded at once; at least a full window of packed ASDUs at the default k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationOptions:
    """What the server's keys say for all its masters; times in s."""

    select_timeout_s: float = 15.0
    command_max_age_s: float | None = None
    clock_sync: ClockSync = ClockSync.CONFIRM
    end_of_initialisation: bool = False
    reset_process: ResetProcess = ResetProcess.REFUSE
    clock: EventClock = field(default_factory=EventClock)


END_OF_INITIALISATION: Final = 70
POWER_ON, REMOTE_RESET = 0, 2
"""Causes of initialisation (IEC 60870-5-101 7.2.6.21). A start is told as power on: what ended before is not known."""
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)
_UNTRUSTED: Final = np.uint32(marks.UNTRUSTED)


class Station:
    """Bindings, deadbands, event queue, selects, counters and parameters of one master.

    `altered` is set when something changed that must survive this process: see `memory`.
    """

    def __init__(
        self,
        plan: MasterPlan,
        catalogue: PointCatalogue,
        zone: Zone,
        table: TableView,
        options: StationOptions,
        queue: EventQueue | None = None,
    ) -> None:
        """`queue` holds the events and knows what was last reported; without one they are held in memory."""
        self.plan = plan
        self.options = options
        self.table = table
        self.zone = zone
        self.bindings = Bindings(plan.bindings, catalogue, zone)
        self.queue = EventQueue(plan.capacity) if queue is None else queue
        self.selections = Selections(options.select_timeout_s)
        self._deadband = Deadband(plan.bindings.limit.copy(), self.bindings.shown())
        before = self.queue.reported
        self._deadband.reset(before.index, before.values, marks.flags(before.qualities))
        self._reported = np.zeros(len(self.bindings), np.bool_)
        self._reported[before.index] = True
        self._unheard = np.zeros(len(self.bindings), np.bool_)
        self._confirmed_seq = 0
        self.clock = options.clock
        self.counters = Counters(self.bindings.counting)
        self.parameters = Parameters(plan.bindings.limit)
        self.cycles = Cycles(plan.bindings, self.counters.shown)
        self.altered = False
        self._returns = ReturnInformation()
        stations = self.bindings.stations if options.end_of_initialisation else []
        self._initialised = [(address, POWER_ON) for address in stations]

    def reported(self, row: int) -> tuple[float, int] | None:
        """Value and quality of a table row that this master was last told; None: it was told none."""
        _, index = self.bindings.of_rows(np.array([row], np.uint32))
        return None if not len(index) else self._deadband.last(int(index[0]))

    def resume(self, confirmed_seq: int) -> None:
        """The core holds that this master needs no feed record up to this one; the queue may know of more."""
        self._confirmed_seq = self.queue.resume(confirmed_seq)

    def begin(self) -> None:
        """The table is right: what differs from what was last reported is an event, what never was is told by none.

        A point that was reported before but that this core has not heard of yet keeps standing as it was reported.
        """
        # From here on every record is new; what the feed's reader makes up itself (a lost core, a difference between
        # snapshots) is numbered with the last record it had, which may be an old one.
        self._confirmed_seq = 0
        for binding, loaded in self.parameters.loaded.items():
            if not self._reported[binding]:
                self.parameters.keep(binding, loaded, self.present(binding))
        rows = self.plan.bindings.row
        heard = (self.table.quality[rows] & _NEVER) == 0
        monitored = self.bindings.monitored
        self._unheard = self._reported & ~heard
        quiet = np.flatnonzero(~self._reported)
        self._stands(quiet)
        self.queue.report(*self._state(np.flatnonzero(~self._reported & heard & monitored)))
        self._catch_up(np.flatnonzero(self._reported & heard & monitored))

    def _state(self, index: Index) -> tuple[Index, Values, Qualities]:
        rows = self.plan.bindings.row[index]
        return index, self.counters.live(index, self.table.value[rows]), self.table.quality[rows]

    def _stands(self, index: Index) -> None:
        """The table's values count as reported."""
        self._deadband.reset(*self._state(index))

    def _catch_up(self, index: Index) -> None:
        """Events for bindings that the table shows otherwise than they were last reported, oldest first."""
        rows = self.plan.bindings.row[index]
        order = np.argsort(self.table.time_ns[rows], kind="stable")
        index, rows = index[order], rows[order]
        batch = changes(rows, self.table.value[rows], self.table.quality[rows], self.table.time_ns[rows])
        if len(batch):
            self._report(batch, index, np.full(len(batch), self.queue.noted_seq, np.int64), 0.0)

    def link_started(self) -> None:
        """A master looks now: what it is shown of points not heard of yet is not what was last reported for them."""
        self._deadband.forget(np.flatnonzero(self._unheard))

    def changes(self, batch: Changes, seq: int, now: float = 0.0) -> int:
        """Make events of changes; `seq` is that of the last record. Returns how many old events were dropped.

        `now` is in s of the clock of `commanded`.
        """
        first = seq - len(batch) + 1
        known = max(0, self._confirmed_seq - first + 1)
        if known:
            batch, first = batch[known:], first + known
        positions, index = self.bindings.of_rows(batch["row"])
        dropped = self._report(batch[positions], index, positions + first, now) if len(positions) else 0
        self.queue.note(seq)
        return dropped

    def _report(self, changed: Changes, index: Index, seqs: Index, now: float) -> int:
        values = self.counters.live(index, changed["value"])
        passed = self._passes(index, values, changed["quality"])
        self._unheard[index] = False
        if not passed.all():
            changed, values, seqs, index = changed[passed], values[passed], seqs[passed], index[passed]
        self._reported[index] = True
        events = np.empty(len(changed), EVENT)
        events["binding"] = index
        events["quality"] = self.counters.marked(index, changed["quality"])
        events["value"] = values
        events["time_ns"] = changed["time_ns"]
        events["seq"] = seqs
        if self.clock.offset_ns:
            events["time_ns"] += self.clock.offset_ns
        if not self.clock.trusted:
            events["quality"] |= _UNTRUSTED
        self._returns.mark(index, events["quality"], now)
        return self.queue.append(events)

    def _passes(self, index: Index, values: Values, qualities: Qualities) -> NDArray[np.bool_]:
        """What is to be reported: moved beyond its deadband, of another quality, or across a limit."""
        passed = self._deadband.passes(index, values, qualities)
        crossed = self.parameters.crossings(index, values)
        if crossed is not None and (crossed & ~passed).any():
            passed |= crossed
            forced = np.flatnonzero(crossed)
            self._deadband.reset(index[forced], values[forced], qualities[forced])
        return passed

    def commanded(self, row: int, feedback: int, remote: bool, until: float) -> None:
        """A command for `row` went to the field: the next change of it and of `feedback` is return information.

        `until` is in s of the clock that `changes` is given.
        """
        rows = np.array([each for each in (row, feedback) if each != NO_ROW], np.uint32)
        _, index = self.bindings.of_rows(rows)
        self._returns.expect(index[self.bindings.returning[index]].tolist(), remote, until)

    def next_events(self) -> list[tuple[bytes, int]]:
        """Waiting events as ASDUs, each with its number of events; they are in flight from now on."""
        if not self.queue.waiting:
            return []
        return self.bindings.encode_events(self.queue.take(EVENTS_AT_ONCE), self.plan.objects_per_asdu)

    def announcements(self) -> list[bytes]:
        """M_EI of every common address that this master has not confirmed yet."""
        return [
            single(END_OF_INITIALISATION, Cause.INITIALISED, address, 0, bytes([cause]))
            for address, cause in self._initialised
        ]

    def announced(self, count: int) -> None:
        """The first `count` announcements were confirmed."""
        del self._initialised[:count]

    def reset(self, address: int) -> bytes:
        """The process at this common address was reset by the master: what was selected is not. Returns its M_EI."""
        at = set(np.flatnonzero(self.plan.bindings.ca == address).tolist())
        self.selections.drop(at)
        return single(END_OF_INITIALISATION, Cause.INITIALISED, address, 0, bytes([REMOTE_RESET]))

    def act_on_counters(self, freeze: Freeze, index: Index) -> None:
        """Freeze or reset counters as their meters stand now."""
        rows = self.plan.bindings.row[index]
        values, qualities = self.table.value[rows], self.table.quality[rows]
        self.counters.act(freeze, index, values, qualities)
        if freeze in (Freeze.RESET, Freeze.FREEZE_AND_RESET):
            readings = self.counters.live(index, values)
            self._deadband.reset(index, readings, qualities)
            self.queue.report(index, readings, qualities)
        self.altered = True

    def load_parameter(self, binding: int, kind: ParameterKind, value: float, active: bool) -> None:
        """A parameter came from the master; in force at once if `active`."""
        self.parameters.load(binding, kind, value, active, self.present(binding))
        self._parameter_changed(binding)

    def keep_parameter(self, binding: int, loaded: Loaded) -> None:
        """A parameter that the master had loaded before this process began. Before the first change."""
        before = self.queue.reported
        last = before.values[before.index == binding]
        self.parameters.keep(binding, loaded, float(last[-1]) if len(last) else math.nan)
        self._parameter_changed(binding)

    def activate_parameters(self, bindings: list[int], active: bool) -> bool:
        """Put loaded parameters in or out of operation; False when none is loaded."""
        known = [each for each in bindings if self.parameters.activate(each, active, self.present(each))]
        for binding in known:
            self._parameter_changed(binding)
        return bool(known)

    def activate_cyclic(self, binding: int, active: bool) -> bool:
        """Cyclic transmission of one object on or off; False when the map has none for it."""
        if not self.cycles.cyclic[binding]:
            return False
        self.cycles.silent[binding] = not active
        self.altered = True
        return True

    def present(self, binding: int) -> float:
        """The value that the table shows for a binding."""
        return float(self.table.value[int(self.plan.bindings.row[binding])])

    def _parameter_changed(self, binding: int) -> None:
        self._deadband.set_limit(binding, self.parameters.deadband(binding))
        self.altered = True

    def next_cycle(self) -> float | None:
        """When the next cyclic transmission is due, in s of the clock passed in; None without any."""
        return self.cycles.next_due()

    def start_cycles(self, now: float) -> None:
        """Data transfer begins: count periods from now."""
        self.cycles.start(now)

    def stop_cycles(self) -> None:
        """No link is started: nothing is due."""
        self.cycles.stop()

    def due_scans(self, now: float) -> list[Scan]:
        """Cyclic transmissions and background scans that are due."""
        return self.cycles.due(now)
