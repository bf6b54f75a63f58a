"""Starts the core and one process per server, restarts what dies, stops all in order.

The supervisor itself loads neither numpy nor the configuration: a child compiles the site, and the supervisor hands
the pickled plans on unread. What is this small does not fail.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from setproctitle import setproctitle

import gateway
from gateway.child import PLAN_FD, READY, STATUS_FD, ProcessPlans
from gateway.log import get_log, setup
from gateway.logfiles import FOLDER as LOG_FOLDER
from gateway.reloads import Reloads
from gateway.supervisorport import SupervisorPort, supervisor_path
from gateway.systemd import notify, watchdog_s

if TYPE_CHECKING:
    from gateway.contracts.log import Log

_RESTART_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HEALTHY_S: Final = 30.0
"""A process that ran this long starts its restarts anew at the shortest wait."""
_SILENT_S: Final = 10.0
"""A process whose loop gave no heartbeat for this long is killed and started again."""
_STARTING_S: Final = 60.0
_STOP_WORKERS_S: Final = 2.0
_STOP_CORE_S: Final = 2.0
_TICK_S: Final = 0.2
_HOPELESS: Final = 3
CORE: Final = "core"
_BEATS_S: Final = 3.0
"""systemd hears that we live while the core was heard within this time."""
_PATIENCE_S: Final = 20.0
"""systemd hears that we serve once all do, or after this time once the core does: a taken port stops nothing else."""


class StateDirBusyError(Exception):
    """Another gateway uses this state directory. The text says which."""


def child_environment() -> dict[str, str]:
    """The environment of every child: the same gateway, and no threads in numpy's algebra."""
    root = str(Path(gateway.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    return os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def child_command(module: str, *arguments: str) -> list[str]:
    """Command line of a child: this interpreter, without the working directory on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


@contextlib.contextmanager
def sole_user(state_dir: Path) -> Iterator[None]:
    """Hold the state directory; raises `StateDirBusyError` when another gateway does."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state_dir / "gateway.lock"
    with path.open("a+") as lock:
        path.chmod(0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            raise StateDirBusyError(f"{state_dir} is in use by another gateway (process {pid})") from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class _Process:
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
        self.ready = False
        self._starts += 1
        self._started = self._heard = now

    def hear(self, now: float) -> bool:
        """Read heartbeats; True when the process says for the first time that it is ready."""
        with contextlib.suppress(BlockingIOError):
            words = os.read(self.status, 4096)
            self._heard = now
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

    def well(self, now: float) -> bool:
        """It serves, and its loop turns."""
        return self.popen is not None and self.ready and now - self._heard < _BEATS_S

    def due(self, now: float) -> bool:
        return self.popen is None and now >= self._next_start

    def hung(self, now: float) -> bool:
        limit = _SILENT_S if self.ready else _STARTING_S
        return self.popen is not None and now - self._heard > limit

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

    def signal(self, number: int) -> None:
        if self.popen is not None:
            self.popen.send_signal(number)


class Supervisor:
    """Keeps the processes of one site alive."""

    def __init__(self, plans: ProcessPlans, log: Log, site: Path | None = None, state_dir: Path | None = None) -> None:
        """`site` and `state_dir` as given at the start: what a reload compiles anew; without, there is none."""
        self._plans, self._log = plans, log
        self._processes = [_Process(title, role, plan, log) for title, (role, plan) in plans.processes.items()]
        self._selector = selectors.DefaultSelector()
        self._reloads = Reloads(self, site, state_dir, log)
        self._port: SupervisorPort | None = None
        self._stopping = False
        self._announced = False
        self._told_ready = False
        self._status = ""
        self._began = time.monotonic()
        self._dog_s = watchdog_s()

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then stops the workers, then the core, within 5 s."""
        wake, woken = socket.socketpair()
        with wake, woken:
            woken.setblocking(False)
            wake.setblocking(False)
            signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self._stop())
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.signal(signal.SIGHUP, lambda *_: self._reloads.hangup())
            self._selector.register(wake, selectors.EVENT_READ)
            self._open_port()
            try:
                while not self._stopping:
                    self._step(wake)
            finally:
                if self._port is not None:
                    self._port.close()
                self._shut_down()
                signal.set_wakeup_fd(-1)

    def _open_port(self) -> None:
        """A socket that cannot be had is told: the gateway itself is worth more than its reloads."""
        try:
            self._port = SupervisorPort(
                supervisor_path(Path(self._plans.state_dir)), self._selector, self._reloads.asked
            )
        except OSError as error:
            self._log.warning("reloads cannot be asked for", cause=str(error))

    def _stop(self) -> None:
        self._stopping = True

    def _step(self, wake: socket.socket) -> None:
        now = time.monotonic()
        for process in self._processes:
            if process.due(now):
                process.start(now)
                self._selector.register(process.status, selectors.EVENT_READ, process)
        for key, _ in self._selector.select(_TICK_S):
            if isinstance(key.data, _Process):
                if key.data.hear(time.monotonic()):
                    self._check_ready()
            elif key.data is not None and self._port is not None:
                self._port.ready(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    wake.recv(4096)
        self._look_after()
        self._reloads.look_after()
        if self._port is not None:
            self._port.sweep(time.monotonic())
        self._tell_systemd(time.monotonic())

    def _check_ready(self) -> None:
        if not self._announced and all(process.ready for process in self._processes):
            self._announced = True
            self._log.info("gateway serves", site=self._plans.site, listens="; ".join(self._plans.listens))

    def _tell_systemd(self, now: float) -> None:
        """The watchdog hears the core's heart, not ours: systemd restarts all when the core cannot be brought back."""
        alive = bool(self._processes) and self._processes[0].well(now)
        if alive and not self._told_ready and (self._announced or now - self._began > _PATIENCE_S):
            self._told_ready = True
            notify("READY=1")
        if alive and self._dog_s is not None:
            notify("WATCHDOG=1")
        waiting = ", ".join(process.title for process in self._processes if not process.ready)
        status = f"not serving: {waiting}" if waiting else f"{self._plans.site} serves"
        if status != self._status:
            self._status = status
            notify(f"STATUS={status}")

    def _look_after(self) -> None:
        now = time.monotonic()
        for process in self._processes:
            if process.hung(now):
                self._log.error("process hangs: killed", child=process.title)
                process.signal(signal.SIGKILL)
            status = process.status
            code = process.reap(now)
            if code is not None:
                self._selector.unregister(status)
                if not self._stopping:
                    self._log.error("process ended: it is started again", child=process.title, cause=_how(code))

    # -- what a reload does ----------------------------------------------------------------------------------------

    @property
    def plans(self) -> ProcessPlans:
        """What runs."""
        return self._plans

    def status(self) -> list[dict[str, object]]:
        """Every process in figures."""
        return [process.facts() for process in self._processes]

    def unready(self, titles: list[str]) -> list[str]:
        """Those of these that do not serve yet."""
        return [process.title for process in self._processes if process.title in titles and not process.ready]

    def failing(self, titles: list[str]) -> list[str]:
        """Those of these that have ended again and again before they served."""
        return [each.title for each in self._processes if each.title in titles and each.failures >= _HOPELESS]

    def change_to(self, plans: ProcessPlans, touched: list[str]) -> None:
        """Stop what these plans change or no longer have, in order; the rest begins with the next step."""
        gone = [process for process in self._processes if process.title in touched]
        self._end([process for process in gone if process.title != CORE], _STOP_WORKERS_S)
        self._end([process for process in gone if process.title == CORE], _STOP_CORE_S)
        for process in gone:
            process.close()
        kept = {process.title: process for process in self._processes if process not in gone}
        self._processes = [
            kept.get(title) or _Process(title, role, plan, self._log) for title, (role, plan) in plans.processes.items()
        ]
        self._plans = plans

    def _shut_down(self) -> None:
        notify("STOPPING=1")
        self._log.info("gateway stops")
        self._end(self._processes[1:], _STOP_WORKERS_S)
        self._end(self._processes[:1], _STOP_CORE_S)
        self._log.info("gateway stopped")

    def _end(self, processes: list[_Process], wait_s: float) -> None:
        for process in processes:
            process.signal(signal.SIGTERM)
            if process.status >= 0:
                self._selector.unregister(process.status)
        end = time.monotonic() + wait_s
        for process in processes:
            if process.popen is None:
                continue
            try:
                process.popen.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.error("process did not stop: killed", child=process.title)
                process.signal(signal.SIGKILL)
                process.popen.wait()
            process.reap(time.monotonic())


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def compile_command(site: Path, state_dir: Path | None) -> list[str]:
    """The child that compiles a site."""
    return child_command("gateway.process", "compile", str(site), str(state_dir or ""))


def compile_environment() -> dict[str, str]:
    """Its environment: sets in one order, so that equal plans are equal octets."""
    return child_environment() | {"PYTHONHASHSEED": "0"}


def compile_site(site: Path, state_dir: Path | None) -> ProcessPlans:
    """Check and compile the site in a process that gives its memory back. Raises `SystemExit(1)` when it is wrong."""
    result = subprocess.run(  # noqa: S603 - our own interpreter and module
        compile_command(site, state_dir), stdout=subprocess.PIPE, env=compile_environment(), check=False
    )
    if result.returncode:
        raise SystemExit(1)
    plans: ProcessPlans = pickle.loads(result.stdout)  # noqa: S301 - from our own child
    return plans


def run_site(site: Path, state_dir: Path | None) -> int:
    """`gridgate run`: serve the site in the foreground until told to stop. Returns the exit code."""
    os.umask(0o077)  # what the gateway writes is for its owner only; the children inherit it
    plans = compile_site(site, state_dir)
    os.environ[LOG_FOLDER] = str(Path(plans.state_dir) / "log")
    setproctitle(f"gridgate supervisor {plans.site}")
    setup("supervisor")
    log = get_log(process="supervisor")
    try:
        with sole_user(Path(plans.state_dir)):
            Supervisor(plans, log, site.absolute(), state_dir).run()
    except StateDirBusyError as error:
        log.error("gateway does not start", cause=str(error))
        return 1
    return 0
