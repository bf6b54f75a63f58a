"""A journal's file: SQLite in WAL mode, one blob of events per commit, a cursor over them.

    blobs     first number | count | feed seq | packed events       every event since the last checkpoint, or held
    cursor    runs of the numbers held, next number, feed seq, lost ...                 one row, moves with each commit
    baseline  what was last reported for each binding, before event number `next`            one row, each checkpoint
    bindings  names that the binding numbers in the events stand for                                         one row

What was last reported is the baseline and the events numbered from it on, so a commit writes little more than its
events. `synchronous=FULL`: a commit is on the disk when it returns.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.events.baseline import Baseline
from gateway.events.record import EVENT, NO_EVENTS, BlobError, Events, pack_events, unpack_events
from gateway.events.spans import Spans

APPLICATION_ID: Final = 0x47474A4C
"""Marks the file as a journal (``PRAGMA application_id``): "GGJL"."""
SCHEMA_VERSION: Final = 1
_WAL_BYTES: Final = 16 << 20

BindingName = tuple[str, str]
"""Point name, and where the binding stands in the protocol: ``ca 1 ioa 4101 M_ME_TF_1``."""

_SCHEMA: Final = (
    "CREATE TABLE blobs (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE cursor (id INTEGER PRIMARY KEY CHECK (id = 1), spans TEXT NOT NULL, next INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, lost INTEGER NOT NULL, overflowing INTEGER NOT NULL, in_flight INTEGER NOT NULL,"
    " clean INTEGER NOT NULL)",
    "CREATE TABLE baseline (id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE bindings (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, digest TEXT NOT NULL,"
    " names BLOB NOT NULL)",
)
_DAMAGE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
"""Results that mean a file that is not ours: our statements are right, so an error in one lies in the schema."""
_DAMAGE_EXTENDED: Final = frozenset({sqlite3.SQLITE_IOERR_SHORT_READ})


class DamagedJournal(Exception):
    """The file is no journal, or a broken one. The text says what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a queue stands: numbers held, the next one, feed seq looked at, events lost and whether they still are."""

    spans: tuple[tuple[int, int], ...] = ()
    next_number: int = 0
    seq: int = 0
    lost: int = 0
    overflowing: bool = False
    in_flight: int = 0
    clean: bool = True
    """Written by an orderly end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One transaction. `chunks`: events by the number of their first; `baseline`: as it stands behind all of them."""

    cursor: Cursor
    chunks: Sequence[tuple[int, Events]] = ()
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a file holds: `events` are those that the cursor's spans name."""

    cursor: Cursor
    events: Events
    baseline: Baseline
    digest: str
    size: int = 0
    """Bindings."""
    blobs: int = field(default=0)


