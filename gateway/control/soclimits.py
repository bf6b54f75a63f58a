"""Limits from the state of charge: no discharge at the floor, no charge at the ceiling, nothing when unknown. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.control.controller import PriorityClass, Request
from gateway.control.image import Image
from gateway.control.socgate import SocGate
from gateway.control.unit import Unit
from gateway.points.model import NO_ROW


@dataclass(slots=True)
class SocLimits:
    """Of one unit. The last state of charge counts for `soc_hold_s` after it was lost."""

    index: int
    unit: Unit
    _soc: float | None = None
    _lost_ns: int | None = None
    _gate: SocGate = field(init=False)
    _made: dict[tuple[bool, bool], list[Request]] = field(init=False)
    _now: list[Request] = field(init=False)
    _unknown: list[Request] = field(init=False)
    _hold_ns: int = field(init=False)

    def __post_init__(self) -> None:
        unit = self.unit
        self._gate = SocGate(*unit.soc_limits, unit.soc_hysteresis)
        self._made = {
            (floor, ceiling): self._limits(floor, ceiling) for floor in (False, True) for ceiling in (False, True)
        }
        self._unknown = [self._limit("state of charge not known", 0.0, 0.0)]
        self._now = [] if unit.soc == NO_ROW else self._unknown
        self._hold_ns = int(unit.soc_hold_s * 1e9)

    def requests(self, image: Image) -> list[Request]:
        """One limit, or none while the state of charge leaves both ways open. The same list until that changes."""
        if self.unit.soc == NO_ROW:
            return self._now
        soc = image.get(self.unit.soc)
        if soc is None:
            self._wait(image.now_ns)
            return self._now
        self._lost_ns = None
        if soc != self._soc:
            self._soc = soc
            self._gate.step(soc)
            self._now = self._made[self._gate.at_floor, self._gate.at_ceiling]
        return self._now

    @property
    def steady(self) -> bool:
        """Whether `requests` stays the same for as long as the state of charge does not change."""
        return self._lost_ns is None and (self._soc is not None or self.unit.soc == NO_ROW)

    def _wait(self, now_ns: int) -> None:
        """Not known: for a while what was known before holds."""
        if self._lost_ns is None:
            self._lost_ns = now_ns
        if now_ns - self._lost_ns > self._hold_ns:
            self._soc, self._now = None, self._unknown

    def _limits(self, at_floor: bool, at_ceiling: bool) -> list[Request]:
        low = 0.0 if at_ceiling else self.unit.low_kw
        high = 0.0 if at_floor else self.unit.high_kw
        return [] if low < 0.0 < high else [self._limit("state of charge", low, high)]

    def _limit(self, source: str, low_kw: float, high_kw: float) -> Request:
        interlock = PriorityClass.INTERLOCK
        return Request(unit=self.index, priority=interlock, source=source, low_kw=low_kw, high_kw=high_kw)
