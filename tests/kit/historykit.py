"""The historian as a process of its own, fed by a core on the test's loop."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
from pathlib import Path

import numpy as np

from gateway.feed.address import socket_path
from gateway.history.plan import HistorianPlan, HistoryPlan, HistorySystemRows, InfluxPlan, RecordingPlan, Retention
from gateway.points import PointCatalogue
from gateway.processes.child import PLAN_FD, READY, STATUS_FD
from gateway.processes.childprocess import child_command, child_environment
from tests.kit.feedkit import CoreSide


def history_plan(size: int, influx: InfluxPlan | None = None, commit_s: float = 0.05) -> HistoryPlan:
    """Everything is recorded; the last rows are the historian's own points and are not."""
    recorded = np.ones(size, np.bool_)
    recorded[-9:] = False
    first = size - 9
    return HistoryPlan(
        folder=Path("history"),
        recording=RecordingPlan(
            recorded=recorded,
            limit=np.zeros(size),
            interval_ns=np.zeros(size, np.int64),
            swinging=np.zeros(size, np.bool_),
        ),
        retention=Retention(days=40_000),
        commit_s=commit_s,
        memory_samples=1_000_000,
        influx=influx,
        rows=HistorySystemRows(**{name: first + n for n, name in enumerate(HistorySystemRows.__slots__)}),
    )


class HistorianProcess:
    """Starts, is killed, starts again."""

    def __init__(self, state_dir: Path, catalogue: PointCatalogue, history: HistoryPlan) -> None:
        self._plan = HistorianPlan(
            site="test-site", state_dir=state_dir, log_level="info", catalogue=catalogue, history=history
        )
        self.log_path = state_dir / "historian.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._status = -1

    def start(self) -> None:
        memory = os.memfd_create("plan")
        with os.fdopen(os.dup(memory), "wb") as file:
            pickle.dump(self._plan, file)
        self._status, theirs = os.pipe()
        environment = child_environment() | {PLAN_FD: str(memory), STATUS_FD: str(theirs), "GRIDGATE_LOG": "json"}
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                child_command("gateway.process", "historian"),
                stdin=subprocess.PIPE,
                stderr=log,
                pass_fds=(memory, theirs),
                env=environment,
            )
        os.close(theirs)
        os.close(memory)

    def is_ready(self) -> bool:
        """Whether it has said so."""
        readable, _, _ = select.select([self._status], [], [], 0)
        return bool(readable) and READY in os.read(self._status, 4096)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        self._process.wait(20)
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self._status)
        self._process = None


def core_side(state_dir: Path, size: int) -> CoreSide:
    """A core whose feed lies where the historian looks for it."""
    path = socket_path(state_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    return CoreSide(path, size, capacity=2_000_000)
