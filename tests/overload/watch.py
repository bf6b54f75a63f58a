"""Memory, file descriptors and threads of every process of the gateway, once a second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import psutil

from bench import system

EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one time (monotonic)."""

    at_ns: int
    rss_mb: float
    fds: int
    threads: int
    cpu_s: float


@dataclass(slots=True)
class Watch:
    """`by_process`: samples by the title of a process, in order of time."""

    gateway: system.Gateway
    by_process: dict[str, list[Sample]] = field(default_factory=dict)
    pids: dict[str, set[int]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """In a thread, for as long as the block lasts."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(30.0)

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            for process in self.gateway.family():
                with contextlib.suppress(psutil.Error):
                    self._look(process)

    def _look(self, process: psutil.Process) -> None:
        with process.oneshot():
            title = " ".join(process.cmdline())
            title = title[title.find("gridgate") :].strip() if "gridgate " in title else "supervisor"
            used = process.cpu_times()
            sample = Sample(
                at_ns=time.monotonic_ns(),
                rss_mb=process.memory_info().rss / 1e6,
                fds=process.num_fds(),
                threads=process.num_threads(),
                cpu_s=used.user + used.system,
            )
        self.by_process.setdefault(title, []).append(sample)
        self.pids.setdefault(title, set()).add(process.pid)
