"""Data frames to points: compiled once from a configuration, then a batch of frames at a time through numpy. Pure.

A data frame is the head, then for each PMU in the configuration's order (IEEE C37.118.2-2011, 6.3)::

    STAT  PHASORS                     FREQ     DFREQ    ANALOG     DIGITAL   then CHK
    2     4 or 8 each                 2 or 4   2 or 4   2 or 4     2 each

Each bound channel is one or two *slots* of the frame (a phasor's second half). Slots are gathered by wire type, so a
batch costs the same few numpy calls whatever the number of PMUs and channels.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Quality, Rows, Values
from protocols.c37118.channel import Channel, Quantity, Unresolved, find_channel, find_pmu
from protocols.c37118.configuration import Configuration, Digital, Pmu
from protocols.c37118.frame import HEAD_SIZE, FrameType, time_ns
from protocols.c37118.plan import Binding
from protocols.c37118.quality import STAT_ANGLE_FLAGS, STAT_FLAGS, TIME_FLAGS

WORD, SHORT, FLOAT = ">u2", ">i2", ">f4"
_WIRES: Final = (WORD, SHORT, FLOAT)
_ABSENT: Final = -32768
"""A 16-bit number or angle that is not there (6.3.1)."""
_ANGLE_PARTS: Final = 10_000
_PHASOR_PARTS: Final = 100_000
_INVALID: Final = np.uint32(Quality.INVALID)
_TIMES = struct.Struct(">6xII")


@dataclass(frozen=True, slots=True)
class Missing:
    """A bound channel that the stream does not have, and why in words."""

    binding: Binding
    why: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames as points: `values` and `qualities` are (frames, rows), `times_ns` one per frame (ns since 1970 UTC)."""

    values: Values
    qualities: Qualities
    times_ns: list[int]


@dataclass(slots=True)
class Layout:
    """Where one PMU's fields stand in the data frame, in octets from its beginning."""

    stat: int
    phasors: int
    frequency: int
    analogs: int
    digitals: int
    end: int

    @classmethod
    def of(cls, pmu: Pmu, start: int) -> Layout:
        shape = pmu.format
        phasors = start + 2
        frequency = phasors + len(pmu.phasors) * (8 if shape.float_phasors else 4)
        analogs = frequency + (8 if shape.float_frequency else 4)
        digitals = analogs + len(pmu.analogs) * (4 if shape.float_analogs else 2)
        return cls(start, phasors, frequency, analogs, digitals, digitals + 2 * len(pmu.digitals))


def layouts(found: Configuration) -> list[Layout]:
    """One per PMU."""
    places: list[Layout] = []
    start = HEAD_SIZE
    for pmu in found.pmus:
        places.append(Layout.of(pmu, start))
        start = places[-1].end
    return places


@dataclass(slots=True, kw_only=True)
class _Recipe:
    """How one point is made: slot `a` (and `b`), then ``(x * multiply / divide + add)``, then scale and offset."""

    a: tuple[str, int]
    b: tuple[str, int] | None = None
    multiply: float = 1.0
    divide: float = 1.0
    add: float = 0.0
    scale: float = 1.0
    offset: float = 0.0
    hypot: bool = False
    arctan: bool = False
    partner: bool = False
    wrap: bool = False
    mask: int = 0
    angle: bool = False
    status: bool = False
    flags: int = 0


def _factor(found: Configuration, shape_float: bool, factor: float) -> tuple[float, float]:
    """(multiply, divide) of a phasor. CFG-1 and CFG-2 scale integers only; a factor of 0 gives nothing to go by."""
    usable = math.isfinite(factor) and factor != 0
    if shape_float:
        return (factor if found.type is FrameType.CFG3 and usable else 1.0), 1.0
    if not usable:
        return math.nan, 1.0
    return (factor, 1.0) if found.type is FrameType.CFG3 else (float(round(factor * _PHASOR_PARTS)), _PHASOR_PARTS)


def _phasor(found: Configuration, pmu: Pmu, at: Layout, index: int, angle: bool) -> _Recipe:
    shape, phasor = pmu.format, pmu.phasors[index]
    half = 4 if shape.float_phasors else 2
    start = at.phasors + 2 * half * index
    second = FLOAT if shape.float_phasors else SHORT
    first = WORD if shape.polar and not shape.float_phasors else second
    a, b = (first, start), (second, start + half)
    if not angle:
        multiply, divide = _factor(found, shape.float_phasors, phasor.factor)
        return _Recipe(
            a=a,
            b=None if shape.polar and shape.float_phasors else b,
            multiply=multiply,
            divide=divide,
            hypot=not shape.polar,
            partner=shape.polar and not shape.float_phasors,
        )
    parts = _ANGLE_PARTS if shape.polar and not shape.float_phasors else 1
    off = phasor.angle_rad if math.isfinite(phasor.angle_rad) else 0.0
    if shape.polar:
        return _Recipe(a=b, divide=parts, add=-off, wrap=off != 0, angle=True)
    return _Recipe(a=a, b=b, add=-off, wrap=off != 0, angle=True, arctan=True)


