"""Commands to a controlled station: select, execute, their answers and their silence. Pure.

    SELECTING --ACT_CON--> EXECUTING --ACT_CON--> ENDING --ACT_TERM--> done       (select before operate)
                           EXECUTING --ACT_CON--> ENDING --ACT_TERM--> done       (direct)

A command whose end nobody asks for is done with the confirmation. A select that will not be executed is deactivated.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from gateway.contracts import Pulse
from protocols.iec104 import elements as element_table
from protocols.iec104 import time56
from protocols.iec104.asdu import HEAD, IOA_SIZE, Asdu, Cause, single
from protocols.iec104.elements import TYPES, Tag
from protocols.iec104.field.plan import OrderBinding
from protocols.iec104.time56 import Zone

_ELEMENT_AT: Final = HEAD.size + IOA_SIZE
SELECT: Final = 0x80
"""S/E bit of a qualifier."""
_QUALIFIERS: Final[Mapping[Pulse, int]] = {Pulse.DEFAULT: 0, Pulse.SHORT: 1, Pulse.LONG: 2, Pulse.PERSISTENT: 3}
_NEGATIVE: Final[Mapping[int, str]] = {
    Cause.UNKNOWN_TYPE: "the RTU does not know this type of command",
    Cause.UNKNOWN_CAUSE: "the RTU does not know the cause of transmission",
    Cause.UNKNOWN_ADDRESS: "the RTU does not know the common address",
    Cause.UNKNOWN_IOA: "the RTU does not know the information object address",
}


class Unencodable(Exception):
    """The value cannot be said in the command's type. The text is for a person."""


class Phase(Enum):
    """What is awaited."""

    SELECTING = "confirmation of the select"
    EXECUTING = "confirmation of the command"
    ENDING = "termination of the command"


class Verdict(Enum):
    """How a command ended."""

    DONE = "done"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Done:
    """The last word on a command. `text` is for a person."""

    ticket: int
    verdict: Verdict
    text: str = ""


@dataclass(slots=True)
class _UnderWay:
    ticket: int
    binding: OrderBinding
    element: bytes
    """Value and qualifier, S/E clear, without time."""
    phase: Phase
    until: float


def _in_range(value: float, low: int, high: int, what: str) -> int:
    number = round(value)
    if not low <= number <= high:
        raise Unencodable(f"{value:g} does not fit {what}: {low} to {high}")
    return number


def _switch(_binding: OrderBinding, value: float, qualifier: int) -> bytes:
    return bytes([int(value != 0) | qualifier << 2])


def _two(_binding: OrderBinding, value: float, qualifier: int) -> bytes:
    return bytes([(2 if value else 1) | qualifier << 2])


def _normalised(binding: OrderBinding, value: float, _qualifier: int) -> bytes:
    raw = round((2 * (value - binding.low) / (binding.high - binding.low) - 1) * 32_768)
    limits = f"the range {binding.low:g} to {binding.high:g} of the point"
    if not -32_768 <= raw <= 32_768:
        raise Unencodable(f"{value:g} does not fit {limits}")
    return struct.pack("<hB", min(raw, 32_767), 0)


def _scaled(_binding: OrderBinding, value: float, _qualifier: int) -> bytes:
    return struct.pack("<hB", _in_range(value, -32_768, 32_767, "a scaled set-point"), 0)


def _float(_binding: OrderBinding, value: float, _qualifier: int) -> bytes:
    try:
        return struct.pack("<fB", value, 0)
    except OverflowError:
        raise Unencodable(f"{value:g} does not fit a short floating point number") from None


def _bits(_binding: OrderBinding, value: float, _qualifier: int) -> bytes:
    return struct.pack("<I", _in_range(value, 0, 0xFFFFFFFF, "a bit string"))


_ENCODERS: Final[Mapping[int, Callable[[OrderBinding, float, int], bytes]]] = {
    45: _switch,
    46: _two,
    47: _two,
    48: _normalised,
    49: _scaled,
    50: _float,
    51: _bits,
}
"""By the untimed type identification."""
SWITCHES: Final = frozenset({45, 46, 47})
NO_SELECT: Final = frozenset({51})
"""Bit string commands have no S/E bit."""
ORDER_TYPES: Final = frozenset(row.id for row in TYPES.values() if row.untimed in _ENCODERS)


def encode(binding: OrderBinding, value: float, pulse: Pulse) -> bytes:
    """Value and qualifier as on the wire, to be executed. Raises `Unencodable`."""
    if not math.isfinite(value):
        raise Unencodable(f"{value} is no number that can be written")
    untimed = TYPES[binding.type_id].untimed
    qualifier = _QUALIFIERS[pulse] or binding.pulse
    if qualifier and untimed not in SWITCHES:
        raise Unencodable("a set-point has no pulses")
    return _ENCODERS[untimed](binding, (value - binding.offset) / binding.scale, qualifier)


