"""The PMU driver under the suite of every field driver: TCP, UDP that is asked for, UDP that comes unasked."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.contracts import FieldDriver, Write, WriteRefused
from protocols.c37118.configuration import Format
from protocols.c37118.driver import PmuDriver
from protocols.c37118.simulator import PmuSimulator
from tests.contract.driver_suite import DevicePeer, DriverSuite
from tests.kit.pmukit import at, stream
from tests.kit.ports import free_port
from tests.kit.recordingport import RecordingPort

_MAP = """
point,kind,pmu,channel,scale
frequency,analog,North,FREQ,
voltage,analog,North,VA.mag,0.5
power,analog,South,P,
"""


class PmuPeer(DevicePeer):
    """A concentrator of two PMUs, played by the package's simulator."""

    device = "pmu1"
    rows = 4
    command = 3
    command_values = (12.5, -3.0)
    cfg = 2
    shape = Format()

    def __init__(self) -> None:
        self.measured = [0, 1, 2]
        self._plan = stream(_MAP, url=self.url(), cfg=self.cfg, timeout_ms=200, reconnect_max_s=0.5)
        self._simulator = PmuSimulator(self._plan, self.shape)

    def url(self) -> str:
        return "tcp://127.0.0.1:0"

    async def start(self) -> None:
        await self._simulator.start()

    async def stop(self) -> None:
        await self._simulator.stop()

    def driver(self, port: RecordingPort) -> FieldDriver:
        return PmuDriver(at(self._plan, self._simulator.url), port)

    def show(self, values: dict[int, float]) -> None:
        self._simulator.set(np.array(list(values), np.uint32), np.array(list(values.values())))

    def freeze(self, on: bool) -> None:
        self._simulator.faults.frozen = on

    def garble(self, on: bool) -> None:
        self._simulator.faults.garbage = on

    def slow(self, delay_s: float) -> None:
        self._simulator.faults.delay_s = delay_s

    def lose(self, share: float) -> None:
        self._simulator.faults.lose = share

    def refuse_writes(self, on: bool) -> None:
        raise NotImplementedError("a PMU takes no writes at all")

    def written(self) -> list[tuple[int, float]]:
        return self._simulator.written()


class UdpPeer(PmuPeer):
    """The same over UDP, told by commands, with CFG-3 and phasors in rectangular form."""

    cfg = 3
    shape = Format(polar=False)

    def url(self) -> str:
        return "udp://127.0.0.1:0"


class UnaskedPeer(PmuPeer):
    """The same sent over UDP to whoever listens."""

    def url(self) -> str:
        return f"udp-listen://127.0.0.1:{free_port()}"


class PmuSuite(DriverSuite):
    """What the suite says of writes, for a protocol that has none: each is refused, in words, in any state."""

    def test_a_write_is_done_when_the_device_has_acknowledged_it(self) -> None:
        pytest.skip("C37.118 has no writes")

    def test_a_write_the_device_refuses_says_so(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            await self.settle(peer, port)
            with pytest.raises(WriteRefused, match="carries no set-points"):
                await driver.write(Write(row=peer.command, value=peer.command_values[0]))

        self.play(story)

    def test_a_write_without_an_answer_is_lost(self) -> None:
        pytest.skip("C37.118 has no writes")

    def test_a_write_to_a_lost_device_fails_at_once(self) -> None:
        async def story(peer: DevicePeer, driver: FieldDriver, port: RecordingPort) -> None:
            with pytest.raises(WriteRefused):
                await asyncio.wait_for(driver.write(Write(row=peer.command, value=1.0)), 5)

        self.play(story, up=False)


class TestPmuTcp(PmuSuite):
    def peer(self) -> DevicePeer:
        return PmuPeer()


class TestPmuUdp(PmuSuite):
    def peer(self) -> DevicePeer:
        return UdpPeer()


class TestPmuUnasked(PmuSuite):
    def peer(self) -> DevicePeer:
        return UnaskedPeer()
