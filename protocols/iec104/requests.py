"""What the master may ask, one table row per type identification, and how it is answered. Pure.

Checks run in the order type (cause 44), cause (45), common address (46), ioa (47); each negative answer mirrors the
request with P/N set (IEC 60870-5-101 7.2.3). What cannot be read at all breaks the connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from protocols.iec104 import commands, orders, parameters
from protocols.iec104.asdu import BROADCAST, TEST_BIT, Asdu, Cause
from protocols.iec104.bindings import Index, Show
from protocols.iec104.clock import ClockSync
from protocols.iec104.counters import Freeze
from protocols.iec104.elements import TYPES
from protocols.iec104.errors import Iec104Error
from protocols.iec104.parameters import Activation
from protocols.iec104.plan import ResetProcess
from protocols.iec104.request import Moment, Request, Service
from protocols.iec104.scan import Scan

if TYPE_CHECKING:
    from protocols.iec104.session import Session

_TEST_PATTERNS: Final = frozenset({0x55AA, 0x55CC})
"""Fixed test bit pattern (IEC 60870-5-101 7.2.6.14): 55AA hex. lib60870, under many masters, sends 55CC."""
_GENERAL_COUNTERS: Final = 5
_STATION: Final = 20
_GENERAL_RESET: Final = 1
_COUNTER_SCAN: Final = 0x100
"""Keeps the keys of counter interrogations apart from those of station interrogations."""


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
    """C_CI: RQT 5 is all counters, 1 to 4 are groups; FRZ reads, freezes, resets (7.2.6.23).

    Freeze and reset are done, confirmed and terminated, without values: what was frozen is sent when it is read. (Some
    masters take the termination for the end of it and wait; those that expect none pass it over.)
    """
    qualifier = request.octet("qcc")
    rqt, freeze = qualifier & 0x3F, Freeze(qualifier >> 6)
    key = (request.address, _COUNTER_SCAN + rqt)
    if request.deactivation:
        request.confirm(request.session.cancel_scan(key))
        return
    if not 1 <= rqt <= _GENERAL_COUNTERS or (freeze and request.asdu.test):
        request.confirm(False)
        return
    group = 0 if rqt == _GENERAL_COUNTERS else rqt
    station = request.session.station
    index = station.bindings.counters(request.address, group)
    if freeze is Freeze.READ:
        _scan(request, key, Cause.COUNTERS_REQUESTED + group, index, station.counters.memorised)
        return
    station.act_on_counters(freeze, index)
    request.confirm(True)
    request.session.answer(request.asdu.mirror(Cause.ACTIVATION_TERM, address=request.address))


def _scan(request: Request, key: tuple[int, int], cause: int, index: Index, show: Show | None = None) -> None:
    """Confirm, then send the values and the termination as the window allows."""
    if not request.session.may_scan(key):
        request.confirm(False)
        return
    request.confirm(True)
    asdu = request.asdu
    closing = asdu.mirror(Cause.ACTIVATION_TERM, address=request.address)
    cause |= TEST_BIT if asdu.test else 0
    request.session.scan(Scan(key, index, cause, originator=asdu.originator, closing=closing, show=show))


def _read(request: Request) -> None:
    """C_RD: the present value of one monitored point, cause requested."""
    station = request.session.station
    binding = _measured(request, None)
    if binding < 0:
        request.refuse(Cause.UNKNOWN_IOA)
        return
    index = np.array([binding], np.intp)
    cause = Cause.REQUEST | (TEST_BIT if request.asdu.test else 0)
    table, show = station.table, station.counters.shown
    for answer in station.bindings.encode_state(index, table, cause, request.asdu.originator, show):
        request.session.answer(answer)


def _clock(request: Request) -> None:
    """C_CS: confirmed when the time can be read and the configuration says so; a clock only moves by right."""
    station = request.session.station
    sync, time_ns = station.options.clock_sync, request.time_ns()
    moves = sync in (ClockSync.OFFSET, ClockSync.SYSTEM)
    if time_ns is None or sync is ClockSync.REFUSE or (moves and not station.plan.clock):
        request.confirm(False)
    elif not moves or request.asdu.test:
        request.confirm(True)
    elif sync is ClockSync.OFFSET:
        station.clock.offset_ns = time_ns - request.at.wall_ns
        request.confirm(True)
    else:
        request.session.set_clock(time_ns, request)


def _test(request: Request) -> None:
    """C_TS without time: the test pattern comes back, another with a negative confirmation."""
    request.confirm(int(request.element["fbp"][0]) in _TEST_PATTERNS)


def _test_with_time(request: Request) -> None:
    """C_TS with time: everything comes back as it came."""
    request.confirm(True)


def _reset(request: Request) -> None:
    """C_RP: QRP 1 is a general reset; it begins this master's station anew and touches nothing else (7.2.6.27)."""
    options = request.session.station.options
    if options.reset_process is ResetProcess.REFUSE or request.octet("qrp") != _GENERAL_RESET:
        request.confirm(False)
        return
    request.confirm(True)
    request.session.reset(request.address)


