"""A SunSpec device as it answers: the models a plan needs, laid out in registers. Pure.

For demonstration, tests and figures; the gateway's own side is `driver`. The device has the common model, every model
of the plan as often as the plan names it, and of every group that repeats as many as the plan reaches.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.points import Values
from protocols.modbus.device import DeviceException
from protocols.modbus.frame import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, WRITE_REGISTER, WRITE_REGISTERS
from protocols.modbus.plan import WIRE_INDEX, WIRE_TYPES
from protocols.sunspec.model import HEADER, MAX_SCALE, NUMBERS, Group, Place, Point, Shape, count_points
from protocols.sunspec.plan import Reading, SunPoint, SunUnitPlan
from protocols.sunspec.survey import COMMON, END, MARKER

_BASE: Final = 40000
_PAD: Final = b"\x80\x00"
_POWERS: Final = {"Hz_SF": -2, "CellV_SF": -3, "PF_SF": -3}
_POWER: Final = -1
"""Scale factors to begin with; they grow when a value does not fit."""
_COMMON: Final = Group(
    "common",
    (
        *(Point("ID", "uint16", 1), Point("L", "uint16", 1)),
        *(Point("Mn", "string", 16), Point("Md", "string", 16), Point("Opt", "string", 8)),
        *(Point("Vr", "string", 8), Point("SN", "string", 16), Point("DA", "uint16", 1), Point("Pad", "pad", 1)),
    ),
)
_TEXTS: Final = {"Mn": "GridGate", "Md": "Simulated device", "Opt": "", "Vr": "1.0", "SN": "SN-0001"}


class SunDevice:
    """One unit. `on_write(row, engineering value, commanded)` hears what a write changed."""

    def __init__(self, plan: SunUnitPlan, on_write: Callable[[int, float, bool], None]) -> None:
        self.plan, self.bindings = plan, plan.bindings
        self.base = _BASE if plan.base is None else plan.base
        self.unimplemented: set[int] = set()
        """Rows that read as "not there"."""
        self.writes: list[tuple[int, bytes]] = []
        """Register and data of every write, in order."""
        self.models: dict[tuple[int, int], tuple[int, Shape]] = {}
        """By model and instance: its first register and its layout."""
        self._on_write = on_write
        self._memory = bytearray(2 * 65536)
        self._put(self.base, MARKER)
        self._powers: dict[int, int] = {}
        self.end = self._lay_out(self.base + 2)
        self._spots = [self._spot(point) for point in plan.points]
        self._counts = {at for at, point in enumerate(plan.points) if self._is_count(point)}
        for point in plan.points:
            self._implement(point)

    # -- layout -------------------------------------------------------------------------------------------------

    def _lay_out(self, at: int) -> int:
        wanted = {(COMMON, 1)} | {(point.model, each) for point in self.plan.points for each in self._upto(point)}
        for number, instance in sorted(wanted):
            group = self.plan.models.get(number, _COMMON if number == COMMON else None)
            if group is not None:
                at = self._place(number, instance, group, at)
        self._put(at, struct.pack(">HH", END, 0))
        return at + HEADER

    @staticmethod
    def _upto(point: SunPoint) -> range:
        return range(1, point.instance + 1)

    def _place(self, number: int, instance: int, group: Group, at: int) -> int:
        often = self._often(number, group)
        counts = {name: often.get(name, 1) for name in count_points(group)}
        probe = Group(group.name, group.points, tuple(each for each in group.groups if each.count != 0))
        length = _size(probe, counts) - HEADER
        length += sum(_size(each, counts) * often.get(each.name, 1) for each in group.groups if each.count == 0)
        shape = Shape(group, length, counts)
        self.models[number, instance] = (at, shape)
        self._fill(group, shape, at)
        self._put(at, struct.pack(">HH", number, length))
        for name, count in counts.items():
            self._put(at + group.offset(name), struct.pack(">H", count))
        return at + HEADER + length

    def _often(self, number: int, model: Group) -> dict[str, int]:
        """By the point that counts a group, or the endless group itself: how many the plan reaches."""
        out: dict[str, int] = {}
        for point in self.plan.points:
            group = model
            for name, index in point.path.groups if point.model == number else ():
                group = group.group(name) or group
                key = group.count if isinstance(group.count, str) else group.name
                out[key] = max(out.get(key, 1), (index or 0) + 1)
        return out

    def _fill(self, group: Group, shape: Shape, at: int) -> int:
        for point in group.points:
            self._put(at, self._blank(point, at))
            at += point.size
        for inner in group.groups:
            for _ in range(shape.repeats(inner)):
                at = self._fill(inner, shape, at)
        return at

    def _blank(self, point: Point, at: int) -> bytes:
        if point.type == "sunssf":
            self._powers[at] = _POWERS.get(point.name, _POWER)
            return struct.pack(">h", self._powers[at])
        if point.type == "pad":
            return _PAD * point.size
        if point.type in NUMBERS:
            return missing_bytes(point)
        return _TEXTS.get(point.name, "").encode().ljust(2 * point.size, b"\0")

    def _spot(self, point: SunPoint) -> tuple[int, Place]:
        start, shape = self.models[point.model, point.instance]
        return start, shape.find(point.path)

    def _is_count(self, point: SunPoint) -> bool:
        """The layout rests on this point: it is the device's own, whatever is painted."""
        _, shape = self.models[point.model, point.instance]
        return not point.path.groups and point.path.point in ("ID", "L", *count_points(shape.model))

    def _implement(self, point: SunPoint) -> None:
        """What commands write along is there, at 0."""
        start, shape = self.models[point.model, point.instance]
        for companion in (point.first, point.last):
            if companion is not None:
                place = shape.find(companion.path)
                self._put(start + place.offset, bytes(2 * place.point.size))

    # -- registers ----------------------------------------------------------------------------------------------

    def _put(self, address: int, data: bytes) -> None:
        self._memory[2 * address : 2 * address + len(data)] = data

    def set_raw(self, address: int, data: bytes) -> None:
        """Put these bytes into the registers, whatever they are."""
        self._put(address, data)

    def raw(self, address: int, count: int = 1) -> bytes:
        """Registers as they are."""
        return bytes(self._memory[2 * address : 2 * (address + count)])

    def address(self, row: int) -> int:
        """First register of the point in this row."""
        start, place = self._spots[int(np.flatnonzero(self.bindings.row == row)[0])]
        return start + place.offset

    def paint(self, values: Values) -> None:
        """What the device measures from now on; engineering values of all its bindings."""
        free = (position for position in range(len(values)) if position not in self._counts)
        order = sorted(free, key=lambda position: not self.bindings.commanded[position])
        raws = {position: self._engineering(position, float(values[position])) for position in order}
        for position, raw in raws.items():
            self._grow(position, raw)
        for position in order:
            self._paint(position, raws[position])

    def _engineering(self, position: int, value: float) -> float:
        if not math.isfinite(value):
            return 0.0
        return (value - float(self.bindings.offset[position])) / float(self.bindings.scale[position])

    def _grow(self, position: int, raw: float) -> None:
        """A scale factor grows until the value fits."""
        start, place = self._spots[position]
        if place.scale_offset < 0 or self.plan.points[position].reading is not Reading.NUMBER:
            return
        at, most = start + place.scale_offset, _limit(place.point)
        while abs(raw) / 10.0 ** self._powers[at] > most and self._powers[at] < MAX_SCALE:
            self._powers[at] += 1
            self._put(at, struct.pack(">h", self._powers[at]))

    def _paint(self, position: int, raw: float) -> None:
        start, place = self._spots[position]
        point, at = self.plan.points[position], start + place.offset
        if int(self.bindings.row[position]) in self.unimplemented:
            self._put(at, missing_bytes(place.point))
        elif point.reading is Reading.NUMBER:
            power = place.scale if place.scale_offset < 0 else self._powers[start + place.scale_offset]
            self._put(at, number_bytes(place.point, raw / 10.0**power))
        else:
            self._paint_state(point, place.point, at, raw != 0)

    def _paint_state(self, point: SunPoint, kind: Point, at: int, on: bool) -> None:
        now = self.raw(at, kind.size)
        number = 0 if now == missing_bytes(kind) else int.from_bytes(now, "big")
        if point.reading is Reading.BIT:
            number = number | 1 << point.mark if on else number & ~(1 << point.mark)
        elif point.reading is Reading.FLAG:
            number = int(on)
        elif on or number == point.mark:
            number = point.mark if on else 0
        self._put(at, number.to_bytes(2 * kind.size, "big"))

    def _value(self, position: int) -> float:
        """What this point reads now, in engineering units."""
        start, place = self._spots[position]
        point, data = self.plan.points[position], self.raw(start + place.offset, place.point.size)
        raw = float(np.frombuffer(data, _dtype(place.point))[0])
        if point.reading is Reading.STATE:
            raw = float(raw == point.mark)
        elif point.reading is Reading.BIT:
            raw = float(int(raw) >> point.mark & 1)
        elif point.reading is Reading.NUMBER and place.scale_offset >= 0:
            power = self._powers[start + place.scale_offset]
            raw = raw * 10.0**power if power > 0 else raw / 10.0**-power
        return raw * float(self.bindings.scale[position]) + float(self.bindings.offset[position])

    # -- answers ------------------------------------------------------------------------------------------------

    def answer(self, pdu: bytes) -> bytes:
        """The answer PDU to a request PDU; never raises for what a peer sends."""
        function = pdu[0] if pdu else 0
        try:
            return self._answer(function, pdu)
        except DeviceException as error:
            return bytes((function | 0x80, error.code))
        except struct.error:
            return bytes((function | 0x80, ILLEGAL_VALUE))

    def _answer(self, function: int, pdu: bytes) -> bytes:
        if function == 3:
            _, address, count = struct.unpack(">BHH", pdu)
            if not 1 <= count <= 125:
                raise DeviceException(ILLEGAL_VALUE)
            self._check(address, count)
            data = self.raw(address, count)
            return bytes((function, len(data))) + data
        if function == WRITE_REGISTER:
            _, address, _ = struct.unpack(">BHH", pdu)
            self._write(address, pdu[3:5])
            return pdu
        if function == WRITE_REGISTERS:
            _, address, count, size = struct.unpack_from(">BHHB", pdu)
            if not 1 <= count <= 123 or size != 2 * count or len(pdu) != 6 + size:
                raise DeviceException(ILLEGAL_VALUE)
            self._write(address, pdu[6:])
            return pdu[:5]
        raise DeviceException(ILLEGAL_FUNCTION)

    def _check(self, address: int, count: int) -> None:
        if address < self.base or address + count > self.end:
            raise DeviceException(ILLEGAL_ADDRESS)

    def _write(self, address: int, data: bytes) -> None:
        count = len(data) // 2
        self._check(address, count)
        self._put(address, data)
        self.writes.append((address, data))
        for position, (start, place) in enumerate(self._spots):
            if start + place.offset < address + count and address < start + place.offset + place.point.size:
                row, commanded = int(self.bindings.row[position]), bool(self.bindings.commanded[position])
                self._on_write(row, self._value(position), commanded)


