"""Commands to an outstation: the objects that ask for them, and what its answer means. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.contracts import Pulse
from protocols.dnp3.errors import RequestError
from protocols.dnp3.field.plan import OrderBinding
from protocols.dnp3.function import Function
from protocols.dnp3.headers import SMALL, parse_headers, prefix_head
from protocols.dnp3.iin import REQUEST_ERRORS, Iin
from protocols.dnp3.outputs import AnalogOutput, CommandStatus, Crob, Operation, TripClose
from protocols.dnp3.plan import Controls
from protocols.dnp3.pointtypes import PointType

_LONG: Final = 4
"""A long pulse is on so many times as long."""


class Verdict(StrEnum):
    """How a command ended."""

    DONE = "done"
    REFUSED = "refused"
    LOST = "lost"
    """Whether the outstation acted is not known."""


@dataclass(frozen=True, slots=True)
class Done:
    """The last word on a command."""

    ticket: int
    verdict: Verdict
    text: str = ""


_UNKNOWN_END: Final = frozenset({CommandStatus.DOWNSTREAM_FAIL, CommandStatus.UNDEFINED})
# kind of control, on or off -> operation, trip or close
_OPERATIONS: Final = {
    (Controls.LATCH, True): (Operation.LATCH_ON, TripClose.NUL),
    (Controls.LATCH, False): (Operation.LATCH_OFF, TripClose.NUL),
    (Controls.PULSE, True): (Operation.PULSE_ON, TripClose.NUL),
    (Controls.PULSE, False): (Operation.PULSE_OFF, TripClose.NUL),
    (Controls.TRIP_CLOSE, True): (Operation.PULSE_ON, TripClose.CLOSE),
    (Controls.TRIP_CLOSE, False): (Operation.PULSE_ON, TripClose.TRIP),
}


def objects_of(binding: OrderBinding, value: float, pulse: Pulse) -> bytes:
    """The one object of a command with its header. Raises `ValueError`, in words, for what it cannot say."""
    wide = binding.index >= SMALL
    index = binding.index.to_bytes(2 if wide else 1, "little")
    if binding.type is PointType.AO:
        wire = (value - binding.offset) / binding.scale
        asked = AnalogOutput(variation=binding.variation, value=wire)
        return prefix_head(41, binding.variation, 1, wide) + index + asked.encode()
    if pulse in (Pulse.SHORT, Pulse.LONG) and binding.control is Controls.LATCH:
        raise ValueError("the output is latched, it takes no pulses")
    operation, trip_close = _OPERATIONS[binding.control, value != 0]
    on_ms = 0 if binding.control is Controls.LATCH else binding.on_ms * (_LONG if pulse is Pulse.LONG else 1)
    block = Crob(operation=operation, trip_close=trip_close, on_ms=on_ms, off_ms=on_ms)
    return prefix_head(12, 1, 1, wide) + index + block.encode()


def verdict_of(ticket: int, asked: bytes, payload: bytes, iin: Iin) -> Done:
    """What the answer to a select or an operate of one object says."""
    if iin & REQUEST_ERRORS:
        return Done(ticket, Verdict.REFUSED, f"the outstation says: {(iin & REQUEST_ERRORS).words}")
    try:
        headers = parse_headers(payload, Function.RESPONSE)
    except RequestError as error:
        return Done(ticket, Verdict.LOST, f"the answer cannot be read: {error}")
    if len(headers) != 1 or payload[:-1] != asked[:-1]:
        return Done(ticket, Verdict.LOST, "the answer is to another command")
    code = payload[-1] & 0x7F
    if code == CommandStatus.SUCCESS:
        return Done(ticket, Verdict.DONE)
    known = code in CommandStatus.__members__.values()
    status = CommandStatus(code) if known else CommandStatus.UNDEFINED
    text = f"the outstation answers {status.name.replace('_', ' ').lower()} ({code})"
    return Done(ticket, Verdict.LOST if status in _UNKNOWN_END else Verdict.REFUSED, text)
