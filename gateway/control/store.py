"""What control must not forget: latches, bypasses, first-out marks; what was switched and asked for.

Written by a thread, never by the cycle.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, Final

from gateway.contracts.log import Log

_STOP_S: Final = 2.0


class StoreLost(Exception):
    """What was written down cannot be read. The text says why."""


class ControlStore:
    """``<state_dir>/control/latches.json`` and ``targets.json`` (mode 0600), replaced as a whole and synced.

    The newest state of each wins. They are two files because a file of latches that cannot be read trips the plant.
    """

    def __init__(self, directory: Path, log: Log) -> None:
        self.directory, self._directory, self._log = directory, directory, log
        self._latches, self._targets = directory / "latches.json", directory / "targets.json"
        self._mark = directory / "stalled"
        self._next: dict[Path, dict[str, Any]] = {}
        self._stopping = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name="control store", daemon=True)
        self.failing = False

    def start(self) -> dict[str, Any] | None:
        """Begin to write; returns what was kept, None when nothing was.

        Raises `StoreLost` when it cannot be read (writing goes on), `OSError` when the directory cannot be made.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread.start()
        return self._read(self._latches)

    def targets(self) -> dict[str, Any]:
        """What was switched and asked for, by controller. Raises `StoreLost` when it cannot be read."""
        return self._read(self._targets) or {}

    @staticmethod
    def _read(path: Path) -> dict[str, Any] | None:
        try:
            kept = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreLost(str(error)) from None
        if not isinstance(kept, dict):
            raise StoreLost("it holds no state")
        return kept

    def save(self, state: dict[str, Any]) -> None:
        """Take the newest state of the latches; on the disk a moment later."""
        self._put(self._latches, state)

    def save_targets(self, state: dict[str, Any]) -> None:
        """Take what is switched and asked for now."""
        self._put(self._targets, state)

    def _put(self, path: Path, state: dict[str, Any]) -> None:
        with self._wake:
            self._next[path] = state
            self._wake.notify()

    def stop(self) -> None:
        """Write what is waiting."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(_STOP_S)

    def mark_stalled(self) -> None:
        """For the next start: the cycle had stalled when this process ended. From any thread."""
        handle = os.open(self._mark, os.O_WRONLY | os.O_CREAT, 0o600)
        os.fsync(handle)
        os.close(handle)

    def was_stalled(self) -> bool:
        """Whether the process before ended over a stalled cycle; asked once."""
        try:
            self._mark.unlink()
        except FileNotFoundError:
            return False
        return True

    def _write_all(self) -> None:
        while True:
            with self._wake:
                while not self._next and not self._stopping:
                    self._wake.wait()
                waiting, self._next = self._next, {}
            if not waiting:
                return
            for path in sorted(waiting):  # the latches first
                self._write(path, waiting[path])

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        fresh = path.with_suffix(".new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(handle, json.dumps(state, separators=(",", ":")).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            fresh.replace(path)
            folder = os.open(self._directory, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        except OSError as error:
            if not self.failing:
                self._log.error("what control must not forget cannot be written", cause=str(error))
            self.failing = True
            return
        self.failing = False
