"""Commands to outputs: what a request asks for, the select before an operate, and the answer that waits. Pure.

    SELECT          checked here and by the broker; armed when every object answers SUCCESS
    OPERATE         only with the next sequence number and the octets of the select, before it expires
    DIRECT OPERATE  at once

The status of each object is the broker's final word: SUCCESS means that the device did it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from gateway.contracts import Outcome, Pulse, Reason, Stage
from protocols.dnp3.application import SEQUENCES
from protocols.dnp3.database import Database
from protocols.dnp3.errors import ObjectUnknown, ParameterError
from protocols.dnp3.headers import ObjectHeader
from protocols.dnp3.iin import NO_IIN, Iin
from protocols.dnp3.objecttable import OBJECTS, ObjectKind
from protocols.dnp3.outputs import (
    AnalogOutput,
    CommandStatus,
    Crob,
    Operation,
    Output,
    TripClose,
    decode_output,
    with_statuses,
)
from protocols.dnp3.plan import Controls, Mode
from protocols.dnp3.pointtypes import PointType

MAX_TRAIN_S: Final = 600.0
"""A train of pulses whose on and off times add up to more is not begun."""
LONG_PULSE_MS: Final = 1_000
"""A pulse asked to be on for longer than this is the device's long pulse."""

STATUS_OF: Final[Mapping[Reason, CommandStatus]] = MappingProxyType(
    {
        Reason.OK: CommandStatus.SUCCESS,
        Reason.UNKNOWN_POINT: CommandStatus.NOT_SUPPORTED,
        Reason.NOT_COMMANDABLE: CommandStatus.NOT_SUPPORTED,
        Reason.NOT_AUTHORISED: CommandStatus.NOT_AUTHORIZED,
        Reason.LOCAL: CommandStatus.LOCAL,
        Reason.OUT_OF_RANGE: CommandStatus.OUT_OF_RANGE,
        Reason.BUSY: CommandStatus.ALREADY_ACTIVE,
        Reason.BLOCKED: CommandStatus.BLOCKED,
        Reason.INTERLOCKED: CommandStatus.AUTOMATION_INHIBIT,
        Reason.NOT_SELECTED: CommandStatus.NO_SELECT,
        Reason.EXPIRED: CommandStatus.TIMEOUT,
        Reason.SUPERSEDED: CommandStatus.CANCELLED,
        Reason.DEVICE_LOST: CommandStatus.DOWNSTREAM_FAIL,
        Reason.DEVICE_REFUSED: CommandStatus.HARDWARE_ERROR,
        Reason.FEEDBACK: CommandStatus.HARDWARE_ERROR,
        Reason.TIMEOUT: CommandStatus.DOWNSTREAM_FAIL,
        Reason.CORE_LOST: CommandStatus.DOWNSTREAM_FAIL,
        Reason.TEST: CommandStatus.NOT_SUPPORTED,
    }
)
"""Every reason of the broker as a control status."""


def status_of(outcome: Outcome) -> CommandStatus:
    """Of a final outcome; a failure without a reason is never a success."""
    if outcome.stage is Stage.COMPLETED:
        return CommandStatus.SUCCESS
    status = STATUS_OF[outcome.reason]
    return CommandStatus.UNDEFINED if status is CommandStatus.SUCCESS else status


@dataclass(frozen=True, slots=True)
class Order:
    """What one object asks of one output; `value` in engineering units."""

    position: int
    row: int
    value: float
    pulse: Pulse = Pulse.DEFAULT
    count: int = 1
    """Pulses, one after the other."""
    off_s: float = 0.0
    """Between two pulses."""
    clear: bool = False
    """Gives up the pulses of this output that are still to come."""
    idle: bool = False
    """Nothing is to be operated: SUCCESS without a command."""


