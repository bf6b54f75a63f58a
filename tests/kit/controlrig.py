"""A core with control on a small site, and a scripted device behind it: no sockets, one loop, real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gateway.commands import LOCAL_SERVER
from gateway.contracts.command import Action, Command, Origin, Outcome, Stage
from gateway.contracts.driver import Write, WriteLost
from gateway.core import Core
from gateway.points.model import NO_ROW
from gateway.points.quality import Quality
from gateway.site.plan import SitePlan
from tests.kit.feedkit import QuietLog
from tests.kit.sitekit import Site

MATRIX = """\
name,when,delay_ms,vote,then,latch,reset,priority,message
estop,bess1/pcs/estop == 1,0,,stop bess1; block bess1,yes,field+hmi,critical,Emergency stop pressed
overtemp_trip,bess1/bms/cell_temp_max > 60,50,,stop bess1; block bess1,yes,hmi,critical,Cell over-temperature
overtemp_derate,bess1/bms/cell_temp_max > 55,20,,limit bess1 50%,no,auto,high,Cell temperature high: derated
overvoltage,bess1/bms/cell_voltage_max > 3.65,20,,stop bess1; block bess1,yes,hmi,critical,Cell over-voltage
bms_lost,quality(bess1/bms/soc) != good,300,,ramp bess1 0,no,auto,high,BMS values not topical
cabinet_hot,bess1/pcs/temp_a > 70; bess1/pcs/temp_b > 70; bess1/pcs/temp_c > 70,100,2oo3,stop bess1,yes,hmi,critical,Hot
"""
"""The rows of the example site; the delays are shorter."""

_PCS = """\
point,kind,address,unit,low,high,feedback,feedback_s
power,analog,0,kW,-1200,1200,,
estop,binary,1,,,,,
local,binary,2,,,,,
running,binary,3,,,,,
temp_a,analog,4,degC,,,,
temp_b,analog,5,degC,,,,
temp_c,analog,6,degC,,,,
setpoint,setpoint,7,kW,-1000,1000,power,1
run,control,8,,,,running,1
heartbeat,setpoint,9,,0,65535,,
fan,control,10,,,,,
"""
_BMS = "point,kind,address,unit\nsoc,analog,0,%\ncell_temp_max,analog,1,degC\ncell_voltage_max,analog,2,V\n"
_SITE = """\
site: hilltop
devices:
  - {name: pcs1, driver: bench, url: a, map: maps/pcs.csv, prefix: bess1/pcs}
  - {name: bms1, driver: bench, url: b, map: maps/bms.csv, prefix: bess1/bms}
servers:
  - name: sldc
    protocol: relay
    listen: 127.0.0.1:2404
    masters: [{name: main, addresses: [127.0.0.1], map: maps/sldc.csv, commands: true}]
control:
  local_remote: {point: bess1/pcs/local, remote_when: 0}
  interlocks: interlocks.csv
  start_grace_s: 0.3
  units:
    - {unit: bess1, setpoint: bess1/pcs/setpoint, ramp_kw_per_s: 20000, soc: bess1/bms/soc, soc_limits: [20, 95]}
"""
HEALTHY = {
    **{"bess1/pcs/estop": 0.0, "bess1/pcs/local": 0.0, "bess1/pcs/running": 1.0, "bess1/pcs/run": 1.0},
    **{"bess1/pcs/temp_a": 30.0, "bess1/pcs/temp_b": 30.0, "bess1/pcs/temp_c": 30.0},
    **{"bess1/pcs/power": 200.0, "bess1/pcs/setpoint": 200.0},
    **{"bess1/bms/soc": 60.0, "bess1/bms/cell_temp_max": 30.0, "bess1/bms/cell_voltage_max": 3.3},
}


def control_plan(site: Site, matrix: str = MATRIX, more: str = "") -> SitePlan:
    """The small site's plan; `more` goes into its unit."""
    site.write("maps/pcs.csv", _PCS)
    site.write("maps/bms.csv", _BMS)
    site.write("maps/sldc.csv", "point,index\nbess1/pcs/setpoint,1\nbess1/pcs/run,2\nsystem/control/stop_all,3\n")
    site.write("interlocks.csv", matrix)
    site.write("site.yaml", _SITE.replace("[20, 95]}", f"[20, 95]{more}}}"))
    return site.load()


