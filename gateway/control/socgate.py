"""A state of charge at its limits, with a hysteresis. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SocGate:
    """Which ways a state of charge leaves open: shut at the limit, open again `hysteresis` within it.

    All in percent. Without the hysteresis a unit at its floor would start and stop with every tenth of a percent by
    which its cells recover.
    """

    floor: float
    ceiling: float
    hysteresis: float = 0.0
    at_floor: bool = False
    at_ceiling: bool = False

    def step(self, soc: float) -> None:
        """Take the state of charge that is known now."""
        inside = min(self.hysteresis, (self.ceiling - self.floor) / 2)
        self.at_floor = soc <= self.floor or (self.at_floor and soc < self.floor + inside)
        self.at_ceiling = soc >= self.ceiling or (self.at_ceiling and soc > self.ceiling - inside)
