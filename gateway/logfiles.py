"""The last log lines of every process on disk, for people who look later: bounded, mode 0600, never in the way."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import queue
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "GRIDGATE_LOG_DIR"
"""Environment variable: where the supervisor wants the lines of its children."""
FILE_BYTES: Final = 2 << 20
FILES: Final = 3
_HELD: Final = 2_000
_TAIL_BYTES: Final = 512 << 10


class _File(logging.handlers.RotatingFileHandler):
    """A disk that fails or is full costs the line and nothing else."""

    def _open(self) -> Any:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(handle, self.mode, encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing: standard error has the line too."""


class _Queue(logging.handlers.QueueHandler):
    """Hands over to a thread: the process itself never waits for the disk."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing: standard error has the line too."""


def file_handler(process: str, formatter: logging.Formatter) -> logging.Handler | None:
    """A handler for this process's lines where the supervisor wants them; None where it does not."""
    folder = os.environ.get(FOLDER, "")
    if not folder:
        return None
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", process)
    try:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        file = _File(Path(folder) / f"{name}.jsonl", maxBytes=FILE_BYTES, backupCount=FILES - 1, delay=True)
    except OSError:
        return None
    file.setFormatter(formatter)
    lines: queue.Queue[Any] = queue.Queue(_HELD)
    listener = logging.handlers.QueueListener(lines, file)
    listener.start()
    return _Queue(lines)


def newest(folder: Path) -> Iterator[dict[str, Any]]:
    """Lines of all processes, the newest first, of the last part of each file."""
    lines: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.jsonl*")) if folder.is_dir() else ():
        lines += _tail(path)
    lines.sort(key=lambda line: str(line.get("time", "")), reverse=True)
    return iter(lines)


def _tail(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            raw = file.read().split(b"\n")
    except OSError:
        return []
    found = []
    for line in raw:
        with contextlib.suppress(ValueError):  # the first may have lost its beginning
            entry = json.loads(line)
            if isinstance(entry, dict):
                found.append(entry)
    return found
