"""One write that a cycle wants done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ControlWrite:
    """One value for one commanded point. `unit` is an index, -1 for an interlock's own write. Nobody changes it."""

    row: int
    value: float
    unit: int
