"""What survives of alarms: the history, one JSON line per event, and the state that follows from it.

    STATE_DIR/alarms/alarms-YYYYMMDD.jsonl   every event of every alarm, by UTC day, append only
    STATE_DIR/alarms/state.json              alarms that are not normal, and counts, as of one sequence number

The state is the last `state.json` and the lines after it, so files of earlier days are not needed to start. Nothing
here removes them.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from gateway.contracts.log import Log

Line = dict[str, Any]

_STATE_EVERY: Final = 10_000
"""Lines after which the state is written anew."""
_LINES_HELD: Final = 100_000
"""Lines kept while the disk fails; beyond that the oldest are given up, which the log tells."""
_RETRY_S: Final = 1.0


class AlarmStore:
    """Appends lines and keeps `state.json`; a thread of its own touches the disk, never the caller."""

    def __init__(self, directory: Path, log: Log) -> None:
        self._directory, self._log = directory, log
        self._lines: queue.Queue[list[Line] | None] = queue.Queue()
        self._waiting: list[Line] = []
        self._state: dict[str, Line] = {}
        self._counts: dict[str, int] = {}
        self._seq = 0
        self._since_state = 0
        self._file = ""
        self._failing = False
        self._thread = threading.Thread(target=self._write_all, name="alarms", daemon=True)

    def load(self) -> list[Line]:
        """Make the directory (mode 0700) and read what is known: the last line of every alarm that is not normal, or
        was raised ever. A line cut short by a power cut is left out. Raises `OSError`.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._read_state()
        for path in sorted(self._directory.glob("alarms-*.jsonl")):
            if path.name >= self._file:
                self._read_lines(path)
        counted = ({"alarm": name, "count": count} for name, count in self._counts.items() if name not in self._state)
        return [*self._state.values(), *counted]

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def append(self, lines: Iterable[Line]) -> None:
        """Take lines, in order."""
        self._lines.put(list(lines))

    def stop(self) -> None:
        """Write what is waiting, the state, and close."""
        self._lines.put(None)
        self._thread.join(2.0)

    def _read_state(self) -> str:
        """Take over `state.json`; the name of the history file in which it was written."""
        try:
            content = json.loads((self._directory / "state.json").read_text())
            self._seq = int(content["seq"])
            self._state = {str(name): dict(line) for name, line in content["alarms"].items()}
            self._counts = {str(name): int(count) for name, count in content["counts"].items()}
            return str(content["file"])
        except FileNotFoundError:
            return ""
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._log.error("alarm state cannot be read: it is made anew from the history", cause=str(error))
            self._seq, self._state, self._counts = 0, {}, {}
            return ""

    def _read_lines(self, path: Path) -> None:
        broken = 0
        for text in path.read_bytes().splitlines():
            try:
                line = json.loads(text)
                after = line["seq"] > self._seq and isinstance(line["alarm"], str)
            except (ValueError, KeyError, TypeError):
                broken += 1
                continue
            if after:
                self._fold(line)
        if broken:
            self._log.warning("lines of the alarm history are not readable", file=path.name, lines=broken)

    def _fold(self, line: Line) -> None:
        """The state after one more line."""
        name = line["alarm"]
        self._seq = line["seq"]
        if line.get("count"):
            self._counts[name] = int(line["count"])
        if _at_rest(line):
            self._state.pop(name, None)
        else:
            self._state[name] = line

    def _write_all(self) -> None:
        going = True
        while going:
            going = self._gather(_RETRY_S if self._waiting else None)
            if self._append_waiting() and (self._since_state >= _STATE_EVERY or not going):
                self._write_state()

    def _gather(self, timeout_s: float | None) -> bool:
        """Take what has come; False when it is time to end."""
        taken = list(self._drained(timeout_s))
        for lines in taken:
            self._waiting += lines or []
        if len(self._waiting) > _LINES_HELD:
            self._log.error("alarm history given up: the disk fails", lines=len(self._waiting) - _LINES_HELD)
            del self._waiting[:-_LINES_HELD]
        return None not in taken

    def _drained(self, timeout_s: float | None) -> Iterator[list[Line] | None]:
        try:
            yield self._lines.get(timeout=timeout_s)
            while True:
                yield self._lines.get_nowait()
        except queue.Empty:
            return

    def _append_waiting(self) -> bool:
        """The waiting lines to the disk; whether they are there."""
        lines = self._waiting
        if lines and not self._attempt(lambda: self._append(lines)):
            return False
        for line in lines:
            self._fold(line)
        self._since_state += len(lines)
        self._waiting = []
        return True

    def _append(self, lines: list[Line]) -> None:
        name = time.strftime("alarms-%Y%m%d.jsonl", time.gmtime())
        data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        handle = os.open(self._directory / name, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                data = b"\n" + data  # the line before was cut short
            written = os.write(handle, data)
            if written < len(data):
                os.ftruncate(handle, size)  # all of it comes again: no line may stand there twice
                raise OSError(f"only {written} of {len(data)} bytes could be written")
            os.fdatasync(handle)
        finally:
            os.close(handle)
        if name != self._file:
            self._file, self._since_state = name, _STATE_EVERY

    def _write_state(self) -> None:
        content = {"seq": self._seq, "file": self._file, "alarms": self._state, "counts": self._counts}
        if self._attempt(lambda: self._replace_state(json.dumps(content, separators=(",", ":")))):
            self._since_state = 0

    def _replace_state(self, text: str) -> None:
        fresh = self._directory / "state.new"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._directory / "state.json")

    def _attempt(self, write: Any) -> bool:
        try:
            write()
        except OSError as error:
            if not self._failing:
                self._log.error("alarm history cannot be written: it is kept in memory", cause=str(error))
            self._failing = True
            return False
        if self._failing:
            self._log.info("alarm history is written again")
        self._failing = False
        return True


def _at_rest(line: Line) -> bool:
    standing = line.get("active") or not line.get("acknowledged") or not line.get("confirmed")
    return not (standing or line.get("shelved_until_ns") or line.get("out_of_service") or line.get("first_out"))
