"""The supervisor and its children: hung, refused, watched by systemd."""

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.kit.gateway import ENVIRONMENT, START_S, DemoSite, wait_until

IMPATIENT = """
import sys
from pathlib import Path
import gateway.supervisor
gateway.supervisor._SILENT_S = 1.5
sys.exit(gateway.supervisor.run_site(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture
def demo(tmp_path: Path):
    with DemoSite(tmp_path) as site:
        yield site


def start_impatient(demo: DemoSite) -> None:
    command = [sys.executable, "-c", IMPATIENT, str(demo.site), str(demo.state_dir)]
    with demo.log_path.open("ab") as log:
        demo.adopt(subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT))
    wait_until(lambda: demo.logged("gateway serves"), "the gateway to serve")


@pytest.mark.parametrize("title", ["core", "iec104 sldc"])
def test_a_process_that_hangs_is_killed_and_started_again(demo: DemoSite, title: str):
    start_impatient(demo)
    hung = demo.child(title)
    os.kill(hung, signal.SIGSTOP)
    wait_until(lambda: demo.logged("process hangs: killed"), "the supervisor to notice")
    wait_until(lambda: demo.child(title) != hung, "a new process")
    assert demo.stop() == 0


def test_a_taken_port_is_told_and_tried_again(demo: DemoSite):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", demo.port))
        taken.listen()
        demo.adopt(demo.spawn())
        wait_until(lambda: demo.logged("server cannot start"), "the reason in the log", START_S)
    wait_until(lambda: demo.logged("gateway serves"), "the gateway to serve once the port is free", START_S)
    assert demo.stop() == 0


def test_systemd_hears_ready_watchdog_and_stopping(demo: DemoSite, tmp_path: Path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(START_S)
        demo.adopt(demo.spawn({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "500000"}))
        heard: list[str] = []
        while "READY=1" not in heard or heard[-1] != "WATCHDOG=1":
            heard.append(systemd.recv(100).decode())
        assert demo.stop() == 0
        while heard[-1] != "STOPPING=1":
            heard.append(systemd.recv(100).decode())


def test_systemd_hears_no_life_while_the_core_hangs(demo: DemoSite, tmp_path: Path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(START_S)
        demo.adopt(demo.spawn({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "500000"}))

        def hear(word: str) -> None:
            while systemd.recv(200).decode() != word:
                pass

        hear("READY=1")
        hear("WATCHDOG=1")
        hung = demo.child("core")
        os.kill(hung, signal.SIGSTOP)
        systemd.settimeout(2)
        with pytest.raises(TimeoutError):  # the supervisor itself lives: it is the core that is not heard
            while True:
                systemd.recv(200)
        os.kill(hung, signal.SIGCONT)
        systemd.settimeout(START_S)
        hear("WATCHDOG=1")
        assert demo.stop() == 0


def test_a_taken_port_does_not_keep_systemd_from_hearing_that_the_rest_serves(demo: DemoSite, tmp_path: Path):
    path = tmp_path / "notify"
    hurried = IMPATIENT.replace("_SILENT_S = 1.5", "_PATIENCE_S = 0.5")
    with socket.socket() as taken, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        taken.bind(("127.0.0.1", demo.port))
        taken.listen()
        systemd.bind(str(path))
        systemd.settimeout(START_S)
        command = [sys.executable, "-c", hurried, str(demo.site), str(demo.state_dir)]
        with demo.log_path.open("ab") as log:
            environment = ENVIRONMENT | {"NOTIFY_SOCKET": str(path)}
            demo.adopt(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        heard = [""]
        while not {"READY=1", "STATUS=not serving: iec104 sldc"} <= set(heard):
            heard.append(systemd.recv(200).decode())
        assert not demo.logged("gateway serves")


def test_a_wrong_site_does_not_start_and_says_every_reason(demo: DemoSite):
    text = demo.site.read_text()
    demo.site.write_text(text.replace("scan_ms: 200", "scan_mss: 200").replace("unit: 1 ", "unit: one "))
    process = demo.spawn()
    assert process.wait(START_S) == 1
    said = demo.log_path.read_text()
    assert "scan_ms?" in said and "scan_mss" in said
    assert "site.yaml, line" in said
    assert "Traceback" not in said


def test_files_of_a_running_gateway_are_for_its_owner_only(demo: DemoSite):
    demo.start()
    wait_until((demo.state_dir / "run" / "feed.sock").exists, "the feed's socket")
    for path in [demo.state_dir, *demo.state_dir.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, f"{path} is open to others"
    assert demo.stop() == 0


def test_children_carry_no_plan_on_their_command_line_and_control_goes_first(demo: DemoSite):
    demo.start()
    assert psutil.Process(demo.child("core")).cmdline()[0] == "gridgate core"
    policies = {
        name: os.sched_getscheduler(demo.child(name)) & ~os.SCHED_RESET_ON_FORK for name in ("core", "iec104 sldc")
    }
    allowed = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_RTPRIO)[0] > 0
    assert policies == {"core": os.SCHED_RR if allowed else os.SCHED_OTHER, "iec104 sldc": os.SCHED_OTHER}
    assert demo.stop() == 0
