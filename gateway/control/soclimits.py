"""Limits from the state of charge: no discharge at the floor, no charge at the ceiling, nothing when unknown. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.control.controller import PriorityClass, Request
from gateway.control.image import Image
from gateway.control.unit import Unit
from gateway.points.model import NO_ROW


@dataclass(slots=True)
class SocLimits:
    """Of one unit. The last state of charge counts for `soc_hold_s` after it was lost."""

    index: int
    unit: Unit
    _soc: float | None = None
    _seen_ns: int = 0

    def requests(self, image: Image) -> list[Request]:
        """One limit, or none while the state of charge leaves both ways open."""
        if self.unit.soc == NO_ROW:
            return []
        soc = image.get(self.unit.soc)
        if soc is not None:
            self._soc, self._seen_ns = soc, image.now_ns
        elif self._soc is None or image.now_ns - self._seen_ns > self.unit.soc_hold_s * 1e9:
            return [self._limit("state of charge not known", 0.0, 0.0)]
        floor, ceiling = self.unit.soc_limits
        low = 0.0 if self._soc is not None and self._soc >= ceiling else self.unit.low_kw
        high = 0.0 if self._soc is not None and self._soc <= floor else self.unit.high_kw
        if low < 0.0 < high:
            return []
        return [self._limit("state of charge", low, high)]

    def _limit(self, source: str, low_kw: float, high_kw: float) -> Request:
        interlock = PriorityClass.INTERLOCK
        return Request(unit=self.index, priority=interlock, source=source, low_kw=low_kw, high_kw=high_kw)
