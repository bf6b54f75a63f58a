"""A reload has to end a process that does not heed: the supervisor goes on listening meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway.processes.port import ask_supervisor
from tests.kit.gateway import ENVIRONMENT, REPO, DemoSite, wait_until

DNP3 = "dnp3 rldc"
PATIENT = """
import sys
from pathlib import Path
import gateway.supervisor
gateway.supervisor._SILENT_S = 300.0
gateway.supervisor._STOP_WORKERS_S = 4.0
sys.exit(gateway.supervisor.run_site(Path(sys.argv[1]), Path(sys.argv[2])))
"""
"""A frozen process is left alone until it is asked to stop, however long the compilation takes."""


def start_patient(demo: DemoSite) -> None:
    command = [sys.executable, "-c", PATIENT, str(demo.site), str(demo.state_dir)]
    with demo.log_path.open("ab") as log:
        demo.adopt(subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT))
    wait_until(lambda: demo.logged("gateway serves"), "the gateway to serve")


def change_dnp3(demo: DemoSite) -> None:
    text = demo.site.read_text()
    assert "unsolicited: {classes: [1, 2, 3]}" in text
    demo.site.write_text(text.replace("unsolicited: {classes: [1, 2, 3]}", "unsolicited: {classes: [1, 2]}"))


def test_the_supervisor_answers_while_a_process_takes_its_time_to_stop(tmp_path: Path) -> None:
    with DemoSite(tmp_path) as demo:
        start_patient(demo)
        stuck, core = demo.child(DNP3), demo.child("core")

        def seen() -> dict[str, Any]:
            told = ask_supervisor(demo.state_dir, {"do": "status"}, 10)["processes"]
            return next((process for process in told if process["title"] == DNP3), {})

        change_dnp3(demo)
        os.kill(stuck, signal.SIGSTOP)
        words = [sys.executable, "-m", "gateway", "reload", str(demo.site), "--state-dir", str(demo.state_dir)]
        with subprocess.Popen(words, cwd=REPO, env=ENVIRONMENT, stdout=subprocess.PIPE) as reload:
            wait_until(lambda: (seen()["pid"], seen()["ready"]) == (stuck, False), "word of the process on its way out")
            second = ask_supervisor(demo.state_dir, {"do": "reload"}, 10)
            assert second == {"ok": False, "text": "a reload is under way"}
            assert reload.wait(60) == 0
        assert demo.logged("process did not stop: killed")
        assert seen()["ready"] and seen()["pid"] != stuck
        assert demo.child("core") == core


def test_a_gateway_that_is_told_to_stop_in_the_middle_of_a_reload_stops(tmp_path: Path) -> None:
    with DemoSite(tmp_path) as demo:
        start_patient(demo)
        family = [demo.child(title) for title in ("core", "iec104 sldc", DNP3)]
        change_dnp3(demo)
        os.kill(family[-1], signal.SIGSTOP)
        os.kill(demo.pid, signal.SIGHUP)
        wait_until(lambda: any(line.get("processes") == DNP3 for line in demo.log_lines()), "the reload to begin")
        os.kill(demo.pid, signal.SIGTERM)
        wait_until(lambda: demo.logged("gateway stopped"), "the end")
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "the end of all processes")
