"""`gridgate trace` on a real gateway with an independent master: points by name, and a capture that tshark likes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest

pytest.importorskip("c104", reason="the independent IEC 104 master c104 is not installed")

from tests.kit.gateway import ENVIRONMENT, C104Master, DemoSite, wait_until

POWER = 4103


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoSite]:
    with DemoSite(tmp_path, dnp3=False) as site:
        site.start_simulator()
        site.start()
        yield site
        print(site.log_path.read_text())


@pytest.fixture
def terminal() -> Iterator[None]:
    """Processes started from here hear Ctrl-C, as in a terminal: what a script runs in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def converse(demo: DemoSite) -> None:
    """A master's ordinary visit: interrogation, clock, commands (one is refused), events."""
    with C104Master(demo.port) as master:
        wait_until(master.is_open, "the link")
        assert master.order("interrogate")
        master.order("clock")
        assert master.order("setpoint 7001 -400")
        master.order("setpoint 7001 99999")  # refused, as the trace tells; what c104 returns is not to be trusted
        wait_until(lambda: len(master.objects(POWER, types=(36,))) >= 3, "events")


def follow(demo: DemoSite, *arguments: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "gateway",
        "trace",
        str(demo.site),
        "sldc-main",
        "--state-dir",
        str(demo.state_dir),
    ]
    return subprocess.Popen(
        [*command, "--follow", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def test_a_visit_is_told_with_points_by_name_and_in_order(demo: DemoSite) -> None:
    converse(demo)
    wait_until(lambda: demo.logged("master disconnected"), "the end of the visit")
    done = demo.cli("trace", "sldc-main", "--full")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "connected",
        "<- U STARTDT act",
        "-> U STARTDT con",
        "C_IC_NA_1 activation ca 1: station",
        "C_IC_NA_1 activation terminated",
        "poi/frequency",
        "<- I N(S)=2 ",
        "C_SE_NC_1 activation ca 1: 7001 bess1/pcs/power_setpoint -400 kW execute",
        "C_SE_NC_1 activation confirmed ca 1: 7001 bess1/pcs/power_setpoint -400 kW",
        "C_SE_NC_1 activation confirmed [P/N negative] ca 1: 7001 bess1/pcs/power_setpoint 99999 kW",
        "closed by the master",
    ):
        assert words in done.stdout, words
    assert "malformed" not in done.stdout and "expected" not in done.stdout and "not in the map" not in done.stdout
    frames = [json.loads(line) for line in demo.cli("trace", "sldc/sldc-main", "--json").stdout.splitlines()]
    assert [frame["time_ns"] for frame in frames] == sorted(frame["time_ns"] for frame in frames)
    assert all(frame["data"].startswith("68") for frame in frames)
    assert "did you mean sldc-main?" in demo.cli("trace", "sldc-mian").stderr


def test_the_capture_of_a_visit_is_clean_in_tshark(demo: DemoSite) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    converse(demo)
    wait_until(lambda: demo.logged("master disconnected"), "the end of the visit")
    capture = demo.folder / "visit.pcap"
    assert demo.cli("trace", "sldc-main", "--pcap", str(capture)).returncode == 0
    told = demo.cli("trace", "sldc-main").stdout.count(" I N(S)=")
    assert tshark(demo, capture, "_ws.malformed || _ws.expert.severity >= 0x600000") == []
    assert tshark(demo, capture, "tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.flags") == []
    lines = tshark(demo, capture, "iec60870_asdu", "-T", "fields", "-e", "iec60870_asdu.typeid")
    assert sum(len(line.split(",")) for line in lines) == told


def tshark(demo: DemoSite, capture: Path, chosen: str, *arguments: str) -> list[str]:
    """Lines that tshark writes of the packets chosen, with every check switched on."""
    checks = [part for option in ("tcp.check_checksum", "ip.check_checksum") for part in ("-o", f"{option}:TRUE")]
    command = ["tshark", "-r", str(capture), "-d", f"tcp.port=={demo.port},iec60870_104", *checks, "-Y", chosen]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.usefixtures("terminal")
def test_following_while_a_capture_is_written_ends_cleanly_with_ctrl_c(demo: DemoSite) -> None:
    capture = demo.folder / "live.pcap"
    follower = follow(demo, "--pcap", str(capture))
    try:
        assert follower.stdout is not None and follower.stderr is not None
        wait_until(capture.exists, "the capture")
        converse(demo)
        heard = next(line for line in follower.stdout if "bess1/pcs/power_setpoint -400 kW" in line)
        assert "<-" in heard
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 0
        assert follower.stderr.read() == ""
    finally:
        follower.kill()
        follower.wait()
        for stream in (follower.stdout, follower.stderr):
            stream.close()
    with capture.open("rb") as file:
        assert len(list(dpkt.pcap.Reader(file))) > 10


def test_a_server_that_is_killed_ends_the_trace_with_a_word_and_serves_the_next(demo: DemoSite) -> None:
    follower = follow(demo)
    assert follower.stdout is not None and follower.stderr is not None
    try:
        with C104Master(demo.port) as master:
            wait_until(master.is_open, "the link")
            assert "connected" in follower.stdout.readline()
            demo.kill_child("iec104 sldc")
        assert follower.wait(20) == 1
        assert "the server has ended" in follower.stderr.read()
    finally:
        follower.kill()
        follower.wait()
        for stream in (follower.stdout, follower.stderr):
            stream.close()
    wait_until(lambda: demo.cli("trace", "sldc-main").returncode == 0, "the trace of the next process")


def test_without_a_gateway_it_says_so(tmp_path: Path) -> None:
    with DemoSite(tmp_path) as site:
        done = site.cli("trace", "sldc-main")
        assert done.returncode == 1
        assert "does not run" in done.stderr
