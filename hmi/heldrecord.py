"""Who forced or blocked a point, when and why, from the record of commands. Reads files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_HOLDS: Final = frozenset({"substitute", "block"})
_ENDS: Final = frozenset({"release", "unblock"})
_OCTETS: Final = 64 << 20
"""Of the newest files: what is older is not looked for."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The last one who held a point. `by` is the origin as it was recorded, `reason` empty when none was given."""

    action: str
    by: str
    reason: str
    time_ns: int


def holders(folder: Path, points: Set[str]) -> dict[str, Holder]:
    """By point, as far as the record in `folder` (``STATE_DIR/audit``) tells. Raises `OSError`."""
    missing = set(points)
    found: dict[str, Holder] = {}
    for record in _newest_first(folder):
        point = record.get("point")
        if point not in missing:
            continue
        missing.discard(point)
        if record.get("step") in _HOLDS:
            found[point] = _holder(record)
        if not missing:
            break
    return found


def _holder(record: dict[str, Any]) -> Holder:
    time_ns = record.get("time")
    return Holder(
        action=str(record.get("step")),
        by=str(record.get("origin", "")),
        reason=str(record.get("comment", "")),
        time_ns=time_ns if isinstance(time_ns, int) else 0,
    )


def _newest_first(folder: Path) -> Iterator[dict[str, Any]]:
    """Records that begin or end a hold."""
    left = _OCTETS
    for path in sorted(folder.glob("commands-*.jsonl"), reverse=True):
        data = path.read_bytes()[-left:]
        left -= len(data)
        for line in reversed(data.splitlines()):
            record = _parsed(line)
            if record.get("step") in _HOLDS or record.get("step") in _ENDS:
                yield record
        if left <= 0:
            return


def _parsed(line: bytes) -> dict[str, Any]:
    # Most lines are of other commands: they are not parsed.
    if b'"substitute"' not in line and b'block"' not in line and b'"release"' not in line:
        return {}
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
