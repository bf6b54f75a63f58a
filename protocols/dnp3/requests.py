"""What a master may ask: one function per function code, found by table. Pure.

Each returns what the response holds, or None when there is none (yet). A `RequestError` becomes its indication.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from protocols.dnp3 import control, freeze, time48
from protocols.dnp3.control import Pending
from protocols.dnp3.errors import FunctionUnknown, ObjectUnknown, ParameterError, RequestError
from protocols.dnp3.eventstore import ALL_CLASSES
from protocols.dnp3.function import Function
from protocols.dnp3.headers import ObjectHeader, count_head
from protocols.dnp3.iin import NO_IIN, Iin
from protocols.dnp3.objecttable import OBJECTS
from protocols.dnp3.outputs import CommandStatus
from protocols.dnp3.plan import Mode
from protocols.dnp3.pointtypes import BY_STATIC_GROUP, DEADBAND_GROUP, PointType
from protocols.dnp3.responses import BlockPart, Part
from protocols.dnp3.unsolicited import Unsolicited

if TYPE_CHECKING:
    from protocols.dnp3.outstation import Outstation

_CLASS_GROUP: Final = 60
_RESTART_BIT: Final = 7
MAX_DELAY_MS: Final = 65_535


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. `now` is monotonic s, `wall_ns` ns UTC."""

    function: int
    seq: int
    headers: list[ObjectHeader]
    payload: bytes
    now: float
    wall_ns: int


@dataclass(slots=True)
class Result:
    """What the response holds. `restart`: the association begins anew once it is sent."""

    iin: Iin = NO_IIN
    parts: list[Part] = field(default_factory=list)
    restart: bool = False


def _read(outstation: Outstation, request: Request) -> Result:
    gathered = outstation.reader.gather(request.headers, outstation.iin, request.wall_ns)
    return Result(gathered.iin, gathered.parts)


def _write(outstation: Outstation, request: Request) -> Result:
    iin = NO_IIN
    for header in request.headers:
        try:
            writer = _WRITERS.get(header.group)
            if writer is None:
                raise ObjectUnknown(f"{header.label} cannot be written")
            writer(outstation, header, request)
        except RequestError as error:
            iin |= error.iin
    return Result(iin)


def _write_time(outstation: Outstation, header: ObjectHeader, request: Request) -> None:
    """g50v1 is the time now; g50v3 was the time when RECORD CURRENT TIME came."""
    if header.variation not in (1, 3):
        raise ObjectUnknown(f"{header.label} cannot be written")
    if header.count != 1:
        raise ParameterError(f"{header.count} times: one expected")
    elapsed_ms = 0
    if header.variation == 3:
        if outstation.recorded is None:
            raise ParameterError("a time at the last recorded time, and none was recorded")
        elapsed_ms = round((request.now - outstation.recorded) * 1_000)
    outstation.time_written(time48.decode_one(header.data) + elapsed_ms, request.now, request.wall_ns)


def _write_iin(outstation: Outstation, header: ObjectHeader, _request: Request) -> None:
    """Only IIN1.7 can be written, and only to 0."""
    if not header.ranged or not header.start == header.stop == _RESTART_BIT or header.data[0] & 1:
        raise ParameterError("of the internal indications only restart can be written, to 0")
    outstation.restarted = False


def _write_deadbands(outstation: Outstation, header: ObjectHeader, _request: Request) -> None:
    row = OBJECTS.get((header.group, header.variation))
    if row is None or not (header.ranged or header.indexed):
        raise ParameterError(f"{header.label}: a deadband is written with its index")
    database = outstation.database
    positions = database.find(PointType.AI, header.indices)
    limits = np.frombuffer(header.data, row.dtype, header.count)["value"].astype(np.float64)
    if (positions < 0).any() or not (np.isfinite(limits) & (limits >= 0)).all():
        raise ParameterError(f"{header.label}: no such analog input, or no deadband")
    scaled = limits * np.abs(database.columns.scale[positions])
    for position, limit in zip(positions.tolist(), scaled.tolist(), strict=True):
        outstation.store.deadband.set_limit(position, limit)
    outstation.altered = True