# (operation, trip or close) -> kind of control, value, and whether it is a pulse.
_OPERATIONS: Final[Mapping[tuple[int, TripClose], tuple[Controls, float, bool]]] = {
    (Operation.LATCH_ON, TripClose.NUL): (Controls.LATCH, 1.0, False),
    (Operation.LATCH_OFF, TripClose.NUL): (Controls.LATCH, 0.0, False),
    (Operation.PULSE_ON, TripClose.NUL): (Controls.PULSE, 1.0, True),
    (Operation.PULSE_OFF, TripClose.NUL): (Controls.PULSE, 0.0, True),
    (Operation.PULSE_ON, TripClose.CLOSE): (Controls.TRIP_CLOSE, 1.0, False),
    (Operation.PULSE_ON, TripClose.TRIP): (Controls.TRIP_CLOSE, 0.0, False),
}
_TYPE_OF: Final = {12: PointType.BO, 41: PointType.AO}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status given without asking the broker, and why, for the record."""

    status: CommandStatus
    reason: Reason
    text: str


NOT_AUTHORISED: Final = Refusal(CommandStatus.NOT_AUTHORIZED, Reason.NOT_AUTHORISED, "this master may not command")
SELECT_REFUSALS: Final[Mapping[CommandStatus, Refusal]] = MappingProxyType(
    {
        CommandStatus.NO_SELECT: Refusal(
            CommandStatus.NO_SELECT, Reason.NOT_SELECTED, "not what was selected, or nothing was"
        ),
        CommandStatus.TIMEOUT: Refusal(CommandStatus.TIMEOUT, Reason.EXPIRED, "the select has expired"),
    }
)
_NO_POINT: Final = Refusal(CommandStatus.NOT_SUPPORTED, Reason.UNKNOWN_POINT, "no such output")
_TOO_MANY: Final = Refusal(CommandStatus.TOO_MANY_OBJS, Reason.BUSY, "more objects than one request may have")
TRAIN_UNDER_WAY: Final = Refusal(CommandStatus.ALREADY_ACTIVE, Reason.BUSY, "pulses of this output are still to come")
_HAS_STATUS: Final = Refusal(CommandStatus.FORMAT_ERROR, Reason.NOT_COMMANDABLE, "the request carries a status")
_NOT_SUPPORTED: Final = Refusal(
    CommandStatus.NOT_SUPPORTED, Reason.NOT_COMMANDABLE, "the output does not take this operation"
)
_NO_NUMBER: Final = Refusal(CommandStatus.OUT_OF_RANGE, Reason.OUT_OF_RANGE, "not a finite number")
_WRONG_MODE: Final[Mapping[Mode, Refusal]] = {
    Mode.SELECT: Refusal(CommandStatus.NOT_SUPPORTED, Reason.NOT_COMMANDABLE, "the output is operated directly only"),
    Mode.DIRECT: Refusal(CommandStatus.NO_SELECT, Reason.NOT_SELECTED, "the output must be selected first"),
}


@dataclass(slots=True)
class Item:
    """One object of a request: what it orders (None: no such output), and its status once there is one."""

    order: Order | None
    refusal: Refusal | None = None
    status: CommandStatus | None = None

    def __post_init__(self) -> None:
        if self.refusal is not None:
            self.refuse(self.refusal)

    def refuse(self, refusal: Refusal) -> None:
        """Answered without asking the broker."""
        self.refusal, self.status = refusal, refusal.status


def read_items(headers: list[ObjectHeader], database: Database, mode: Mode, most: int) -> list[Item]:
    """An item per object, in order. Raises `ObjectUnknown` or `ParameterError` when the request is no control."""
    items: list[Item] = []
    for header in headers:
        row = OBJECTS.get((header.group, header.variation))
        if row is None or row.kind is not ObjectKind.COMMAND:
            raise ObjectUnknown(f"{header.label} is no control")
        if not header.indexed:
            raise ParameterError(f"{header.label} without indices")
        positions = database.find(_TYPE_OF[header.group], header.indices).tolist()
        for position, octets in zip(positions, header.objects(), strict=True):
            if len(items) >= most:
                items.append(Item(None, _TOO_MANY))
                continue
            output = decode_output(header.group, header.variation, octets.tobytes())
            items.append(_item(output, position, database, mode))
    if not items:
        raise ParameterError("a control without an object")
    return items


def _item(output: Output, position: int, database: Database, mode: Mode) -> Item:
    if position < 0:
        return Item(None, _NO_POINT)
    order, refusal = (
        _crob(output, position, database) if isinstance(output, Crob) else _analog(output, position, database)
    )
    if output.status:
        refusal = _HAS_STATUS
    elif not database.columns.mode[position] & mode:
        refusal = _WRONG_MODE[mode]
    return Item(order, refusal)


def _crob(output: Crob, position: int, database: Database) -> tuple[Order, Refusal | None]:
    row = int(database.columns.row[position])
    if output.operation == Operation.NUL and output.clear and not output.queue:
        return Order(position, row, math.nan, clear=True, idle=True), None
    known = _OPERATIONS.get((output.operation, output.trip_close))
    if known is None:
        return Order(position, row, math.nan), _NOT_SUPPORTED
    control, value, pulsed = known
    long = output.on_ms > LONG_PULSE_MS
    order = Order(
        position,
        row,
        value,
        (Pulse.LONG if long else Pulse.SHORT) if pulsed else Pulse.DEFAULT,
        count=max(1, output.count),
        off_s=output.off_ms / 1_000,
        clear=output.clear,
        idle=output.count == 0,
    )
    taken = not output.queue and bool(database.columns.controls[position] & control)
    return order, None if taken and _may_repeat(output, pulsed) else _NOT_SUPPORTED


def _may_repeat(output: Crob, pulsed: bool) -> bool:
    """A latch, a trip and a close are done once; a pulse so often as it takes no more than `MAX_TRAIN_S`."""
    train_s = output.count * (output.on_ms + output.off_ms) / 1_000
    return output.count <= 1 or (pulsed and train_s <= MAX_TRAIN_S)


def _analog(output: AnalogOutput, position: int, database: Database) -> tuple[Order, Refusal | None]:
    value = database.engineering(position, output.value)
    order = Order(position, int(database.columns.row[position]), value)
    return order, None if math.isfinite(value) else _NO_NUMBER


def echo(headers: list[ObjectHeader], statuses: list[CommandStatus]) -> bytes:
    """The request's objects with a status each."""
    out, at = [], 0
    for header in headers:
        mine = np.array(statuses[at : at + header.count], np.uint8)
        out.append(with_statuses(header.raw, header.group, header.variation, mine))
        at += header.count
    return b"".join(out)


