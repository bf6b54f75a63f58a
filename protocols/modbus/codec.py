"""Register images to engineering values and back, compiled once into numpy gather plans.

A plan holds, for every point, which bytes of an image make its value. Byte orders vanish in the compilation: they are
only another sequence of indices::

    on the wire    A B C D      order ABCD reads bytes 0 1 2 3
    registers      |-0-|-1-|    CDAB: 2 3 0 1    BADC: 1 0 3 2    DCBA: 3 2 1 0

For 64 bits CDAB reverses the four words, BADC swaps the bytes in each word, DCBA reverses all eight bytes. A 16-bit
type has its bytes swapped by BADC and DCBA. Values are float64: int64 and uint64 beyond 2**53 lose their last digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Quality, Values
from protocols.modbus.plan import ORDERS, WIRE_TYPES, Bindings, Form, Table, WireType

Image = NDArray[np.uint8]
Index = NDArray[np.int64]

_INVALID: Final = np.uint32(Quality.INVALID)


class Unencodable(ValueError):
    """A value that the point's wire type cannot hold. The text is for a person."""


def _place(size: int, order: str, i: int) -> int:
    """Where byte `i` of a big-endian value lies on the wire."""
    word, byte = i & ~1, i & 1
    match order:
        case "CDAB":
            return size - 2 - word + byte
        case "BADC":
            return i ^ 1
        case "DCBA":
            return size - 1 - i
    return i


PERMUTATIONS: Final = {
    size: np.array([[_place(size, order, i) for i in range(size)] for order in ORDERS]) for size in (2, 4, 8)
}


@dataclass(frozen=True, slots=True)
class _Lane:
    """Numbers of one wire type: `at` in the values, `index` (n, bytes) in the image."""

    wire: WireType
    at: Index
    index: Index
    flag: bool

    def decode(self, image: Image, values: Values) -> None:
        raw = image.take(self.index).view(self.wire.dtype).reshape(-1)
        values[self.at] = raw != 0 if self.flag else raw

    def paint(self, image: Image, raw: Values) -> None:
        number = raw[self.at]
        if not self.wire.is_float:
            limits = np.iinfo(self.wire.code)
            top = limits.max if self.wire.registers < 4 else np.nextafter(float(limits.max), 0)
            number = np.clip(np.rint(np.nan_to_num(number)), limits.min, top)
        image[self.index] = number.astype(self.wire.dtype).view(np.uint8).reshape(self.index.shape)


@dataclass(frozen=True, slots=True)
class _Bits:
    """Single bits: `at` in the values; `byte` and `mask` in the image; each counts `weight` in the value."""

    at: Index
    byte: Index
    mask: NDArray[np.uint8]
    weight: int

    def decode(self, image: Image, values: Values) -> None:
        found = (image.take(self.byte) & self.mask) != 0
        if self.weight == 1:
            values[self.at] = found
        else:
            values[self.at] += found * float(self.weight)

    def paint(self, image: Image, raw: Values) -> None:
        on = (np.nan_to_num(raw[self.at]).astype(np.int64) & self.weight) != 0
        np.bitwise_and.at(image, self.byte, ~self.mask)
        np.bitwise_or.at(image, self.byte, np.where(on, self.mask, np.uint8(0)))


def _register_bit(base: Index, bit: Index, swapped: NDArray[np.bool_]) -> tuple[Index, NDArray[np.uint8]]:
    high = (bit >= 8) ^ swapped
    return base + np.where(high, 0, 1), (1 << (bit & 7)).astype(np.uint8)


def _find_bits(bindings: Bindings, base: Index, which: Index, step: int) -> tuple[Index, NDArray[np.uint8]]:
    """Byte and mask of the first (`step` 0) or second (1) bit; `base` counts bits in a bit table, else bytes."""
    packed = base[which] + step
    in_register = bindings.table[which] >= Table.INPUT
    bit = np.maximum(bindings.bit[which], 0) + step
    swapped = bindings.order[which] >= ORDERS.index("BADC")
    byte, mask = _register_bit(base[which], bit, swapped)
    return (
        np.where(in_register, byte, packed >> 3),
        np.where(in_register, mask, (1 << (packed & 7)).astype(np.uint8)),
    )


