"""Files of JSON lines that others append to, followed into the archive: each line once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.history.archive import Archive, Line

SOURCES: Final = {"audit": "action", "alarms": "alarm"}
"""Folders of the state directory -> kind in the archive."""
_CHUNK: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of one file: what to archive, and where the next one begins."""

    kind: str
    source: str
    lines: list[Line]
    position: int


def follow(state_dir: Path, archive: Archive) -> int:
    """Archive what has been appended since; how many lines. Raises `OSError`."""
    count = 0
    for piece in _pieces(state_dir, archive.positions()):
        archive.append(piece.kind, piece.lines, piece.source, piece.position)
        count += len(piece.lines)
    return count


def _pieces(state_dir: Path, positions: dict[str, int]) -> Iterator[Piece]:
    for folder, kind in SOURCES.items():
        for path in sorted((state_dir / folder).glob("*.jsonl")):
            source = f"{folder}/{path.name}"
            start = positions.get(source, 0)
            while path.stat().st_size > start:
                piece = _piece(path, kind, source, start)
                if piece is None:
                    break
                yield piece
                start = piece.position


def _piece(path: Path, kind: str, source: str, start: int) -> Piece | None:
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(_CHUNK)
    end = data.rfind(b"\n") + 1  # a line that is still being written waits
    if not end:
        return None
    lines = [line for text in data[:end].splitlines() if (line := _line(text)) is not None]
    return Piece(kind, source, lines, start + end)


def _line(text: bytes) -> Line | None:
    """With its time under one name; a line cut short by a power cut is left out."""
    try:
        content = json.loads(text)
        time_ns = int(content.pop("time_ns", None) or content.pop("time", 0))
    except (ValueError, AttributeError, TypeError):
        return None
    return time_ns, json.dumps({"time_ns": time_ns} | content, separators=(",", ":"))
