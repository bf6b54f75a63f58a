"""The archive: sequence of events, alarms and what people did, chained by hash so that an edit shows.

    entries   number | kind | first ns | last ns | count | lines (zstd) | hash
    anchor    number | hash                       of the last entry that retention has deleted
    sources   file | offset, or feed seq          how far each source is in the archive

The hash of an entry is SHA-256 over the hash before it and all of its columns: changing, removing or inserting an entry
breaks the chain from there on. Who can rewrite the whole file can make a new chain: `head` is therefore also written to
the log once a day, where it leaves the machine.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.history.compression import BlockError, compress, decompress
from gateway.history.sqlitefile import named_errors, open_file, transaction

APPLICATION_ID: Final = 0x47474841
"""Marks the file: "GGHA"."""
FILE_NAME: Final = "archive.sqlite"
LEAST_DAYS: Final = 180
KINDS: Final = ("soe", "alarm", "action")
_START: Final = bytes(32)
_LEVEL: Final = 3
_SIZE: Final = struct.Struct("<I")
_COLUMNS: Final = struct.Struct("<QqqQ")
_SCHEMA: Final = (
    "CREATE TABLE entries (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, first_ns INTEGER NOT NULL,"
    " last_ns INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL, hash BLOB NOT NULL)",
    "CREATE INDEX by_time ON entries (kind, last_ns)",
    "CREATE TABLE anchor (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, hash BLOB NOT NULL)",
    "CREATE TABLE sources (name TEXT PRIMARY KEY, position INTEGER NOT NULL)",
)

Line = tuple[int, str]
"""Time in ns, and the event as one line of JSON."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`entries` and `lines` that were read; `trouble`: where the chain breaks, empty when it holds."""

    entries: int
    lines: int
    head: str
    trouble: str = ""


class Archive:
    """One open archive. Methods raise `DamagedHistory`, `DiskFull` or `OSError`."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        if not read_only:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        self._db = open_file(self.path, APPLICATION_ID, _SCHEMA, read_only=read_only, durable=True)

    def close(self) -> None:
        with named_errors(self.path):
            self._db.close()

    def positions(self) -> dict[str, int]:
        """How far each source is in the archive."""
        with named_errors(self.path):
            return {str(name): int(at) for name, at in self._db.execute("SELECT name, position FROM sources")}

    def append(self, kind: str, lines: Sequence[Line], source: str, position: int) -> None:
        """One entry, and how far its source is now, in one transaction; on disk when this returns."""
        with named_errors(self.path), transaction(self._db):
            if lines:
                number, before = self._last()
                times = [time_ns for time_ns, _ in lines]
                raw = "\n".join(text for _, text in lines).encode()
                columns = (
                    number + 1,
                    kind,
                    min(times),
                    max(times),
                    len(lines),
                    _SIZE.pack(len(raw)) + compress(raw, _LEVEL),
                )
                self._db.execute(
                    "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", (*columns, _hash(before, *columns))
                )
            self._db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?)", (source, position))

    def _last(self) -> tuple[int, bytes]:
        row = self._db.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        return (int(row[0]), bytes(row[1])) if row else self._anchor()

    def _anchor(self) -> tuple[int, bytes]:
        row = self._db.execute("SELECT number, hash FROM anchor").fetchone()
        return (int(row[0]), bytes(row[1])) if row else (0, _START)

    @property
    def head(self) -> str:
        """Number and hash of the newest entry."""
        with named_errors(self.path):
            number, digest = self._last()
        return f"{number}:{digest.hex()}"

    def read(self, kind: str, start_ns: int, end_ns: int) -> Iterator[dict[str, Any]]:
        """Events of a kind from `start_ns` to before `end_ns`, in the order in which they were archived.

        Each has `time_ns`. Raises `BlockError` for a damaged entry.
        """
        with named_errors(self.path):
            rows = self._db.execute(
                "SELECT data FROM entries WHERE kind = ? AND last_ns >= ? AND first_ns < ? ORDER BY number",
                (kind, start_ns, end_ns),
            )
            for (data,) in rows:
                for event in _events(data):
                    if start_ns <= event["time_ns"] < end_ns:
                        yield event

    def newest(
        self, kind: str, start_ns: int, end_ns: int, before: tuple[int, int] | None = None
    ) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
        """Events of a kind, the last archived first, each with its place (entry, line): go on `before` one of these.

        Within an entry by time, which is not quite the order in which they came. Raises `BlockError`.
        """
        number, line = before or ((1 << 63) - 1, 0)
        with named_errors(self.path):
            rows = self._db.execute(
                "SELECT number, data FROM entries WHERE kind = ? AND last_ns >= ? AND first_ns < ? AND number <= ?"
                " ORDER BY number DESC",
                (kind, start_ns, end_ns, number),
            )
            for found, data in rows:
                events = sorted(_events(data), key=lambda event: int(event["time_ns"]))
                until = line if found == number else len(events)
                for at in range(min(until, len(events)) - 1, -1, -1):
                    if start_ns <= events[at]["time_ns"] < end_ns:
                        yield (found, at), events[at]

    def verify(self) -> Verdict:
        """Walk the whole chain."""
        with named_errors(self.path):
            number, before = self._anchor()
            entries = lines = 0
            rows = self._db.execute(
                "SELECT number, kind, first_ns, last_ns, count, data, hash FROM entries ORDER BY number"
            )
            for found, kind, first_ns, last_ns, count, data, digest in rows:
                number += 1
                if found != number:
                    return Verdict(entries, lines, "", f"entry {number} is missing: the next one is {found}")
                if _hash(before, found, kind, first_ns, last_ns, count, data) != digest:
                    return Verdict(entries, lines, "", f"entry {found} ({kind}) is not what was written")
                before = bytes(digest)
                entries, lines = entries + 1, lines + count
        return Verdict(entries, lines, f"{number}:{before.hex()}")

    def clean(self, before_ns: int) -> int:
        """Delete the oldest entries, whose events all lie before this time; how many. An anchor holds the chain."""
        with named_errors(self.path), transaction(self._db):
            row = self._db.execute("SELECT min(number) FROM entries WHERE last_ns >= ?", (before_ns,)).fetchone()
            newest = self._db.execute("SELECT max(number) FROM entries").fetchone()[0]
            last = (newest or 0) if row[0] is None else row[0] - 1
            kept = self._db.execute("SELECT hash FROM entries WHERE number = ?", (last,)).fetchone()
            if kept is None:
                return 0
            self._db.execute("INSERT OR REPLACE INTO anchor VALUES (1, ?, ?)", (last, kept[0]))
            return int(self._db.execute("DELETE FROM entries WHERE number <= ?", (last,)).rowcount)


def _hash(before: bytes, number: int, kind: str, first_ns: int, last_ns: int, count: int, data: bytes) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(_COLUMNS.pack(number, first_ns, last_ns, count))
    digest.update(_SIZE.pack(len(kind)) + kind.encode())
    digest.update(data)
    return digest.digest()


def _events(data: bytes) -> Iterator[dict[str, Any]]:
    if len(data) < _SIZE.size:
        raise BlockError("an entry of the archive is damaged")
    raw = decompress(data[_SIZE.size :], _SIZE.unpack_from(data)[0])
    return (json.loads(line) for line in raw.decode().splitlines())