def _magnitude(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    return _phasor(found, pmu, at, index, angle=False)


def _angle(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    return _phasor(found, pmu, at, index, angle=True)


def _frequency(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    """As a float in Hz, as an integer in mHz off nominal."""
    if pmu.format.float_frequency:
        return _Recipe(a=(FLOAT, at.frequency))
    return _Recipe(a=(SHORT, at.frequency), divide=1000.0, add=float(pmu.nominal_hz))


def _rocof(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    """As a float in Hz/s, as an integer in hundredths of it."""
    if pmu.format.float_frequency:
        return _Recipe(a=(FLOAT, at.frequency + 4))
    return _Recipe(a=(SHORT, at.frequency + 2), divide=100.0)


def _analog(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    """CFG-3 scales it; in CFG-2 the scaling is the user's own, and left to the map."""
    wire = FLOAT if pmu.format.float_analogs else SHORT
    recipe = _Recipe(a=(wire, at.analogs + (4 if wire is FLOAT else 2) * index))
    analog = pmu.analogs[index]
    if found.type is FrameType.CFG3 and math.isfinite(analog.factor) and analog.factor != 0:
        recipe.multiply = analog.factor
        recipe.add = analog.offset if math.isfinite(analog.offset) else 0.0
    return recipe


def _word(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    return _Recipe(a=(WORD, at.digitals + 2 * index))


def _bit(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    digital: Digital = pmu.digitals[index]
    unused = digital.valid and not digital.valid & mask
    return _Recipe(a=(WORD, at.digitals + 2 * index), mask=mask, flags=int(Quality.INVALID) if unused else 0)


def _status(found: Configuration, pmu: Pmu, at: Layout, index: int, mask: int) -> _Recipe:
    return _Recipe(a=(WORD, at.stat), mask=mask if mask != 0xFFFF else 0, status=True)


_RECIPES: Final = {
    Quantity.FREQUENCY: _frequency,
    Quantity.ROCOF: _rocof,
    Quantity.MAGNITUDE: _magnitude,
    Quantity.ANGLE: _angle,
    Quantity.ANALOG: _analog,
    Quantity.WORD: _word,
    Quantity.BIT: _bit,
    Quantity.STATUS: _status,
}


def _recipe(found: Configuration, binding: Binding, index: int, at: Layout) -> _Recipe:
    channel: Channel = binding.channel
    pmu = found.pmus[index]
    position, mask = find_channel(channel, pmu)
    recipe = _RECIPES[channel.quantity](found, pmu, at, position, mask)
    degrees = recipe.angle and not binding.radians
    recipe.scale = binding.scale * (180.0 / math.pi if degrees else 1.0)
    recipe.offset = binding.offset
    return recipe


@dataclass(slots=True)
class _Gather:
    """Slots of one wire type: which octets of a frame, and which columns they fill."""

    wire: str
    octets: NDArray[np.intp]
    columns: NDArray[np.intp]


@dataclass(slots=True)
class _Slots:
    """Numbers every distinct scalar of the frame that some point needs."""

    number: dict[tuple[str, int], int] = field(default_factory=dict)

    def of(self, slot: tuple[str, int]) -> int:
        return self.number.setdefault(slot, len(self.number))

    def gathers(self) -> list[_Gather]:
        found = []
        for wire in _WIRES:
            slots = [(offset, column) for (kind, offset), column in self.number.items() if kind == wire]
            if slots:
                width = np.arange(np.dtype(wire).itemsize)
                offsets = np.array([offset for offset, _ in slots])
                octets = (offsets[:, None] + width).reshape(-1).astype(np.intp)
                found.append(_Gather(wire, octets, np.array([column for _, column in slots], np.intp)))
        return found


def _where(flags: Sequence[bool]) -> NDArray[np.intp] | None:
    positions = np.flatnonzero(np.array(flags, np.bool_))
    return positions if len(positions) else None


class Decoder:
    """Decodes the data frames of one configuration for the points bound to it.

    `rows` are the table rows of a batch's columns; `missing` the bindings that the configuration does not serve.
    """

    def __init__(
        self, found: Configuration, bindings: Sequence[Binding], known: Mapping[int, float] | None = None
    ) -> None:
        """`known`: last values by row, kept where the first frames bring none."""
        self.configuration = found
        self.frame_size = found.frame_size
        self.missing: list[Missing] = []
        places = layouts(found)
        kept: list[tuple[Binding, _Recipe, int]] = []
        for binding in bindings:
            try:
                index = find_pmu(found, binding.pmu)
                kept.append((binding, _recipe(found, binding, index, places[index]), places[index].stat))
            except Unresolved as error:
                self.missing.append(Missing(binding, str(error)))
        self.rows: Rows = np.array([binding.row for binding, _, _ in kept], np.uint32)
        self._stat_octets = np.array([[place.stat, place.stat + 1] for place in places], np.intp).reshape(-1)
        self._prepare([recipe for _, recipe, _ in kept])
        stats = {place.stat: index for index, place in enumerate(places)}
        self._stat_of = np.array([stats[stat] for _, _, stat in kept], np.intp)
        self.last: Values = np.array([(known or {}).get(row, 0.0) for row in self.rows.tolist()], np.float64)

    def _prepare(self, recipes: list[_Recipe]) -> None:
        slots = _Slots()
        self._a = np.array([slots.of(recipe.a) for recipe in recipes], np.intp)
        self._b = np.array([slots.of(recipe.b or recipe.a) for recipe in recipes], np.intp)
        self._gathers, self._slots = slots.gathers(), len(slots.number)
        self._hypot = _where([recipe.hypot for recipe in recipes])
        self._arctan = _where([recipe.arctan for recipe in recipes])
        self._partner = _where([recipe.partner for recipe in recipes])
        self._wrap = _where([recipe.wrap for recipe in recipes])
        self._masked = _where([recipe.mask != 0 for recipe in recipes])
        self._angles = _where([recipe.angle for recipe in recipes])
        self._states = _where([recipe.status for recipe in recipes])
        self._mask = np.array([recipe.mask for recipe in recipes if recipe.mask], np.int64)
        self._multiply = np.array([recipe.multiply for recipe in recipes])
        self._divide = np.array([recipe.divide for recipe in recipes])
        self._add = np.array([recipe.add for recipe in recipes])
        scale = np.array([recipe.scale for recipe in recipes])
        offset = np.array([recipe.offset for recipe in recipes])
        self._scaling = (scale, offset) if (scale != 1).any() or (offset != 0).any() else None
        flags = np.array([recipe.flags for recipe in recipes], np.uint32)
        self._flags = flags if flags.any() else None

    def decode(self, frames: Sequence[bytes]) -> tuple[Batch, NDArray[np.uint16]]:
        """Points of whole, checked frames of `frame_size` octets, and STAT words as (frames, PMUs)."""
        octets = np.frombuffer(frames[0] if len(frames) == 1 else b"".join(frames), np.uint8)
        octets = octets.reshape(len(frames), self.frame_size)
        stats: NDArray[np.uint16] = octets.take(self._stat_octets, axis=1).view(WORD).astype(np.uint16)
        with np.errstate(all="ignore"):  # NaN and infinity are dealt with below
            values = self._convert(self._gathered(octets))
        qualities = self._qualities(stats, octets[:, 10])
        bad = ~np.isfinite(values)
        if bad.any():
            self._keep_last(values, qualities, bad)
        if len(self.rows):
            self.last = values[-1]
        return Batch(values, qualities, [self.time_ns(frame) for frame in frames]), stats

    def time_ns(self, frame: bytes) -> int:
        """The frame's own time, ns since 1970 UTC."""
        soc, fraction = _TIMES.unpack_from(frame)
        return time_ns(soc, fraction & 0xFFFFFF, self.configuration.time_base)

    def _gathered(self, octets: NDArray[np.uint8]) -> Values:
        raw = np.empty((len(octets), self._slots))
        for gather in self._gathers:
            part = octets.take(gather.octets, axis=1).view(gather.wire).astype(np.float64)
            if gather.wire is SHORT:
                part[part == _ABSENT] = np.nan
            raw[:, gather.columns] = part
        return raw

    def _convert(self, raw: Values) -> Values:
        x: Values = raw[:, self._a]
        if self._hypot is not None:
            x[:, self._hypot] = np.hypot(x[:, self._hypot], raw[:, self._b[self._hypot]])
        if self._arctan is not None:
            x[:, self._arctan] = np.arctan2(raw[:, self._b[self._arctan]], x[:, self._arctan])
        if self._partner is not None:
            # A phasor whose angle is absent has no magnitude either.
            x[:, self._partner] += 0.0 * raw[:, self._b[self._partner]]
        if self._masked is not None:
            x[:, self._masked] = (x[:, self._masked].astype(np.int64) & self._mask) != 0
        x *= self._multiply
        x /= self._divide
        x += self._add
        if self._wrap is not None:
            x[:, self._wrap] = np.pi - np.mod(np.pi - x[:, self._wrap], 2 * np.pi)
        if self._scaling is not None:
            x *= self._scaling[0]
            x += self._scaling[1]
        return x

    def _qualities(self, stats: NDArray[np.uint16], time_quality: NDArray[np.uint8]) -> Qualities:
        of_frame = TIME_FLAGS[time_quality][:, None]
        qualities: Qualities = STAT_FLAGS[stats][:, self._stat_of] | of_frame
        if self._angles is not None:
            qualities[:, self._angles] |= STAT_ANGLE_FLAGS[stats][:, self._stat_of[self._angles]]
        if self._states is not None:
            # What STAT says of the data does not spoil STAT itself.
            qualities[:, self._states] = of_frame
        if self._flags is not None:
            qualities |= self._flags
        return qualities

    def _keep_last(self, values: Values, qualities: Qualities, bad: NDArray[np.bool_]) -> None:
        """NaN and infinity are no values: invalid, with the value before."""
        qualities[bad] |= _INVALID
        before = self.last
        for frame in range(len(values)):
            values[frame] = np.where(bad[frame], before, values[frame])
            before = values[frame]
