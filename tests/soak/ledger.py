"""The ledger that the plant and every receiver keep: records of one fixed form, appended to a file.

What the plant writes: `EVENT` is a change that it made (`time_ns`: when), `ANSWERED` the first answer with that value
(`time_ns`: when it left), `WRITE` a command that it executed (`point`: the set-point's index). What a receiver writes:
`EVENT` is what it was told without asking, `ANSWERED` what it was told on request or at the start of a subscription,
and marks of its link, whose `point` is -1.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

RECORD: Final = np.dtype(
    [("point", "<i4"), ("kind", "u1"), ("value", "<f8"), ("quality", "<i4"), ("time_ns", "<i8"), ("at_ns", "<i8")]
)
"""`point`: index in the plan. `quality`: 0 good, else the protocol's own bits. `time_ns`: the tag as received, UTC, 0
where there was none. `at_ns`: `time.time_ns` of the real clock at reception."""
EVENT, ANSWERED, LINK_UP, LINK_LOST, LOST_TOLD, WRITE = range(6)
NO_POINT: Final = -1
BATCH: Final = 1024
FLUSH_S: Final = 0.5

Records = NDArray[np.void]


class LedgerWriter:
    """Appends records in batches; what was added is in the file `FLUSH_S` after it at the next addition or `flush`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._rows: list[tuple[int, int, float, int, int, int]] = []
        self._due = 0.0

    def add(self, point: int, kind: int, value: float, quality: int, time_ns: int, at_ns: int = 0) -> None:
        """One record; `at_ns` 0 means now."""
        self._rows.append((point, kind, value, quality, time_ns, at_ns or time.time_ns()))
        if len(self._rows) >= BATCH or time.monotonic() >= self._due:
            self.flush()

    def mark(self, kind: int, value: float = 0.0) -> None:
        """The link came up or was lost, or the gateway said that events were lost (`value`: how many)."""
        self.add(NO_POINT, kind, value, 0, 0)
        self.flush()

    def extend(self, records: Records) -> None:
        """Many at once, of dtype `RECORD`."""
        self.flush()
        self._file.write(records.tobytes())

    def flush(self) -> None:
        """Hand everything to the system: it survives the death of this process."""
        if self._rows:
            self._file.write(np.array(self._rows, RECORD).tobytes())
            self._rows.clear()
        self._file.flush()
        self._due = time.monotonic() + FLUSH_S

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_ledger(path: Path) -> Records:
    """All whole records of a file, in the order in which they were written; none where there is no file."""
    if not path.exists():
        return np.zeros(0, RECORD)
    data = path.read_bytes()
    return np.frombuffer(data, RECORD, count=len(data) // RECORD.itemsize)
