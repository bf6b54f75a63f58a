"""What is known of one SunSpec device: first a walk over its models, then scans bound to what it found. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.modbus import frame
from protocols.modbus.codec import Unencodable, encode
from protocols.modbus.plan import WIRE_INDEX, WIRE_TYPES, Bindings
from protocols.modbus.scan import Scan
from protocols.modbus.unit import Unit
from protocols.modbus.writes import Way
from protocols.sunspec.model import HEADER, NUMBERS, ModelError, Place, Point, Shape, count_points
from protocols.sunspec.plan import Companion, Reading, SunPoint, SunUnitPlan
from protocols.sunspec.scan import HELPER_ROW, READINGS, Decoding, SunScan
from protocols.sunspec.survey import Found, Survey
from protocols.sunspec.surveyscan import SurveyScan

_HELPER: Final = Point("", "uint16", 1)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A point of the map, found: where its model begins and where it stands in it."""

    position: int
    found: Found
    shape: Shape
    place: Place

    @property
    def address(self) -> int:
        return self.found.address + self.place.offset


@dataclass(slots=True)
class _Helpers:
    """Registers read beside the points, each once."""

    at: dict[int, int] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    guard: list[float] = field(default_factory=list)

    def add(self, address: int, point: Point, guard: float = np.nan) -> int:
        """Position of the helper at this register."""
        number = self.at.setdefault(address, len(self.points))
        if number == len(self.points):
            self.points.append(point)
            self.guard.append(guard)
        elif not np.isnan(guard):
            self.guard[number] = guard
        return number


@dataclass(frozen=True, slots=True)
class _Live:
    """Where the live numbers of a point are, and its companions' helpers."""

    scan: SunScan
    at: int
    spot: _Spot
    companions: dict[Companion, tuple[int, int]]
    """Address and helper of what is written along."""


class SunUnit(Unit):
    """`Unit` whose addresses come from the device. `bind` takes what a walk has found."""

    plan: SunUnitPlan

    def __init__(self, plan: SunUnitPlan, reconnect_max_s: float) -> None:
        self._live: dict[int, _Live] = {}
        self.seen: Survey | str | None = None
        """What the latest walk found."""
        super().__init__(plan, reconnect_max_s)
        self.counters["surveys"] = self.counters["model_errors"] = 0

    @property
    def errors(self) -> int:
        return super().errors + self.counters["model_errors"]

    def first_scans(self) -> list[Scan]:
        return [SurveyScan(self.plan)]

    def connected(self) -> None:
        super().connected()
        self.unbind()

    def lost(self) -> bool:
        news = super().lost()
        self.unbind()
        return news

    def unbind(self) -> None:
        """Walk over the models before anything is read again."""
        self.seen = None
        self._live = {}
        if len(self.scans) == 1 and isinstance(self.scans[0], SurveyScan):
            self.scans[0].restart()
        else:
            self.scans = self.first_scans()

    def bind(self, survey: Survey) -> dict[int, str]:
        """Scans of all points that were found; for the others why not, by position. Looks again while there are any."""
        spots: list[_Spot] = []
        wrong: dict[int, str] = {}
        for position, point in enumerate(self.plan.points):
            try:
                spots.append(_find(survey, position, point))
            except ModelError as error:
                wrong[position] = str(error)
        self._live = {}
        by_period: dict[float, list[_Spot]] = {}
        for spot in spots:
            by_period.setdefault(float(self.plan.bindings.scan_s[spot.position]), []).append(spot)
        self.scans = [self._scan(by_period[period]) for period in sorted(by_period)]
        if wrong:
            self.scans.append(SurveyScan(self.plan))
        self.bindings = _relocated(self.plan.bindings, spots)
        return wrong

    def _scan(self, spots: list[_Spot]) -> SunScan:
        helpers = _Helpers()
        scales = [_scale_helper(spot, helpers) for spot in spots]
        companions = [self._companions(spot, helpers) for spot in spots]
        for spot in spots:
            _guards(spot, helpers)
        held = self.plan.bindings.take(np.array([spot.position for spot in spots], np.int64))
        held = _relocated(held, [_Spot(i, s.found, s.shape, s.place) for i, s in enumerate(spots)])
        plain = _plain(held)
        every = _joined(plain, _helper_bindings(helpers, plain))
        scan = SunScan(every, self.plan.limits, self._decoding(spots, scales, held, helpers))
        for at, (spot, along) in enumerate(zip(spots, companions, strict=True)):
            self._live[spot.position] = _Live(scan, at, spot, along)
        return scan

    def _companions(self, spot: _Spot, helpers: _Helpers) -> dict[Companion, tuple[int, int]]:
        point = self.plan.points[spot.position]
        out = {}
        for companion in (point.first, point.last):
            if companion is not None:
                place = spot.shape.find(companion.path)
                address = spot.found.address + place.offset
                out[companion] = (address, helpers.add(address, place.point))
        return out

    def _decoding(self, spots: list[_Spot], scales: list[int], held: Bindings, helpers: _Helpers) -> Decoding:
        points = [self.plan.points[spot.position] for spot in spots]
        return Decoding(
            missing=np.array([NUMBERS[spot.place.point.type].missing for spot in spots], np.float64),
            helper=np.array(scales, np.int64),
            power=np.array([spot.place.scale for spot in spots], np.int64),
            reading=np.array([READINGS.index(point.reading) for point in points], np.uint8),
            mark=np.array([point.mark for point in points], np.int64),
            scale=held.scale,
            offset=held.offset,
            guard=np.array(helpers.guard, np.float64),
        )

    # -- writes -------------------------------------------------------------------------------------------------

    def steps(self, position: int, value: float) -> list[list[Way]]:
        """What goes before the field, the field, what goes after it. Raises `Unencodable`."""
        live = self._live.get(position)
        if live is None:
            raise Unencodable(_unbound(self.seen))
        if live.scan.missing[live.at]:
            raise Unencodable("the device does not implement this field, or it has not been read yet")
        point = self.plan.points[position]
        before = [] if point.first is None else [_write(*self._companion(live, point.first))]
        after = [] if point.last is None else [_write(*self._companion(live, point.last))]
        return [*before, _write(live.spot.address, self._own(live, position, value)), *after]

    def _own(self, live: _Live, position: int, value: float) -> bytes:
        point, plan = self.plan.points[position], self.plan.bindings
        raw = (value - float(plan.offset[position])) / float(plan.scale[position])
        if point.reading in (Reading.STATE, Reading.FLAG) and raw not in (0.0, 1.0):
            raise Unencodable(f"{value:g} is no state: a control takes 0 or 1")
        if point.reading is Reading.STATE:
            if not raw:
                raise Unencodable(f"only 1 can be written: it stands for {point.mark} in {point.path}")
            raw = float(point.mark)
        power = live.scan.factor(live.at)
        if power is None:
            raise Unencodable("its scale factor is not known")
        raw = raw * 10.0**-power if power < 0 else raw / 10.0**power
        data = encode(_plain(self.plan.bindings), position, raw)
        wire = WIRE_TYPES[int(self.plan.bindings.wire[position])]
        if float(np.frombuffer(data, wire.dtype).astype(np.float64)[0]) == live.scan.decoding.missing[live.at]:
            raise Unencodable(f"{value:g} would be written as the number that stands for 'not implemented'")
        return data

    @staticmethod
    def _companion(live: _Live, companion: Companion) -> tuple[int, bytes]:
        address, helper = live.companions[companion]
        kind = NUMBERS[live.spot.shape.find(companion.path).point.type]
        current = float(live.scan.helpers[helper])
        if np.isnan(current) or current == kind.missing:
            raise Unencodable(f"the device does not implement {companion.path}, which is to be written along")
        return address, np.array([companion.raw]).astype(WIRE_TYPES[WIRE_INDEX[kind.wire]].dtype).tobytes()


