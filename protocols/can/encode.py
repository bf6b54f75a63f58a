"""Values to frames: commanded points into the messages the gateway sends, with counter and checksum. Pure."""

from __future__ import annotations

import math
import struct
from typing import Final

from protocols.can.checksum import METHODS
from protocols.can.plan import Checksum, Field, Target, Transmit

_FLOAT_CODES: Final = {16: "<e", 32: "<f", 64: "<d"}


class Unencodable(ValueError):
    """The value cannot be carried by the signal; the text says why, for a person."""


def raw_of(field: Field, number: float) -> int:
    """The raw bits of a number in the signal's own unit. Raises `Unencodable`."""
    if field.floating:
        try:
            return int.from_bytes(struct.pack(_FLOAT_CODES[field.length], number), "little")
        except OverflowError:
            raise Unencodable(f"{number:g} is too large for a {field.length}-bit number") from None
    if not math.isfinite(number):
        raise Unencodable(f"{number} is not a number that a signal carries")
    raw = round(number)
    low, high = raw_limits(field)
    if not low <= raw <= high:
        raise Unencodable(f"raw value {raw} does not fit into {field.length} bits ({low} to {high})")
    return raw & field.mask


def raw_limits(field: Field) -> tuple[int, int]:
    """Least and greatest raw number of an integer field."""
    half = 1 << (field.length - 1)
    return (-half, half - 1) if field.signed else (0, field.mask)


def raw_of_value(target: Target, value: float) -> int:
    """The raw bits of an engineering value of a commanded point. Raises `Unencodable`."""
    if target.states:
        for known, raw in target.states:
            if known == value:
                return raw & target.field.mask
        words = ", ".join(f"{known:g}" for known, _ in target.states)
        raise Unencodable(f"{value:g} has no state in the map; expected one of {words}")
    number = (value - target.row_offset) / target.row_scale
    if not target.low <= number <= target.high:
        raise Unencodable(f"{number:g} is outside {target.low:g} to {target.high:g} of the signal in the DBC")
    return raw_of(target.field, (number - target.offset) / target.scale)


class Outgoing:
    """One message on its way out: what it carries now, its counter, and when it is due."""

    def __init__(self, plan: Transmit) -> None:
        self.plan = plan
        self.payload = plan.initial
        self.begun = plan.at_once
        self.next_at = math.inf
        self._count = 0

    def open(self, now: float) -> None:
        """The bus is open: cyclic messages begin."""
        self.next_at = now if self.begun and self.plan.cycle_s else math.inf
        if self.begun and not self.plan.cycle_s:
            self.next_at = now

    def with_value(self, target: Target, value: float) -> bytes:
        """What it would carry with this value. Raises `Unencodable`."""
        data = bytearray(self.payload)
        target.field.write(data, raw_of_value(target, value))
        return bytes(data)

    def commit(self, payload: bytes, now: float) -> None:
        """A frame with this payload has gone out."""
        self.payload, self.begun = payload, True
        self.next_at = now + self.plan.cycle_s if self.plan.cycle_s else math.inf

    def frame(self, payload: bytes) -> bytes:
        """The next frame with this payload: its counter moves on, its checksum is right."""
        data = bytearray(payload)
        if self.plan.counter is not None:
            self.plan.counter.write(data, self._count)
            self._count = (self._count + 1) & self.plan.counter.mask
        if self.plan.checksum is not None:
            seal(data, self.plan.checksum)
        return bytes(data)

    def sent(self, now: float) -> None:
        """The cyclic frame that was due has gone out; what was missed is not made up for."""
        cycle = self.plan.cycle_s
        self.next_at = math.inf if not cycle else max(self.next_at + cycle, now + cycle / 2)

    def reset(self) -> None:
        """Back to how it began: initial values, and silent unless it is sent at once."""
        self.payload, self.begun = self.plan.initial, self.plan.at_once
        if not self.begun:
            self.next_at = math.inf


def seal(data: bytearray, checksum: Checksum) -> None:
    """Put the checksum of all other bytes, after its prefix, into its byte."""
    data[checksum.field.start // 8] = _over(data, checksum)


def sealed(data: bytes | bytearray, checksum: Checksum) -> bool:
    """Whether the checksum of a frame is right."""
    return data[checksum.field.start // 8] == _over(data, checksum)


def _over(data: bytes | bytearray, checksum: Checksum) -> int:
    at = checksum.field.start // 8
    return METHODS[checksum.method](checksum.prefix + bytes(data[:at]) + bytes(data[at + 1 :]))


def value_in(target: Target, payload: bytes) -> float:
    """The engineering value of a commanded point in a frame; NaN when its bits have no state in the map."""
    raw = target.field.read(payload)
    if target.states:
        return next((value for value, known in target.states if known & target.field.mask == raw), math.nan)
    return (number_of(target.field, raw) * target.scale + target.offset) * target.row_scale + target.row_offset


def number_of(field: Field, raw: int) -> float:
    """The number that raw bits stand for."""
    if field.floating:
        number: float = struct.unpack(_FLOAT_CODES[field.length], raw.to_bytes(field.length // 8, "little"))[0]
        return number
    return float(raw - (1 << field.length)) if field.signed and raw >> (field.length - 1) else float(raw)
