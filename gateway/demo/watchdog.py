"""What a device does by itself when whoever commands it falls silent. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Watchdog:
    """Watches signs of life; armed by the first one. `timeout_s` of 0: it watches nothing."""

    timeout_s: float
    armed: bool = False
    tripped: bool = False
    _silent_s: float = 0.0

    def alive(self) -> None:
        """A sign of life."""
        self.armed, self.tripped, self._silent_s = True, False, 0.0

    def step(self, dt_s: float) -> bool:
        """Time passes; whether it trips just now."""
        if not self.armed or self.timeout_s <= 0.0:
            self.tripped = False
            return False
        self._silent_s += dt_s
        trips = not self.tripped and self._silent_s > self.timeout_s
        self.tripped = self.tripped or trips
        return trips

    @property
    def silent_s(self) -> float:
        """Since the last sign of life; 0 before the first."""
        return self._silent_s if self.armed else 0.0
