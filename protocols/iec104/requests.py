"""What the master may ask, one table row per type identification, and how it is answered. Pure.

Checks run in the order type (cause 44), cause (45), common address (46), ioa (47); each negative answer mirrors the
request with P/N set (IEC 60870-5-101 7.2.3). What cannot be read at all breaks the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from protocols.iec104 import commands, elements
from protocols.iec104.asdu import BROADCAST, TEST_BIT, Asdu, Cause
from protocols.iec104.elements import TYPES, Elements, Tag, TypeRow
from protocols.iec104.errors import Iec104Error
from protocols.iec104.plan import Mode
from protocols.iec104.scan import Scan

if TYPE_CHECKING:
    from protocols.iec104.session import Session

_TEST_PATTERNS: Final = frozenset({0x55AA, 0x55CC})
"""Fixed test bit pattern (IEC 60870-5-101 7.2.6.14): 55AA hex. lib60870, under many masters, sends 55CC."""
_GENERAL_COUNTERS: Final = 5
_STATION: Final = 20
_COUNTER_SCAN: Final = 0x100
"""Keeps the keys of counter interrogations apart from those of station interrogations."""


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

    def confirm(self, positive: bool) -> None:
        """Answer with activation or deactivation confirmation."""
        cause = Cause.DEACTIVATION_CON if self.deactivation else Cause.ACTIVATION_CON
        self.session.answer(self.asdu.mirror(cause, negative=not positive, address=self.address))

    def refuse(self, cause: Cause) -> None:
        """Answer that type, cause, common address or ioa is not known."""
        self.session.answer(self.asdu.mirror(cause, negative=True))

    def octet(self, field: str) -> int:
        """A one-octet field of the element."""
        return int(self.element[field][0])


@dataclass(frozen=True, slots=True)
class Service:
    """How one type is served. System-wide types have ioa 0; some take the broadcast address."""

    answer: Callable[[Request], None]
    causes: frozenset[int]
    broadcast: bool = False
    system: bool = False


def handle(session: Session, asdu: Asdu, at: Moment) -> None:
    """Answer one request. Raises `Iec104Error` when it cannot be read."""
    row, service = TYPES.get(asdu.type_id), SERVICES.get(asdu.type_id)
    if row is None or service is None:
        session.answer(asdu.mirror(Cause.UNKNOWN_TYPE, negative=True))
        return
    _, element = asdu.objects()
    if asdu.count != 1 or asdu.sequence:
        raise Iec104Error(f"{row.name} with {asdu.count} objects, SQ={int(asdu.sequence)}: one object, SQ=0 expected")
    refusal = _refusal(session, asdu, service)
    if refusal is not None:
        session.answer(asdu.mirror(refusal, negative=True))
        return
    addresses = session.station.bindings.stations if asdu.common_address == BROADCAST else [asdu.common_address]
    for address in addresses:
        service.answer(Request(session, asdu, row, element, address, at))


def _refusal(session: Session, asdu: Asdu, service: Service) -> Cause | None:
    """Why this request is not for us, as a cause of transmission."""
    if asdu.cause not in service.causes:
        return Cause.UNKNOWN_CAUSE
    stations = session.station.bindings.stations
    if asdu.common_address not in stations and not (service.broadcast and asdu.common_address == BROADCAST):
        return Cause.UNKNOWN_ADDRESS
    if service.system and asdu.ioa:
        return Cause.UNKNOWN_IOA
    return None


def _interrogation(request: Request) -> None:
    """C_IC: QOI 20 is the station, 21 to 36 are groups 1 to 16 (IEC 60870-5-101 7.2.6.22)."""
    qualifier = request.octet("qoi")
    if not _STATION <= qualifier <= _STATION + 16:
        request.confirm(False)
        return
    group = qualifier - _STATION
    key = (request.address, group)
    if request.deactivation:
        request.confirm(request.session.cancel_scan(key))
        return
    cause = Cause.INTERROGATED + group
    _scan(request, key, cause, request.session.station.bindings.interrogated(request.address, group))


def _counter_interrogation(request: Request) -> None:
    """C_CI: RQT 5 is all counters, 1 to 4 are groups; only reading, for nothing is frozen (7.2.6.23)."""
    qualifier = request.octet("qcc")
    rqt, freeze = qualifier & 0x3F, qualifier >> 6
    key = (request.address, _COUNTER_SCAN + rqt)
    if request.deactivation:
        request.confirm(request.session.cancel_scan(key))
        return
    if freeze or not 1 <= rqt <= _GENERAL_COUNTERS:
        request.confirm(False)
        return
    group = 0 if rqt == _GENERAL_COUNTERS else rqt
    cause = Cause.COUNTERS_REQUESTED + group
    _scan(request, key, cause, request.session.station.bindings.counters(request.address, group))


def _scan(request: Request, key: tuple[int, int], cause: int, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
    """Confirm, then send the values and the termination as the window allows."""
    if not request.session.may_scan(key):
        request.confirm(False)
        return
    request.confirm(True)
    asdu = request.asdu
    closing = asdu.mirror(Cause.ACTIVATION_TERM, address=request.address)
    cause |= TEST_BIT if asdu.test else 0
    request.session.scan(Scan(key, index, cause, originator=asdu.originator, closing=closing))


def _read(request: Request) -> None:
    """C_RD: the present value of one monitored point, cause requested."""
    station = request.session.station
    binding = station.bindings.find(request.address, request.asdu.ioa)
    if binding < 0 or not station.bindings.monitored[binding]:
        request.refuse(Cause.UNKNOWN_IOA)
        return
    index = np.array([binding], np.intp)
    cause = Cause.REQUEST | (TEST_BIT if request.asdu.test else 0)
    for answer in station.bindings.encode_state(index, station.table, cause, request.asdu.originator):
        request.session.answer(answer)


def _clock(request: Request) -> None:
    """C_CS: confirmed when the time can be read and the configuration says so; no clock is set."""
    request.confirm(request.session.station.options.confirm_clock and _time_ns(request) is not None)


def _time_ns(request: Request) -> int | None:
    """ns UTC of the request's time tag, or None when it is no date or marked invalid."""
    try:
        times, invalid = elements.times(request.row, request.element, request.session.station.zone)
    except Iec104Error:
        return None
    return None if invalid[0] else int(times[0])


