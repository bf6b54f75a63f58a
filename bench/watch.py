"""Memory, file descriptors and threads of every process of the gateway, once a second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import psutil

EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one time."""

    at_ns: int
    pid: int
    rss_mb: float
    fds: int
    threads: int
    cpu_s: float


@dataclass(slots=True)
class Watch:
    """`samples`: by the title of a process, in order of time; `pid` is the supervisor's. `clock` says the time, ns."""

    pid: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    clock: Callable[[], int] = time.time_ns
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
            with contextlib.suppress(psutil.Error):
                parent = psutil.Process(self.pid)
                for process in [parent, *parent.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        self._look(process)

    def _look(self, process: psutil.Process) -> None:
        with process.oneshot():
            used, title = process.cpu_times(), title_of(process)
            if not title:
                return
            sample = Sample(
                at_ns=self.clock(),
                pid=process.pid,
                rss_mb=process.memory_info().rss / 1e6,
                fds=process.num_fds(),
                threads=process.num_threads(),
                cpu_s=used.user + used.system,
            )
        self.samples.setdefault(title, []).append(sample)


def title_of(process: psutil.Process) -> str:
    """``core``, ``iec104 sldc``, ...; ``supervisor``; empty for one that is starting or dying."""
    line = process.cmdline()
    words = " ".join(line).strip()
    if line[:1] and line[0].startswith("gridgate "):
        return words.removeprefix("gridgate ").strip()
    return "supervisor" if " run " in f" {words} " else ""


def child(pid: int, title: str) -> int | None:
    """The process with this title among the children of `pid`."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.Process(pid).children():
            with contextlib.suppress(psutil.Error):
                if title_of(each) == title:
                    return each.pid
    return None
