"""One file a day (UTC): blocks of each series, ordered by series and time so that a day of one series lies together."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from gateway.history import codec
from gateway.history.samples import Samples
from gateway.history.spool import SeriesInfo
from gateway.history.sqlitefile import named_errors, open_file, transaction

APPLICATION_ID: Final = 0x47474844
"""Marks the file: "GGHD"."""
DAY_NS: Final = 86_400_000_000_000
HOUR_NS: Final = 3_600_000_000_000
BLOCK_SAMPLES: Final = 3_600
SUFFIX: Final = ".sqlite"
_ALL: Final = 1 << 62
_EPOCH: Final = dt.date(1970, 1, 1)
_SCHEMA: Final = (
    "CREATE TABLE blocks (series INTEGER NOT NULL, start_ns INTEGER NOT NULL, number INTEGER NOT NULL,"
    " end_ns INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY (series, start_ns, number)) WITHOUT ROWID",
    "CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL)",
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), taken INTEGER NOT NULL, merged_ns INTEGER NOT NULL)",
    "INSERT INTO state VALUES (1, 0, 0)",
)
_SMALL_BLOCKS: Final = "series = ? AND start_ns >= ? AND start_ns < ? AND count < ?"


def day_of(time_ns: int) -> int:
    """Days since 1970 UTC."""
    return time_ns // DAY_NS


def file_of(folder: Path, day: int) -> Path:
    """The day's file."""
    return folder / f"{_EPOCH + dt.timedelta(days=day)}{SUFFIX}"


def days_in(folder: Path) -> list[int]:
    """Days that have a file, rising."""
    found = []
    for path in folder.glob(f"????-??-??{SUFFIX}"):
        try:
            found.append((dt.date.fromisoformat(path.stem) - _EPOCH).days)
        except ValueError:
            continue
    return sorted(found)


class DayFile:
    """One open day. Used by one thread at a time."""

    def __init__(self, folder: Path, day: int, *, read_only: bool = False) -> None:
        """Open or create. Raises `FileNotFoundError`, `DamagedHistory`, `DiskFull`, `OSError`."""
        self.day = day
        self.path = file_of(folder, day)
        self._db: sqlite3.Connection = open_file(self.path, APPLICATION_ID, _SCHEMA, read_only=read_only, durable=False)

    def close(self) -> None:
        with named_errors(self.path):
            self._db.close()

    def taken(self) -> int:
        """The spool's batches up to this number are in the file, as far as they concern its day."""
        with named_errors(self.path):
            return int(self._db.execute("SELECT taken FROM state").fetchone()[0])

    def add(self, parts: Iterable[tuple[int, Samples]], infos: Iterable[tuple[int, SeriesInfo]], taken: int) -> None:
        """Blocks of these series, and how far the spool is taken, in one transaction. Times of a part must rise."""
        rows = [
            (series, int(cut.time_ns[0]), taken, int(cut.time_ns[-1]), len(cut), codec.encode(cut))
            for series, samples in parts
            for cut in _cuts(samples)
        ]
        with named_errors(self.path), transaction(self._db):
            self._db.executemany("INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?)", _series_rows(infos))
            self._db.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.execute("UPDATE state SET taken = ?", (taken,))

    def read(self, series: int, start_ns: int, end_ns: int, taken: int = _ALL) -> Iterator[Samples]:
        """Blocks that reach into the range, whole, of what came from the spool up to batch `taken`.

        Raises `codec.BlockError` for a damaged one.
        """
        with named_errors(self.path):
            rows = self._db.execute(
                "SELECT data FROM blocks WHERE series = ? AND start_ns < ? AND end_ns >= ? AND number <= ?"
                " ORDER BY start_ns, number",
                (series, end_ns, start_ns, taken),
            ).fetchall()
        return (codec.decode(data) for (data,) in rows)

    def count(self, series: int, start_ns: int, end_ns: int) -> int:
        """Samples in the blocks that reach into the range."""
        with named_errors(self.path):
            (found,) = self._db.execute(
                "SELECT sum(count) FROM blocks WHERE series = ? AND start_ns < ? AND end_ns >= ?",
                (series, end_ns, start_ns),
            ).fetchone()
        return int(found or 0)

    def last_before(self, series: int, time_ns: int, taken: int = _ALL) -> Samples | None:
        """Samples among which is the newest before this time; None when the file has none."""
        with named_errors(self.path):
            first = self._db.execute(
                "SELECT data, start_ns, number FROM blocks WHERE series = ? AND start_ns < ? AND number <= ?"
                " ORDER BY start_ns DESC, number DESC LIMIT 1",
                (series, time_ns, taken),
            ).fetchone()
            if first is None:
                return None
            samples = codec.decode(first[0])
            newest = int(samples.time_ns[samples.time_ns < time_ns][-1])
            # Late samples lie in blocks of their own: one that began earlier may reach further.
            others = self._db.execute(
                "SELECT data FROM blocks WHERE series = ? AND start_ns < ? AND end_ns >= ?"
                " AND number <= ? AND (start_ns, number) != (?, ?) ORDER BY start_ns, number",
                (series, time_ns, newest, taken, *first[1:]),
            ).fetchall()
        return Samples.joined([*(codec.decode(data) for (data,) in others), samples])

    def infos(self) -> dict[int, SeriesInfo]:
        """Series with blocks in this file."""
        with named_errors(self.path):
            rows = self._db.execute("SELECT id, name, unit, kind FROM series").fetchall()
        return {int(number): SeriesInfo(str(name), str(unit), str(kind)) for number, name, unit, kind in rows}

    def scattered(self, before_ns: int, limit: int) -> list[tuple[int, int]]:
        """(series, hour) with more than one block of less than full size that ended before this time."""
        with named_errors(self.path):
            rows = self._db.execute(
                "SELECT series, start_ns / ? AS hour FROM blocks WHERE end_ns < ? AND count < ?"
                " GROUP BY series, hour HAVING count(*) > 1 LIMIT ?",
                (HOUR_NS, before_ns, BLOCK_SAMPLES, limit),
            ).fetchall()
        return [(int(series), int(hour)) for series, hour in rows]

    def merge(self, groups: Iterable[tuple[int, int]]) -> None:
        """Each series' small blocks of an hour as one."""
        with named_errors(self.path), transaction(self._db):
            for series, hour in groups:
                self._merge(series, hour * HOUR_NS, (hour + 1) * HOUR_NS)

    def _merge(self, series: int, start_ns: int, end_ns: int) -> None:
        key = (series, start_ns, end_ns, BLOCK_SAMPLES)
        rows = self._db.execute(
            f"SELECT data, number FROM blocks WHERE {_SMALL_BLOCKS} ORDER BY start_ns, number",  # noqa: S608
            key,
        ).fetchall()
        whole = Samples.joined([codec.decode(data) for data, _ in rows])
        number = max(number for _, number in rows)
        self._db.execute(f"DELETE FROM blocks WHERE {_SMALL_BLOCKS}", key)  # noqa: S608
        self._db.executemany(
            "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)",
            [
                (series, int(cut.time_ns[0]), number, int(cut.time_ns[-1]), len(cut), codec.encode(cut))
                for cut in _cuts(whole)
            ],
        )


def _cuts(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples), BLOCK_SAMPLES):
        yield samples.at(slice(start, start + BLOCK_SAMPLES))


def _series_rows(infos: Iterable[tuple[int, SeriesInfo]]) -> list[tuple[int, str, str, str]]:
    return [(number, info.name, info.unit, info.kind) for number, info in infos]
