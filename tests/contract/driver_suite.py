"""What every field driver must do, whatever its protocol. A driver arrives tested by subclassing `DriverSuite`.

The subclass says how its device is played (`DevicePeer`). Each test is a story between the device, the driver and the
core (`RecordingPort`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from gateway.contracts import DeviceState, FieldDriver, Write, WriteLost, WriteRefused
from gateway.points import Quality
from tests.kit.recordingport import RecordingPort, until

LOST = int(Quality.COMM_LOST)


class DevicePeer(ABC):
    """A device that can be told to misbehave. Rows: `measured` are read, `command` (one of them) is written."""

    device: str
    rows: int
    measured: list[int]
    command: int
    command_values: tuple[float, float]

    @abstractmethod
    async def start(self) -> None:
        """Come up at the address of the last time."""

    @abstractmethod
    async def stop(self) -> None:
        """Go away: connections break and none can be made."""

    @abstractmethod
    def driver(self, port: RecordingPort) -> FieldDriver: ...

    @abstractmethod
    def show(self, values: dict[int, float]) -> None:
        """What the device measures from now on, by row."""

    @abstractmethod
    def freeze(self, on: bool) -> None:
        """Take everything and answer nothing."""

    @abstractmethod
    def garble(self, on: bool) -> None:
        """Answer with bytes that are not the protocol."""

    @abstractmethod
    def slow(self, delay_s: float) -> None:
        """Every answer comes later than the driver's patience, or 0 for at once."""

    @abstractmethod
    def lose(self, share: float) -> None:
        """Lose this share of answers."""

    @abstractmethod
    def refuse_writes(self, on: bool) -> None: ...

    @abstractmethod
    def written(self) -> list[tuple[int, float]]: ...


Story = Callable[[DevicePeer, FieldDriver, RecordingPort], Awaitable[None]]