def _unbound(seen: Survey | str | None) -> str:
    if seen is None:
        return "the models of the device have not been read yet"
    return seen if isinstance(seen, str) else "it was not found on the device"


def _find(survey: Survey, position: int, point: SunPoint) -> _Spot:
    found = survey.model(point.model, point.instance)
    if found is None:
        have = ", ".join(str(each.id) for each in survey.models) or "none"
        which = f"model {point.model}" + (f" a {point.instance}th time" if point.instance > 1 else "")
        raise ModelError(f"the device has no {which}; its models are {have}")
    key = (point.model, point.instance)
    if key in survey.wrong:
        raise ModelError(survey.wrong[key])
    shape = survey.shapes[key]
    try:
        return _Spot(position, found, shape, shape.find(point.path))
    except ModelError as error:
        raise ModelError(f"{found}: {error}") from None


def _scale_helper(spot: _Spot, helpers: _Helpers) -> int:
    if spot.place.scale_offset < 0:
        return -1
    return helpers.add(spot.found.address + spot.place.scale_offset, Point("", "sunssf", 1))


def _guards(spot: _Spot, helpers: _Helpers) -> None:
    """Identifier, length and counts must stay what they were when the layout was made of them."""
    start = spot.found.address
    helpers.add(start, _HELPER, float(spot.found.id))
    helpers.add(start + HEADER - 1, _HELPER, float(spot.found.length))
    for name in count_points(spot.shape.model):
        helpers.add(start + spot.shape.model.offset(name), _HELPER, float(spot.shape.count(name)))


def _relocated(bindings: Bindings, spots: list[_Spot]) -> Bindings:
    address = bindings.address.copy()
    for spot in spots:
        address[spot.position] = spot.address
    return _with(bindings, address=address)


def _with(bindings: Bindings, **columns: NDArray[Any]) -> Bindings:
    return Bindings(**{name: columns.get(name, getattr(bindings, name)) for name in Bindings.__slots__})


def _plain(bindings: Bindings) -> Bindings:
    """The same as raw numbers: scale and offset come after the scale factor."""
    size = len(bindings)
    return _with(bindings, scale=np.ones(size), offset=np.zeros(size))


def _helper_bindings(helpers: _Helpers, like: Bindings) -> Bindings:
    """Bindings of the helpers; what does not matter for them is that of the first point."""
    size = len(helpers.points)
    wires = [WIRE_INDEX[NUMBERS[point.type].wire] for point in helpers.points]
    first = like.take(np.zeros(size, np.int64))
    return _with(
        first,
        row=np.full(size, HELPER_ROW, np.uint32),
        address=np.array(list(helpers.at), np.int64),
        width=np.array([WIRE_TYPES[wire].registers for wire in wires], np.int64),
        wire=np.array(wires, np.uint8),
        commanded=np.zeros(size, np.bool_),
    )


def _joined(points: Bindings, helpers: Bindings) -> Bindings:
    return Bindings(
        **{name: np.concatenate([getattr(points, name), getattr(helpers, name)]) for name in Bindings.__slots__}
    )


def _write(address: int, data: bytes) -> list[Way]:
    many = frame.write_registers(address, data)
    return [frame.write_register(address, data), many] if len(data) == 2 else [many]
