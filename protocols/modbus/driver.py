"""The driver of one line: one task that gives every unit its turn, writes first.

A unit that does not answer is tried again `retries` times in its turn, then given up: its points go COMM_LOST, and it
is asked again ever more rarely, so that it costs the others next to nothing. A TCP connection on which no unit answers
any more is closed and made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.contracts import DeviceState, DriverPort, OnWritten, Write, WriteTicket
from gateway.points import Quality
from protocols.modbus import frame
from protocols.modbus.client import LineClient, LineDown, NoAnswer
from protocols.modbus.frame import ModbusError, Refusal
from protocols.modbus.plan import LinePlan, UnitPlan
from protocols.modbus.scan import Scan
from protocols.modbus.unit import Backoff, Schedule, Turn, Unit
from protocols.modbus.writer import Writer

REFUSED_RETRY_S = 60.0
"""How often refused addresses are tried again."""

_BITS_PER_CHARACTER = 11
_SILENCE_CHARACTERS = 3.5
_FASTEST_SILENCE_S = 0.00175


class ModbusDriver:
    """Polls and writes the units of one `LinePlan` (`gateway.contracts.FieldDriver`)."""

    def __init__(self, plan: LinePlan, port: DriverPort) -> None:
        self._plan, self.port = plan, port
        self.reconnect_max_s = plan.reconnect_max_s
        self._units = [self.make_unit(unit) for unit in plan.units]
        self._by_id = {unit.plan.unit: unit for unit in self._units}
        self._client = LineClient(plan.url, port.now_ns, self._stray, self.wake)
        self._connect_timeout_s = max(unit.plan.timeout_s for unit in self._units)
        self.schedule = Schedule(self._units)
        self._backoff = Backoff(plan.reconnect_max_s)
        self._silent: set[Unit] = set()
        self._asking: Unit | None = None
        self._writer = Writer(self, self._units)
        self.waker: asyncio.Future[None] | None = None
        self._quiet_until = 0.0
        self._silence_s = _silence_s(plan)

    def make_unit(self, plan: UnitPlan) -> Unit:
        """What is known of one device; another protocol on top of this one has more to know."""
        return Unit(plan, self.reconnect_max_s)

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the line until cancelled; then end pulses that are on, and close."""
        for unit in self._units:
            self.port.state(unit.name, DeviceState.CONNECTING, f"{self._plan.url} unit {unit.plan.unit}")
        try:
            while True:
                await self._connect()
                await self._serve()
                self._disconnected()
        finally:
            await self._writer.stop()
            self._client.close()
            self._writer.fail_all("the driver has stopped")

    async def _connect(self) -> None:
        """Until the line is up, for ever."""
        while True:
            _leave_if_cancelled()
            await asyncio.sleep(self._backoff.next_s())
            try:
                await self._client.connect(self._connect_timeout_s)
            except LineDown as error:
                self._line_lost(str(error))
                continue
            break
        self._silent.clear()
        for unit in self._units:
            unit.connected()
        self.schedule.begin(self.now())

    async def _serve(self) -> None:
        """While the line is up: a write if one waits, else the scan that has waited longest, else sleep."""
        while self._client.connected:
            _leave_if_cancelled()
            if self._writer.waiting:
                await self._writer.perform()
                continue
            turn = self.schedule.take(self.now())
            if turn is None:
                await self._sleep_until(self.schedule.next_at())
            else:
                await self._step(turn)

    async def _sleep_until(self, at: float) -> None:
        loop = asyncio.get_running_loop()
        self.waker = loop.create_future()
        timer = loop.call_at(at, self.wake) if at != float("inf") else None
        try:
            await self.waker
        finally:
            self.waker = None
            if timer is not None:
                timer.cancel()

    @property
    def connected(self) -> bool:
        return self._client.connected

    def wake(self) -> None:
        """Something waits for the line."""
        if self.waker is not None and not self.waker.done():
            self.waker.set_result(None)

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    # -- one request --------------------------------------------------------------------------------------------

    async def ask(self, unit: Unit, request: frame.Request) -> tuple[bytes, int]:
        """One request and its answer; counts what goes wrong and passes it on."""
        pause_s = max(unit.plan.pause_s, self._silence_s)
        if pause_s:
            await asyncio.sleep(self._quiet_until - self.now())
        unit.counters["requests"] += 1
        self._asking = unit
        asked = self.now()
        try:
            answer = await self._client.ask(unit.plan.unit, request, unit.plan.timeout_s)
        except Refusal as error:
            unit.counters["exceptions"] += 1
            unit.counters[f"exception_{error.code}"] += 1
            if error.code not in frame.GATEWAY_EXCEPTIONS:
                self._heard(unit)
            self._silent.clear()
            raise
        finally:
            self._asking = None
            if pause_s:
                self._quiet_until = self.now() + pause_s
        unit.counters["answers"] += 1
        unit.timed(self.now() - asked)
        self._silent.clear()
        self._heard(unit)
        return answer.data, answer.time_ns

    def _heard(self, unit: Unit) -> None:
        self._backoff.reset()
        if unit.answered():
            self.port.state(unit.name, DeviceState.ONLINE, f"{self._plan.url} unit {unit.plan.unit}")
            self.schedule.hasten(unit, self.now())
            self._hope()

    def _hope(self) -> None:
        """One unit has come back, so the others may have: ask them now, not when their turn comes."""
        for unit in self._units:
            if unit.state is DeviceState.LOST:
                unit.not_before = 0.0
                self.schedule.hasten(unit, self.now())

    async def _step(self, turn: Turn) -> None:
        """One request of a scan, and what follows from its answer."""
        unit, scan = turn.unit, turn.scan
        if scan.lacking and not scan.begun and self.now() >= turn.retry_at:
            turn.retry_at = self.now() + REFUSED_RETRY_S
            scan.retry()
        if scan.finished:
            self.finish(turn)
            return
        try:
            data, time_ns = await self.ask(unit, scan.request())
        except Refusal as error:
            self._refused(turn, error)
        except ModbusError as error:
            self.failed(unit, error)
            self.schedule.put(turn, self.now())
            return
        else:
            was_searching = scan.searching
            scan.take(data, time_ns)
            if was_searching and not scan.searching:
                self._report_refused(turn)
        if scan.finished:
            self.finish(turn)
        else:
            self.schedule.put(turn, self.now())

    def finish(self, turn: Turn) -> None:
        """A pass is over: publish what it brought and set the next."""
        unit, scan = turn.unit, turn.scan
        batch = scan.batch()
        if batch is not None:
            self.port.publish(*batch)
        scan.restart()
        unit.counters["scans"] += 1
        unit.counters["scans_late"] += turn.next_due(self.now())
        self.schedule.put(turn, turn.due)

    # -- what can go wrong --------------------------------------------------------------------------------------

    def _refused(self, turn: Turn, error: Refusal) -> None:
        """An exception answer to a read."""
        unit, scan = turn.unit, turn.scan
        if error.code in frame.GATEWAY_EXCEPTIONS:
            self._count_failure(unit, str(error))
        elif error.code in (frame.ILLEGAL_ADDRESS, frame.ILLEGAL_VALUE):
            scan.refuse()
            if not scan.searching:
                self._report_refused(turn)
        elif error.code == frame.ILLEGAL_FUNCTION:
            scan.refuse_function()
            self._report_refused(turn, str(error))
        else:
            self._skip(unit, scan, error)

    def _skip(self, unit: Unit, scan: Scan, error: Refusal) -> None:
        """The device cannot read this block now: its points are invalid until it can; a busy one is left to age."""
        rows = scan.skip(failing=error.code != frame.DEVICE_BUSY)
        if not len(rows):
            return
        self.port.degrade(rows, int(Quality.INVALID))
        self.port.log.warning("read fails", device=unit.name, points=len(rows), answer=str(error))

    def _report_refused(self, turn: Turn, function: str = "") -> None:
        """Points the device refuses: invalid, and told once each by name (once for all when a function is)."""
        unit, scan = turn.unit, turn.scan
        turn.retry_at = self.now() + REFUSED_RETRY_S
        positions = scan.refused()
        unit.counters["refused_points"] = sum(len(each.refused()) for each in unit.scans)
        if not len(positions):
            return
        rows = scan.bindings.row[positions]
        self.port.degrade(rows, int(Quality.INVALID))
        fresh = [i for i in positions.tolist() if int(scan.bindings.row[i]) not in unit.reported]
        unit.reported.update(int(scan.bindings.row[i]) for i in fresh)
        if function and fresh:
            self.port.log.warning("function refused", device=unit.name, points=len(fresh), answer=function)
            return
        for i in fresh:
            self.port.log.warning(
                "address refused", device=unit.name, point=scan.bindings.name[i], address=scan.bindings.where(i)
            )

    def failed(self, unit: Unit, error: ModbusError) -> None:
        """No answer, a malformed one, or the connection went."""
        if isinstance(error, NoAnswer):
            unit.counters["timeouts"] += 1
        elif isinstance(error, frame.Malformed):
            unit.counters["malformed"] += 1
        self._silent.add(unit)
        self._count_failure(unit, str(error))
        lost = all(each.state is DeviceState.LOST for each in self._units)
        if lost and len(self._silent) == len(self._units) and not self._plan.url.serial:
            self._client.close()

    def _count_failure(self, unit: Unit, why: str) -> None:
        now = self.now()
        if unit.failed() or unit.state is DeviceState.LOST:
            self._lose(unit, why)
            lost = sum(each.state is DeviceState.LOST for each in self._units)
            unit.space(now, lost, shared=lost < len(self._units))
        if self._plan.url.framed_rtu:
            # RTU answers carry no transaction number: a late one must not meet the next request to this unit.
            unit.not_before = max(unit.not_before, now + unit.plan.timeout_s)

    def _lose(self, unit: Unit, why: str) -> None:
        before = unit.scans
        news = unit.lost()
        if unit.scans is not before:
            self.schedule.rebind(unit, self.now())
        if news:
            self.port.degrade(unit.plan.bindings.row, int(Quality.COMM_LOST))
            self.port.state(unit.name, DeviceState.LOST, why)

    def _line_lost(self, why: str) -> None:
        for unit in self._units:
            self._lose(unit, why)
        self._writer.fail_all(why)

    def _disconnected(self) -> None:
        for unit in self._units:
            unit.counters["disconnects"] += 1
            for scan in unit.scans:
                scan.restart()

    def _stray(self, kind: str, sender: int) -> None:
        """Count a frame that answers nothing asked, for the unit it comes from, else for the one being asked."""
        known = self._by_id.get(sender)
        if kind == "wrong_unit" and known is not None and self._plan.url.framed_rtu:
            kind = "late"
        unit = (known if kind == "late" else None) or self._asking or self._units[0]
        unit.counters[kind] += 1

    # -- writes -------------------------------------------------------------------------------------------------

    async def write(self, write: Write) -> None:
        """Write and wait for the device's acknowledgement; a pulse is over when its end is acknowledged."""
        await self._writer.write(write)

    def take_write(self, write: Write, on_written: OnWritten) -> WriteTicket | None:
        """`write` without a task; see `gateway.contracts.driver.DirectWriter`."""
        return self._writer.take(write, on_written)

    # -- figures ------------------------------------------------------------------------------------------------

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Per device: see `protocols.modbus.unit.COUNTERS`."""
        return {
            unit.name: {**unit.counters, "errors": unit.errors, "round_trip_us": int(unit.round_trip_s * 1e6)}
            for unit in self._units
        }


def _leave_if_cancelled() -> None:
    """Python 3.11's `wait_for`, under pymodbus, swallows a cancellation that meets an answer: raise it again."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _silence_s(plan: LinePlan) -> float:
    """The 3.5 characters of silence that end an RTU frame (Serial Line V1.02, 2.5.1.1)."""
    if not plan.url.serial:
        return 0.0
    return max(_SILENCE_CHARACTERS * _BITS_PER_CHARACTER / plan.url.baudrate, _FASTEST_SILENCE_S)
