"""What places (region, campus, building) add up to, as points, once a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.control.controller import ControllerBase, ControllerResult, UnitView
from gateway.control.image import Image
from gateway.control.locations import Aggregates, Locations, UnitSums
from gateway.control.targets.fleet import Member

_EVERY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRows:
    """Table rows of `system/location/NAME/...`."""

    power_kw: int
    energy_kwh: int
    soc: int
    units_online: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacesPlan:
    """`members` in the order of the control plan's units; `rows` in the order of `locations.names`."""

    locations: Locations
    members: tuple[Member, ...]
    rows: tuple[PlaceRows, ...]

    def build(self) -> PlacesController:
        return PlacesController(self)


class PlacesController(ControllerBase):
    """Asks for nothing."""

    def __init__(self, plan: PlacesPlan) -> None:
        self._plan = plan
        self._due_ns = 0

    @property
    def inputs(self) -> Iterable[int]:
        return [row for member in self._plan.members for row in (member.soc, member.power)]

    def step(self, image: Image, units: Sequence[UnitView]) -> ControllerResult:
        if image.now_ns < self._due_ns:
            return ControllerResult()
        self._due_ns = image.now_ns + _EVERY_NS
        sums = self._plan.locations.add_up(self._sums(image, units))
        invalid = [rows.soc for rows, soc in zip(self._plan.rows, sums.soc_percent, strict=True) if np.isnan(soc)]
        return ControllerResult(points=list(self._points(sums)), invalid=invalid)

    def _sums(self, image: Image, units: Sequence[UnitView]) -> UnitSums:
        members = self._plan.members
        power = [image.get(member.power) for member in members]
        soc = np.array([np.nan if (value := image.get(member.soc)) is None else value for member in members])
        capacity = np.nan_to_num(np.array([member.capacity_kwh for member in members]))
        floor = np.array([member.soc_limits[0] for member in members])
        return UnitSums(
            power_kw=np.array([np.nan if value is None else value for value in power]),
            energy_kwh=np.maximum(np.nan_to_num(soc) - floor, 0.0) / 100 * capacity,
            stored_kwh=capacity,
            soc_percent=soc,
            online=np.array(
                [value is not None and not units[m.unit].tripped for value, m in zip(power, members, strict=True)]
            ),
        )

    def _points(self, sums: Aggregates) -> Iterator[tuple[int, float]]:
        columns = zip(self._plan.rows, sums.power_kw, sums.energy_kwh, sums.soc_percent, sums.units_online, strict=True)
        for rows, power, energy, soc, online in columns:
            yield rows.power_kw, round(float(power), 2)
            yield rows.energy_kwh, round(float(energy), 1)
            yield rows.units_online, float(online)
            if not np.isnan(soc):
                yield rows.soc, round(float(soc), 2)
