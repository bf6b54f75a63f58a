"""When the supervisor takes a process for hanging: not for want of a processor, and once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from gateway.processes import childprocess
from gateway.processes.child import ProcessPlans
from gateway.processes.childprocess import ChildProcess
from gateway.supervisor import Supervisor
from tests.kit.feedkit import QuietLog

SPIN = "print('begun', flush=True)\nwhile True: pass"
SLEEP = "import sys; print('begun', flush=True); sys.stdin.read()"


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[bytes]]]:
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for each in found:
        with each:
            each.kill()


def begun(program: str, running: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """A process that is at it."""
    process = subprocess.Popen([sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    running.append(process)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    return process


def child(running: list[subprocess.Popen[bytes]], program: str, log: QuietLog) -> ChildProcess:
    """A child that has just begun and will never say anything."""
    process = ChildProcess("historian", "historian", b"", log)
    process.popen = begun(program, running)
    process._heard = time.monotonic()
    process.silent_s(process._heard + childprocess._SUSPECT_S)  # the supervisor has noticed its silence
    return process


def test_who_waits_for_a_processor_does_not_hang_and_who_sleeps_does(
    running: list[subprocess.Popen[bytes]],
) -> None:
    log = QuietLog()
    starved, asleep = child(running, SPIN, log), child(running, SLEEP, log)
    greedy = begun(SPIN, running)
    assert starved.popen is not None
    processor = {min(os.sched_getaffinity(0))}
    for each in (starved.popen, greedy):
        os.sched_setaffinity(each.pid, processor)
    os.sched_setscheduler(starved.popen.pid, os.SCHED_IDLE, os.sched_param(0))
    time.sleep(4.0)
    now = time.monotonic()
    assert asleep.silent_s(now) > 3.9
    assert starved.silent_s(now) < asleep.silent_s(now) - 1
    assert starved.silent_s(now + 100) > 60, "a starved process is begun anew in the end"


def test_a_process_that_hangs_is_told_and_killed_once_however_long_its_end_takes(
    running: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = QuietLog()
    supervisor = Supervisor(ProcessPlans(site="s", state_dir="", processes={}, listens=()), log)
    process = child(running, SLEEP, log)
    process.ready, process._heard = True, time.monotonic() - 100
    monkeypatch.setattr(process, "reap", lambda now: None)  # the kernel is still at it
    supervisor._processes = [process]
    for _ in range(5):
        supervisor._look_after()
    assert log.events().count("process hangs: killed") == 1
    assert process.popen is not None and process.popen.wait(20) == -9
