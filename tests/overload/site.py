"""The site of an overload: flooded devices, two units under control, masters that keep up and masters that do not."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.kit.ports import free_ports

HEALTHY, SLOW, AWAY, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.99"
AUX_IOA, BASE_IOA = 900_001, 900_002
"""Set-points: one that only the device has, and the one to which the droop of the first unit adds."""
SYSTEM_IOA: Final = 800_001
REGISTERS: Final = 1000
"""Of a flooded device, at most."""
REFUSING: Final = ("sldc", "rldc", "ua")
"""Servers that count whom they turn away."""
SYSTEM_POINTS: Final = (
    *(f"system/control/{name}" for name in ("jitter_us", "cycle_us", "cycles", "overruns")),
    *(f"system/interlock/{name}/tripped" for name in ("watchdog", "estop1", "estop2")),
    *(
        f"system/master/{master}/{name}"
        for master in ("sldc/main", "sldc/slow", "sldc/away", "rldc/main", "rldc/away")
        for name in ("online", "events_waiting", "events_lost", "overflow")
    ),
    *(f"system/server/{server}/refused" for server in REFUSING),
)
"""What the master that keeps up is told of the gateway itself."""

_SITE: Final = """\
site: overload
state_dir: {state}
devices:
{devices}
  - {{name: pcs1, driver: modbus, url: "tcp://127.0.0.1:{unit1}", unit: 1, map: unit.csv, prefix: bess1, scan_ms: 50}}
  - {{name: pcs2, driver: modbus, url: "tcp://127.0.0.1:{unit2}", unit: 1, map: unit.csv, prefix: bess2, scan_ms: 50}}
  - {{name: pmu, driver: c37118, url: "tcp://127.0.0.1:{pmu}", id: 1, map: pmu.csv, prefix: pmu}}
servers:
  - name: sldc
    protocol: iec104
    listen: 127.0.0.1:{iec104}
    masters:
      - {{name: main, addresses: [{healthy}], map: main.csv, commands: true}}
      - {{name: slow, addresses: [{slow}], map: slow.csv, events: {{capacity: {capacity}}}}}
      - {{name: away, addresses: [{away}], map: away.csv, events: {{capacity: {capacity}}}}}
  - name: rldc
    protocol: dnp3
    listen: 127.0.0.1:{dnp3}
    outstation: 10
    masters:
      - {{name: main, address: 1, addresses: [{healthy}], map: dnp3.csv, unsolicited: {{classes: [1]}}}}
      - {{name: away, address: 2, addresses: [{away}], map: dnp3.csv, events: {{capacity: {capacity}}}}}
  - {{name: ua, protocol: opcua, listen: "opc.tcp://127.0.0.1:{opcua}", allow_none: true, anonymous: true}}
hmi: {{listen: "127.0.0.1:{hmi}", addresses: [127.0.0.0/29]}}
control:
  interlocks: interlocks.csv
  units:
    - {{unit: bess1, setpoint: bess1/setpoint, rated_kw: 1000, limits_kw: [-1000, 1000]}}
    - {{unit: bess2, setpoint: bess2/setpoint, rated_kw: 1000, limits_kw: [-1000, 1000]}}
  droop: [{{unit: bess1, frequency: [pmu/frequency], blend_s: 0, capacity_kwh: 2000}}]
"""
_DEVICE: Final = """\
  - {{name: dev{number}, driver: modbus, url: "tcp://127.0.0.1:{port}", unit: 1, map: device.csv, prefix: dev{number},
     scan_ms: {scan_ms}, timeout_ms: 10000}}"""
_UNIT: Final = """\
point,kind,table,address,type,unit,low,high,feedback
power,analog,input,0,int16,kW,-1000,1000,
estop,binary,discrete,0,bit,,,,
running,binary,discrete,1,bit,,,,
setpoint,setpoint,holding,0,int16,kW,-1000,1000,
aux,setpoint,holding,1,int16,,-30000,30000,
run,control,coil,0,bit,,,,running
"""
_INTERLOCKS: Final = """\
name,when,delay_ms,vote,then,latch,reset
estop1,bess1/estop == 1,0,,stop bess1,no,auto
estop2,bess2/estop == 1,0,,stop bess2,no,auto
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    devices: int = 50
    registers: int = REGISTERS
    scan_ms: int = 1000
    dnp3_points: int = 2000
    capacity: int = 5000
    connections: int = 1000

    @property
    def points(self) -> int:
        """Flooded points."""
        return self.devices * self.registers

    @property
    def changes_per_s(self) -> float:
        """What the flood brings when every scan is in time: each read changes everything that it reads."""
        return self.points * 1000.0 / self.scan_ms


