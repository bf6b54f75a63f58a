"""`gridgate demo`: the simulated devices in a process of their own, and the gateway on them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gateway.paths import shipped
from gateway.processes.childprocess import child_command, child_environment
from gateway.supervisor import run_site


def run_demo(site: Path | None, state_dir: Path | None, seed: int) -> int:
    """Serve `site` (the shipped demo site by default) against simulated devices. Returns the exit code.

    What is typed on the terminal goes to the simulator as orders (`gateway.demo.orders`).
    """
    if site is None:
        site, state_dir = shipped("config/demo/site.yaml"), state_dir or _own_state_dir()
    with _simulator(site, state_dir, seed) as serving:
        return run_site(site, state_dir) if serving else 1


def _own_state_dir() -> Path:
    """For the shipped site: an installation is no place to write in."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "gridgate" / "demo"


@contextlib.contextmanager
def _simulator(site: Path, state_dir: Path | None, seed: int) -> Iterator[bool]:
    """The simulator for as long as the block lasts; yields whether its devices are on the network."""
    extra = () if state_dir is None else ("--state-dir", str(state_dir))
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        child_command("gateway.demo.runner", str(site), "--seed", str(seed), "--lifeline", "--welcome", *extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        # In a group of its own: Ctrl-C stops the gateway first, then the devices, and so no device is seen to fail.
        process_group=0,
    )
    try:
        yield _serving(process)
    finally:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serving(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the simulator's first words; False when it ends without any (it has said why on stderr)."""
    if process.stdin is None or process.stdout is None:
        return False
    first = process.stdout.readline()
    if not first:
        return False
    _say(first)
    threading.Thread(target=_pass_words, args=(process.stdout,), name="simulator says", daemon=True).start()
    if _own_terminal():
        threading.Thread(target=_pass_orders, args=(process.stdin,), name="orders", daemon=True).start()
    return True


def _say(words: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(1, words)


def _pass_words(source: IO[bytes]) -> None:
    for line in source:
        _say(line)


def _pass_orders(target: IO[bytes]) -> None:
    """From the terminal to the simulator. Its end (Ctrl-D) ends nothing."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: closed, the demo is ending
        while data := os.read(0, 4096):
            target.write(data)
            target.flush()


def _own_terminal() -> bool:
    """Reading a terminal that belongs to another process group would stop this process (SIGTTIN)."""
    return sys.stdin is not None and os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