def _test(request: Request) -> None:
    """C_TS without time: the test pattern comes back, another with a negative confirmation."""
    request.confirm(int(request.element["fbp"][0]) in _TEST_PATTERNS)


def _test_with_time(request: Request) -> None:
    """C_TS with time: everything comes back as it came."""
    request.confirm(True)


def _command(request: Request) -> None:
    """C_SC, C_DC, C_RC, C_SE and C_BO: deselect, select or execute."""
    bindings = request.session.station.bindings
    binding = bindings.find(request.address, request.asdu.ioa)
    if binding < 0 or TYPES[int(bindings.columns.event_type[binding])].untimed != request.row.untimed:
        request.refuse(Cause.UNKNOWN_IOA)
        return
    asker = request.session.asker(request.asdu)
    if request.deactivation:
        request.confirm(request.session.station.selections.cancel(binding, asker, request.at.now))
        return
    low, high = float(bindings.low[binding]), float(bindings.high[binding])
    order = commands.decode(request.row, request.element, low, high)
    if order is None or not _permitted(request):
        request.confirm(False)
    elif order.select:
        request.confirm(_select(request, binding, order))
    elif not _execute(request, binding, order):
        request.confirm(False)


def _permitted(request: Request) -> bool:
    """The master may command, the command is not a test and not too old.

    A test command is refused: a positive confirmation would say that something happened.
    """
    station = request.session.station
    if not station.plan.commands or request.asdu.test:
        return False
    if request.row.tag is not Tag.CP56:
        return True
    sent_ns = _time_ns(request)
    max_age_s = station.options.command_max_age_s
    return sent_ns is not None and (max_age_s is None or abs(request.at.wall_ns - sent_ns) <= max_age_s * 1e9)


def _select(request: Request, binding: int, order: commands.Order) -> bool:
    station = request.session.station
    if not int(station.bindings.columns.mode[binding]) & Mode.SELECT:
        return False
    asker = request.session.asker(request.asdu)
    return station.selections.select(binding, asker, order.image, request.at.now)


def _execute(request: Request, binding: int, order: commands.Order) -> bool:
    """Hand to the broker if mode and select allow; False is a refusal."""
    station = request.session.station
    asker = request.session.asker(request.asdu)
    matched = station.selections.consume(binding, asker, order.image, request.at.now)
    if matched is None:
        matched = bool(int(station.bindings.columns.mode[binding]) & Mode.DIRECT)
    row = int(station.bindings.columns.row[binding])
    return matched and request.session.submit(request.asdu, row, order.value, order.pulse)


_ACT: Final = frozenset({int(Cause.ACTIVATION)})
_ACT_DEACT: Final = frozenset({int(Cause.ACTIVATION), int(Cause.DEACTIVATION)})

SERVICES: Final[Mapping[int, Service]] = {
    **{type_id: Service(_command, _ACT_DEACT) for type_id in commands.COMMAND_TYPES},
    100: Service(_interrogation, _ACT_DEACT, broadcast=True, system=True),
    101: Service(_counter_interrogation, _ACT_DEACT, broadcast=True, system=True),
    102: Service(_read, frozenset({int(Cause.REQUEST)})),
    103: Service(_clock, _ACT, broadcast=True, system=True),
    104: Service(_test, _ACT, system=True),
    107: Service(_test_with_time, _ACT, system=True),
}
"""What is served, by type identification. Everything else is answered with cause 44."""