_WRITERS: Final[Mapping[int, Callable[[Outstation, ObjectHeader, Request], None]]] = MappingProxyType(
    {50: _write_time, 80: _write_iin, DEADBAND_GROUP: _write_deadbands}
)


def _select(outstation: Outstation, request: Request) -> Result | None:
    items = control.read_items(request.headers, outstation.database, Mode.SELECT, outstation.parameters.max_controls)
    outstation.selection.clear()
    _control(outstation, request, items, select=request.payload)
    return None


def _operate(outstation: Outstation, request: Request) -> Result | None:
    items = control.read_items(request.headers, outstation.database, Mode.SELECT, outstation.parameters.max_controls)
    status = outstation.selection.take(request.seq, request.payload, request.now)
    if status is not CommandStatus.SUCCESS:
        for item in items:
            item.refuse(control.SELECT_REFUSALS[status])
    _control(outstation, request, items)
    return None


def _direct_operate(outstation: Outstation, request: Request) -> Result | None:
    items = control.read_items(request.headers, outstation.database, Mode.DIRECT, outstation.parameters.max_controls)
    outstation.selection.clear()
    _control(outstation, request, items, answered=request.function == Function.DIRECT_OPERATE)
    return None


def _control(
    outstation: Outstation,
    request: Request,
    items: list[control.Item],
    select: bytes | None = None,
    answered: bool = True,
) -> None:
    wait_s = outstation.parameters.command_wait_s
    if select is None:
        wait_s += max((_train_s(item, wait_s) for item in items), default=0.0)
    pending = Pending(request.seq, request.headers, items, request.now + wait_s, select, answered)
    outstation.command(pending)


def _train_s(item: control.Item, wait_s: float) -> float:
    """How much longer than one command a train of pulses may take: each pulse is a command of its own."""
    order = item.order
    return 0.0 if order is None or item.refusal is not None else (order.count - 1) * (order.off_s + wait_s)


def _freeze(outstation: Outstation, request: Request) -> Result:
    clear = request.function in (Function.FREEZE_CLEAR, Function.FREEZE_CLEAR_NO_ACK)
    if clear and not outstation.parameters.clear_counters:
        raise FunctionUnknown("counters are not cleared here")
    iin = NO_IIN
    for header in request.headers:
        try:
            found, missing = freeze.named(header, outstation.database)
            outstation.freeze(found, request.wall_ns, clear)
            iin |= Iin.PARAMETER_ERROR if missing else NO_IIN
        except RequestError as error:
            iin |= error.iin
    return Result(iin)


def _freeze_at_time(outstation: Outstation, request: Request) -> Result:
    moment: tuple[int, int] | None = None
    iin = NO_IIN
    for header in request.headers:
        if header.group == 50:
            moment = freeze.time_of(header, request.wall_ns)
            continue
        if moment is None:
            raise ParameterError("a freeze at a time begins with the time (g50v2)")
        found, missing = freeze.named(header, outstation.database)
        outstation.schedules.add(freeze.Schedule(found, *moment))
        outstation.altered = True
        iin |= Iin.PARAMETER_ERROR if missing else NO_IIN
    return Result(iin)


def _restart(outstation: Outstation, _request: Request) -> Result:
    if not outstation.parameters.restart:
        raise FunctionUnknown("a restart is not allowed here")
    delay = outstation.parameters.restart_delay_ms
    return Result(parts=[_delay(delay)], restart=True)


def _delay(delay_ms: int) -> BlockPart:
    return BlockPart(count_head(52, 2, 1) + min(delay_ms, MAX_DELAY_MS).to_bytes(2, "little"))


def _delay_measure(_outstation: Outstation, _request: Request) -> Result:
    """The answer goes out in the same turn that the request came in: less than 1 ms."""
    return Result(parts=[_delay(0)])


def _record_time(outstation: Outstation, request: Request) -> Result:
    outstation.recorded = request.now
    return Result()


def _unsolicited(outstation: Outstation) -> Unsolicited:
    if outstation.unsolicited is None:
        raise FunctionUnknown("unsolicited responses are not configured for this master")
    return outstation.unsolicited


