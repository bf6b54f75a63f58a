"""The audit's lines of commands, read backwards or around a moment. Bounded; for the thread that reads files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

Record = dict[str, Any]

_BLOCK: Final = 1 << 16
_DAY_NS: Final = 86_400 * 10**9
_SLACK_NS: Final = 60 * 10**9
"""A line may stand after one of a later time, and in the file of the next day: many write, one thread keeps."""


class Budget:
    """How much may still be read. `spent`: it was not enough."""

    def __init__(self, octets: int) -> None:
        self._left = octets
        self.spent = False

    def take(self, octets: int) -> bool:
        """False, from then on, when there is no more."""
        self._left -= octets
        self.spent = self.spent or self._left < 0
        return not self.spent


def backwards(folder: Path, before_ns: int, since_ns: int, budget: Budget) -> Iterator[Record]:
    """Records older than `before_ns` down to `since_ns`, the newest first."""
    first, last = _day(since_ns), _day(min(before_ns, time.time_ns() + _DAY_NS) + _SLACK_NS)
    for path in reversed(_files(folder, first, last)):
        with path.open("rb") as file:
            for line in _lines_back(file, _end_before(file, before_ns + _SLACK_NS), budget):
                record = _record(line)
                if record is None or record["time"] >= before_ns:
                    continue
                if record["time"] < since_ns - _SLACK_NS:
                    return
                if record["time"] >= since_ns:
                    yield record
        if budget.spent:
            return


def around(folder: Path, from_ns: int, to_ns: int, budget: Budget) -> Iterator[Record]:
    """Records from one moment to another, the oldest first."""
    for path in _files(folder, _day(from_ns), _day(to_ns + _SLACK_NS)):
        with path.open("rb") as file:
            file.seek(_end_before(file, from_ns - _SLACK_NS))
            for line in file:
                record = _record(line)
                if not budget.take(len(line)) or (record is not None and record["time"] > to_ns + _SLACK_NS):
                    break
                if record is not None and from_ns <= record["time"] <= to_ns:
                    yield record


def _day(time_ns: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(max(0, time_ns) // 10**9))


def _files(folder: Path, first: str, last: str) -> list[Path]:
    return [path for path in sorted(folder.glob("commands-*.jsonl")) if first <= path.stem.partition("-")[2] <= last]


def _record(line: bytes) -> Record | None:
    """A line that was cut by a crash is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("time"), int) else None


def _end_before(file: BinaryIO, time_ns: int) -> int:
    """Where the lines from `time_ns` on begin, found by halves."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > _BLOCK:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()
        record = _record(file.readline())
        if record is not None and record["time"] < time_ns:
            low = middle
        else:
            high = middle
    file.seek(low)
    if low:
        file.readline()
    while line := file.readline():
        record = _record(line)
        if record is not None and record["time"] >= time_ns:
            return file.tell() - len(line)
    return file.tell()


def _lines_back(file: BinaryIO, end: int, budget: Budget) -> Iterator[bytes]:
    """Whole lines before offset `end`, the last first."""
    rest = b""
    while end > 0:
        size = min(_BLOCK, end)
        if not budget.take(size):
            return
        end -= size
        file.seek(end)
        lines = (file.read(size) + rest).split(b"\n")
        rest = lines[0]
        yield from (line for line in reversed(lines[1:]) if line)
    if rest:
        yield rest
