"""Dated files of JSON lines, such as ``alarms-20261126.jsonl``, read from their newest line back."""

from __future__ import annotations

import heapq
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

DAY_NS: Final = 86_400_000_000_000
SCANNED_LINES: Final = 200_000
"""Looked at for one page; a filter that fits nothing ends there and goes on with the next page."""
_CHUNK: Final = 256 << 10
_LATEST_NS: Final = 4 * 10**18
_NAMED: Final = re.compile(r"[a-z0-9_-]+?-(\d{8})\.jsonl\Z")

Line = dict[str, Any]


@dataclass(slots=True)
class Page:
    """`lines`, newest first; `before`: go on with what is older than this, None: there is no more."""

    lines: list[Line] = field(default_factory=list)
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Of files below `folder`: lines of `start_ns` to before `end_ns` that `keep` likes, from `before` back.

    `key` names the number that rises from line to line within each file, and by which pages follow each other.
    """

    folder: Path
    key: str
    start_ns: int
    end_ns: int
    limit: int
    before: int = 1 << 63
    keep: Callable[[Line], bool] = lambda line: True
    scanned: int = SCANNED_LINES


def newest(asked: Asked) -> Page:
    """At most `limit` lines, but all of one key. A damaged or unfinished one is left out. Raises `OSError`.

    Each has its time as `time_ns`.
    """
    page, looked, last = Page(), 0, asked.before
    for key, line in _merged(asked):
        if key < last and (len(page.lines) >= asked.limit or looked >= asked.scanned):
            page.before = last
            return page
        looked, last = looked + 1, min(last, key)
        if asked.start_ns <= line["time_ns"] < asked.end_ns and asked.keep(line):
            page.lines.append(line)
    return page


def _merged(asked: Asked) -> Iterator[tuple[int, Line]]:
    """All files, day by day, by falling key."""
    days: dict[str, list[Path]] = {}
    for path in asked.folder.glob("*.jsonl"):
        named = _NAMED.fullmatch(path.name)
        if named is not None:
            days.setdefault(named[1], []).append(path)
    # An event is written after it happened, seldom before: in the file of its day or of one beside it.
    first, last = _day(asked.start_ns - DAY_NS), _day(asked.end_ns + DAY_NS)
    for day in sorted((day for day in days if first <= day <= last), reverse=True):
        files = [_lines(path, asked.key, asked.before) for path in sorted(days[day])]
        yield from heapq.merge(*files, key=lambda found: -found[0])


def _day(time_ns: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(min(max(time_ns, 0), _LATEST_NS) // 1_000_000_000))


def _lines(path: Path, key: str, before: int) -> Iterator[tuple[int, Line]]:
    quick = re.compile(rb'"%s":(\d+)' % key.encode())
    for text in backwards(path):
        seen = quick.search(text)
        if seen is None or int(seen[1]) >= before:
            continue
        try:
            line = json.loads(text)
            found, time_ns = int(line[key]), int(line.get("time_ns") or line.get("time") or 0)
        except (ValueError, AttributeError, TypeError, KeyError):
            continue
        yield found, line | {"time_ns": time_ns}


def backwards(path: Path) -> Iterator[bytes]:
    """Whole lines of a file that may still grow, the last one first."""
    with path.open("rb") as file:
        at, rest = file.seek(0, 2), b""
        first = True
        while at > 0:
            size = min(_CHUNK, at)
            at -= size
            file.seek(at)
            pieces = (file.read(size) + rest).split(b"\n")
            rest = pieces.pop(0)
            if first and pieces:
                pieces.pop()  # what follows the last line feed is still being written, or nothing
                first = False
            yield from reversed(pieces)
        if not first and rest:
            yield rest
