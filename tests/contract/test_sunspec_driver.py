"""The SunSpec driver under the suite of all field drivers."""

from __future__ import annotations

from gateway.contracts import FieldDriver
from protocols.sunspec.driver import SunSpecDriver
from protocols.sunspec.simulator import SunSpecSimulator
from tests.contract.driver_suite import DevicePeer, DriverSuite
from tests.contract.test_drivers import ModbusPeer
from tests.kit.modbuskit import at
from tests.kit.recordingport import RecordingPort
from tests.kit.sunspeckit import line

_MAP = """
point,kind,model,field,scale,enable,revert_s
power,analog,103,W,0.5,,
energy,counter,103,WH,,,
voltage,analog,160,module[1].DCV,,,
limit,setpoint,123,WMaxLimPct,,,
connect,control,123,Conn,,,
"""


class SunSpecPeer(ModbusPeer):
    """An inverter played by the package's simulator."""

    device = "inv"
    command_values = (12.5, 3.0)

    def __init__(self) -> None:
        plan = line(_MAP, url=f"{self.scheme}://127.0.0.1:0", scan_ms=20, timeout_ms=200, reconnect_max_s=0.5)
        self.measured = [0, 1, 2]
        self._plan = plan
        self._simulator = SunSpecSimulator(plan)

    def driver(self, port: RecordingPort) -> FieldDriver:
        return SunSpecDriver(at(self._plan, self._simulator.url), port)


class SunSpecRtuOverTcpPeer(SunSpecPeer):
    """The same inverter behind a transparent serial server."""

    scheme = "rtuovertcp"


class TestSunSpecTcp(DriverSuite):
    def peer(self) -> DevicePeer:
        return SunSpecPeer()


class TestSunSpecRtuOverTcp(DriverSuite):
    def peer(self) -> DevicePeer:
        return SunSpecRtuOverTcpPeer()