class Selection:
    """What the master has selected: it is used up by the next operate, whatever that is."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._armed: tuple[int, bytes, float] | None = None

    def arm(self, seq: int, payload: bytes, now: float) -> None:
        """Every object of the select with this sequence number answered SUCCESS."""
        self._armed = (seq, payload, now)

    def clear(self) -> None:
        """Forget the select."""
        self._armed = None

    def take(self, seq: int, payload: bytes, now: float) -> CommandStatus:
        """Whether an operate matches: SUCCESS, NO_SELECT or TIMEOUT. The select is gone either way."""
        armed, self._armed = self._armed, None
        if armed is None or seq != (armed[0] + 1) % SEQUENCES or payload != armed[1]:
            return CommandStatus.NO_SELECT
        return CommandStatus.TIMEOUT if now - armed[2] > self._timeout_s else CommandStatus.SUCCESS


@dataclass(slots=True)
class Pending:
    """A control request whose objects the broker works on; the answer waits for all of them."""

    seq: int
    headers: list[ObjectHeader]
    items: list[Item]
    deadline: float
    select: bytes | None = None
    """The request's objects, when it is a select."""
    answered: bool = True
    """False for a direct operate without acknowledgement."""
    tickets: dict[int, Item] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return not self.tickets

    @property
    def statuses(self) -> list[CommandStatus]:
        """Of every object; one without a word yet has none in time."""
        return [CommandStatus.DOWNSTREAM_FAIL if item.status is None else item.status for item in self.items]

    @property
    def iin(self) -> Iin:
        """An object that names an output that does not exist is told by IIN2.2 beside its status."""
        return Iin.PARAMETER_ERROR if any(item.refusal is _NO_POINT for item in self.items) else NO_IIN

    @property
    def successful(self) -> bool:
        return all(status is CommandStatus.SUCCESS for status in self.statuses)

    def settle(self, ticket: int, status: CommandStatus) -> Item | None:
        """The final word on one object; None when it is not waited for."""
        item = self.tickets.pop(ticket, None)
        if item is not None:
            item.status = status
        return item
