"""Set-points that stand: a master's and a person's, with owner, validity and what follows. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.control.controller import PriorityClass, Request
from gateway.control.unit import Fallback, Unit

_FOR_EVER: int = 1 << 62


@dataclass(frozen=True, slots=True)
class Standing:
    """One set-point that was asked for; `until_ns` is monotonic."""

    kw: float
    owner: str
    until_ns: int


@dataclass(slots=True)
class StandingSetpoints:
    """Of one unit. The newest of each kind counts; one that expires leaves the fallback behind."""

    index: int
    unit: Unit
    remote: Standing | None = None
    operator: Standing | None = None
    _fallback: bool = False
    _made: list[Request] | None = None

    def ask(self, kw: float, owner: str, person: bool, now_ns: int) -> None:
        """Someone asks for `kw`; a person at the gateway holds the unit against masters and the droop."""
        valid_s = self.unit.operator_valid_s if person else self.unit.valid_s
        until_ns = _FOR_EVER if math.isinf(valid_s) else now_ns + int(valid_s * 1e9)
        standing = Standing(kw, owner, until_ns)
        self._fallback, self._made = False, None
        if person:
            self.operator = standing
        else:
            self.remote = standing

    def release(self) -> None:
        """The person lets go: what a master asked for before counts again."""
        self.operator = self._made = None

    def forget(self) -> None:
        """After a trip nothing that was asked for before it comes back."""
        self.remote = self.operator = self._made = None
        self._fallback = False

    def requests(self, now_ns: int) -> list[Request]:
        """What stands now."""
        if self.operator is not None and now_ns >= self.operator.until_ns:
            self.operator = self._made = None
            self._fallback = self.remote is None
        if self.remote is not None and now_ns >= self.remote.until_ns:
            self.remote = self._made = None
            self._fallback = True
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> list[Request]:
        out = list[Request]()
        for standing, priority in ((self.operator, PriorityClass.OPERATOR), (self.remote, PriorityClass.REMOTE)):
            if standing is not None:
                out.append(Request(unit=self.index, priority=priority, source=standing.owner, target_kw=standing.kw))
        if self._fallback and self.unit.fallback is Fallback.KW:
            kw = self.unit.fallback_kw
            out.append(Request(unit=self.index, priority=PriorityClass.FALLBACK, source="fallback", target_kw=kw))
        return out