class DriverSuite(ABC):
    """Subclass as ``TestX`` with `peer` returning a fresh device."""

    patience_s = 0.2
    """The driver's timeout as the peer configures it."""
    grain_ns = 0
    """How coarse the device's own time tags are."""

    @abstractmethod
    def peer(self) -> DevicePeer: ...

    def play(self, story: Story, up: bool = True) -> None:
        async def scene() -> None:
            peer = self.peer()
            if up:
                await peer.start()
            port = RecordingPort(peer.rows)
            driver = peer.driver(port)
            task = asyncio.create_task(driver.run())
            try:
                await story(peer, driver, port)
                assert not task.done(), "the driver must run until it is cancelled"
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                await peer.stop()

        asyncio.run(scene())

    @staticmethod
    def good(peer: DevicePeer, port: RecordingPort) -> bool:
        return bool((port.quality[peer.measured] == 0).all())

    @staticmethod
    def all_lost(peer: DevicePeer, port: RecordingPort) -> bool:
        return bool((port.quality[peer.measured] & LOST == LOST).all())

    async def settle(self, peer: DevicePeer, port: RecordingPort) -> dict[int, float]:
        """The device shows a value on each point and the core has them all."""
        shown = {row: float(number + 1) for number, row in enumerate(peer.measured)}
        peer.show(shown)
        await until(lambda: self.good(peer, port), "every point good")
        await until(lambda: port.value[peer.measured].tolist() == list(shown.values()), "every value right")
        return shown

    def test_values_quality_and_time_reach_the_core(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            before_ns = time.time_ns()
            await self.settle(peer, port)
            assert (port.time_ns[peer.measured] >= before_ns - self.grain_ns).all()
            assert (port.time_ns[peer.measured] <= time.time_ns()).all()
            assert port.states_of(peer.device) == [DeviceState.CONNECTING, DeviceState.ONLINE]

        self.play(story)

    def test_a_change_in_the_field_is_seen(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            shown = await self.settle(peer, port)
            row = peer.measured[0]
            first_ns = port.time_ns[row]
            peer.show(shown | {row: 7.0})
            await until(lambda: port.value[row] == 7.0, "the new value")
            assert port.time_ns[row] + self.grain_ns > first_ns

        self.play(story)

    def test_a_device_that_is_not_there_yet_is_awaited(self) -> None:
        async def story(peer: DevicePeer, port: RecordingPort) -> None:
            await until(lambda: self.all_lost(peer, port), "comm lost before the device was ever seen")
            assert (port.quality[peer.measured] & int(Quality.NEVER_REPORTED) != 0).all()
            await peer.start()
            await self.settle(peer, port)
            states = port.states_of(peer.device)
            assert states == [DeviceState.CONNECTING, DeviceState.LOST, DeviceState.ONLINE]

        async def scene() -> None:
            """The device takes its address once, so that the driver knows where to look."""
            peer = self.peer()
            await peer.start()
            await peer.stop()
            port = RecordingPort(peer.rows)
            task = asyncio.create_task(peer.driver(port).run())
            try:
                await story(peer, port)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                await peer.stop()

        asyncio.run(scene())

    def test_a_cut_keeps_old_value_and_time_and_heals(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            shown = await self.settle(peer, port)
            await peer.stop()
            await until(lambda: self.all_lost(peer, port), "comm lost")
            times = port.time_ns.copy()
            await asyncio.sleep(3 * self.patience_s)
            assert port.value[peer.measured].tolist() == list(shown.values())
            np.testing.assert_array_equal(port.time_ns, times)
            assert port.states_of(peer.device)[-1] is DeviceState.LOST
            await peer.start()
            await until(lambda: self.good(peer, port), "good again")
            assert port.states_of(peer.device)[1:] == [DeviceState.ONLINE, DeviceState.LOST, DeviceState.ONLINE]

        self.play(story)

    def _trouble(self, begin: Callable[[DevicePeer], None], end: Callable[[DevicePeer], None]) -> None:
        """While the trouble lasts nothing but the old values; afterwards the new ones."""

        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            shown = await self.settle(peer, port)
            begin(peer)
            await asyncio.sleep(self.patience_s / 2)
            peer.show({row: value + 10 for row, value in shown.items()})
            await until(lambda: self.all_lost(peer, port), "comm lost")
            fresh = {row: value + 20 for row, value in shown.items()}
            peer.show(fresh)
            end(peer)
            await until(lambda: self.good(peer, port), "good again")
            await until(lambda: port.value[peer.measured].tolist() == list(fresh.values()), "the new values")
            for row, value in shown.items():
                assert port.seen[row] <= {0.0, value, value + 10, value + 20}, "a value that no one ever showed"

        self.play(story)

    def test_a_frozen_device_is_lost_and_comes_back(self) -> None:
        self._trouble(lambda peer: peer.freeze(True), lambda peer: peer.freeze(False))

    def test_garbage_never_becomes_a_value(self) -> None:
        self._trouble(lambda peer: peer.garble(True), lambda peer: peer.garble(False))

    def test_answers_that_come_too_late_never_become_values(self) -> None:
        self._trouble(lambda peer: peer.slow(4 * self.patience_s), lambda peer: peer.slow(0))

    def test_a_restart_in_between_is_bridged(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            for _ in range(3):
                batches = port.batches
                await peer.stop()
                await peer.start()
                await until(lambda n=batches: port.batches > n + 1 and self.good(peer, port), "polled again")

        self.play(story)

    def test_one_answer_in_ten_lost_costs_no_right_value(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            peer.lose(0.1)
            for step in range(5):
                fresh = {row: 30.0 + step + number for number, row in enumerate(peer.measured)}
                peer.show(fresh)
                await until(
                    lambda want=fresh: port.value[peer.measured].tolist() == list(want.values()),
                    "values despite losses",
                )
            peer.lose(0)
            await until(lambda: self.good(peer, port), "good in the end")

        self.play(story)

    def test_a_write_is_done_when_the_device_has_acknowledged_it(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            peer.written()
            for value in peer.command_values:
                await driver.write(Write(row=peer.command, value=value))
                assert peer.written() == [(peer.command, value)]

        self.play(story)

    def test_a_write_the_device_refuses_says_so(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            peer.refuse_writes(True)
            with pytest.raises(WriteRefused) as refused:
                await driver.write(Write(row=peer.command, value=peer.command_values[0]))
            assert str(refused.value), "the reason in words"
            peer.refuse_writes(False)
            await driver.write(Write(row=peer.command, value=peer.command_values[1]))

        self.play(story)

    def test_a_row_that_is_not_commanded_cannot_be_written(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            with pytest.raises(WriteRefused):
                await driver.write(Write(row=peer.measured[0], value=1.0))

        self.play(story)

    def test_a_write_without_an_answer_is_lost(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            peer.freeze(True)
            with pytest.raises(WriteLost) as lost:
                await driver.write(Write(row=peer.command, value=peer.command_values[0]))
            assert str(lost.value), "the reason in words"

        self.play(story)

    def test_a_write_to_a_lost_device_fails_at_once(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            await peer.stop()
            await until(lambda: self.all_lost(peer, port), "comm lost")
            with pytest.raises(WriteLost):
                await asyncio.wait_for(driver.write(Write(row=peer.command, value=peer.command_values[0])), 5)

        self.play(story)

    def test_counters_are_kept_per_device(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            (figures,) = driver.counters().values()
            assert list(driver.counters()) == [peer.device]
            assert all(isinstance(count, int) and count >= 0 for count in figures.values())
            assert sum(figures.values()) > 0

        self.play(story)