@dataclass(frozen=True, slots=True)
class OverloadSite:
    """A written site and its ports; `save` and `load` hand it to the other processes."""

    folder: str
    scale: Scale
    flood: list[int]
    """Ports of the flooded devices."""
    iec104: int
    dnp3: int
    opcua: int
    hmi: int
    pmu: int
    unit1: int
    unit2: int

    @property
    def path(self) -> Path:
        return Path(self.folder) / "site.yaml"

    def save(self) -> Path:
        """As a file; returns where."""
        path = Path(self.folder) / "overload.json"
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def load(cls, path: str) -> OverloadSite:
        told = json.loads(Path(path).read_text())
        return cls(**(told | {"scale": Scale(**told["scale"])}))

    @property
    def dnp3_points(self) -> int:
        """The first so many flooded points."""
        return min(self.scale.dnp3_points, self.scale.points)

    def flooded(self) -> list[str]:
        """Names, in the order of their addresses."""
        return [f"dev{d}/p{r}" for d in range(self.scale.devices) for r in range(self.scale.registers)]


def write(folder: Path, scale: Scale) -> OverloadSite:
    """The site's files; nothing runs yet."""
    iec104, dnp3, opcua, hmi, pmu, unit1, unit2, *flood = free_ports(7 + scale.devices)
    site = OverloadSite(str(folder), scale, flood, iec104, dnp3, opcua, hmi, pmu, unit1, unit2)
    devices = "\n".join(
        _DEVICE.format(number=number, port=port, scan_ms=scale.scan_ms) for number, port in enumerate(flood)
    )
    ports = {name: getattr(site, name) for name in ("iec104", "dnp3", "opcua", "hmi", "pmu", "unit1", "unit2")}
    places = {"healthy": HEALTHY, "slow": SLOW, "away": AWAY, "capacity": scale.capacity}
    site.path.write_text(_SITE.format(devices=devices, state=json.dumps(str(folder / "state")), **ports, **places))
    (folder / "unit.csv").write_text(_UNIT)
    (folder / "interlocks.csv").write_text(_INTERLOCKS)
    (folder / "pmu.csv").write_text("point,kind,pmu,channel,unit,low,high\nfrequency,analog,1,FREQ,Hz,40,60\n")
    rows = [[f"p{number}", "analog", "input", number, "uint16"] for number in range(scale.registers)]
    _table(folder / "device.csv", ["point", "kind", "table", "address", "type"], rows)
    _maps(folder, site)
    site.save()
    return site


def _maps(folder: Path, site: OverloadSite) -> None:
    heading = ["point", "ca", "ioa", "type", "mode"]
    commands = [
        [name, 1, ioa, "C_SE_NC_1", "direct"] for name, ioa in (("bess2/aux", AUX_IOA), ("bess1/setpoint", BASE_IOA))
    ]
    flooded = [[name, 1, 1 + at, "M_ME_TF_1", ""] for at, name in enumerate(site.flooded())]
    system = [[name, 1, SYSTEM_IOA + at, _type(name), ""] for at, name in enumerate(SYSTEM_POINTS)]
    _table(folder / "main.csv", heading, [*flooded, *system, *commands])
    for master in ("slow", "away"):
        own = [row for row in system if str(row[0]).startswith(f"system/master/sldc/{master}/")]
        _table(folder / f"{master}.csv", heading, [*flooded, *own])
    indexed = [[name, "AI", at, 1, "g30v5", "g32v7"] for at, name in enumerate(site.flooded()[: site.dnp3_points])]
    _table(folder / "dnp3.csv", ["point", "type", "index", "class", "static", "event"], indexed)


def _type(name: str) -> str:
    return "M_SP_TB_1" if name.endswith(("/tripped", "/online", "/overflow")) else "M_ME_TF_1"


def _table(path: Path, heading: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heading, *rows])