@contextlib.contextmanager
def _damage_named() -> Iterator[None]:
    """`DamagedJournal` for what is wrong inside the file, `OSError` for what keeps us from using it."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code & 0xFF in _DAMAGE or code in _DAMAGE_EXTENDED:
            raise DamagedJournal(str(error)) from None
        raise OSError(str(error)) from None
    except (BlobError, ValueError, TypeError, OverflowError, IndexError, RecursionError, zlib.error) as error:
        raise DamagedJournal(str(error)) from None


def digest(names: Sequence[BindingName]) -> str:
    """Of binding names in their order."""
    return hashlib.sha256(json.dumps(names, ensure_ascii=True).encode()).hexdigest()


class JournalStore:
    """One open file. Used by one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or create. Raises `DamagedJournal`, or `OSError` when the place cannot be used."""
        with _damage_named():
            uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            with _damage_named():
                self._check_kind(read_only)
                if not read_only:
                    path.chmod(0o600)
                    self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _check_kind(self, read_only: bool) -> None:
        kind, version = self._pragma("application_id"), self._pragma("user_version")
        (tables,) = self._row("SELECT count(*) FROM sqlite_master")
        if (kind, version, tables) == (0, 0, 0) and not read_only:
            return
        if kind != APPLICATION_ID:
            raise DamagedJournal("the file is no journal of this gateway")
        if version != SCHEMA_VERSION:
            raise DamagedJournal(f"the journal is of version {version}, this gateway writes version {SCHEMA_VERSION}")

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        if self._pragma("application_id") == APPLICATION_ID:
            problems = self._row("PRAGMA quick_check(1)")[0]
            if problems != "ok":
                raise DamagedJournal(str(problems))
            return
        with self._transaction():
            for statement in _SCHEMA:
                self._db.execute(statement)
            self._write_cursor(Cursor())
            self._write_bindings(())
            self._write_baseline(Baseline(0), 0)
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")

    def close(self) -> None:
        """Close the file. `OSError` when the disk fails."""
        with _damage_named():
            self._db.close()

    def load(self) -> Contents:
        """Everything that is held. Raises `DamagedJournal` or `OSError`."""
        with _damage_named():
            self._db.execute("BEGIN")
            try:
                return self._load()
            finally:
                self._db.execute("COMMIT")

    def _load(self) -> Contents:
        cursor = self._cursor()
        size, known = self._row("SELECT size, digest FROM bindings")
        at, packed = self._row("SELECT next, data FROM baseline")
        baseline = Baseline.unpack(packed, _number(size))
        blobs = list(self._blobs())
        for first, events in blobs:
            if len(events) and int(events["binding"].max()) >= size:
                raise DamagedJournal(f"an event of binding {int(events['binding'].max())}, there are {size}")
            baseline.take_events(events[max(0, _number(at) - first) :])
        events = _held(blobs, Spans(cursor.spans))
        return Contents(cursor=cursor, events=events, baseline=baseline, digest=str(known), size=size, blobs=len(blobs))

    def _cursor(self) -> Cursor:
        spans, number, seq, lost, overflowing, in_flight, clean = self._row(
            "SELECT spans, next, seq, lost, overflowing, in_flight, clean FROM cursor"
        )
        runs = tuple((_number(first), _number(count)) for first, count in json.loads(spans))
        return Cursor(
            spans=runs,
            next_number=_number(number),
            seq=_number(seq),
            lost=_number(lost),
            overflowing=bool(overflowing),
            in_flight=_number(in_flight),
            clean=bool(clean),
        )

    def _blobs(self) -> Iterator[tuple[int, Events]]:
        for first, count, data in self._db.execute("SELECT first, count, data FROM blobs ORDER BY first"):
            yield first, unpack_events(data, _number(count))

    def names(self) -> list[BindingName]:
        """The bindings that the events speak of. Raises `DamagedJournal` or `OSError`."""
        with _damage_named():
            (packed,) = self._row("SELECT names FROM bindings")
            return [(str(point), str(address)) for point, address in json.loads(zlib.decompress(packed))]

    def write(self, commit: Commit) -> None:
        """Make it durable: on the disk when this returns. Raises `OSError` (nothing is written then)."""
        with _damage_named(), self._transaction():
            for first, events in _joined(commit.chunks):
                row = (first, len(events), int(events["seq"][-1]), pack_events(events))
                self._db.execute("INSERT INTO blobs VALUES (?, ?, ?, ?)", row)
            self._write_cursor(commit.cursor)
            if commit.baseline is not None:
                self._write_baseline(commit.baseline, commit.cursor.next_number)
                held = commit.cursor.spans[0][0] if commit.cursor.spans else commit.cursor.next_number
                self._db.execute("DELETE FROM blobs WHERE first < ? AND first + count <= ?", (held, held))

    def rewrite(self, names: Sequence[BindingName], commit: Commit) -> None:
        """Replace everything: other bindings, and what is held renumbered for them. Raises `OSError`."""
        with _damage_named(), self._transaction():
            self._db.execute("DELETE FROM blobs")
            self._write_bindings(names)
            for first, events in commit.chunks:
                row = (first, len(events), int(events["seq"][-1]), pack_events(events))
                self._db.execute("INSERT INTO blobs VALUES (?, ?, ?, ?)", row)
            self._write_cursor(commit.cursor)
            self._write_baseline(commit.baseline or Baseline(len(names)), commit.cursor.next_number)

    def _write_cursor(self, cursor: Cursor) -> None:
        row = (
            *(json.dumps(cursor.spans), cursor.next_number, cursor.seq, cursor.lost),
            *(cursor.overflowing, cursor.in_flight, cursor.clean),
        )
        self._db.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?, ?, ?, ?, ?, ?, ?)", row)

    def _write_baseline(self, baseline: Baseline, number: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO baseline VALUES (1, ?, ?)", (number, baseline.pack()))

    def _write_bindings(self, names: Sequence[BindingName]) -> None:
        packed = zlib.compress(json.dumps(names, ensure_ascii=True).encode(), 1)
        row = (len(names), digest(names), packed)
        self._db.execute("INSERT OR REPLACE INTO bindings VALUES (1, ?, ?, ?)", row)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise

    def _pragma(self, name: str) -> int:
        return int(self._row(f"PRAGMA {name}")[0])

    def _row(self, statement: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._db.execute(statement).fetchone()
        if row is None:
            raise DamagedJournal(f"nothing found by: {statement}")
        return row


def _number(value: object) -> int:
    """A count or a number as the file has it."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"a number was expected, not {value!r}")
    return value


def _joined(chunks: Sequence[tuple[int, Events]]) -> list[tuple[int, Events]]:
    """Chunks whose numbers run on as one."""
    runs: list[tuple[int, list[Events]]] = []
    end = -1
    for first, events in chunks:
        if first == end:
            runs[-1][1].append(events)
        elif len(events):
            runs.append((first, [events]))
        end = first + len(events)
    return [(first, parts[0] if len(parts) == 1 else np.concatenate(parts)) for first, parts in runs]


def _held(blobs: list[tuple[int, Events]], spans: Spans) -> Events:
    """Events of these numbers; `DamagedJournal` when one is missing."""
    if not len(spans):
        return NO_EVENTS
    numbers = np.concatenate([np.arange(first, first + len(events)) for first, events in blobs] or [np.empty(0, int)])
    everything = np.concatenate([events for _, events in blobs]) if blobs else NO_EVENTS
    runs = np.array(list(spans), np.int64)
    starts = np.searchsorted(numbers, runs[:, 0])
    stops = np.searchsorted(numbers, runs.sum(axis=1))
    if (stops - starts != runs[:, 1]).any():
        raise DamagedJournal(f"{int((runs[:, 1] - (stops - starts)).sum())} events that are held are missing")
    out = np.empty(len(spans), EVENT)
    at = 0
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        out[at : at + stop - start] = everything[start:stop]
        at += stop - start
    return out
