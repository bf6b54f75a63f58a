"""What the books said when they were laid side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.soak.books import Numbers


@dataclass(slots=True)
class Verdict:
    """Tables for the report, and what did not hold, in words."""

    receivers: list[dict[str, Any]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    latencies: dict[str, tuple[Numbers, NDArray[np.float64]]] = field(default_factory=dict)
    """By receiver: when a change was read (real ns), ms until it was told."""
    findings: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