def _event_classes(request: Request) -> tuple[frozenset[int], Iin]:
    numbers = {
        header.variation - 1 if header.group == _CLASS_GROUP and header.all else -1 for header in request.headers
    }
    known = ALL_CLASSES & numbers
    return known, Iin.OBJECT_UNKNOWN if numbers - known else NO_IIN


def _enable_unsolicited(outstation: Outstation, request: Request) -> Result:
    classes, iin = _event_classes(request)
    _unsolicited(outstation).enable(classes)
    return Result(iin)


def _disable_unsolicited(outstation: Outstation, request: Request) -> Result:
    classes, iin = _event_classes(request)
    _unsolicited(outstation).disable(classes)
    return Result(iin)


def _assign_class(outstation: Outstation, request: Request) -> Result:
    """Each g60 says the class of the objects behind it."""
    number: int | None = None
    iin = NO_IIN
    for header in request.headers:
        try:
            if header.group == _CLASS_GROUP:
                number = _class_number(header)
            elif number is None:
                raise ParameterError("assign class begins with a class (g60)")
            else:
                iin |= _assign(outstation, header, number)
        except RequestError as error:
            iin |= error.iin
    return Result(iin)


def _class_number(header: ObjectHeader) -> int:
    if not 1 <= header.variation <= 4:
        raise ObjectUnknown(f"{header.label} is no class")
    return header.variation - 1


def _assign(outstation: Outstation, header: ObjectHeader, number: int) -> Iin:
    row = BY_STATIC_GROUP.get(header.group)
    if row is None or header.variation:
        raise ObjectUnknown(f"{header.label} has no class: a static group with variation 0 expected")
    positions, missing = outstation.reader.positions(row, header)
    outstation.database.event_class[positions] = number
    outstation.altered = True
    return Iin.PARAMETER_ERROR if missing else NO_IIN


Handler = Callable[["Outstation", Request], Result | None]

HANDLERS: Final[Mapping[int, Handler]] = MappingProxyType(
    {
        Function.READ: _read,
        Function.WRITE: _write,
        Function.SELECT: _select,
        Function.OPERATE: _operate,
        Function.DIRECT_OPERATE: _direct_operate,
        Function.DIRECT_OPERATE_NO_ACK: _direct_operate,
        Function.IMMEDIATE_FREEZE: _freeze,
        Function.IMMEDIATE_FREEZE_NO_ACK: _freeze,
        Function.FREEZE_CLEAR: _freeze,
        Function.FREEZE_CLEAR_NO_ACK: _freeze,
        Function.FREEZE_AT_TIME: _freeze_at_time,
        Function.FREEZE_AT_TIME_NO_ACK: _freeze_at_time,
        Function.COLD_RESTART: _restart,
        Function.WARM_RESTART: _restart,
        Function.ENABLE_UNSOLICITED: _enable_unsolicited,
        Function.DISABLE_UNSOLICITED: _disable_unsolicited,
        Function.ASSIGN_CLASS: _assign_class,
        Function.DELAY_MEASURE: _delay_measure,
        Function.RECORD_CURRENT_TIME: _record_time,
    }
)
"""Every request that is carried out; CONFIRM is no request, and the others are answered with IIN2.0."""

SILENT: Final = frozenset(
    {
        Function.DIRECT_OPERATE_NO_ACK,
        Function.IMMEDIATE_FREEZE_NO_ACK,
        Function.FREEZE_CLEAR_NO_ACK,
        Function.FREEZE_AT_TIME_NO_ACK,
    }
)
"""Requests that are not answered."""
BROADCAST: Final = frozenset(
    {
        Function.WRITE,
        Function.DIRECT_OPERATE_NO_ACK,
        Function.IMMEDIATE_FREEZE_NO_ACK,
        Function.FREEZE_CLEAR_NO_ACK,
        Function.FREEZE_AT_TIME_NO_ACK,
        Function.IMMEDIATE_FREEZE,
        Function.FREEZE_CLEAR,
        Function.FREEZE_AT_TIME,
        Function.ENABLE_UNSOLICITED,
        Function.DISABLE_UNSOLICITED,
        Function.ASSIGN_CLASS,
        Function.RECORD_CURRENT_TIME,
    }
)
"""Requests that are carried out when they come as a broadcast."""
