"""What the control cycle counts of itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Of the cycle, since the last look: longest step and latest start in us; overruns and cycles since the start."""

    cycle_us: float = 0.0
    jitter_us: float = 0.0
    overruns: int = 0
    cycles: int = 0
    latest: list[tuple[float, float]] = field(default_factory=list)
    """(step, lateness) in us of every cycle, kept while someone measures."""
    measuring: bool = False

    def note(self, step_us: float, late_us: float) -> None:
        self.cycles += 1
        self.cycle_us, self.jitter_us = max(self.cycle_us, step_us), max(self.jitter_us, late_us)
        if self.measuring:
            self.latest.append((step_us, late_us))
