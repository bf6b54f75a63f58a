"""One control cycle: interlocks first, then controllers, then one arbitration per unit, then what is written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.contracts.driver import WriteLost, WriteRefused
from gateway.control.arbitration import Decision
from gateway.control.controller import Controller, Request, UnitView
from gateway.control.image import Image
from gateway.control.interlock.engine import InterlockEngine, InterlockEvent
from gateway.control.plan import ControlPlan
from gateway.control.unit import SafeState
from gateway.control.unitcycle import NOBODY, UnitCycle
from gateway.control.write import ControlWrite
from gateway.points.model import NO_ROW

_POINTS_NS: Final = 100_000_000
"""Analog points of the units follow within this time; states at once."""
_MAX_STEP_S: Final = 0.5
"""A cycle that comes late ramps for so long at most: a stall is no reason for a jump."""


@dataclass(slots=True)
class CycleResult:
    """What a cycle wants done. `points` are (table row, value), `invalid` rows without a value now."""

    writes: list[ControlWrite] = field(default_factory=list)
    points: list[tuple[int, float]] = field(default_factory=list)
    invalid: list[int] = field(default_factory=list)
    events: list[InterlockEvent] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    """Units whose source, limitation or trip has changed: worth a line in the log and the audit."""


class ControlCycle:
    """Everything that the cycle knows from one step to the next."""

    def __init__(self, plan: ControlPlan, engine: InterlockEngine, controllers: Sequence[Controller] = ()) -> None:
        self.plan, self.engine, self.controllers = plan, engine, controllers
        self._units = [UnitCycle(i, unit) for i, unit in enumerate(plan.units)]
        self.standing = [unit.standing for unit in self._units]
        self.decisions: list[Decision | None] = [None] * len(self._units)
        self.local = False
        self._last_ns: int | None = None
        self._grace_end_ns: int | None = None
        self._heard_of = [False] * len(self._units)
        self._strange = len(self._units)
        self._readers: dict[int, list[int]] | None = None
        self._points_ns = 0
        self._told: list[Decision | None] = [None] * len(self._units)
        self._shown: dict[int, float] = {}
        self._written: dict[int, float] = {}

    @property
    def inputs(self) -> Iterable[int]:
        """Table rows of the image."""
        yield from self.engine.inputs
        yield self.plan.local_row
        for unit in self.plan.units:
            yield from unit.inputs
        for controller in self.controllers:
            yield from controller.inputs

    def step(self, image: Image) -> CycleResult:
        """One cycle."""
        dt_s = 0.0 if self._last_ns is None else min((image.now_ns - self._last_ns) / 1e9, _MAX_STEP_S)
        self._last_ns = image.now_ns
        result = CycleResult(events=self.engine.step(image))
        row = self.plan.local_row
        self.local = row != NO_ROW and image.get(row) != self.plan.remote_when
        asked = self._asked(image, result)
        urgent: list[ControlWrite] = []
        self._interlock_writes(urgent)
        self._step_units(image, asked, dt_s, urgent, result)
        result.writes[:0] = urgent
        self._publish(image.now_ns, result)
        return result

    def _asked(self, image: Image, result: CycleResult) -> dict[int, list[Request]]:
        """What the controllers ask, by unit."""
        asked: dict[int, list[Request]] = {}
        if self.controllers:
            views = [unit.view(self.local) for unit in self._units]
            for controller in self.controllers:
                said = controller.step(image, views)
                result.points.extend(said.points)
                result.invalid.extend(said.invalid)
                result.writes.extend(said.writes)
                for request in said.requests:
                    asked.setdefault(request.unit, []).append(request)
        return asked

    def _step_units(
        self,
        image: Image,
        asked: dict[int, list[Request]],
        dt_s: float,
        urgent: list[ControlWrite],
        result: CycleResult,
    ) -> None:
        """Every unit; what a trip writes goes before all else."""
        touched, forced, local = self._touched(image), self.engine.asked(), self.local
        waiting, strange = self.engine.anyone_waits, self._strange > 0
        for i, unit in enumerate(self._units):
            quiet = (waiting and bool(self.engine.waiting(i))) or (strange and self._unknown(i, image))
            tripped = forced.get(i, NOBODY)
            to = urgent if tripped else result.writes
            if unit.step(image, tripped, asked.get(i, NOBODY), local, dt_s, i in touched, quiet, to):
                result.moved.append(i)
            self.decisions[i] = unit.decision

    def _touched(self, image: Image) -> set[int]:
        """Units of which a point has changed."""
        if self._readers is None:
            self._readers = {}
            for i, unit in enumerate(self.plan.units):
                for row in {*unit.inputs} - {NO_ROW}:
                    self._readers.setdefault(image.slots[row], []).append(i)
        readers = self._readers
        return {unit for slot in image.changed for unit in readers.get(slot, ())}

    def look_again(self) -> None:
        """A step has failed half-way: look at everything in the next one."""
        self.engine.look_again()
        for unit in self._units:
            unit.look_again()

    def view(self, i: int) -> UnitView:
        """The unit as the cycle before left it."""
        return self._units[i].view(self.local)

    def ready(self, i: int, image: Image) -> str:
        """Why this unit takes no set-point yet after a start; empty when it does."""
        waiting = self.engine.waiting(i)
        if waiting:
            return f"the inputs of interlock {waiting} are not known yet"
        return "the unit has not been heard of yet" if self._unknown(i, image) else ""

    def _unknown(self, i: int, image: Image) -> bool:
        """Shortly after a start: what the unit does, or its state of charge, has not been reported yet."""
        if self._grace_end_ns is None:
            self._grace_end_ns = image.now_ns + int(self.plan.start_grace_s * 1e9)
        if self._heard_of[i]:
            return False
        unit = self.plan.units[i]
        shown = [row for row in (unit.setpoint, unit.power) if row != NO_ROW]
        unknown = image.unreported(unit.soc) or all(image.unreported(row) for row in shown)
        if unknown and image.now_ns < self._grace_end_ns:
            return True
        self._heard_of[i] = True
        self._strange -= 1
        return False

    def _interlock_writes(self, out: list[ControlWrite]) -> None:
        """Writes of interlocks: once when they come into force, and again when one failed."""
        wanted = dict(self.engine.writes())
        for row, value in wanted.items():
            if self._written.get(row) != value:
                out.append(ControlWrite(row, value, -1))
        self._written = wanted

    def failed(self, write: ControlWrite, now_ns: int, trouble: WriteRefused | WriteLost) -> None:
        """The device did not take this value."""
        if write.unit >= 0:
            self._units[write.unit].failed(write.row, now_ns)
        else:
            self._written.pop(write.row, None)
            for controller in self.controllers:
                controller.failed(write.row, now_ns, trouble)

    def acknowledged(self, write: ControlWrite) -> None:
        """The device took this value, which no unit's arbitration drives."""
        for controller in self.controllers:
            controller.acknowledged(write.row, write.value)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def _publish(self, now_ns: int, result: CycleResult) -> None:
        points = list(self._interlock_points()) if self.engine.looked_at else []
        for unit in result.moved:
            points += self._unit_states(unit)
        if result.moved or now_ns - self._points_ns >= _POINTS_NS:
            self._points_ns = now_ns
            points += self._unit_analogs()
        for row, value in points:
            if self._shown.get(row) != value:
                self._shown[row] = value
                result.points.append((row, value))

    def _interlock_points(self) -> Iterable[tuple[int, float]]:
        first = set(self.engine.first_out)
        for i in self.engine.looked_at:
            row, state = self.engine.rows[i], self.engine.states[i]
            rows = row.rows
            yield rows.active, float(state.active)
            yield rows.latched, float(state.latched)
            yield rows.tripped, float(state.in_force and not row.permissive)
            yield rows.bypassed, float(state.bypass is not None)
            yield rows.first_out, float(i in first)

    def _unit_states(self, unit: int) -> Iterable[tuple[int, float]]:
        rows, decision = self.plan.unit_rows[unit], self.decisions[unit]
        if decision is not None:
            yield rows.source, float(decision.priority)
            yield rows.limited, float(bool(decision.limited_by))
            yield rows.blocked, float(bool(decision.blocked_by))
            yield rows.tripped, float(decision.stop)

    def _unit_analogs(self) -> Iterable[tuple[int, float]]:
        for i, (rows, decision) in enumerate(zip(self.plan.unit_rows, self.decisions, strict=True)):
            if decision is None or decision is self._told[i]:
                continue
            self._told[i] = decision
            yield rows.limit_low_kw, decision.low_kw
            yield rows.limit_high_kw, decision.high_kw
            if decision.target_kw is not None and decision.wanted_kw is not None:
                yield rows.target_kw, decision.target_kw
                yield rows.requested_kw, decision.wanted_kw


def safe_requests(plan: ControlPlan) -> list[ControlWrite]:
    """What drives every unit to its safe state when the cycle itself has failed."""
    out: list[ControlWrite] = []
    for i, unit in enumerate(plan.units):
        if unit.safe_state is not SafeState.HOLD:
            out.append(ControlWrite(unit.setpoint, 0.0, i))
        if unit.safe_state is SafeState.STOP and unit.run != NO_ROW:
            out.append(ControlWrite(unit.run, 0.0, i))
    return out
