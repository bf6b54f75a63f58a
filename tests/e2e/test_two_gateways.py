"""A gateway behind a gateway: what the second one's master hears is what the first one's device said, and when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.iec104.time56 import Zone, decode
from tests.kit.gateway import ENVIRONMENT, DemoSite, wait_until
from tests.kit.ports import free_ports
from tests.peers.raw104 import Frame, Raw104, asdu

DEVICE_MAP = """\
point,kind,ca,ioa,type,unit,low,high,feedback,feedback_tolerance,feedback_s
estop,binary,1,1002,M_SP_TB_1,,,,,,
breaker,double,1,2001,M_DP_TB_1,,,,,,
power,analog,1,4001,M_ME_TF_1,kW,,,,,
voltage,analog,1,4102,M_ME_TF_1,kV,,,,,
setpoint,setpoint,1,7001,C_SE_NC_1,kW,-1000,1000,power,20,10
"""
MASTER_MAP = """\
point,ca,ioa,type,deadband
ss1/estop,9,1,M_SP_TB_1,
ss1/breaker,9,2,M_DP_TB_1,
ss1/power,9,3,M_ME_TF_1,5
ss1/voltage,9,4,M_ME_TF_1,0.1
ss1/setpoint,9,5,C_SE_NC_1,
"""
SITE = """\
site: aggregator
state_dir: state2
devices:
  - {{name: rtu1, driver: iec104, url: "tcp://127.0.0.1:{port}", map: rtu.csv, prefix: ss1}}
servers:
  - name: rldc
    protocol: iec104
    listen: 127.0.0.1:{own}
    masters: [{{name: main, addresses: [127.0.0.1], map: master.csv, commands: true}}]
"""
ESTOP, VOLTAGE, SETPOINT = 1, 4, 5


class Second:
    """The gateway that reads the first one."""

    def __init__(self, folder: Path, port: int) -> None:
        (self.port,) = free_ports(1)
        self.site = folder / "second.yaml"
        self.site.write_text(SITE.format(port=port, own=self.port))
        (folder / "rtu.csv").write_text(DEVICE_MAP)
        (folder / "master.csv").write_text(MASTER_MAP)
        self.log = folder / "second.log"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", str(self.site)], stdout=log, stderr=log, env=ENVIRONMENT
            )
        try:
            wait_until(lambda: "gateway serves" in self.log.read_text(), "the second gateway", 60.0)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def point(self, name: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "gateway", "points", str(self.site), name, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
        return found


async def event(master: Raw104, type_id: int, ioa: int, size: int) -> tuple[bytes, Frame]:
    """The next event of this object."""
    while True:
        frame = await master.hear_i(20.0)
        await master.acknowledge()
        if frame.type_id == type_id:
            for at, element in frame.objects(size):
                if at == ioa:
                    return element, frame


def tagged_ns(element: bytes) -> int:
    """Source time of an element; fails when its tag says invalid."""
    times, invalid = decode(np.frombuffer(element[-7:], np.uint8).reshape(1, 7), Zone())
    assert not invalid[0]
    return int(times[0])


def ms(time_ns: int) -> int:
    return time_ns // 1_000_000


@pytest.mark.timeout(300)
def test_quality_time_and_commands_pass_through_two_gateways(tmp_path: Path) -> None:
    with DemoSite(tmp_path) as first:
        first.start_simulator()
        first.start()
        second = Second(tmp_path, first.port)
        with second.running():
            wait_until(lambda: second.point("ss1/breaker")["value"] == 2.0, "the breaker by interrogation")
            asyncio.run(_conversation(first, second))


def reset_after_estop(site: DemoSite) -> None:
    """The latched trip: acknowledged, then reset once the field says that its cause is gone."""
    wait_until(lambda: site.cli("interlocks", "ack", "estop").returncode == 0, "the acknowledgement")
    wait_until(lambda: site.cli("interlocks", "reset", "estop").returncode == 0, "the reset", 60)


async def _conversation(first: DemoSite, second: Second) -> None:
    master = await Raw104.connect(second.port)
    await master.start()
    # An event of the device, with its time.
    first.order("estop on")
    element, frame = await event(master, 30, ESTOP, 8)
    while not element[0] & 0x01:  # what it was told of the time before
        element, frame = await event(master, 30, ESTOP, 8)
    origin = await asyncio.to_thread(first.point, "bess1/pcs/estop")
    between = await asyncio.to_thread(second.point, "ss1/estop")
    assert element[0] == 0x01 and frame.cause == 3
    assert tagged_ns(element) == between["time_ns"] == ms(origin["time_ns"]) * 1_000_000
    assert between["quality"] == "good"
    # A person forces the point at the first gateway: substituted at the second one's master.
    done = await asyncio.to_thread(first.cli, "force", "poi/voltage", "31.5")
    assert done.returncode == 0, done.stderr
    element, _ = await event(master, 36, VOLTAGE, 12)
    while element[4] != 0x20:
        element, _ = await event(master, 36, VOLTAGE, 12)
    origin = await asyncio.to_thread(first.point, "poi/voltage")
    assert np.frombuffer(element[:4], "<f4")[0] == np.float32(31.5)
    assert tagged_ns(element) == ms(origin["time_ns"]) * 1_000_000
    await asyncio.to_thread(first.cli, "release", "poi/voltage")
    # The meter goes: the second gateway's master hears invalid and not topical, with the last value and its time.
    first.order("unplug meter")
    while element[4] != 0xC0:
        element, _ = await event(master, 36, VOLTAGE, 12)
    origin = await asyncio.to_thread(first.point, "poi/voltage")
    assert np.frombuffer(element[:4], "<f4")[0] == np.float32(origin["value"])
    assert tagged_ns(element) == ms(origin["time_ns"]) * 1_000_000
    # A set-point goes down through both, and its end comes back when the power has followed.
    first.order("estop off")
    await asyncio.to_thread(reset_after_estop, first)
    await asyncio.to_thread(first.cli, "command", "bess1/pcs/run", "1")
    answers = []
    await master.send(asdu(50, 6, 9, SETPOINT, "0000484300"))
    while len(answers) < 2:
        answer = await master.hear_i(20.0)
        await master.acknowledge()
        if answer.type_id == 50:
            answers.append((answer.cause, answer.negative))
    assert answers == [(7, False), (10, False)]
    assert (await asyncio.to_thread(first.point, "bess1/pcs/power_setpoint"))["value"] == 200.0
    await master.close()
