"""One process under the supervisor, as the supervisor sees it: its plan, its present life, its past failures."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gateway
from gateway.processes.child import PLAN_FD, READY, STATUS_FD
from gateway.processes.runqueue import waited_s

if TYPE_CHECKING:
    from gateway.contracts.log import Log

_RESTART_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HEALTHY_S: Final = 30.0
"""A process that ran this long starts its restarts anew at the shortest wait."""
_SUSPECT_S: Final = 2.0
"""Of a process silent for so long it is looked at whether it gets a processor."""
_EXCUSED_S: Final = 50.0
"""So much of a silence may be waiting for a processor; beyond it even a starved process is better begun anew."""


def child_environment() -> dict[str, str]:
    """The environment of every child: the same gateway, and no threads in numpy's algebra."""
    root = str(Path(gateway.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    return os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def child_command(module: str, *arguments: str) -> list[str]:
    """Command line of a child: this interpreter, without the working directory on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def compile_command(site: Path, state_dir: Path | None) -> list[str]:
    """The child that compiles a site."""
    return child_command("gateway.process", "compile", str(site), str(state_dir or ""))


def compile_environment() -> dict[str, str]:
    """Its environment: sets in one order, so that equal plans are equal octets."""
    return child_environment() | {"PYTHONHASHSEED": "0"}


class ChildProcess:
    """One child: its plan, its present life, its past failures."""

    def __init__(self, title: str, role: str, plan: bytes, log: Log) -> None:
        self.title, self._role, self._log = title, role, log.bind(child=title)
        self._plan = os.memfd_create(f"gridgate-{role}")
        with os.fdopen(os.dup(self._plan), "wb") as file:
            file.write(plan)
        self.popen: subprocess.Popen[bytes] | None = None
        self.status: int = -1
        self.ready = False
        self._started = self._heard = 0.0
        self._failures = self._starts = 0
        self._next_start = 0.0
        self._killed = False
        self._waited: float | None = None
        """How long it had waited for a processor when its silence was noticed; None while it beats."""

    def start(self, now: float) -> None:
        self.status, child_status = os.pipe()
        os.set_blocking(self.status, False)
        environment = child_environment() | {PLAN_FD: str(self._plan), STATUS_FD: str(child_status)}
        self.popen = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            child_command("gateway.process", self._role),
            stdin=subprocess.PIPE,
            pass_fds=(self._plan, child_status),
            env=environment,
        )
        os.close(child_status)
        self.ready = self._killed = False
        self._starts += 1
        self._started = self._heard = now
        self._waited = None

    def hear(self, now: float) -> bool:
        """Read heartbeats; True when the process says for the first time that it is ready."""
        with contextlib.suppress(BlockingIOError):
            words = os.read(self.status, 4096)
            self._heard, self._waited = now, None
            if READY in words and not self.ready:
                self.ready = True
                return True
        return False

    @property
    def failures(self) -> int:
        """How often it ended before it had served for a while."""
        return self._failures

    def facts(self) -> dict[str, object]:
        """For a person."""
        return {
            "title": self.title,
            "pid": None if self.popen is None else self.popen.pid,
            "ready": self.ready,
            "age_s": 0.0 if self.popen is None else round(time.monotonic() - self._started, 1),
            "starts": self._starts,
        }

    def close(self) -> None:
        """It is not started again."""
        os.close(self._plan)

    def well(self, now: float, within_s: float) -> bool:
        """It serves, and its loop turned within this time."""
        return self.popen is not None and self.ready and now - self._heard < within_s

    def due(self, now: float) -> bool:
        return self.popen is None and now >= self._next_start

    def silent_s(self, now: float) -> float:
        """For how long its loop has given no heartbeat although it could have; 0 when it does not run.

        A process that gives way to others, on a machine that is overloaded, does not hang: it waits for its turn, and
        to kill it would give it more to do. That time counts up to `_EXCUSED_S` not.
        """
        if self.popen is None or self._killed:
            return 0.0
        silent_s = now - self._heard
        if silent_s < _SUSPECT_S:
            return silent_s
        waited = waited_s(self.popen.pid)
        if self._waited is None:
            self._waited = waited
        return silent_s - min(max(0.0, waited - self._waited), _EXCUSED_S)

    def reap(self, now: float) -> int | None:
        """Its exit code when it has ended; it is then to be started again after a wait."""
        if self.popen is None or (code := self.popen.poll()) is None:
            return None
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        os.close(self.status)
        self._failures = 0 if now - self._started > _HEALTHY_S else self._failures + 1
        self._next_start = now + _RESTART_S[min(max(self._failures, 1), len(_RESTART_S)) - 1]
        self.popen, self.status, self.ready = None, -1, False
        return code

    def kill(self) -> None:
        """It hangs: once, for it takes the kernel a while to clear away what is big."""
        self._killed = True
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        if self.popen is not None:
            self.popen.send_signal(number)