class Codec:
    """Decodes an image into the values of `bindings`, all at once, and paints values into an image.

    `base`: per binding where its first register begins in the image, in bytes; for coils and discrete inputs where
    its bit lies, in bits (bit 0 of byte 0 is the first coil, as on the wire).
    """

    def __init__(self, bindings: Bindings, base: Index) -> None:
        self._count = len(bindings)
        lanes = self._lanes(bindings, base)
        self._parts: list[_Lane | _Bits] = [*lanes, *self._bits(bindings, base)]
        self._scale, self._offset = bindings.scale, bindings.offset
        self._linear = bool((self._scale != 1).any() or (self._offset != 0).any())
        self._floats = any(lane.wire.is_float for lane in lanes)

    @staticmethod
    def _lanes(bindings: Bindings, base: Index) -> list[_Lane]:
        lanes = []
        for form in (Form.NUMBER, Form.FLAG):
            for wire_index in np.unique(bindings.wire[bindings.form == form]).tolist():
                wire = WIRE_TYPES[wire_index]
                at = np.flatnonzero((bindings.form == form) & (bindings.wire == wire_index))
                order = PERMUTATIONS[2 * wire.registers][bindings.order[at]]
                lanes.append(_Lane(wire, at, base[at][:, None] + order, form == Form.FLAG))
        return lanes

    @staticmethod
    def _bits(bindings: Bindings, base: Index) -> list[_Bits]:
        parts = []
        for form, weights in ((Form.BIT, (1,)), (Form.DOUBLE, (1, 2))):
            at = np.flatnonzero(bindings.form == form)
            if len(at):
                parts += [_Bits(at, *_find_bits(bindings, base, at, weight - 1), weight) for weight in weights]
        return parts

    def decode(self, image: Image, last: Values) -> tuple[Values, Qualities]:
        """Values in engineering units and their qualities.

        Where a number is NaN or infinite the value stays that of `last` and the quality is INVALID.
        """
        values = self.values(image)
        qualities = np.zeros(self._count, np.uint32)
        if not self._floats:
            return values, qualities
        bad = ~np.isfinite(values)
        if bad.any():
            values[bad] = last[bad]
            qualities[bad] = _INVALID
        return values, qualities

    def values(self, image: Image) -> Values:
        """Values in engineering units as the registers say them, NaN and infinity included."""
        values = np.empty(self._count, np.float64)
        if not self._floats:
            self._convert(image, values)
            return values
        with np.errstate(all="ignore"):
            self._convert(image, values)
        return values

    def _convert(self, image: Image, values: Values) -> None:
        for part in self._parts:
            part.decode(image, values)
        if self._linear:
            values *= self._scale
            values += self._offset

    def paint(self, image: Image, values: Values) -> None:
        """Write engineering values into the image: rounded to the nearest raw number, cut off at the type's limits."""
        with np.errstate(all="ignore"):
            raw = (values - self._offset) / self._scale
            for part in self._parts:
                part.paint(image, raw)


def raw_number(bindings: Bindings, position: int, value: float) -> float:
    """Engineering value to raw, not yet rounded; raises `Unencodable` when the value is not a finite number."""
    if not math.isfinite(value):
        raise Unencodable(f"{value} is not a number that can be written")
    return (value - float(bindings.offset[position])) / float(bindings.scale[position])


def encode(bindings: Bindings, position: int, value: float) -> bytes:
    """The registers to write for one number: rounded to the nearest raw value, never wrapped.

    Raises `Unencodable` when the type cannot hold it.
    """
    wire = WIRE_TYPES[int(bindings.wire[position])]
    raw = raw_number(bindings, position, value)
    number = _float(wire, raw, value) if wire.is_float else _integer(wire, raw, value)
    order = PERMUTATIONS[2 * wire.registers][int(bindings.order[position])]
    return number[np.argsort(order)].tobytes()


def _integer(wire: WireType, raw: float, value: float) -> Image:
    limits = np.iinfo(wire.code)
    number = round(raw) if math.isfinite(raw) else math.inf
    if not limits.min <= number <= limits.max:
        raise Unencodable(f"{value:g} gives raw {raw:g}, outside {wire.word} ({limits.min} to {limits.max})")
    return np.array([number], wire.dtype).view(np.uint8)


def _float(wire: WireType, raw: float, value: float) -> Image:
    with np.errstate(all="ignore"):
        number = np.array([raw], wire.dtype)
    if not np.isfinite(number).all():
        raise Unencodable(f"{value:g} gives raw {raw:g}, outside {wire.word}")
    return number.view(np.uint8)
