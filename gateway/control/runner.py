"""The shell of the control cycle: its clock, its writes, its points, its record. Lives on the core's loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.commanding.claim import Refusal
from gateway.commanding.fastwrites import Overtaken
from gateway.commands import CommandBroker
from gateway.contracts.command import Command, Reason
from gateway.contracts.driver import Write, WriteLost, WriteRefused
from gateway.contracts.log import Log
from gateway.control.claims import RunClaim, SetpointClaim
from gateway.control.clock import Clock, make_clock
from gateway.control.collector import IdleCollector
from gateway.control.controller import Kept, TakeValue
from gateway.control.counters import Counters
from gateway.control.cycle import ControlCycle, CycleResult, safe_requests
from gateway.control.evidence.keeper import EvidenceKeeper
from gateway.control.image import Image, ImagePlan
from gateway.control.interlock.engine import InterlockEngine
from gateway.control.interlock.plan import WATCHDOG
from gateway.control.operations import Operations
from gateway.control.plan import ControlPlan
from gateway.control.store import ControlStore, StoreLost
from gateway.control.targetclaims import target_claims
from gateway.control.watchdog import Watchdog
from gateway.control.write import ControlWrite
from gateway.points.change import Changes, Qualities, Rows, Times, Values
from gateway.points.model import NO_ROW
from gateway.points.quality import Quality

_COUNTERS_S: Final = 1.0
_WHOLE_NS: Final = 1_000_000_000
_INPUT: Final = 1
_URGENT: Final = 2
"""Rows whose change brings the cycle forward; other inputs wait for it."""
_FAULT_PAUSE_S: Final = 1.0
_RECORD_NS: Final = 1_000_000_000
"""A unit's changes of mode are recorded at most so often; the newest one always is."""

Trouble = WriteRefused | WriteLost | None


class Table(Protocol):
    """What the runner reads of the point table."""

    value: Values
    quality: Qualities
    time_ns: Times


Publish = Callable[[Rows, Values, Qualities], None]
"""Sets system points now."""


@dataclass(slots=True)
class _Acknowledged:
    """What one unit's device said to the last set-point."""

    kw: float | None = None
    trouble: Trouble = None