class Device:
    """The PCS: takes what is written, and shows it at once. `lost`: it does not answer."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.written: list[tuple[str, float]] = []
        self.lost = False
        self.slow_s = 0.0

    async def write(self, write: Write) -> None:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.lost:
            raise WriteLost("no answer")
        name = self._rig.name(write.row)
        self.written.append((name.rpartition("/")[2], write.value))
        shown = {name: write.value}
        match name.rpartition("/")[2]:
            case "setpoint":
                shown["bess1/pcs/power"] = write.value
            case "run":
                shown["bess1/pcs/running"] = write.value
        self._rig.show(**{key.replace("/", "__"): value for key, value in shown.items()})

    def counters(self) -> dict[str, dict[str, int]]:
        return {}


class Rig:
    """One life of the core. `show` is what the devices report."""

    def __init__(self, plan: SitePlan, folder: Path) -> None:
        self.plan, self.log = plan, QuietLog()
        plan.state_dir = folder
        self.core = Core(plan, self.log)
        self.device = Device(self)
        self.core._drivers = [self.device for _ in plan.drivers]  # type: ignore[misc]
        self._number = 0

    async def __aenter__(self) -> Rig:
        self.core.audit.start()
        self.core.alarms.start()
        assert self.core.control is not None
        self.core.control.start()
        self._scan = asyncio.create_task(self._scanning())
        return self

    async def _scanning(self) -> None:
        """The device is read again and again; what it shows does not change by it."""
        rows = np.array([self.row("bess1/pcs/power"), self.row("bess1/pcs/running")], np.uint32)
        table = self.core.table
        while True:
            await asyncio.sleep(0.02)
            self.core.publish(rows, table.value[rows], table.quality[rows], time.time_ns())

    async def __aexit__(self, *_: object) -> None:
        self._scan.cancel()
        await self.core.stop()

    def name(self, row: int) -> str:
        return self.plan.catalogue.names[row]

    def row(self, name: str) -> int:
        return self.plan.catalogue.rows[name]

    def show(self, **points: float | Quality) -> None:
        """Values, or a quality that takes a point out of use; ``/`` is written ``__``."""
        for key, value in points.items():
            row = np.array([self.row(key.replace("__", "/"))], np.uint32)
            if isinstance(value, Quality):
                self.core.spread(self.core.table.degrade(row, int(value)))
            else:
                self.core.publish(row, np.array([value]), np.zeros(1, np.uint32), time.time_ns())

    def healthy(self) -> None:
        self.show(**{name.replace("/", "__"): value for name, value in HEALTHY.items()})

    def value(self, name: str) -> float:
        return float(self.core.table.value[self.row(name)])

    async def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited in vain for: {what}"
            await asyncio.sleep(0.005)

    async def cycles(self, count: int = 3) -> None:
        """So many more cycles."""
        assert self.core.control is not None
        counters = self.core.control.counters
        goal = counters.cycles + count
        await self.until(lambda: counters.cycles >= goal, f"{count} cycles")

    async def command(self, name: str, value: float, master: str = "main", deadline_s: float = 5.0) -> Outcome:
        """A master's command (or a person's: master ``asha``) and its final word."""
        server = LOCAL_SERVER if master == "asha" else "sldc"
        return await self._sent(server, master, deadline_s, row=self.row(name), value=value, action=Action.EXECUTE)

    async def act(self, action: Action, subject: str = "", value: float = 0.0, text: str = "") -> Outcome:
        """A person's action on an interlock."""
        facts = {"row": NO_ROW, "value": value, "action": action, "subject": subject, "text": text}
        return await self._sent(LOCAL_SERVER, "asha", 5.0, **facts)

    async def _sent(self, server: str, master: str, deadline_s: float, **facts: Any) -> Outcome:
        self._number += 1
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        now_ns = time.time_ns()
        origin = Origin(protocol="test", server=server, master=master)
        command = Command(id=self._number, origin=origin, deadline_ns=now_ns + int(deadline_s * 1e9), **facts)
        self.core.submit(server, command, lambda said: done.set_result(said) if said.stage.final else None)
        return await done

    async def done(self, action: Action, subject: str = "", value: float = 0.0, text: str = "") -> None:
        outcome = await self.act(action, subject, value, text)
        assert outcome.stage is Stage.COMPLETED, outcome.text
