"""`gridgate demo` on a terminal, as a newcomer runs it: a real terminal, real processes, a real Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gateway.paths import shipped
from tests.kit.ports import free_port

TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
"""Gives what it runs a controlling terminal and passes on what is typed."""

SITE = """\
site: newcomer
state_dir: var
devices:
  - {{name: pcs1, driver: modbus, url: "tcp://127.0.0.1:{pcs}", unit: 1, map: "{maps}/pcs.csv", prefix: bess1/pcs}}
servers: []
"""


class Terminal:
    """A terminal in which `gridgate demo` runs."""

    def __init__(self, site: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, sys.executable, "-m", "gateway", "demo", str(site)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.seen = b""

    def type(self, keys: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys)
        self.process.stdin.flush()

    def expect(self, words: bytes, timeout_s: float = 30.0) -> None:
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        end = time.monotonic() + timeout_s
        while words not in self.seen:
            assert time.monotonic() < end, f"{words!r} did not appear after: {self.seen.decode(errors='replace')}"
            self.seen += self.process.stdout.read() or b""
            time.sleep(0.02)

    def close(self) -> None:
        family = [self.process] if self.process.poll() is None else []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True) if family else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run after 10 s. An orphan that has ended waits as a zombie where nobody is init: it does not run."""
    end = time.monotonic() + 10.0
    while True:
        alive = []
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(pcs=free_port(), maps=shipped("pointmaps/devices")))
    return path


@pytest.fixture
def terminal(site: Path) -> Iterator[Terminal]:
    terminal = Terminal(site)
    yield terminal
    terminal.close()


def test_newcomer_starts_it_presses_the_estop_and_stops_it(terminal: Terminal) -> None:
    terminal.expect(b"Stop with Ctrl-C.")
    terminal.expect(b"gateway serves")
    terminal.type(b"estop on\n")
    terminal.expect(b"done: estop on")
    family = psutil.Process(terminal.process.pid).children(recursive=True)
    assert len(family) >= 3, "supervisor, core and simulator"
    terminal.type(b"\x03")
    terminal.expect(b"gateway stopped")
    assert terminal.process.wait(10) == 0
    assert still_alive(family) == []
    assert b"Traceback" not in terminal.seen


def test_devices_end_with_a_demo_that_was_killed(terminal: Terminal) -> None:
    terminal.expect(b"gateway serves")
    family = psutil.Process(terminal.process.pid).children(recursive=True)
    supervisor = next(process for process in family if process.ppid() == terminal.process.pid)
    supervisor.send_signal(signal.SIGKILL)
    assert still_alive(family) == []


def test_demo_whose_address_is_taken_says_so_and_ends(site: Path) -> None:
    port = int(site.read_text().split("127.0.0.1:")[1].split('"')[0])
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "demo", str(site)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert "simulator cannot start" in done.stderr
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
