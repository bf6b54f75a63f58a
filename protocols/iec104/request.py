"""One request of the master while it is answered. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.iec104 import elements
from protocols.iec104.asdu import Asdu, Cause
from protocols.iec104.elements import Elements, TypeRow
from protocols.iec104.errors import Iec104Error

if TYPE_CHECKING:
    from protocols.iec104.session import Session


@dataclass(frozen=True, slots=True)
class Moment:
    """When a request came: s of the shell's monotonic clock, and ns UTC."""

    now: float
    wall_ns: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose type, cause and length are right; `address` is never the broadcast address."""

    session: Session
    asdu: Asdu
    row: TypeRow
    element: Elements
    address: int
    at: Moment

    @property
    def deactivation(self) -> bool:
        return self.asdu.cause == Cause.DEACTIVATION

    def confirmation(self, positive: bool) -> bytes:
        """Activation or deactivation confirmation."""
        cause = Cause.DEACTIVATION_CON if self.deactivation else Cause.ACTIVATION_CON
        return self.asdu.mirror(cause, negative=not positive, address=self.address)

    def confirm(self, positive: bool) -> None:
        """Answer with activation or deactivation confirmation."""
        self.session.answer(self.confirmation(positive))

    def refuse(self, cause: Cause) -> None:
        """Answer that type, cause, common address or ioa is not known."""
        self.session.answer(self.asdu.mirror(cause, negative=True))

    def octet(self, field: str) -> int:
        """A one-octet field of the element."""
        return int(self.element[field][0])

    def time_ns(self) -> int | None:
        """ns UTC of the time tag, or None when it is no date or marked invalid."""
        try:
            times, invalid = elements.times(self.row, self.element, self.session.station.zone)
        except Iec104Error:
            return None
        return None if invalid[0] else int(times[0])


@dataclass(frozen=True, slots=True)
class Service:
    """How one type is served. System-wide types have ioa 0; some take the broadcast address."""

    answer: Callable[[Request], None]
    causes: frozenset[int]
    broadcast: bool = False
    system: bool = False
