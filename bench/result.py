"""One measured figure, and the line in which it is printed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A figure with its unit. `budget` is the most it may be, `at_least` the least; `peer_value` is the peer's figure
    in the same run."""

    name: str
    value: float
    unit: str
    budget: float | None = None
    at_least: float | None = None
    peer: str = ""
    peer_value: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the budget holds; None without one."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.budget is None else self.value <= self.budget

    def line(self) -> str:
        """The figure as one JSON object: peer and budget only where there is one."""
        facts: dict[str, object] = {"name": self.name, "value": _short(self.value), "unit": self.unit}
        if self.budget is not None:
            facts |= {"budget": self.budget, "met": self.met}
        if self.at_least is not None:
            facts |= {"at_least": self.at_least, "met": self.met}
        if self.peer_value is not None:
            ratio = self.value / self.peer_value if self.peer_value else math.inf
            facts |= {"peer": self.peer, "peer_value": _short(self.peer_value), "ratio": _short(ratio)}
        if self.note:
            facts["note"] = self.note
        return json.dumps(facts)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(percent / 100.0 * len(ordered)) - 1)]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
