"""Writes on their way to one line: they wait for the line's task, which takes them before the next scan."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from gateway.contracts import DeviceState, OnWritten, Pulse, Write, WriteLost, WriteRefused, WriteTicket
from protocols.modbus import frame
from protocols.modbus.codec import Unencodable
from protocols.modbus.frame import ModbusError, Refusal, Request
from protocols.modbus.unit import Unit
from protocols.modbus.writes import LONG_PULSE, BitChange, Way, function_of

_PULSE_END_TRIES = 3


class Line(Protocol):
    """What the writer needs of the line's driver."""

    @property
    def connected(self) -> bool: ...

    async def ask(self, unit: Unit, request: Request) -> tuple[bytes, int]: ...

    def failed(self, unit: Unit, error: ModbusError) -> None: ...

    def wake(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Job:
    """A write that waits for the line. `point` is its name and address for a person."""

    unit: Unit
    point: str
    steps: list[list[Way]]
    on_written: OnWritten
    sent: int = 0
    """Steps that the device has acknowledged."""
    over: bool = False
    """Answered, or nobody waits any more."""

    @property
    def whole(self) -> str:
        """The point, and which of several steps is under way."""
        return self.point if len(self.steps) == 1 else f"{self.point}, write {self.sent + 1} of {len(self.steps)}"

    def answer(self, error: WriteRefused | WriteLost | None) -> None:
        if not self.over:
            self.over = True
            self.on_written(error)

    def cancel(self) -> None:
        self.over = True


class Writer:
    """Takes writes from anyone, gives them to the line's one task, and ends pulses."""

    def __init__(self, line: Line, units: list[Unit]) -> None:
        self._line = line
        self._targets = {row: (unit, position) for unit in units for row, position in unit.targets.items()}
        self._jobs: deque[_Job] = deque()
        self._pulses: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether `perform` has something to do."""
        return bool(self._jobs)

    async def write(self, write: Write) -> None:
        """Write and wait for the acknowledgement; raises `WriteRefused` or `WriteLost`."""
        target = self._targets.get(write.row)
        if target is None:
            raise WriteRefused(f"row {write.row} is not a commanded point of this line")
        unit, position = target
        bindings = unit.bindings
        # A pulse of 0 is the end of a pulse without its beginning: the output goes off and stays so.
        pulsed = write.pulse in (Pulse.SHORT, Pulse.LONG) and not bindings.setpoint[position] and write.value != 0
        if not pulsed:
            await self._submit(unit, position, write.value)
            return
        width_s = float(bindings.pulse_s[position]) * (LONG_PULSE if write.pulse is Pulse.LONG else 1)
        task = asyncio.create_task(self._pulse(unit, position, write.value, width_s))
        self._pulses.add(task)
        task.add_done_callback(self._pulse_over)
        # The end of a pulse must reach the device even when nobody waits for it any more.
        await asyncio.shield(task)

    def _pulse_over(self, task: asyncio.Task[None]) -> None:
        self._pulses.discard(task)
        if not task.cancelled():
            task.exception()

    async def _pulse(self, unit: Unit, position: int, value: float, width_s: float) -> None:
        await self._submit(unit, position, value)
        await self._wait_or_stop(width_s)
        why = ""
        for _ in range(_PULSE_END_TRIES):
            try:
                await self._submit(unit, position, 0.0)
            except WriteLost as error:
                why = str(error)
                await self._wait_or_stop(unit.plan.timeout_s)
            else:
                return
        raise WriteLost(f"the end of the pulse was not acknowledged, the output may still be on: {why}")

    async def _wait_or_stop(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def take(self, write: Write, on_written: OnWritten) -> WriteTicket | None:
        """A write that is no pulse; see `gateway.contracts.driver.DirectWriter`."""
        target = self._targets.get(write.row)
        if target is None or write.pulse is not Pulse.DEFAULT:
            return None
        try:
            return self._queue(*target, write.value, on_written)
        except (WriteRefused, WriteLost) as error:
            on_written(error)
            return None

    async def _submit(self, unit: Unit, position: int, value: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        job = self._queue(unit, position, value, lambda error: _tell(done, error))
        try:
            await done
        finally:
            job.cancel()

    def _queue(self, unit: Unit, position: int, value: float, on_written: OnWritten) -> _Job:
        bindings = unit.bindings
        point = f"{bindings.name[position]} ({bindings.where(position)})"
        if unit.state is DeviceState.LOST or not self._line.connected:
            unit.counters["writes_lost"] += 1
            raise WriteLost(f"{point}: not sent, {unit.name} does not answer")
        try:
            found = unit.steps(position, value)
        except Unencodable as error:
            raise WriteRefused(f"{point}: {error}") from None
        job = _Job(unit, point, found, on_written)
        self._jobs.append(job)
        self._line.wake()
        return job

    async def perform(self) -> None:
        """Send the write that waits longest; the result goes to whoever waits for it. Only for the line's task."""
        job = self._jobs.popleft()
        if job.over:
            return
        job.unit.counters["writes"] += 1
        try:
            await self._send(job)
        except Refusal as error:
            job.unit.counters["writes_refused"] += 1
            job.answer(WriteRefused(f"{job.whole}: {error}"))
        except ModbusError as error:
            job.unit.counters["writes_lost"] += 1
            self._line.failed(job.unit, error)
            job.answer(WriteLost(f"{job.whole}: {error}"))
        else:
            job.answer(None)
        finally:
            # Only a cancelled line leaves it open here: the request may have reached the device.
            job.answer(WriteLost(f"{job.point}: the driver stopped before the device answered"))

    async def _send(self, job: _Job) -> None:
        """All steps, one after another; the first that fails ends it."""
        for ways in job.steps:
            await self._send_step(job, ways)
            job.sent += 1

    async def _send_step(self, job: _Job, ways: list[Way]) -> None:
        """The first way the device knows; a function it once refused is not tried again."""
        unknown = job.unit.unknown_functions
        usable = [way for way in ways if function_of(way) not in unknown] or ways[-1:]
        for way in usable:
            try:
                await self._send_one(job.unit, way)
            except Refusal as error:
                if error.code != frame.ILLEGAL_FUNCTION or way is usable[-1]:
                    raise
                unknown.add(function_of(way))
            else:
                return

    async def _send_one(self, unit: Unit, way: Way) -> None:
        if isinstance(way, BitChange):
            # Nothing else of this driver comes between the two: the line is served by this one task.
            data, _ = await self._line.ask(unit, way.read())
            way = way.write(data)
        await self._line.ask(unit, way)

    def fail_all(self, why: str) -> None:
        """Nothing that waits can be sent."""
        while self._jobs:
            job = self._jobs.popleft()
            job.unit.counters["writes_lost"] += 1
            job.answer(WriteLost(f"{job.point}: not sent, {why}"))

    async def stop(self) -> None:
        """Bring outputs that are on in a pulse back before the line closes. Only for the line's task."""
        self._stopping.set()
        while self._pulses and self._line.connected:
            if self._jobs:
                await self.perform()
            else:
                await asyncio.sleep(0.001)
        for task in self._pulses:
            task.cancel()


def _tell(done: asyncio.Future[None], error: WriteRefused | WriteLost | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
