"""Processes of the tests that begin with all modules loaded: the simulator, and commands that visit a gateway.

A server process loads the modules once for each worker of the tests and forks itself for each of these; loading them
takes longer than most of what they do. The gateway itself is always started as people start it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

LOADED: Final = [
    "gateway.demo.runner",
    "gateway.__main__",
    "gateway.cli.points",
    "protocols.c37118.simulator",
    "protocols.can.simulator",
    "protocols.modbus.simulator",
    "protocols.sunspec.simulator",
    "protocols.dnp3.compile",
    "protocols.iec104.compile",
]
_SERVER: Final = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(LOADED)


class Forked:
    """``python -m MODULE ARGUMENTS`` with what it says in files; `say` writes to its standard input."""

    def __init__(
        self, module: str, arguments: Sequence[str], out: Path, err: Path, environment: dict[str, str]
    ) -> None:
        heard, self._said = _SERVER.Pipe(duplex=False)
        place = (module, list(arguments), heard, str(out), str(err), environment, str(Path.cwd()))
        self._process = _SERVER.Process(target=_run, args=place, daemon=True)
        self._process.start()
        heard.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        return not self._process.is_alive()

    def say(self, text: str) -> None:
        os.write(self._said.fileno(), text.encode())

    def wait(self, timeout_s: float) -> int:
        """Its exit code. Raises `TimeoutError`."""
        self._process.join(timeout_s)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} did not end within {timeout_s:g} s")
        return self._process.exitcode

    def kill(self) -> None:
        """kill -9; nothing of it is left."""
        self._process.kill()
        self._process.join()
        self._said.close()
        self._process.close()


def run(
    module: str, arguments: Sequence[str], environment: dict[str, str], timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Like `subprocess.run` with what it says as text; nothing on its standard input."""
    with tempfile.TemporaryDirectory(prefix="forked") as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = Forked(module, arguments, out, err, environment)
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
        return subprocess.CompletedProcess([module, *arguments], code, out.read_text(), err.read_text())


def _run(
    module: str, arguments: list[str], heard: Connection, out: str, err: str, environment: dict[str, str], folder: str
) -> None:
    """In the new process: what an interpreter does before a module becomes the main one."""
    os.dup2(heard.fileno(), 0)
    heard.close()
    for path, number in ((out, 1), (err, 2)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.environ.clear()
    os.environ.update(environment)
    with suppress(FileNotFoundError):
        os.chdir(folder)
    raise SystemExit(importlib.import_module(module).main(arguments))
