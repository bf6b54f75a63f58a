"""The driver of outstations under the suite of every field driver: polled and unsolicited, direct and select."""

from __future__ import annotations

import numpy as np

from gateway.contracts import FieldDriver
from protocols.dnp3.field.driver import OutstationDriver
from protocols.dnp3.field.simulator import OutstationSimulator
from tests.contract.driver_suite import DevicePeer, DriverSuite
from tests.kit.dnp3fieldkit import at, line, source
from tests.kit.recordingport import RecordingPort

_MAP = """
point,kind,type,index,scale,mode
power,analog,AI,0,0.5,
energy,counter,CTR,7,,
tap,analog,AI,1,,
level,analog,AI,300,,
setpoint,setpoint,AO,1,0.5,MODE
"""


class OutstationPeer(DevicePeer):
    """An outstation, played by the package's simulator."""

    device = "rtu1"
    rows = 5
    command = 4
    command_values = (12.5, -3.0)
    mode = "direct"
    unsolicited = False

    def __init__(self) -> None:
        quick = {"response_timeout_s": 0.2, "retries": 1, "command_timeout_s": 0.5, "reconnect_max_s": 0.5}
        polls = {"event_poll_s": 0 if self.unsolicited else 0.05, "integrity_s": 0.3, "unsolicited": self.unsolicited}
        self.measured = [0, 1, 2, 3]
        self._plan = line(source(_MAP.replace("MODE", self.mode), **quick, **polls))
        self._simulator = OutstationSimulator(self._plan)

    async def start(self) -> None:
        await self._simulator.start()

    async def stop(self) -> None:
        await self._simulator.stop()

    def driver(self, port: RecordingPort) -> FieldDriver:
        return OutstationDriver(at(self._plan, self._simulator.address), port)

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
        self._simulator.faults.refuse = on

    def written(self) -> list[tuple[int, float]]:
        return self._simulator.written()


class UnsolicitedPeer(OutstationPeer):
    """The same, telling changes by itself; outputs are selected first."""

    mode = "select"
    unsolicited = True


class OutstationSuite(DriverSuite):
    grain_ns = 1_000_000


class TestPolled(OutstationSuite):
    def peer(self) -> DevicePeer:
        return OutstationPeer()


class TestUnsolicited(OutstationSuite):
    def peer(self) -> DevicePeer:
        return UnsolicitedPeer()
