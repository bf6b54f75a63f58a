"""The RTU driver under the suite of every field driver: commanded directly, and by select and execute."""

from __future__ import annotations

import numpy as np

from gateway.contracts import FieldDriver
from protocols.iec104.field.driver import RtuDriver
from protocols.iec104.field.simulator import RtuSimulator
from tests.contract.driver_suite import DevicePeer, DriverSuite
from tests.kit.recordingport import RecordingPort
from tests.kit.rtukit import QUICK, at, rtu

_MAP = """
point,kind,ca,ioa,type,scale,low,high,mode
power,analog,1,4001,M_ME_TF_1,0.5,,,
energy,counter,1,5001,M_IT_TB_1,,,,
tap,analog,2,300,M_ST_NA_1,,,,
level,analog,2,301,M_ME_NB_1,,,,
setpoint,setpoint,1,7001,C_SE_NC_1,0.5,,,MODE
"""


class RtuPeer(DevicePeer):
    """An RTU with two common addresses, played by the package's simulator."""

    device = "rtu1"
    rows = 5
    command = 4
    command_values = (12.5, -3.0)
    mode = "direct"

    def __init__(self) -> None:
        text = _MAP.replace("MODE", self.mode)
        keys = {"untimed": "trusted", "reconnect_max_s": 0.5, "command_timeout_s": 0.5, "counter_s": 0.1}
        self.measured = [0, 1, 2, 3]
        self._plan = rtu(text, apci=QUICK, **keys)
        self._simulator = RtuSimulator(self._plan)

    async def start(self) -> None:
        await self._simulator.start()

    async def stop(self) -> None:
        await self._simulator.stop()

    def driver(self, port: RecordingPort) -> FieldDriver:
        return RtuDriver(at(self._plan, *self._simulator.addresses), port)

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


class SelectPeer(RtuPeer):
    """The same, selected before it is operated."""

    mode = "select"


class RtuSuite(DriverSuite):
    grain_ns = 1_000_000


class TestRtu(RtuSuite):
    def peer(self) -> DevicePeer:
        return RtuPeer()


class TestRtuSelect(RtuSuite):
    def peer(self) -> DevicePeer:
        return SelectPeer()
