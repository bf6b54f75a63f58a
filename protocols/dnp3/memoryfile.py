"""The shell around `memory`: one small file per master, written beside the event loop, replaced as a whole."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from gateway.contracts import Log
from protocols.dnp3.memory import Memory, recall, remember
from protocols.dnp3.outstation import Outstation


class MemoryFile:
    """Loads what an outstation remembers, and saves it when it was altered. The folder is made when first needed."""

    def __init__(self, path: Path, outstation: Outstation, keys: list[str], log: Log) -> None:
        self._path, self._outstation, self._keys, self._log = path, outstation, keys, log
        self._writing: asyncio.Future[None] | None = None

    def load(self) -> None:
        """Before the first change comes. A file that cannot be read is set aside with a log line."""
        try:
            recall(self._outstation, json.loads(self._path.read_text()), self._keys)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            aside = self._path.with_suffix(".unreadable")
            self._log.error("frozen values, classes and deadbands set aside", cause=str(error), file=str(aside))
            if self._path.exists():
                self._path.replace(aside)

    def save_altered(self) -> None:
        """Write what has changed since, one write at a time; what changes meanwhile is written after it."""
        if self._writing is not None or not self._outstation.altered:
            return
        self._outstation.altered = False
        memory = remember(self._outstation, self._keys)
        self._writing = asyncio.get_running_loop().run_in_executor(None, _write, self._path, memory)
        self._writing.add_done_callback(self._written)

    async def stop(self) -> None:
        """Write what is left."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)

    def _written(self, writing: asyncio.Future[None]) -> None:
        self._writing = None
        fault = writing.exception()
        if fault is not None:
            self._log.error("frozen values, classes and deadbands not saved", cause=str(fault))
        self.save_altered()


def _write(path: Path, memory: Memory) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(memory, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
