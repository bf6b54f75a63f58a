"""One hung device of every protocol beside a healthy one, all in one core: the healthy one does not notice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway import registry
from gateway.config import load_site
from gateway.core import Core
from gateway.points import Quality
from protocols.modbus.simulator import ModbusSimulator
from tests.kit.ports import free_ports
from tests.kit.recordingport import RecordingLog, until

PATIENCE_S = 3
"""Of every driver with its hung device: a driver that blocks the loop blocks it for so long."""
DBC = 'VERSION ""\nNS_ :\nBS_:\nBU_: BMS GW\nBO_ 256 Pack: 8 BMS\n SG_ Voltage : 0|16@1+ (1,0) [0|0] "V" GW\n'

HUNG = {
    # protocol: its keys, its map
    "modbus": (
        f"url: 'tcp://127.0.0.1:{{port}}', timeout_ms: {PATIENCE_S}000, retries: 0",
        "point,kind,table,address,type\np,analog,input,0,int16\n",
    ),
    "sunspec": (
        f"url: 'tcp://127.0.0.1:{{port}}', timeout_ms: {PATIENCE_S}000, retries: 0",
        "point,kind,model,field\np,analog,103,W\n",
    ),
    "c37118": (
        f"url: 'tcp://127.0.0.1:{{port}}', id: 1, timeout_ms: {PATIENCE_S}000",
        "point,kind,channel\np,analog,FREQ\n",
    ),
    "iec104": (
        f"url: 'tcp://127.0.0.1:{{port}}', apci: {{{{t1_s: {PATIENCE_S}, t2_s: 1}}}}",
        "point,kind,ca,ioa,type\np,analog,1,1,M_ME_TF_1\n",
    ),
    "can": (
        "interface: slcan, channel: '{tty}', dbc: test.dbc, options: {{sleep_after_open: 0.0}}, "
        f"silent_ms: {PATIENCE_S}000",
        "point,kind,message,signal\np,analog,Pack,Voltage\n",
    ),
    "mqtt": (
        f"url: 'mqtt://127.0.0.1:{{port}}', topic: plant, timeout_ms: {PATIENCE_S}000",
        "point,kind,json\np,analog,p\n",
    ),
}


@contextlib.contextmanager
def silence() -> Iterator[tuple[int, str]]:
    """A TCP port that takes connections and a serial line that takes characters; neither ever says a word."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        try:
            yield listener.getsockname()[1], os.ttyname(theirs)
        finally:
            os.close(ours)
            os.close(theirs)


def site(folder: Path, healthy: int, hung: int, line: str) -> Path:
    lines = [
        f"site: neighbours\nstate_dir: {folder / 'state'}\ndevices:",
        "  - {name: healthy, driver: modbus, map: healthy.csv, prefix: h, scan_ms: 20, "
        f"url: 'tcp://127.0.0.1:{healthy}'}}",
    ]
    (folder / "healthy.csv").write_text("point,kind,table,address,type\np,analog,input,0,int16\n")
    (folder / "test.dbc").write_text(DBC)
    for name, (keys, rows) in HUNG.items():
        (folder / f"{name}.csv").write_text(rows)
        filled = keys.format(port=hung, tty=line)
        lines.append(f"  - {{name: {name}1, driver: {name}, {filled}, map: {name}.csv, prefix: {name}}}")
    path = folder / "site.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.skipif(not set(HUNG) <= set(registry.field_names()), reason="a driver of this list is not installed")
def test_no_driver_slows_another(tmp_path: Path) -> None:
    async def scene(hung: int, line: str) -> None:
        (port,) = free_ports(1)
        plan = load_site(site(tmp_path, port, hung, line))
        healthy = next(driver for _, driver in plan.drivers if driver.devices == ["healthy"])
        simulator = ModbusSimulator(healthy)
        await simulator.start()
        core = Core(plan, RecordingLog())
        row = plan.catalogue.rows["h/p"]
        others = [plan.catalogue.rows[f"{name}/p"] for name in HUNG]
        await core.start()
        try:
            longest_s, seen_at, shown = 0.0, time.monotonic(), 0.0
            await until(lambda: core.table.quality[row] == 0, "the healthy device")
            begun = seen_at = time.monotonic()
            end = begun + 2 * PATIENCE_S
            while time.monotonic() < end or not lost(core, others):
                assert time.monotonic() < begun + 20 * PATIENCE_S, f"not lost: {core.table.quality[others]}"
                if core.table.value[row] == shown:
                    longest_s, seen_at = max(longest_s, time.monotonic() - seen_at), time.monotonic()
                    shown += 1.0
                    simulator.set(np.array([row], np.uint32), np.array([shown]))
                await asyncio.sleep(0.002)
            longest_s = max(longest_s, time.monotonic() - seen_at)
            assert longest_s < 0.9 * PATIENCE_S, "somebody held up the loop for as long as its own device is silent"
            assert shown > 20
        finally:
            await core.stop()
            await simulator.stop()

    def lost(core: Core, rows: list[int]) -> bool:
        return bool((core.table.quality[rows] & int(Quality.COMM_LOST) != 0).all())

    with silence() as (hung, line):
        asyncio.run(scene(hung, line))
