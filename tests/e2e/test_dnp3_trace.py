"""`gridgate trace` of a DNP3 master on a real gateway: points by name, and a capture that tshark likes."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateway import DemoSite, wait_until
from tests.peers.rawdnp3 import CLASSES, DIRECT, INTEGRITY, WRITE, RawDnp3


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoSite]:
    with DemoSite(tmp_path) as site:
        site.start_simulator()
        site.start()
        yield site
        print(site.log_path.read_text())


async def visit(port: int) -> str:
    """Integrity poll, restart bit cleared, a set-point, events; returns the status octet of the set-point."""
    master = await RawDnp3.connect(port)
    first = await master.hear()
    await master.confirm(first)
    await master.read(INTEGRITY)
    await master.ask(WRITE, "500100070700")
    answer = await master.ask(DIRECT, "29031701000000c8c300", timeout=20)
    heard = ""
    async with asyncio.timeout(20):
        while "2007" not in heard:
            heard += "".join(response.objects for response in await master.read(CLASSES))
    await master.close()
    return answer.objects[-2:]


def test_a_visit_is_told_with_points_by_name_and_the_capture_is_clean(demo: DemoSite) -> None:
    wait_until(lambda: demo.point("poi/frequency")["quality"] == "good", "a measured frequency")
    assert asyncio.run(visit(demo.dnp3_port)) == "00"

    told = demo.cli("trace", "rldc-main", "--full")
    assert told.returncode == 0, told.stderr
    for words in (
        "connected",
        "1 > 10 user data; segment",
        "read: g60v2 class 1 data; g60v3 class 2 data; g60v4 class 3 data; g60v1 class 0 data",
        "g1v2 0 bess1/pcs/fault off",
        "write: g80v1 7 off",
        "direct operate: g41v3 0 bess1/pcs/power_setpoint -400 kW\n",
        "g41v3 0 bess1/pcs/power_setpoint -400 kW SUCCESS\n",
        "g32v7 ",
        "closed by the master",
    ):
        assert words in told.stdout, f"{words}: {told.stdout}"
    assert "malformed" not in told.stdout

    lines = [json.loads(line) for line in demo.cli("trace", "rldc-main", "--json").stdout.splitlines()]
    assert {line["outgoing"] for line in lines} == {True, False}
    assert all(line["data"].startswith("0564") for line in lines)

    capture = demo.folder / "rldc.pcap"
    assert demo.cli("trace", "rldc-main", "--pcap", str(capture)).returncode == 0
    read_with_tshark(capture, demo.dnp3_port, len(lines))


def read_with_tshark(capture: Path, port: int, frames: int) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed: the capture was not read")
    assert tshark(capture, port, "_ws.malformed || _ws.expert.severity >= 0x600000") == []
    assert tshark(capture, port, "tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.flags") == []
    sources = tshark(capture, port, "dnp3", "-T", "fields", "-e", "dnp3.src")
    assert sum(len(line.split(",")) for line in sources) == frames
    codes = tshark(capture, port, "dnp3.al.func", "-T", "fields", "-e", "dnp3.al.func")
    assert {"0", "1", "2", "5", "129", "130"} <= {code for line in codes for code in line.split(",")}


def tshark(capture: Path, port: int, chosen: str, *arguments: str) -> list[str]:
    """Lines that tshark writes of the packets chosen, with every check switched on."""
    checks = [part for option in ("tcp.check_checksum", "ip.check_checksum") for part in ("-o", f"{option}:TRUE")]
    command = ["tshark", "-r", str(capture), "-d", f"tcp.port=={port},dnp3", *checks, "-Y", chosen]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()