class ControlRunner:
    """Runs the cycle at its period, and at once when an input of an interlock changes."""

    def __init__(
        self, plan: ControlPlan, table: Table, broker: CommandBroker, publish: Publish, store: ControlStore, log: Log
    ) -> None:
        self.plan, self._table, self._broker, self._publish = plan, table, broker, publish
        self._store, self._log = store, log
        grace_ns = int(plan.start_grace_s * 1e9)
        rated = [unit.rated_kw for unit in plan.units]
        self.engine = InterlockEngine(plan.interlocks, rated, time.monotonic_ns(), grace_ns)
        controllers = [entry.build() for entry in plan.controllers]
        self.cycle = ControlCycle(plan, self.engine, controllers)
        self._keeping = [controller for controller in controllers if controller.name]
        self._kept: list[Kept | None] = [None] * len(self._keeping)
        self.operations = Operations(plan, self.cycle, self._done)
        self.counters = Counters()
        self._image_plan = ImagePlan(self.cycle.inputs)
        self._whole_ns = 0
        now = time.monotonic_ns(), time.time_ns()
        self._image = self._image_plan.take(table.value, table.quality, table.time_ns, *now)
        self._watched: NDArray[np.uint8] = np.zeros(len(table.value), np.uint8)
        self._watched[self._image_plan.rows] = _INPUT
        self._watched[list(self.engine.inputs)] = _URGENT
        self._watched[[row for controller in controllers for row in controller.urgent if row != NO_ROW]] = _URGENT
        self._acknowledged = [_Acknowledged() for _ in plan.units]
        self._period_ns = int(plan.cycle_ms * 1e6)
        self._next_ns = 0
        self._clock: Clock | None = None
        self._collector = IdleCollector()
        self._kicked: asyncio.Handle | None = None
        self._steps: asyncio.Future[None] | None = None
        self._recorded_ns = [0] * len(plan.units)
        self._unrecorded: set[int] = set()
        self._evidence = EvidenceKeeper(store.directory, log)
        self._watchdog = Watchdog(plan.watchdog_s, store.mark_stalled, log)
        self._counted_ns = 0
        self._healthy_ns = -(1 << 62)
        self._claim()

    def _claim(self) -> None:
        for i, unit in enumerate(self.plan.units):
            self._broker.claim(unit.setpoint, SetpointClaim(self, i))
            if unit.run != NO_ROW:
                self._broker.claim(unit.run, RunClaim(self, i))
        self.operations.register(self._broker)
        for row, claim in target_claims(self, self.cycle.controllers).items():
            self._broker.claim(row, claim)
        for controller in self.cycle.controllers:
            for row, take in controller.commands.items():
                self._broker.handle_point(row, self._taker(take, row in controller.own_only))

    def _taker(self, take: TakeValue, own_only: bool) -> Callable[[Command], Refusal | None]:
        """A controller's command point as the broker sees it."""

        def handle(command: Command) -> Refusal | None:
            if own_only and not command.origin.of_person:
                return Reason.NOT_AUTHORISED, "only a person on the gateway itself may do this"
            trouble = take(command.value, time.monotonic_ns())
            if trouble:
                return Reason.OUT_OF_RANGE, trouble
            self.kick()
            return None

        return handle

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Latches back from the disk, then the first cycle. Raises `OSError` when the directory cannot be used."""
        self._restore()
        self._evidence.start(self.plan.attestation, self.plan.settings)
        if self._store.was_stalled():
            self.engine.raise_row(WATCHDOG, "the control cycle had stalled, the core was started again")
        self._watchdog.start()
        self._clock = make_clock(self._tick)
        self._next_ns = time.monotonic_ns()
        self._tick()

    def stop(self) -> None:
        """No more cycles; what is latched is written down."""
        self._watchdog.stop()
        if self._clock is not None:
            self._clock.close()
        if self._kicked is not None:
            self._kicked.cancel()
        self._collector.end()
        self._save()
        for controller in self.cycle.controllers:
            controller.end()
        self._evidence.stop([stored for each in self.cycle.controllers for stored in each.finished()])
        self._store.stop()

    def _restore(self) -> None:
        try:
            kept = self._store.start()
            if kept is not None:
                self.engine.restore(kept)
        except (StoreLost, KeyError, TypeError, ValueError, AttributeError) as error:
            self._log.error("latches cannot be read: every latching interlock counts as tripped", cause=str(error))
            self.engine.latch_all("its state was lost over a restart", time.time_ns())
        self._restore_targets()
        self._save()

    def _restore_targets(self) -> None:
        """What was switched and asked for. What cannot be read is as it is after a first start, and the log says so."""
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        try:
            kept = self._store.targets()
        except StoreLost as error:
            self._log.error("what was switched and asked for before the start cannot be read", cause=str(error))
            return
        for controller in self._keeping:
            if controller.name in kept:
                try:
                    controller.restore(kept[controller.name], now_ns, wall_ns)
                except (KeyError, TypeError, ValueError) as error:
                    cause = f"{type(error).__name__}: {error}"
                    self._log.error("a setting of before the start is not readable", of=controller.name, cause=cause)

    def _save(self) -> None:
        if self.engine.changed:
            self.engine.changed = False
            self._store.save(self.engine.kept())
        kept = [controller.kept() for controller in self._keeping]
        if any(new is not old for new, old in zip(kept, self._kept, strict=True)):
            self._kept = kept
            named = zip(self._keeping, kept, strict=True)
            self._store.save_targets({controller.name: each for controller, each in named if each is not None})

    # -- the clock ---------------------------------------------------------------------------------------------------

    def after(self, batch: Changes) -> None:
        """Changes of the table: an interlock's input among them brings the cycle forward."""
        watched = self._watched.take(batch["row"])
        inputs = watched.nonzero()[0]
        if len(inputs):
            self._image_plan.note(batch if len(inputs) == len(batch) else batch[inputs])
            if watched.max() == _URGENT:
                self.kick()

    def collect_when_idle(self) -> None:
        """This process is the cycle's own: garbage is collected between the cycles alone."""
        self._collector.begin()

    def kick(self) -> None:
        """A cycle with this turn of the loop."""
        if self._kicked is None:
            self._kicked = asyncio.get_running_loop().call_soon(self._now)

    def _now(self) -> None:
        self._kicked = None
        self._run()

    def _tick(self) -> None:
        """At the period. What was missed is counted, and not made up for."""
        now_ns = time.monotonic_ns()
        late_ns = now_ns - self._next_ns
        missed = late_ns // self._period_ns
        self.counters.overruns += missed
        began = time.perf_counter_ns()
        healthy = self._run()
        self.counters.note((time.perf_counter_ns() - began) / 1e3, late_ns / 1e3)
        self._next_ns += (missed + 1) * self._period_ns
        if now_ns - self._counted_ns >= _COUNTERS_S * 1e9:
            self._counted_ns = now_ns
            self._count()
        now_ns = time.monotonic_ns()
        self._collector.idle(self._next_ns - now_ns)
        if self._clock is not None:
            self._clock.set(self._next_ns if healthy else now_ns + int(_FAULT_PAUSE_S * 1e9))

    def _take(self) -> Image:
        """The image now: what has changed since the one before; all of it once a second, whatever was told."""
        table, now_ns, image = self._table, time.monotonic_ns(), self._image
        self._image_plan.follow(image, now_ns, time.time_ns())
        if now_ns >= self._whole_ns:
            self._whole_ns = now_ns + _WHOLE_NS
            image = self._image_plan.retake(image, table.value, table.quality, table.time_ns)
        return image

    def _run(self) -> bool:
        """One cycle; a fault in it drives every unit to its safe state and is no end of the cycle."""
        if self._watchdog.beat():
            self._store.was_stalled()  # this core lives on and trips by itself
            self.engine.raise_row(WATCHDOG, "the control cycle had stalled")
        self._image = self._take()
        try:
            result = self.cycle.step(self._image)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the units must be made safe
            self._fault(fault)
            return False
        self._save()
        for write in result.writes:
            self._write(write)
        self._show(result)
        self._tell(result)
        self._stepped()
        self._healthy_ns = self._image.now_ns
        return True

    @property
    def running(self) -> bool:
        """Whether a cycle has been completed within `watchdog_s`."""
        return time.monotonic_ns() - self._healthy_ns <= self.plan.watchdog_s * 1e9

    def _fault(self, fault: Exception) -> None:
        text = f"{type(fault).__name__}: {fault}"
        self._log.error("control cycle failed: units go to their safe state", cause=text)
        self.cycle.look_again()
        self._whole_ns = 0
        self.engine.raise_row(WATCHDOG, f"the control cycle failed: {text}")
        for write in safe_requests(self.plan):
            self._write(write)

    # -- writes ------------------------------------------------------------------------------------------------------

    def _write(self, write: ControlWrite) -> None:
        value = Write(row=write.row, value=write.value)
        self._broker.control_writes.write(value, lambda trouble: self._written(write, trouble))

    def _written(self, write: ControlWrite, trouble: Trouble) -> None:
        if isinstance(trouble, Overtaken):
            return
        units = self.plan.units
        if write.unit >= 0 and write.row == units[write.unit].setpoint:
            acknowledged = self._acknowledged[write.unit]
            if trouble is not None and acknowledged.trouble is None:
                self._log.warning("control write failed", unit=units[write.unit].name, cause=str(trouble))
            acknowledged.trouble = trouble
            acknowledged.kw = write.value if trouble is None else None
        if trouble is not None:
            self.cycle.failed(write, time.monotonic_ns(), trouble)
        elif write.unit < 0:
            self.cycle.acknowledged(write)
        self._stepped()

    async def write(self, write: Write) -> None:
        """Write past the arbitration and wait. Raises `WriteRefused` or `WriteLost`."""
        done: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        self._broker.control_writes.write(write, lambda trouble: _tell(done, trouble))
        trouble = await done
        if trouble is not None:
            raise trouble

    # -- for claims --------------------------------------------------------------------------------------------------

    def not_ready(self, unit: int) -> str:
        return self.cycle.ready(unit, self._image)

    def acknowledged_kw(self, unit: int) -> tuple[float | None, Trouble]:
        return self._acknowledged[unit].kw, self._acknowledged[unit].trouble

    async def next_step(self) -> None:
        if self._steps is None or self._steps.done():
            self._steps = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._steps)

    def _stepped(self) -> None:
        if self._steps is not None and not self._steps.done():
            self._steps.set_result(None)

    # -- what is told ------------------------------------------------------------------------------------------------

    def _done(self) -> None:
        """A person did something: it is written down and takes effect now."""
        self._save()
        self.kick()

    def _show(self, result: CycleResult) -> None:
        if result.points:
            rows, values = zip(*result.points, strict=True)
            at = np.array(rows, np.uint32)
            self._publish(at, np.array(values, np.float64), np.zeros(len(at), np.uint32))
        if result.invalid:
            at = np.array(result.invalid, np.uint32)
            self._publish(at, self._table.value[at], np.full(len(at), Quality.INVALID, np.uint32))

    def _tell(self, result: CycleResult) -> None:
        for event in result.events:
            tell = self._log.warning if event.what == "tripped" else self._log.info
            tell(f"interlock {event.what}", interlock=event.name, **({"text": event.text} if event.text else {}))
            self._broker.record_control(interlock=event.name, what=event.what, text=event.text)
        self._unrecorded.update(result.moved)
        now_ns = self._image.now_ns
        for unit in [unit for unit in self._unrecorded if now_ns - self._recorded_ns[unit] >= _RECORD_NS]:
            self._unrecorded.discard(unit)
            self._recorded_ns[unit] = now_ns
            self._record(unit)

    def _record(self, unit: int) -> None:
        decision = self.cycle.decisions[unit]
        if decision is not None:
            self._broker.record_control(
                unit=self.plan.units[unit].name,
                target_kw=decision.target_kw,
                source=f"{decision.priority.name.lower()} {decision.source}",
                limited_by=decision.limited_by,
                blocked_by=decision.blocked_by,
            )

    def _count(self) -> None:
        counters, rows, errors = self.counters, self.plan.rows, self._broker.control_writes.errors
        points = [(rows.cycle_us, counters.cycle_us), (rows.jitter_us, counters.jitter_us)]
        points += [(rows.overruns, float(counters.overruns)), (rows.cycles, float(counters.cycles))]
        points += [
            (at.write_errors, float(errors.get(unit.setpoint, 0) + errors.get(unit.run, 0)))
            for unit, at in zip(self.plan.units, self.plan.unit_rows, strict=True)
        ]
        counters.cycle_us = counters.jitter_us = 0.0
        kept = [stored for controller in self.cycle.controllers for stored in controller.finished()]
        if kept:
            self._evidence.keep(kept)
        self._show(CycleResult(points=points))


def _tell(done: asyncio.Future[Trouble], trouble: Trouble) -> None:
    if not done.done():
        done.set_result(trouble)