def _parameter(request: Request) -> None:
    """P_ME: a threshold or limit of one measured value, in force at once unless it says otherwise."""
    station = request.session.station
    binding = _measured(request, parameters.MEASURED_TYPE[request.row.id])
    if binding < 0:
        request.refuse(Cause.UNKNOWN_IOA)
        return
    low, high = float(station.bindings.low[binding]), float(station.bindings.high[binding])
    loaded = parameters.decode(request.row.id, request.element, low, high)
    if loaded is None or request.asdu.test or not station.plan.parameters:
        request.confirm(False)
        return
    station.load_parameter(binding, *loaded)
    request.confirm(True)


def _activation(request: Request) -> None:
    """P_AC: parameters that were loaded (all, with ioa 0, or one object's) or cyclic transmission, on or off."""
    station = request.session.station
    qualifier, active = request.octet("qpa"), not request.deactivation
    everything = qualifier == Activation.LOADED
    binding = -1 if everything else _measured(request, None)
    if (everything and request.asdu.ioa) or (not everything and binding < 0):
        request.refuse(Cause.UNKNOWN_IOA)
        return
    if request.asdu.test or not station.plan.parameters:
        request.confirm(False)
    elif everything:
        there = [each for each in station.parameters.loaded if station.plan.bindings.ca[each] == request.address]
        request.confirm(station.activate_parameters(there, active))
    elif qualifier == Activation.OBJECT:
        request.confirm(station.activate_parameters([binding], active))
    else:
        request.confirm(qualifier == Activation.CYCLIC and station.activate_cyclic(binding, active))


def _measured(request: Request, types: frozenset[int] | None) -> int:
    """The monitored binding at the request's ioa, of one of these untimed types (None: any), or -1."""
    bindings = request.session.station.bindings
    binding = bindings.find(request.address, request.asdu.ioa)
    if binding < 0 or not bindings.monitored[binding]:
        return -1
    return binding if types is None or int(bindings.columns.static_type[binding]) in types else -1


_ACT: Final = frozenset({int(Cause.ACTIVATION)})
_ACT_DEACT: Final = frozenset({int(Cause.ACTIVATION), int(Cause.DEACTIVATION)})

SERVICES: Final[Mapping[int, Service]] = {
    **{type_id: Service(orders.command, _ACT_DEACT) for type_id in commands.COMMAND_TYPES},
    100: Service(_interrogation, _ACT_DEACT, broadcast=True, system=True),
    101: Service(_counter_interrogation, _ACT_DEACT, broadcast=True, system=True),
    102: Service(_read, frozenset({int(Cause.REQUEST)})),
    103: Service(_clock, _ACT, broadcast=True, system=True),
    104: Service(_test, _ACT, system=True),
    105: Service(_reset, _ACT, broadcast=True, system=True),
    107: Service(_test_with_time, _ACT, system=True),
    **{type_id: Service(_parameter, _ACT) for type_id in parameters.MEASURED_TYPE},
    113: Service(_activation, _ACT_DEACT),
}
"""What is served, by type identification. Everything else is answered with cause 44."""
