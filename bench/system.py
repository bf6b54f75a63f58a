"""Processes of a measurement: the devices, the gateway, and what they use of the machine."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from bench import sites


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Field:
    """The process of the simulated devices; see `bench.field`."""

    process: subprocess.Popen[str]
    ports: list[int]
    reads: int = 0
    probes: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int, int]] = field(default_factory=list)

    def finish(self) -> None:
        """End it and take what it saw."""
        out, _ = self.process.communicate(timeout=30)
        seen = json.loads(out)
        self.reads, self.probes, self.writes = seen["reads"], seen["probes"], seen["writes"]


@contextlib.contextmanager
def devices(count: int, registers: int, *, changes_per_s: float = 0.0, probe_every: int = 0) -> Iterator[Field]:
    """Devices on loopback for as long as the block lasts."""
    chosen = {"devices": count, "registers": registers, "changes_per_s": changes_per_s, "probe_every": probe_every}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.field", json.dumps(chosen)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Field(process, json.loads(process.stdout.readline())["ports"])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


@dataclass(slots=True)
class Gateway:
    """A running gateway: the process that was started and all that it started."""

    process: subprocess.Popen[bytes]
    started_ns: int
    log: Path

    def family(self) -> list[psutil.Process]:
        """All processes of the gateway that live now."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_s(self) -> float:
        """CPU time used so far by all processes that live now."""
        total = 0.0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system
        return total

    def memory_mb(self) -> float:
        """Proportional set size of all processes together, in MB: shared pages count once."""
        total = 0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 1e6

    def by_role(self) -> dict[str, tuple[float, float]]:
        """CPU seconds and MB of each process, by its title."""
        roles: dict[str, tuple[float, float]] = {}
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                title = " ".join(process.cmdline())[:60] or str(process.pid)
                roles[title] = (used.user + used.system, process.memory_full_info().pss / 1e6)
        return roles

    def check(self) -> None:
        """Raises `RuntimeError` with the end of the log when the gateway has ended."""
        if self.process.poll() is not None:
            text = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the gateway ended with status {self.process.returncode}:\n{text}")


@contextlib.contextmanager
def gateway(site: sites.BenchSite) -> Iterator[Gateway]:
    """`gridgate run SITE` for as long as the block lasts."""
    log = site.path.with_name("gateway.log")
    with log.open("wb") as out:
        running = Gateway(_run(site.path, out), time.monotonic_ns(), log)
        try:
            yield running
        finally:
            _end(running)


def _run(site: Path, out: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", str(site)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
    )


def _end(running: Gateway) -> None:
    """In order if it can; what is left of its own family after 10 s is killed."""
    if running.process.poll() is not None:
        return
    family = running.family()
    running.process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=10)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    running.process.wait(timeout=10)


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A folder for a site, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="gridgate-bench-") as folder:
        yield Path(folder)
