"""A changed configuration on a gateway that runs: what differs is started anew, the rest never notices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.processes.port import ask_supervisor, supervisor_path
from tests.kit.gateway import ENVIRONMENT, REPO, DemoSite, wait_until
from tests.peers.threaded104 import Threaded104


@pytest.fixture
def demo(tmp_path: Path):
    with DemoSite(tmp_path) as site:
        site.start_simulator()
        site.start()
        yield site


def gridgate(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", *words]
    return subprocess.run(command, cwd=REPO, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False)


def reloaded(demo: DemoSite) -> dict[str, list[str]]:
    done = gridgate("reload", str(demo.site), "--state-dir", str(demo.state_dir), "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_only_what_differs_is_started_anew(demo: DemoSite) -> None:
    """A key of the DNP3 server changes: it is started anew; the 104 master's connection never notices."""
    before = {title: demo.child(title) for title in ("core", "iec104 sldc", "dnp3 rldc")}
    assert reloaded(demo)["unchanged"] == ["core", "iec104 sldc", "dnp3 rldc"]
    with Threaded104(demo.port) as sldc:
        sldc.interrogate()
        wait_until(lambda: len(sldc.frames) > 3, "the interrogation's answer")
        change(demo.site, "unsolicited: {classes: [1, 2, 3]}", "unsolicited: {classes: [1, 2]}")
        answer = reloaded(demo)
        assert answer["restarted"] == ["dnp3 rldc"]
        assert answer["unchanged"] == ["core", "iec104 sldc"]
        assert demo.child("dnp3 rldc") != before["dnp3 rldc"]
        assert {title: demo.child(title) for title in ("core", "iec104 sldc")} == {
            title: before[title] for title in ("core", "iec104 sldc")
        }
        heard = len(sldc.frames)
        sldc.interrogate()
        wait_until(lambda: len(sldc.frames) > heard + 3, "an answer on the same connection")


def test_a_wrong_site_changes_nothing_and_says_why(demo: DemoSite) -> None:
    before = demo.child("core")
    change(demo.site, "scan_ms: 200", "scan_mz: 200")
    done = gridgate("reload", str(demo.site), "--state-dir", str(demo.state_dir))
    assert done.returncode == 1
    assert "scan_mz" in done.stderr
    supervisor = int((demo.state_dir / "gateway.lock").read_text())
    os.kill(supervisor, signal.SIGHUP)
    wait_until(lambda: demo.logged("reload refused: nothing was changed"), "the supervisor's word")
    assert demo.child("core") == before
    assert "scan_mz" in json.loads((demo.state_dir / "run" / "reload.json").read_text())["text"]
    answer = ask_supervisor(demo.state_dir, {"do": "status"}, 10)
    assert [process["title"] for process in answer["processes"]] == ["core", "iec104 sldc", "dnp3 rldc"]
    assert supervisor_path(demo.state_dir).stat().st_mode & 0o777 == 0o600
    assert ask_supervisor(demo.state_dir, {"do": "dance"}, 10)["ok"] is False
