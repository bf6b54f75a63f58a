"""Opening the store when something is wrong with it: what is damaged is set aside, and recording goes on."""

from __future__ import annotations

from pathlib import Path

from gateway.contracts.log import Log
from gateway.history.archive import FILE_NAME as ARCHIVE
from gateway.history.archive import Archive
from gateway.history.plan import Retention
from gateway.history.spool import FILE_NAME
from gateway.history.sqlitefile import DamagedHistory, set_aside
from gateway.history.writer import HistoryWriter


def open_writer(folder: Path, retention: Retention, log: Log) -> HistoryWriter:
    """The store; a damaged spool is renamed and begun anew. Raises `OSError` when the place cannot be used."""
    try:
        return HistoryWriter(folder, retention)
    except DamagedHistory as error:
        aside = set_aside(folder / FILE_NAME)
        log.error("the history's spool is damaged: set aside, a new one is begun", cause=str(error), file=str(aside))
        return HistoryWriter(folder, retention)


def open_archive(folder: Path, log: Log) -> Archive:
    """The archive; a damaged one is kept aside, as evidence, and a new chain is begun. Raises `OSError`."""
    try:
        return Archive(folder)
    except DamagedHistory as error:
        aside = set_aside(folder / ARCHIVE)
        log.error("the archive is damaged: set aside, a new one is begun", cause=str(error), file=str(aside))
        return Archive(folder)
