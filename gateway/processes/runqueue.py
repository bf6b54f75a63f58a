"""How long a process has waited for a processor: what tells one that is starved from one that hangs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

_NS: Final = 1e9


def waited_s(pid: int) -> float:
    """Seconds that its threads, together, were ready to run and did not, since each began; 0 where Linux tells none.

    Together, as a loop that wants the interpreter waits for whichever thread has it, and that one for a processor.
    """
    total_ns = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            total_ns += _waited_ns(task / "schedstat")
    return total_ns / _NS


def _waited_ns(path: Path) -> int:
    """Of one thread: the second of the three figures (ns on a processor, ns waiting for one, time slices)."""
    try:
        return int(path.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
