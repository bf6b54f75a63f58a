"""One write that a cycle wants done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ControlWrite:
    """One value for one commanded point. `unit` is an index, -1 for an interlock's own write."""

    row: int
    value: float
    unit: int
