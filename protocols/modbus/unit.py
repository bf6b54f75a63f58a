"""What is known of one device on a line, and when it is asked again. No clock: `now` comes in, in monotonic seconds."""

from __future__ import annotations

import zlib
from collections import Counter
from heapq import heapify, heappop, heappush

from gateway.contracts import DeviceState
from protocols.modbus.plan import UnitPlan
from protocols.modbus.scan import Scan, scans
from protocols.modbus.writes import Way, ways

_FIRST_DELAY_S = 0.2
_LOST_SHARE = 9
"""Units that do not answer take at most one part in 1 + this of a line that others share."""


class Backoff:
    """0, then 0.2 s, doubling up to `longest_s`."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._next_s = 0.0

    def next_s(self) -> float:
        """How long to wait now."""
        delay_s = self._next_s
        self._next_s = min(max(2 * delay_s, _FIRST_DELAY_S), self._longest_s)
        return delay_s

    def reset(self) -> None:
        self._next_s = 0.0


_SMOOTHING = 0.1


class Unit:
    """State, counters and scans of one device."""

    def __init__(self, plan: UnitPlan, reconnect_max_s: float) -> None:
        self.plan = plan
        self.name = plan.device
        self.state = DeviceState.CONNECTING
        self.failures = 0
        self.not_before = 0.0
        self.backoff = Backoff(reconnect_max_s)
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self.round_trip_s = 0.0
        """From a request to its answer, smoothed."""
        self.bindings = plan.bindings
        self.targets = {
            int(row): position
            for position, row in enumerate(plan.bindings.row.tolist())
            if plan.bindings.commanded[position]
        }
        self.scans: list[Scan] = self.first_scans()
        self.reported: set[int] = set()
        self.unknown_functions: set[int] = set()

    def first_scans(self) -> list[Scan]:
        """What is read once the device answers."""
        return scans(self.bindings, self.plan.limits)

    def connected(self) -> None:
        """The line has come up: another device may stand there now."""
        self.counters["connects"] += 1
        self.not_before = 0.0

    def timed(self, seconds: float) -> None:
        """An answer came this long after its request."""
        self.round_trip_s += (seconds - self.round_trip_s) * (_SMOOTHING if self.round_trip_s else 1.0)

    def steps(self, position: int, value: float) -> list[list[Way]]:
        """Requests for one write, one after another; each as the ways to make it, in the order they are tried.

        Raises `codec.Unencodable`.
        """
        return [ways(self.bindings, position, value, self.plan.read_modify_write)]

    @property
    def errors(self) -> int:
        """Everything that went wrong with this device since the start."""
        return sum(self.counters[name] for name in ERRORS)

    def answered(self) -> bool:
        """It spoke. True when that is news."""
        self.failures = 0
        if self.state is DeviceState.ONLINE:
            return False
        self.state = DeviceState.ONLINE
        self.backoff.reset()
        self.not_before = 0.0
        return True

    def failed(self) -> bool:
        """It did not speak. True when it has to be given up."""
        self.failures += 1
        return self.failures > self.plan.retries

    def lost(self) -> bool:
        """Given up; what its device refused is forgotten, for another may come back. True when that is news."""
        news = self.state is not DeviceState.LOST
        self.state = DeviceState.LOST
        for scan in self.scans:
            scan.forgive()
        return news

    def space(self, now: float, lost_units: int, shared: bool) -> None:
        """Leave a lost unit alone for a while, longer where others wait for the line."""
        delay_s = self.backoff.next_s()
        if shared:
            delay_s = max(delay_s, _LOST_SHARE * lost_units * self.plan.timeout_s)
        self.not_before = now + delay_s


COUNTERS = (
    "requests",
    "answers",
    "timeouts",
    "malformed",
    "late",
    "wrong_unit",
    "garbage",
    "disconnects",
    "connects",
    "exceptions",
    "scans",
    "scans_late",
    "refused_points",
    "writes",
    "writes_refused",
    "writes_lost",
)
"""Counters every device has from the start; ``exception_<code>`` are added as they come."""

ERRORS = ("timeouts", "malformed", "late", "wrong_unit", "garbage", "disconnects", "exceptions", "writes_lost")
"""Those of them that are faults of the device or of its line."""


class Turn:
    """One scan's place in the order of a line: its grid of due times and when it is next asked."""

    def __init__(self, unit: Unit, scan: Scan) -> None:
        self.unit = unit
        self.scan = scan
        self.due = 0.0
        self.retry_at = 0.0

    def anchor(self, now: float) -> None:
        """Lay the grid of due times: a phase of its own per device spreads the devices over the period."""
        period_s = self.scan.period_s
        phase = zlib.crc32(self.unit.name.encode()) / 2**32 * period_s
        self.due = now - (now - phase) % period_s

    def next_due(self, now: float) -> int:
        """Move on to the next grid time after `now`; returns how many were missed. They are not made up for."""
        self.due += self.scan.period_s
        if self.due > now:
            return 0
        missed = int((now - self.due) // self.scan.period_s) + 1
        self.due += missed * self.scan.period_s
        return missed


class Schedule:
    """Whose turn it is on a line: the scan that has waited longest goes first, one request at a time."""

    def __init__(self, units: list[Unit]) -> None:
        self._units = units
        self._turns: list[Turn] = []
        self._heap: list[tuple[float, int, Turn]] = []
        self._count = 0

    def begin(self, now: float) -> None:
        """Everything is due now (a line has come up)."""
        self._turns = [Turn(unit, scan) for unit in self._units for scan in unit.scans]
        for turn in self._turns:
            turn.anchor(now)
        self._heap = [(now, number, turn) for number, turn in enumerate(self._turns)]
        self._count = len(self._heap)
        heapify(self._heap)

    def hasten(self, unit: Unit, now: float) -> None:
        """Every scan of this unit is due now (it has come back)."""
        kept = [entry for entry in self._heap if entry[2].unit is not unit]
        self._heap = kept + [(now, entry[1], entry[2]) for entry in self._heap if entry[2].unit is unit]
        for turn in self._turns:
            if turn.unit is unit:
                turn.anchor(now)
        heapify(self._heap)

    def rebind(self, unit: Unit, now: float) -> None:
        """The scans of this unit have changed: the new ones are due now, the old ones are never asked again."""
        self._turns = [turn for turn in self._turns if turn.unit is not unit]
        self._heap = [entry for entry in self._heap if entry[2].unit is not unit]
        heapify(self._heap)
        for scan in unit.scans:
            turn = Turn(unit, scan)
            turn.anchor(now)
            self._turns.append(turn)
            self.put(turn, now)

    def delay(self, scan: Scan, at: float) -> None:
        """Ask this scan not before `at`."""
        for entry in [entry for entry in self._heap if entry[2].scan is scan]:
            self._heap.remove(entry)
            heapify(self._heap)
            self.put(entry[2], at)

    def take(self, now: float) -> Turn | None:
        """The turn that has waited longest, taken off; None when none is due."""
        while self._heap and self._heap[0][0] <= now:
            _, _, turn = heappop(self._heap)
            if turn.unit.not_before <= now:
                return turn
            self.put(turn, turn.unit.not_before)
        return None

    def put(self, turn: Turn, at: float) -> None:
        """Ask this scan again at `at`; not one that its unit has given up."""
        if turn.scan not in turn.unit.scans:
            return
        self._count += 1
        heappush(self._heap, (at, self._count, turn))

    def next_at(self) -> float:
        """When `take` is worth calling again."""
        return self._heap[0][0] if self._heap else float("inf")
