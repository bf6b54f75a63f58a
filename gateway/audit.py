"""The record of who did what: one JSON line per step of a command, or per login, kept in the state directory."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from pathlib import Path
from typing import Final

from gateway.contracts.log import Log

_LINES_HELD: Final = 10_000


class AuditLog:
    """Appends to ``<state_dir>/audit/NAME-YYYYMMDD.jsonl`` (UTC days, mode 0600).

    The disk is touched by a thread of its own, never by the caller. `record` says whether the line was taken:
    a command whose record cannot be kept is to be refused. `consequence` ends the log line when that is so.
    """

    def __init__(
        self, directory: Path, log: Log, name: str = "commands", consequence: str = ": commands are refused"
    ) -> None:
        self._name, self._consequence = name, consequence
        self._directory = directory
        self._log = log
        self._lines: queue.Queue[dict[str, object] | None] = queue.Queue(_LINES_HELD)
        self._failing = False
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)

    def start(self) -> None:
        """Make the directory (mode 0700) and begin to write. Raises `OSError` when it cannot."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting and close."""
        self._lines.put(None)
        self._thread.join(2.0)

    @property
    def healthy(self) -> bool:
        """Whether the last write succeeded and there is room for more."""
        return not self._failing and not self._lines.full()

    def record(self, **facts: object) -> bool:
        """Take one line; False when the disk fails or too many wait."""
        try:
            self._lines.put_nowait({"time": time.time_ns()} | facts)
        except queue.Full:
            return False
        return not self._failing

    def _write_all(self) -> None:
        while True:
            lines = [self._lines.get()]
            while not self._lines.empty():
                lines.append(self._lines.get())
            self._write([line for line in lines if line is not None])
            if None in lines:
                return

    def _write(self, lines: list[dict[str, object]]) -> None:
        if not lines:
            return
        name = self._name + time.strftime("-%Y%m%d.jsonl", time.gmtime())
        data = "".join(json.dumps(line, separators=(",", ":"), default=str) + "\n" for line in lines)
        try:
            handle = os.open(self._directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, data.encode())
                os.fdatasync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            if not self._failing:
                self._log.error(f"audit cannot be written{self._consequence}", cause=str(error))
            self._failing = True
            return
        if self._failing:
            self._log.info("audit is written again")
        self._failing = False
