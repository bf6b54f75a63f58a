"""The spool: every sample is on disk here, in the order of recording, before anything else is done with it.

    batches   number | feed seq | samples | earliest | latest | packed columns
    series    id | name | unit | kind                      ids are given once and never again
    cursors   who | number                                 the batches up to it are done with
    newest    feed seq | packed columns                    of each series the last one that the day files have taken

A batch stays until every cursor has passed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.history import batch as batches
from gateway.history.batch import NO_SAMPLES, Batch
from gateway.history.sqlitefile import named_errors, open_file, transaction

APPLICATION_ID: Final = 0x47474853
"""Marks the file: "GGHS"."""
FILE_NAME: Final = "spool.sqlite"
_SCHEMA: Final = (
    "CREATE TABLE batches (number INTEGER PRIMARY KEY AUTOINCREMENT, feed_seq INTEGER NOT NULL, count INTEGER NOT NULL,"
    " first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL, kind TEXT NOT NULL)",
    "CREATE TABLE cursors (who TEXT PRIMARY KEY, number INTEGER NOT NULL)",
)
_APPEND: Final = "INSERT INTO batches (feed_seq, count, first_ns, last_ns, data) VALUES (?, ?, ?, ?, ?)"
_NEWEST: Final = (
    "CREATE TABLE IF NOT EXISTS newest"
    " (id INTEGER PRIMARY KEY CHECK (id = 1), feed_seq INTEGER NOT NULL, data BLOB NOT NULL)"
)
"""Not in spools of before."""


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What a series is called, and what its values are."""

    name: str
    unit: str = ""
    kind: str = "analog"


@dataclass(frozen=True, slots=True)
class Stored:
    """One batch as it lies in the spool."""

    number: int
    feed_seq: int
    count: int
    first_ns: int
    last_ns: int
    data: bytes

    def records(self) -> Batch:
        """Raises `gateway.history.codec.BlockError`."""
        return batches.unpack(self.data)


class Spool:
    """One open spool. Used by one thread at a time; any number of processes may read beside the one that writes."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open or create. Raises `FileNotFoundError`, `DamagedHistory`, `DiskFull`, `OSError`."""
        if not read_only:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        self._db = open_file(self.path, APPLICATION_ID, _SCHEMA, read_only=read_only, durable=True)
        if not read_only:
            with named_errors(self.path):
                self._db.execute(_NEWEST)

    def close(self) -> None:
        with named_errors(self.path):
            self._db.close()

    def append(self, batch: Batch, feed_seq: int) -> int:
        """Make a batch durable; its number. `feed_seq`: how far the change feed is in the spool now."""
        return self.append_all([batch], feed_seq)[0]

    def append_all(self, parts: Sequence[Batch], feed_seq: int) -> list[int]:
        """Make these batches durable, all or none; their numbers."""
        rows = [
            (feed_seq, len(part), int(part["time_ns"].min()), int(part["time_ns"].max()), batches.pack(part))
            for part in parts
        ]
        with named_errors(self.path), transaction(self._db):
            return [int(self._db.execute(_APPEND, row).lastrowid or 0) for row in rows]

    def feed_seq(self) -> int:
        """How far the change feed is in the spool; 0: nothing yet."""
        with named_errors(self.path):
            row = self._db.execute("SELECT feed_seq FROM batches ORDER BY number DESC LIMIT 1").fetchone()
            row = row or self._db.execute("SELECT feed_seq FROM newest").fetchone()
        return int(row[0]) if row else 0

    def newest(self) -> Batch:
        """As it was put by `set_taken`. Raises `gateway.history.codec.BlockError`."""
        with named_errors(self.path):
            row = self._db.execute("SELECT data FROM newest").fetchone()
        return batches.unpack(row[0]) if row else NO_SAMPLES

    def set_taken(self, who: str, number: int, newest: Batch) -> None:
        """These batches are in the day files; `newest` of each series is the last one of all times. Durable."""
        row = (self.feed_seq(), batches.pack(newest))
        with named_errors(self.path), transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO newest VALUES (1, ?, ?)", row)
            self._db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (who, number))

    def last_number(self) -> int:
        """Number of the newest batch; 0: there was none yet."""
        with named_errors(self.path):
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batches'").fetchone()
        return int(row[0]) if row else 0

    def after(self, number: int, limit: int = 1 << 30) -> Iterator[Stored]:
        """Batches behind this number, in order."""
        with named_errors(self.path):
            rows = self._db.execute(
                "SELECT number, feed_seq, count, first_ns, last_ns, data FROM batches WHERE number > ? "
                "ORDER BY number LIMIT ?",
                (number, limit),
            )
            while found := rows.fetchmany(64):
                yield from (Stored(*row) for row in found)

    def waiting(self, number: int) -> tuple[int, int]:
        """Samples behind this number, and the earliest recorded time among them (0: none)."""
        with named_errors(self.path):
            count, first = self._db.execute(
                "SELECT sum(count), min(first_ns) FROM batches WHERE number > ?", (number,)
            ).fetchone()
        return int(count or 0), int(first or 0)

    def cursors(self) -> dict[str, int]:
        """Who has done with the batches up to which number."""
        with named_errors(self.path):
            return {str(who): int(number) for who, number in self._db.execute("SELECT who, number FROM cursors")}

    def set_cursor(self, who: str, number: int) -> None:
        """These batches are done with; durable when this returns."""
        with named_errors(self.path):
            self._db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (who, number))

    def drop_cursor(self, who: str) -> None:
        """Nobody of this name reads any more."""
        with named_errors(self.path):
            self._db.execute("DELETE FROM cursors WHERE who = ?", (who,))

    def clean(self, readers: Sequence[str]) -> int:
        """Delete the batches that all of these are done with; how many."""
        known = self.cursors()
        done = min((known.get(who, 0) for who in readers), default=0)
        with named_errors(self.path):
            return int(self._db.execute("DELETE FROM batches WHERE number <= ?", (done,)).rowcount)

    def size_bytes(self) -> int:
        """Of what is held. The file itself keeps the room of what was deleted, for what comes."""
        with named_errors(self.path):
            pages, free, size = (
                int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def series(self) -> dict[str, int]:
        """Ids by name."""
        with named_errors(self.path):
            return {str(name): int(number) for name, number in self._db.execute("SELECT name, id FROM series")}

    def series_info(self) -> dict[int, SeriesInfo]:
        """What each id stands for."""
        with named_errors(self.path):
            rows = self._db.execute("SELECT id, name, unit, kind FROM series")
            return {int(number): SeriesInfo(str(name), str(unit), str(kind)) for number, name, unit, kind in rows}

    def register(self, wanted: Sequence[SeriesInfo]) -> Mapping[str, int]:
        """Ids for these names, new ones where needed; unit and kind are brought up to date."""
        with named_errors(self.path), transaction(self._db):
            self._db.executemany(
                "INSERT INTO series (name, unit, kind) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET unit = excluded.unit, kind = excluded.kind",
                [(info.name, info.unit, info.kind) for info in wanted],
            )
        return self.series()
