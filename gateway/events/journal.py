"""The durable queue of one master: in memory for the server, on disk for the next process.

    append ──► queue in memory ──► take ──► wire            the loop; never waits for the disk
                   │
                   ▼ every 50 ms, or 16,384 events
               one thread ──► one transaction ──► fsync     `confirmed_seq` follows here

The queue holds everything that was not released; the file holds the same as it was at the last commit. An event may be
sent before it is committed: after a kill the core gives what was not committed again. What was released after the last
commit is offered again then, and nothing else.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.log import Log
from gateway.events.baseline import Index, Reported
from gateway.events.opening import lock, move_aside, opened, renumbered
from gateway.events.queue import EventQueue
from gateway.events.record import EVENT, Events
from gateway.events.spans import Spans
from gateway.events.store import BindingName, Commit, Contents, Cursor, DamagedJournal, JournalStore, digest
from gateway.feed.frames import EPOCH_SHIFT
from gateway.points.change import Qualities, Values

COMMIT_EVERY_S: Final = 0.05
COMMIT_EVENTS: Final = 16_384
"""So many events are committed at once, without waiting."""
IDLE_EVERY_S: Final = 1.0
"""How often the feed seq alone is written: nothing is lost with it, a restart only looks at more of the replay."""
CHECKPOINT_EVERY_S: Final = 5.0
CHECKPOINT_EVENTS: Final = 65_536
"""The baseline is written, and what is no longer needed removed, after so long or so many events."""
RETRY_S: Final = 1.0
SLOW_S: Final = 2.0
_NOT_NUMBERED: Final = -1


def journal_path(state_dir: Path, server: str, master: str) -> Path:
    """Where the journal of a master lies."""
    return state_dir / "journal" / server / f"{master}.db"


class EventJournal(EventQueue):
    """An `EventQueue` that survives its process. Made by `open`; `start` its thread, `close` it at the end.

    Everything but `commit` is called by one thread, the server's.
    """

    def __init__(self, store: JournalStore, contents: Contents, path: Path, capacity: int, log: Log) -> None:
        super().__init__(capacity)
        self.path = path
        self._store, self._log = store, log
        self._baseline = contents.baseline
        self._known = contents.baseline.reported
        self._names: Sequence[BindingName] = ()
        self._wake = threading.Condition()
        self._due = math.inf
        self._closing = self._closed = self._failing = False
        self._unwritten: list[tuple[int, Events]] = []
        self._unwritten_events = 0
        self._since_checkpoint = 0
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S
        self._thread: threading.Thread | None = None
        self._lock_file = -1
        self._restore(contents)

    @classmethod
    def open(cls, path: Path, capacity: int, names: Sequence[BindingName], log: Log) -> EventJournal:
        """The journal at `path`, made if need be; `names` of the master's bindings in the order of their numbers.

        Events of bindings that have gone are dropped, counted and logged. A file that is damaged or not ours is moved
        aside with a line in the log. Raises `OSError` when the place cannot be used.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_file = lock(path.with_suffix(".lock"))
        try:
            store, contents = opened(path, log)
            if contents.digest != digest(names):
                contents = renumbered(store, contents, names, log.bind(journal=str(path)))
            journal = cls(store, contents, path, capacity, log.bind(journal=str(path)))
            journal._lock_file, journal._names = lock_file, names
            store.write(Commit(cursor=journal._cursor()))
        except DamagedJournal as damage:
            os.close(lock_file)
            raise OSError(f"{path}: {damage}") from None
        except BaseException:
            os.close(lock_file)
            raise
        return journal

    def _restore(self, contents: Contents) -> None:
        cursor, events = contents.cursor, contents.events
        self._reserve(len(events))
        self._buffer[: len(events)] = events
        self._tail = len(events)
        self._numbers, self._next_number = Spans(cursor.spans), cursor.next_number
        self._noted_seq = self._committed_seq = cursor.seq
        self.lost, self.overflowing = cursor.lost, cursor.overflowing
        excess = self._make_room(0)
        if excess:
            self.lost += excess
            self.overflowing = True
            self._log.warning("journal holds more than its capacity: oldest dropped", lost=excess)
        if not cursor.clean:
            self._log.warning(
                "journal was not closed in order: what was confirmed last may be repeated",
                held=len(self),
                in_flight_at_last_commit=cursor.in_flight,
                commit_every_ms=round(COMMIT_EVERY_S * 1000),
            )
        elif len(self):
            self._log.info("events held from before", held=len(self))

    @property
    def confirmed_seq(self) -> int:
        """What came of feed records up to and including this one need not be given again: it is on disk."""
        return self._committed_seq

    @property
    def settled(self) -> bool:
        """Everything that was looked at is on disk."""
        return self._committed_seq >= self._noted_seq

    @property
    def reported(self) -> Reported:
        """What was last reported for each binding before this process began."""
        return self._known

    def resume(self, confirmed_seq: int) -> int:
        """See `EventQueue`. The later of what the journal has and what the core holds, if both are of one epoch."""
        with self._wake:
            if self._noted_seq >> EPOCH_SHIFT == confirmed_seq >> EPOCH_SHIFT:
                confirmed_seq = max(confirmed_seq, self._noted_seq)
            self._noted_seq = self._committed_seq = confirmed_seq
            return confirmed_seq

    def note(self, seq: int) -> None:
        """See `EventQueue`."""
        with self._wake:
            if seq > self._noted_seq:
                self._noted_seq = seq
                self._commit_in(IDLE_EVERY_S)

    def append(self, batch: Events) -> int:
        """See `EventQueue`."""
        if not len(batch):
            return 0
        with self._wake:
            first = self._next_number
            dropped = super().append(batch)
            self._keep(first, batch.copy())
            self._commit_in(0.0 if self._unwritten_events >= COMMIT_EVENTS else COMMIT_EVERY_S)
            return dropped

    def release(self, count: int) -> None:
        """See `EventQueue`."""
        with self._wake:
            super().release(count)
            if count:
                self._commit_in(COMMIT_EVERY_S)

    def release_some(self, numbers: NDArray[np.int64]) -> None:
        """See `EventQueue`."""
        with self._wake:
            super().release_some(numbers)
            if len(numbers):
                self._commit_in(COMMIT_EVERY_S)

    def rewind(self) -> None:
        """See `EventQueue`."""
        with self._wake:
            super().rewind()

    def report(self, index: Index, values: Values, qualities: Qualities) -> None:
        """See `EventQueue`."""
        if not len(index):
            return
        told = np.zeros(len(index), EVENT)
        told["binding"], told["value"], told["quality"] = index, values, qualities
        with self._wake:
            self._keep(_NOT_NUMBERED, told)
            self._checkpoint_at = 0.0
            self._commit_in(COMMIT_EVERY_S)

    def start(self) -> None:
        """Commit by a thread from now on."""
        self._thread = threading.Thread(target=self._run, name=f"journal {self.path.stem}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what there is, end the thread, close the file. Blocks for the disk; once is enough."""
        with self._wake:
            if self._closed:
                return
            self._closing = self._closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self.commit(clean=True)
        try:
            self._store.close()
        except OSError as error:
            self._log.error("journal cannot be closed", cause=str(error))
        os.close(self._lock_file)

    def commit(self, *, clean: bool = False) -> bool:
        """Write what there is, now, in the calling thread; False when the disk refused (logged, kept, tried again)."""
        work = self._snapshot(clean)
        began = time.monotonic()
        try:
            self._store.write(work)
        except (OSError, DamagedJournal) as error:
            self._failed(work, error)
            return False
        with self._wake:
            self._committed_seq = max(self._committed_seq, work.cursor.seq)
        if self._failing:
            self._failing = False
            self._log.info("journal is written again")
        elif time.monotonic() - began > SLOW_S:
            self._log.warning("the disk is slow: a commit took long", seconds=round(time.monotonic() - began, 1))
        return True

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._closing and (wait_s := self._due - time.monotonic()) > 0:
                    self._wake.wait(None if wait_s == math.inf else wait_s)
                if self._closing:
                    return
            self.commit()

    def _commit_in(self, wait_s: float) -> None:
        """A commit is due by then; call with the lock held."""
        due = time.monotonic() + (RETRY_S if self._failing else wait_s)
        if due < self._due:
            self._due = due
            self._wake.notify()

    def _cursor(self) -> Cursor:
        return Cursor(
            spans=tuple(self._numbers),
            next_number=self._next_number,
            seq=self._noted_seq,
            lost=self.lost,
            overflowing=self.overflowing,
            in_flight=self.in_flight,
            clean=False,
        )

    def _snapshot(self, clean: bool) -> Commit:
        """What the next transaction writes; the queue goes on meanwhile."""
        now = time.monotonic()
        with self._wake:
            chunks, self._unwritten = self._unwritten, []
            self._since_checkpoint += self._unwritten_events
            self._unwritten_events = 0
            self._due = math.inf
            for _, events in chunks:
                self._baseline.take_events(events)
            old = now >= self._checkpoint_at and (self._since_checkpoint > 0 or not self._checkpoint_at)
            checkpoint = clean or old or self._since_checkpoint >= CHECKPOINT_EVENTS
            if checkpoint:
                self._since_checkpoint, self._checkpoint_at = 0, now + CHECKPOINT_EVERY_S
            return Commit(
                cursor=replace(self._cursor(), clean=clean),
                chunks=[chunk for chunk in chunks if chunk[0] != _NOT_NUMBERED],
                baseline=self._baseline.copy() if checkpoint else None,
            )

    def _keep(self, first: int, events: Events) -> None:
        """Events for the next commit; call with the lock held."""
        self._unwritten.append((first, events))
        self._unwritten_events += len(events)
        if self._unwritten_events > 2 * self.capacity + COMMIT_EVENTS:
            self._forget_released()

    def _forget_released(self) -> None:
        """The disk stands still: of what waits for it only the events still held are kept, the rest as baseline."""
        oldest = min((first for first, _ in self._unwritten if first != _NOT_NUMBERED), default=self._next_number)
        for _, events in self._unwritten:
            self._baseline.take_events(events)
        kept: list[tuple[int, Events]] = []
        at = self._head
        for first, count in self._numbers:
            skip = min(max(0, oldest - first), count)
            if skip < count:
                kept.append((first + skip, self._buffer[at + skip : at + count].copy()))
            at += count
        self._unwritten = kept
        self._unwritten_events = sum(len(events) for _, events in kept)
        self._checkpoint_at = 0.0

    def _failed(self, work: Commit, error: Exception) -> None:
        """Keep the work for the next try; a file that broke under us is replaced by one with all that is held."""
        with self._wake:
            if not self._failing:
                self._log.error("journal cannot be written: events are held in memory alone", cause=str(error))
            self._failing = True
            self._unwritten = [*work.chunks, *self._unwritten]
            self._unwritten_events += sum(len(events) for _, events in work.chunks)
            self._checkpoint_at = 0.0
            self._commit_in(RETRY_S)
            if self._unwritten_events > 2 * self.capacity + COMMIT_EVENTS:
                self._forget_released()
        if isinstance(error, DamagedJournal):
            self._replace_file()

    def _replace_file(self) -> None:
        with self._wake:
            for _, events in self._unwritten:
                self._baseline.take_events(events)
            chunks, at = [], self._head
            for first, count in self._numbers:
                chunks.append((first, self._buffer[at : at + count].copy()))
                at += count
            work = Commit(cursor=self._cursor(), chunks=chunks, baseline=self._baseline.copy())
            self._unwritten, self._unwritten_events = [], 0
        try:
            self._store.close()
            move_aside(self.path, self._log, "damaged while in use")
            self._store = JournalStore(self.path)
            self._store.rewrite(self._names, work)
        except (OSError, DamagedJournal) as error:
            self._log.error("journal cannot be replaced", cause=str(error))
            with self._wake:
                self._unwritten = [*work.chunks, *self._unwritten]
