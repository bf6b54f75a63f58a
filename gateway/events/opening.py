"""A journal's file found, taken, and made fit for the bindings of today."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from gateway.contracts.log import Log
from gateway.events.store import BindingName, Commit, Contents, DamagedJournal, JournalStore

LOCK_WAIT_S: Final = 5.0
"""How long the process before this one may take to let go."""


def lock(path: Path) -> int:
    """A handle that holds the journal for this process. Raises `OSError` when another one keeps it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(handle)
                raise OSError(f"{path.with_suffix('.db')} is in use by another process") from None
            time.sleep(0.02)


def opened(path: Path, log: Log) -> tuple[JournalStore, Contents]:
    """The store and what it holds; a fresh one in place of one that is damaged."""
    try:
        return _loaded(path)
    except DamagedJournal as damage:
        move_aside(path, log, str(damage))
        try:
            return _loaded(path)
        except DamagedJournal as again:
            raise OSError(f"{path} cannot be made: {again}") from None


def _loaded(path: Path) -> tuple[JournalStore, Contents]:
    store = JournalStore(path)
    try:
        return store, store.load()
    except BaseException:
        store.close()
        raise


def move_aside(path: Path, log: Log, cause: str) -> None:
    """Rename the file and its companions so that nothing of them is lost, and say so."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("", "-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    log.error(
        "journal is damaged: moved aside, a new one is begun", journal=str(path), moved_to=aside.name, cause=cause
    )


def renumbered(store: JournalStore, contents: Contents, names: Sequence[BindingName], log: Log) -> Contents:
    """What the journal holds for another set of bindings, found again by name; written at once."""
    now_at = {name: number for number, name in enumerate(names)}
    places = np.array([now_at.get(name, -1) for name in store.names()], np.int64)
    events = contents.events.copy()
    if len(events):
        moved = places[events["binding"]]
        events["binding"] = np.maximum(moved, 0)
        events = events[moved >= 0]
    removed = len(contents.events) - len(events)
    first = contents.cursor.next_number
    cursor = replace(
        contents.cursor,
        spans=((first, len(events)),) if len(events) else (),
        next_number=first + len(events),
        in_flight=min(contents.cursor.in_flight, len(events)),
    )
    baseline = contents.baseline.moved(places, len(names))
    store.rewrite(names, Commit(cursor=cursor, chunks=[(first, events)] if len(events) else [], baseline=baseline))
    if contents.size:
        gone = int((places < 0).sum())
        tell = log.warning if removed else log.info
        tell("the master's map has changed", events_kept=len(events), events_removed=removed, bindings_removed=gone)
    return replace(contents, cursor=cursor, events=events, baseline=baseline)
