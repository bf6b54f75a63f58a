"""The driver of one bus: frames in, points out; cyclic messages and commands the other way.

A device is online while frames with its points come, and lost after its silence, when the controller has left the bus
(bus-off) or when the bus cannot be read. What was commanded of a lost device is forgotten: its messages go back to
how they began.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from gateway.contracts import DeviceState, DriverPort, Pulse, Write, WriteLost, WriteRefused
from gateway.points import Quality
from protocols.can.client import BusDown, BusLine, SendFailed, Taken, accessible, open_bus
from protocols.can.decode import Decoder, Finding
from protocols.can.encode import Outgoing, Unencodable, value_in
from protocols.can.plan import BusPlan, DeviceOnBus, Target, key_words

BUS_OFF: Final = 0x40
"""Class of an error frame on Linux: the controller has left the bus (linux/can/error.h)."""
STATE_POLL_S: Final = 1.0
QUIET_S: Final = 60.0
"""Trouble that goes on is told once; after so long without it, it would be told again."""
_UNKNOWN_AFTER_S: Final = 2.0
_UNKNOWN_SHOWN: Final = 12
_FIRST_RETRY_S: Final = 0.25


class _Device:
    """One device of the bus as it is now."""

    def __init__(self, plan: DeviceOnBus) -> None:
        self.plan, self.name = plan, plan.name
        self.state = DeviceState.CONNECTING
        self.heard_at = -math.inf

    @property
    def silent_at(self) -> float:
        """When it is lost unless it is heard."""
        return math.inf if self.state is DeviceState.LOST else self.heard_at + self.plan.silent_s


class CanDriver:
    """Serves the devices of one `BusPlan` (`gateway.contracts.FieldDriver`)."""

    def __init__(self, plan: BusPlan, port: DriverPort) -> None:
        self._plan, self._port = plan, port
        self._decoder = Decoder(plan)
        self._devices = [_Device(member) for member in plan.members]
        self._outgoing = [Outgoing(message) for message in plan.transmit]
        self._targets = {target.row: target for target in plan.targets}
        self._line: BusLine | None = None
        self._failure = ""
        self._woken = False
        self._waker: asyncio.Future[None] | None = None
        self._sending = asyncio.Lock()
        self._figures = dict.fromkeys(_FIGURES, 0)
        self._told_at = dict[str, float]()
        self._tell_unknown_at = 0.0
        self._unknown_told = 0
        self._bus_off = False
        self._kept_up = True

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the bus until cancelled; then send the stop frames, and close."""
        for device in self._devices:
            self._port.state(device.name, DeviceState.CONNECTING, str(self._plan.access))
        retry_s = _FIRST_RETRY_S
        try:
            while True:
                try:
                    await self._open()
                except BusDown as error:
                    self._figures["open_failures"] += 1
                    self._lose_all(str(error))
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, self._plan.reconnect_max_s)
                    continue
                retry_s = _FIRST_RETRY_S
                await self._serve()
                await asyncio.sleep(retry_s)
        finally:
            self._stop()

    async def _open(self) -> None:
        access = accessible(self._plan.access)
        if access is not self._plan.access and not self._figures["opens"]:
            self._port.log.warning("no multicast on this machine", instead=str(access))
        opening = asyncio.ensure_future(asyncio.to_thread(open_bus, access))
        try:
            bus = await asyncio.shield(opening)
        except asyncio.CancelledError:
            with contextlib.suppress(BusDown):
                (await opening).shutdown()
            raise
        self._failure, self._bus_off = "", False
        self._figures["opens"] += 1
        port = self._port
        self._line = BusLine(bus, access, self._plan.gather_s, port.now_ns, self.take, self._broken)
        now = self._now()
        self._tell_unknown_at = now + _UNKNOWN_AFTER_S
        for device in self._devices:
            device.heard_at = now
            if math.isinf(device.plan.silent_s):
                self._online(device)
        for outgoing in self._outgoing:
            outgoing.open(now)

    async def _serve(self) -> None:
        """While the bus can be read: send what is due, lose who is silent, sleep until the next of both."""
        poll_at = self._now() + STATE_POLL_S
        while not self._failure:
            await self._send_due()
            now = self._now()
            self._lose_silent(now)
            if now >= poll_at:
                poll_at = now + STATE_POLL_S
                self._look_around(now)
            wake_at = min(
                poll_at,
                min((device.silent_at for device in self._devices), default=math.inf),
                min((outgoing.next_at for outgoing in self._outgoing), default=math.inf),
            )
            await self._sleep(wake_at - self._now())
        self._close()
        self._lose_all(self._failure)

    async def _sleep(self, seconds: float) -> None:
        # not wait_for: in Python 3.11 it swallows a cancellation that meets the end of what it waits for
        loop = asyncio.get_running_loop()
        if self._woken:
            seconds = 0.0
        self._waker = loop.create_future()
        timer = loop.call_later(max(seconds, 0.0), self._end_sleep)
        try:
            await self._waker
        finally:
            timer.cancel()
            self._waker, self._woken = None, False

    def _end_sleep(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _wake(self) -> None:
        self._woken = True
        self._end_sleep()

    def _broken(self, why: str) -> None:
        self._failure = why
        self._figures["bus_failures"] += 1
        self._wake()

    def _stop(self) -> None:
        """The last frames, where the configuration has them; silence is the stop of everything else."""
        for outgoing in self._outgoing:
            stop = outgoing.plan.stop
            if self._line is not None and stop is not None and outgoing.begun:
                with contextlib.suppress(SendFailed):
                    self._line.send_now(outgoing.plan.key, outgoing.frame(stop), outgoing.plan.fd)
        self._close()

    def _close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # -- what comes ---------------------------------------------------------------------------------------------

    def take(self, taken: Taken) -> None:
        """One batch from the bus."""
        self._figures["frames"] += len(taken.frames)
        batches = self._decoder.take(taken.frames)
        if self._decoder.heard:
            self._heard()
        for batch in batches:
            self._port.publish(*batch)
        if taken.errors:
            self._errors(taken.errors)
        if taken.garbage:
            self._figures["garbage"] += taken.garbage
            self._tell("what came is no frame", bus=str(self._plan.access))
        for finding in self._decoder.findings():
            self._found(finding)

    def _heard(self) -> None:
        now = self._now()
        self._bus_off = False
        for index in self._decoder.heard:
            device = self._devices[index]
            device.heard_at = now
            if device.state is not DeviceState.ONLINE:
                self._online(device)
                self._wake()
        self._decoder.heard.clear()

    def _errors(self, classes: list[int]) -> None:
        self._figures["error_frames"] += len(classes)
        on_linux = self._plan.access.interface == "socketcan"
        if on_linux and any(each & BUS_OFF for each in classes):
            self._left_the_bus()
        self._tell("error frames on the bus", bus=str(self._plan.access), first_class=hex(classes[0]))

    def _left_the_bus(self) -> None:
        if not self._bus_off:
            self._bus_off = True
            self._figures["bus_off"] += 1
            self._lose_all("bus-off: the controller has left the bus (wiring, termination, bit rate)")

    def _tell(self, event: str, **facts: object) -> None:
        """Once, and again when it was quiet in between."""
        now = self._now()
        if now - self._told_at.get(event, -math.inf) > QUIET_S:
            self._port.log.warning(event, **facts)
        self._told_at[event] = now

    def _found(self, finding: Finding) -> None:
        self._port.log.warning(finding.event, device=self._devices[finding.device].name, **finding.facts)

    def _look_around(self, now: float) -> None:
        """Once a second: the controller's own state, and identifiers that nobody knows."""
        if self._line is not None and self._line.bus_off():
            self._left_the_bus()
        unknown = self._decoder.unknown
        if now >= self._tell_unknown_at and len(unknown) > self._unknown_told:
            fresh = list(unknown)[self._unknown_told :]
            shown = ", ".join(map(key_words, fresh[:_UNKNOWN_SHOWN]))
            more = f" and {len(fresh) - _UNKNOWN_SHOWN} more" if len(fresh) > _UNKNOWN_SHOWN else ""
            self._port.log.info("identifiers that no DBC knows", bus=str(self._plan.access), ids=shown + more)
            self._unknown_told = len(unknown)
            self._tell_unknown_at = now + QUIET_S

    # -- who is there -------------------------------------------------------------------------------------------

    def _online(self, device: _Device) -> None:
        device.state = DeviceState.ONLINE
        self._port.state(device.name, DeviceState.ONLINE)
        self._show_targets(device)

    def _show_targets(self, device: _Device) -> None:
        """Commanded points show what is being sent."""
        for target in self._targets.values():
            outgoing = self._outgoing[target.message]
            if outgoing.begun and self._devices[outgoing.plan.device] is device:
                self._show(target, value_in(target, outgoing.payload))

    def _show(self, target: Target, value: float) -> None:
        row, values = np.array([target.row], np.uint32), np.array([value])
        self._port.publish(row, values, np.zeros(1, np.uint32), self._port.now_ns())

    def _lose_silent(self, now: float) -> None:
        for device in self._devices:
            if device.silent_at <= now:
                self._lose(device, f"silent for {device.plan.silent_s:g} s on {self._plan.access}")

    def _lose_all(self, why: str) -> None:
        for device in self._devices:
            self._lose(device, why)

    def _lose(self, device: _Device, why: str) -> None:
        if device.state is DeviceState.LOST:
            return
        device.state = DeviceState.LOST
        for outgoing in self._outgoing:
            if self._devices[outgoing.plan.device] is device:
                outgoing.reset()
        self._port.degrade(device.plan.rows, int(Quality.COMM_LOST))
        self._port.state(device.name, DeviceState.LOST, why)

    # -- what goes ----------------------------------------------------------------------------------------------

    async def _send_due(self) -> None:
        now, controlled = self._now(), self._controlled()
        for outgoing in self._outgoing:
            if outgoing.next_at > now or self._line is None:
                continue
            async with self._sending:
                if outgoing.begun and controlled:
                    await self._send_cyclic(self._line, outgoing)
            outgoing.sent(self._now())

    def _controlled(self) -> bool:
        """While the control cycle stands still nothing is kept up: the devices are to fall back."""
        controlled = self._port.controlled()
        if controlled is not self._kept_up:
            self._kept_up = controlled
            if controlled:
                self._port.log.info("cyclic messages go on: control runs", bus=str(self._plan.access))
            elif any(outgoing.begun for outgoing in self._outgoing):
                self._port.log.warning("cyclic messages held back: control stands still", bus=str(self._plan.access))
        return controlled

    async def _send_cyclic(self, line: BusLine, outgoing: Outgoing) -> None:
        try:
            await line.send(outgoing.plan.key, outgoing.frame(outgoing.payload), outgoing.plan.fd)
        except SendFailed as error:
            self._figures["send_failures"] += 1
            self._tell("a frame was not sent", message=outgoing.plan.name, cause=str(error))
        else:
            self._figures["sent"] += 1

    async def write(self, write: Write) -> None:
        """Put the value into its message and hand a frame to the bus: that is all the acknowledgement CAN has.

        Whether the device acts shows in the feedback of the point. Raises `WriteRefused` or `WriteLost`.
        """
        target = self._targets.get(write.row)
        if target is None:
            raise WriteRefused(f"row {write.row} is not a commanded point of this bus")
        if write.pulse in (Pulse.SHORT, Pulse.LONG) and write.value != 0:
            raise WriteRefused(f"{target.name}: CAN carries states, not pulses; expected a persistent command")
        outgoing = self._outgoing[target.message]
        async with self._sending:
            payload = self._payload(target, outgoing, write.value)
            await self._send_write(target, outgoing, payload)
        self._show(target, value_in(target, payload))
        self._wake()

    @staticmethod
    def _payload(target: Target, outgoing: Outgoing, value: float) -> bytes:
        try:
            return outgoing.with_value(target, value)
        except Unencodable as error:
            raise WriteRefused(f"{target.name}: {error}") from None

    async def _send_write(self, target: Target, outgoing: Outgoing, payload: bytes) -> None:
        line, device = self._line, self._devices[outgoing.plan.device]
        if line is None or device.state is not DeviceState.ONLINE:
            self._figures["writes_lost"] += 1
            raise WriteLost(f"{target.name}: not sent, {device.name} is {device.state}")
        try:
            await line.send(outgoing.plan.key, outgoing.frame(payload), outgoing.plan.fd)
        except SendFailed as error:
            self._figures["writes_lost"] += 1
            raise WriteLost(f"{target.name}: not sent, {error}") from None
        self._figures["writes"] += 1
        if device.state is DeviceState.ONLINE:
            outgoing.commit(payload, self._now())

    # -- figures ------------------------------------------------------------------------------------------------

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Per device: its own figures and those of its bus."""
        figures = {**self._figures, "unknown_frames": self._decoder.unknown_frames}
        trouble = sum(figures[name] for name in _TROUBLE)
        return {
            device.name: {
                **figures,
                "unknown_multiplexer": own["unknown_multiplexer"],
                "short_frames": own["short_frames"],
                "long_frames": own["long_frames"],
                "errors": trouble + own["unknown_multiplexer"] + own["short_frames"],
            }
            for device, own in zip(self._devices, self._decoder.counters, strict=True)
        }

    def silent_messages(self) -> list[tuple[str, str]]:
        """(identifier, name) of messages that points are bound to and of which no good frame has come."""
        return [(key_words(message.key), message.name) for message in self._decoder.silent()]

    def unknown_identifiers(self) -> list[tuple[str, int]]:
        """(identifier, frames) that came and that no DBC of this bus knows."""
        return [(key_words(key), count) for key, count in self._decoder.unknown.items()]


_FIGURES: Final = (
    *("opens", "open_failures", "bus_failures", "frames", "error_frames", "bus_off", "garbage"),
    *("sent", "send_failures", "writes", "writes_lost"),
)
_TROUBLE: Final = (
    "open_failures",
    "bus_failures",
    "error_frames",
    "bus_off",
    "garbage",
    "send_failures",
    "writes_lost",
)
