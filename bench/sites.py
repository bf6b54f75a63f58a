"""Writes sites of any size: N devices of M points, one IEC 104 server with one master that gets all of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROBE_IOA = 1
"""Point of register 0 of the first device."""
SETPOINT_IOA = 16_000_001
SETPOINT_REGISTER = 0
"""In the holding registers of the last device."""

SITE = """\
site: bench
state_dir: {state}
devices:
{devices}
servers:
  - name: sldc
    protocol: iec104
    listen: 127.0.0.1:{port}
    masters:
      - name: bench
        addresses: [127.0.0.1]
        map: master.csv
        commands: true
"""
DEVICE = """\
  - {{name: dev{number}, driver: modbus, url: "tcp://127.0.0.1:{port}", unit: 1, map: device{variant}.csv,
     prefix: dev{number}, scan_ms: {scan_ms}, timeout_ms: 2000}}
"""


@dataclass(frozen=True, slots=True)
class BenchSite:
    """A written site: its file, the port of its IEC 104 server, and how many points an interrogation must bring."""

    path: Path
    port: int
    points: int


def write(
    folder: Path, device_ports: Sequence[int], points: int, *, port: int, scan_ms: int = 1000, setpoint: bool = False
) -> BenchSite:
    """A site of ``len(device_ports)`` devices with `points` input registers each; the last one takes a set-point."""
    last = len(device_ports) - 1
    _device_map(folder / "device.csv", points, setpoint=False)
    _device_map(folder / "device_setpoint.csv", points, setpoint=True)
    _master_map(folder / "master.csv", len(device_ports), points, setpoint=setpoint)
    devices = "".join(
        DEVICE.format(
            number=number, port=at, scan_ms=scan_ms, variant="_setpoint" if setpoint and number == last else ""
        )
        for number, at in enumerate(device_ports)
    )
    site = folder / "site.yaml"
    site.write_text(SITE.format(state=json.dumps(str(folder / "var")), devices=devices.rstrip(), port=port))
    return BenchSite(site, port, len(device_ports) * points)


def _device_map(path: Path, points: int, *, setpoint: bool) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["point", "kind", "table", "address", "type", "low", "high"])
        rows.writerows([f"p{number}", "analog", "input", number, "uint16", "", ""] for number in range(points))
        if setpoint:
            rows.writerow(["setpoint", "setpoint", "holding", SETPOINT_REGISTER, "int16", -30_000, 30_000])


def _master_map(path: Path, devices: int, points: int, *, setpoint: bool) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["point", "ca", "ioa", "type", "mode"])
        rows.writerows(
            [f"dev{device}/p{number}", 1, PROBE_IOA + device * points + number, "M_ME_TF_1", ""]
            for device in range(devices)
            for number in range(points)
        )
        if setpoint:
            rows.writerow([f"dev{devices - 1}/setpoint", 1, SETPOINT_IOA, "C_SE_NC_1", "direct"])
