"""Every field driver under the one suite."""

from __future__ import annotations

import numpy as np

from gateway.contracts import FieldDriver
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.simulator import ModbusSimulator
from tests.contract.driver_suite import DevicePeer, DriverSuite
from tests.kit.modbuskit import at, line
from tests.kit.recordingport import RecordingPort

_MAP = """
point,kind,table,address,type,order,bit,scale
power,analog,input,0,int16,,,0.5
energy,counter,input,40,uint32,CDAB,,
temperature,analog,holding,4,float32,,,
setpoint,setpoint,holding,100,int16,,,0.1
run,control,coil,3,bit,,,
"""


class ModbusPeer(DevicePeer):
    """A Modbus TCP device played by the package's simulator."""

    device = "dev"
    rows = 5
    command = 3
    command_values = (12.5, -3.0)
    scheme = "tcp"

    def __init__(self) -> None:
        plan = line(_MAP, url=f"{self.scheme}://127.0.0.1:0", scan_ms=20, timeout_ms=200, reconnect_max_s=0.5)
        self.measured = [0, 1, 2]
        self._plan = plan
        self._simulator = ModbusSimulator(plan)

    async def start(self) -> None:
        await self._simulator.start()

    async def stop(self) -> None:
        await self._simulator.stop()

    def driver(self, port: RecordingPort) -> FieldDriver:
        return ModbusDriver(at(self._plan, self._simulator.url), port)

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
        self._simulator.faults.exception_functions = {6: 4, 16: 4} if on else {}

    def written(self) -> list[tuple[int, float]]:
        return self._simulator.written()


class ModbusRtuOverTcpPeer(ModbusPeer):
    """The same device behind a transparent serial server: RTU frames, no transaction numbers."""

    scheme = "rtuovertcp"


class TestModbusTcp(DriverSuite):
    def peer(self) -> DevicePeer:
        return ModbusPeer()


class TestModbusRtuOverTcp(DriverSuite):
    def peer(self) -> DevicePeer:
        return ModbusRtuOverTcpPeer()