def _size(group: Group, counts: dict[str, int]) -> int:
    inner = 0
    for each in group.groups:
        often = counts.get(each.count, 1) if isinstance(each.count, str) else each.count
        inner += _size(each, counts) * (1 if often is None else often)
    return group.own_size + inner


def _dtype(point: Point) -> np.dtype[np.generic]:
    return WIRE_TYPES[WIRE_INDEX[NUMBERS[point.type].wire]].dtype


def _limits(point: Point) -> tuple[int, int]:
    """The lowest and highest raw number of an integer type."""
    signed, bits = NUMBERS[point.type].wire.startswith("int"), 16 * point.size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _limit(point: Point) -> float:
    """The largest raw number that is a value on either side of 0."""
    return math.inf if point.type.startswith("float") else _limits(point)[1] - 1


def missing_bytes(point: Point) -> bytes:
    """What stands in the registers of a point that is not there."""
    kind = NUMBERS[point.type]
    if math.isnan(kind.missing):
        return (b"\x7f\xc0" if point.size == 2 else b"\x7f\xf8").ljust(2 * point.size, b"\0")
    low, high = _limits(point)
    return min(int(kind.missing), high).to_bytes(2 * point.size, "big", signed=low < 0)


def number_bytes(point: Point, raw: float) -> bytes:
    """A raw number in registers: rounded, cut off at the type's limits."""
    dtype = _dtype(point)
    if dtype.kind == "f":
        return np.array([raw], dtype).tobytes()
    low, high = _limits(point)
    return min(max(round(raw), low), high).to_bytes(2 * point.size, "big", signed=low < 0)
