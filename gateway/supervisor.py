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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from setproctitle import setproctitle

from gateway.log import get_log, setup
from gateway.logfiles import FOLDER as LOG_FOLDER
from gateway.processes.child import ProcessPlans
from gateway.processes.childprocess import ChildProcess, compile_command, compile_environment
from gateway.processes.departure import Departure
from gateway.processes.port import SupervisorPort, supervisor_path
from gateway.processes.reloads import Reloads
from gateway.processes.systemd import notify, watchdog_s

if TYPE_CHECKING:
    from gateway.contracts.log import Log

_SILENT_S: Final = 10.0
"""A process whose loop gave no heartbeat for this long, though it had a processor, is killed and started again."""
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


class Supervisor:
    """Keeps the processes of one site alive."""

    def __init__(self, plans: ProcessPlans, log: Log, site: Path | None = None, state_dir: Path | None = None) -> None:
        """`site` and `state_dir` as given at the start: what a reload compiles anew; without, there is none."""
        self._plans, self._log = plans, log
        self._processes = [ChildProcess(title, role, plan, log) for title, (role, plan) in plans.processes.items()]
        self._selector = selectors.DefaultSelector()
        self._reloads = Reloads(self, site, state_dir, log)
        self._port: SupervisorPort | None = None
        self._departure: Departure | None = None
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
                self._shut_down(wake)
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
        self._listen(wake)
        self._look_after()
        self._replace()
        self._reloads.look_after()
        if self._port is not None:
            self._port.sweep(time.monotonic())
        self._tell_systemd(time.monotonic())

    def _listen(self, wake: socket.socket) -> None:
        """To children, to who asks at the port, and to signals; for one tick at the most."""
        for key, _ in self._selector.select(_TICK_S):
            if isinstance(key.data, ChildProcess):
                if key.data.hear(time.monotonic()):
                    self._check_ready()
            elif key.data is not None and self._port is not None:
                self._port.ready(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    wake.recv(4096)

    def _check_ready(self) -> None:
        if not self._announced and all(process.ready for process in self._all()):
            self._announced = True
            self._log.info("gateway serves", site=self._plans.site, listens="; ".join(self._plans.listens))

    def _tell_systemd(self, now: float) -> None:
        """The watchdog hears the core's heart, not ours: systemd restarts all when the core cannot be brought back."""
        alive = any(process.title == CORE and process.well(now, _BEATS_S) for process in self._all())
        if alive and not self._told_ready and (self._announced or now - self._began > _PATIENCE_S):
            self._told_ready = True
            notify("READY=1")
        if alive and self._dog_s is not None:
            notify("WATCHDOG=1")
        waiting = ", ".join(process.title for process in self._all() if not process.ready)
        status = f"not serving: {waiting}" if waiting else f"{self._plans.site} serves"
        if status != self._status:
            self._status = status
            notify(f"STATUS={status}")

    def _look_after(self) -> None:
        now = time.monotonic()
        for process in self._processes:
            if process.silent_s(now) > (_SILENT_S if process.ready else _STARTING_S):
                self._log.error("process hangs: killed", child=process.title)
                process.kill()
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
        return [process.facts() for process in self._all()]

    @property
    def changing(self) -> bool:
        """Whether processes are still on their way out."""
        return self._departure is not None

    def unready(self, titles: list[str]) -> list[str]:
        """Those of these that do not serve yet."""
        ready = {process.title for process in self._processes if process.ready}
        return [title for title in titles if title not in ready]

    def failing(self, titles: list[str]) -> list[str]:
        """Those of these that have ended again and again before they served."""
        return [each.title for each in self._processes if each.title in titles and each.failures >= _HOPELESS]

    def change_to(self, plans: ProcessPlans, touched: list[str]) -> None:
        """Stop what these plans change or no longer have, in order, and then start what they have.

        Returns at once: `changing` until all have stopped.
        """
        gone = [process for process in self._processes if process.title in touched]
        self._processes = [process for process in self._processes if process not in gone]
        self._departure = self._depart(gone)
        self._plans = plans

    def _depart(self, processes: list[ChildProcess]) -> Departure:
        workers = [process for process in processes if process.title != CORE]
        core = [process for process in processes if process.title == CORE]
        return Departure([(workers, _STOP_WORKERS_S), (core, _STOP_CORE_S)], self._selector, self._log)

    def _replace(self) -> None:
        """Once all that was to stop has stopped, the rest of the plans begins with the next step."""
        if self._departure is None or not self._departure.over(time.monotonic()):
            return
        for process in self._departure.processes:
            process.close()
        self._departure = None
        kept = {process.title: process for process in self._processes}
        self._processes = [
            kept.get(title) or ChildProcess(title, role, plan, self._log)
            for title, (role, plan) in self._plans.processes.items()
        ]

    def _all(self) -> list[ChildProcess]:
        """Those that are to run, and those on their way out."""
        return [*self._processes, *(() if self._departure is None else self._departure.processes)]

    def _shut_down(self, wake: socket.socket) -> None:
        notify("STOPPING=1")
        self._log.info("gateway stops")
        departure = self._depart(self._all())
        while not departure.over(time.monotonic()):
            self._listen(wake)
        self._log.info("gateway stopped")


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


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
