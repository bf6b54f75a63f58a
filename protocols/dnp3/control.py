"""Commands to outputs: what a request asks for, the select before an operate, and the answer that waits. Pure.

    SELECT          checked here and by the broker; armed when every object answers SUCCESS
    OPERATE         only with the next sequence number and the octets of the select, before it expires
    DIRECT OPERATE  at once

The status of each object is the broker's final word: SUCCESS means that the device did it.
"""

from __future__ import annotations

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


@dataclass(slots=True)
class Item:
    """One object of a request: an order, or already a status."""

    order: Order | None
    status: CommandStatus | None = None


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
            item = Item(None, CommandStatus.TOO_MANY_OBJS)
            if len(items) < most:
                item = _item(decode_output(header.group, header.variation, octets.tobytes()), position, database, mode)
            items.append(item)
    if not items:
        raise ParameterError("a control without an object")
    return items


def _item(output: Output, position: int, database: Database, mode: Mode) -> Item:
    if position < 0:
        return Item(None, CommandStatus.NOT_SUPPORTED)
    if output.status:
        return Item(None, CommandStatus.FORMAT_ERROR)
    if not database.columns.mode[position] & mode:
        return Item(None, _WRONG_MODE[mode])
    order = _crob(output, position, database) if isinstance(output, Crob) else _analog(output, position, database)
    return Item(order) if isinstance(order, Order) else Item(None, order)


_WRONG_MODE: Final = {Mode.SELECT: CommandStatus.NOT_SUPPORTED, Mode.DIRECT: CommandStatus.NO_SELECT}
"""An output that must be selected first says so to a direct operate."""


def _crob(output: Crob, position: int, database: Database) -> Order | CommandStatus:
    known = _OPERATIONS.get((output.operation, output.trip_close))
    if known is None or output.queue or output.clear or output.count != 1:
        return CommandStatus.NOT_SUPPORTED
    control, value, pulsed = known
    if not database.columns.controls[position] & control:
        return CommandStatus.NOT_SUPPORTED
    long = output.on_ms > LONG_PULSE_MS
    pulse = (Pulse.LONG if long else Pulse.SHORT) if pulsed else Pulse.DEFAULT
    return Order(position, int(database.columns.row[position]), value, pulse)


def _analog(output: AnalogOutput, position: int, database: Database) -> Order | CommandStatus:
    value = database.engineering(position, output.value)
    if not np.isfinite(value):
        return CommandStatus.OUT_OF_RANGE
    return Order(position, int(database.columns.row[position]), value)


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
    def successful(self) -> bool:
        return all(status is CommandStatus.SUCCESS for status in self.statuses)

    def settle(self, ticket: int, status: CommandStatus) -> Item | None:
        """The final word on one object; None when it is not waited for."""
        item = self.tickets.pop(ticket, None)
        if item is not None:
            item.status = status
        return item