class Orders:
    """Commands under way on one link."""

    def __init__(self, zone: Zone, originator: int, timeout_s: float) -> None:
        self._zone, self._originator, self._timeout_s = zone, originator, timeout_s
        self._under_way: dict[tuple[int, int, int], _UnderWay] = {}

    def begin(
        self, ticket: int, binding: OrderBinding, value: float, pulse: Pulse, now: float, wall_ns: int
    ) -> bytes | Done:
        """The first ASDU of a command, or why there is none."""
        key = (binding.ca, binding.type_id, binding.ioa)
        if key in self._under_way:
            return Done(ticket, Verdict.REFUSED, f"a command for {binding.name} is still under way")
        try:
            element = encode(binding, value, pulse)
        except Unencodable as error:
            return Done(ticket, Verdict.REFUSED, str(error))
        phase = Phase.SELECTING if binding.select else Phase.EXECUTING
        order = _UnderWay(ticket, binding, element, phase, now + self._timeout_s)
        self._under_way[key] = order
        return self._asdu(order, Cause.ACTIVATION, wall_ns)

    def cancel(self, ticket: int, wall_ns: int) -> bytes | None:
        """Nobody waits any more: the deactivation of a select that was not executed, or None."""
        order = next((each for each in self._under_way.values() if each.ticket == ticket), None)
        return None if order is None else self._give_up(order, wall_ns)

    def answer(self, asdu: Asdu, now: float, wall_ns: int) -> tuple[bytes | None, Done | None] | None:
        """What a mirrored command leads to: the next ASDU, the last word. None: it answers nothing we asked."""
        order = self._under_way.get((asdu.common_address, asdu.type_id, asdu.ioa))
        if order is None or len(asdu.raw) != len(self._asdu(order, Cause.ACTIVATION, wall_ns)):
            return None
        if asdu.cause in _NEGATIVE:
            return None, self._end(order, Verdict.REFUSED, _NEGATIVE[asdu.cause])
        selects = TYPES[asdu.type_id].untimed not in NO_SELECT
        selecting = selects and bool(asdu.raw[_ELEMENT_AT + len(order.element) - 1] & SELECT)
        if asdu.cause == Cause.ACTIVATION_CON and selecting == (order.phase is Phase.SELECTING):
            return self._confirmed(order, asdu, now, wall_ns)
        if asdu.cause == Cause.ACTIVATION_TERM and order.phase is not Phase.SELECTING:
            return None, self._terminated(order, asdu)
        return None

    def _confirmed(
        self, order: _UnderWay, asdu: Asdu, now: float, wall_ns: int
    ) -> tuple[bytes | None, Done | None] | None:
        if order.phase is Phase.ENDING:
            return None
        if asdu.negative:
            what = "select" if order.phase is Phase.SELECTING else "command"
            return None, self._end(order, Verdict.REFUSED, f"the RTU answered the {what} with a negative confirmation")
        if order.phase is Phase.SELECTING:
            order.phase, order.until = Phase.EXECUTING, now + self._timeout_s
            return self._asdu(order, Cause.ACTIVATION, wall_ns), None
        if (said := self._value(order, asdu.raw[_ELEMENT_AT:])) != (asked := self._value(order, order.element)):
            text = f"the RTU confirmed {said:g} where {asked:g} was asked for (raw)"
            return None, self._end(order, Verdict.REFUSED, text)
        if order.binding.termination:
            order.phase, order.until = Phase.ENDING, now + self._timeout_s
            return None, None
        return None, self._end(order, Verdict.DONE)

    def _terminated(self, order: _UnderWay, asdu: Asdu) -> Done:
        """Some RTUs end a command without a word before; others say in the end that it went wrong."""
        if asdu.negative:
            return self._end(order, Verdict.REFUSED, "the RTU ended the command negatively: it was not carried out")
        return self._end(order, Verdict.DONE)

    @staticmethod
    def _value(order: _UnderWay, octets: bytes) -> float:
        row = TYPES[TYPES[order.binding.type_id].untimed]
        if row.id in SWITCHES:
            return octets[0] & 3
        element = np.frombuffer(octets[: row.size], row.dtype)
        return float(element_table.values(row, element, np.array([-1.0]), np.array([1.0]))[0])

    def overdue(self, now: float, wall_ns: int) -> tuple[list[bytes], list[Done]]:
        """Commands whose answer did not come: what is sent after them, and the last words."""
        late = [order for order in self._under_way.values() if now >= order.until]
        words = [f"no {order.phase.value} within {self._timeout_s:g} s" for order in late]
        sent = [asdu for order in late if (asdu := self._give_up(order, wall_ns)) is not None]
        return sent, [Done(order.ticket, Verdict.LOST, text) for order, text in zip(late, words, strict=True)]

    def lose(self, text: str) -> list[Done]:
        """The link is gone."""
        lost = [Done(order.ticket, Verdict.LOST, text) for order in self._under_way.values()]
        self._under_way.clear()
        return lost

    def next_deadline(self) -> float | None:
        """When `overdue` is next to be called."""
        return min((order.until for order in self._under_way.values()), default=None)

    def _give_up(self, order: _UnderWay, wall_ns: int) -> bytes | None:
        self._forget(order)
        return self._asdu(order, Cause.DEACTIVATION, wall_ns) if order.phase is Phase.SELECTING else None

    def _end(self, order: _UnderWay, verdict: Verdict, text: str = "") -> Done:
        self._forget(order)
        return Done(order.ticket, verdict, text)

    def _forget(self, order: _UnderWay) -> None:
        del self._under_way[order.binding.ca, order.binding.type_id, order.binding.ioa]

    def _asdu(self, order: _UnderWay, cause: int, wall_ns: int) -> bytes:
        binding, element = order.binding, order.element
        if order.phase is Phase.SELECTING:
            element = element[:-1] + bytes([element[-1] | SELECT])
        if TYPES[binding.type_id].tag is Tag.CP56:
            element += time56.encode(np.array([wall_ns], np.int64), np.zeros(1, np.bool_), self._zone).tobytes()
        return single(binding.type_id, cause, binding.ca, binding.ioa, element, self._originator)
