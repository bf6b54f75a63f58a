"""The shell around `memory`: one small file per master, written beside the event loop, replaced as a whole."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.contracts import Log
from gateway.points import PointCatalogue
from protocols.iec104.group import Group
from protocols.iec104.memory import Name, recall, remember


class MemoryKeeper:
    """Loads what stations remember and saves it when it was altered. `folder` is made when first needed."""

    def __init__(self, folder: Path, groups: Mapping[str, Group], catalogue: PointCatalogue, log: Log) -> None:
        self._folder, self._groups, self._catalogue, self._log = folder, groups, catalogue, log
        self._writing: set[asyncio.Future[None]] = set()

    def load(self) -> None:
        """Before the first change comes. A file that cannot be read is set aside with a log line."""
        for master, group in self._groups.items():
            path = self._path(master)
            try:
                recall(group.station, json.loads(path.read_text()), self._names(group))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                aside = path.with_suffix(".unreadable")
                self._log.error("parameters and counters set aside", master=master, cause=str(error), file=str(aside))
                if path.exists():
                    path.replace(aside)

    def save_altered(self) -> None:
        """Write what has changed since, one write at a time; what changes meanwhile is written after it."""
        if self._writing:
            return
        altered = {name: group for name, group in self._groups.items() if group.station.altered}
        if not altered:
            return
        contents = {self._path(name): self._content(group) for name, group in altered.items()}
        writing = asyncio.get_running_loop().run_in_executor(None, _write, contents)
        self._writing.add(writing)
        writing.add_done_callback(self._written)

    async def stop(self) -> None:
        """Write what is left."""
        while self._writing:
            await asyncio.wait(self._writing)
            await asyncio.sleep(0)

    def _written(self, writing: asyncio.Future[None]) -> None:
        self._writing.discard(writing)
        fault = writing.exception()
        if fault is not None:
            self._log.error("parameters and counters not saved: they are lost with this process", cause=str(fault))
        self.save_altered()

    def _content(self, group: Group) -> dict[str, Any]:
        group.station.altered = False
        return remember(group.station, self._names(group))

    def _names(self, group: Group) -> Name:
        columns, names = group.station.plan.bindings, self._catalogue.names

        def name(binding: int) -> str:
            return f"{columns.ca[binding]}/{columns.ioa[binding]}/{names[int(columns.row[binding])]}"

        return name

    def _path(self, master: str) -> Path:
        return self._folder / f"{master}.json"


def _write(contents: Mapping[Path, dict[str, Any]]) -> None:
    for path, content in contents.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
