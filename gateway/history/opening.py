"""Opening the store when something is wrong with it: what is damaged is set aside, and recording goes on."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.contracts.log import Log
from gateway.history.plan import Retention
from gateway.history.spool import FILE_NAME
from gateway.history.sqlitefile import DamagedHistory
from gateway.history.writer import HistoryWriter


def open_writer(folder: Path, retention: Retention, log: Log) -> HistoryWriter:
    """The store; a damaged spool is renamed and begun anew. Raises `OSError` when the place cannot be used."""
    try:
        return HistoryWriter(folder, retention)
    except DamagedHistory as error:
        aside = set_aside(folder / FILE_NAME)
        log.error("the history's spool is damaged: set aside, a new one is begun", cause=str(error), file=str(aside))
        return HistoryWriter(folder, retention)


def set_aside(path: Path) -> Path:
    """Rename a file and its log out of the way; its new name."""
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.replace(aside)
    for ending in ("-wal", "-shm"):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + ending))
    return aside
