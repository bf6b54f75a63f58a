"""The plant as the site's control has it: units, their droop, fleets; found in the plan, read from the mirror."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from gateway.control.frequency.plan import DroopPlan
from gateway.control.plan import ControlPlan
from gateway.control.targets.fleet import FleetPlan
from gateway.control.unit import Unit, UnitRows
from gateway.points.model import NO_ROW
from gateway.points.quality import UNUSABLE, Quality
from hmi.desk import Desk
from hmi.endpoint import Answer
from hmi.refusal import Refusal

_Named = TypeVar("_Named", "PlantUnit", FleetPlan)
_NEVER: Final = int(Quality.NEVER_REPORTED)


class Reading(Answer):
    """One point now."""

    point: str
    value: float | None
    """The last one known; null: there has been none."""
    unit: str
    usable: bool
    """Fit for a decision; not so is what is stale, invalid or lost."""
    quality: str
    """In words; `good`."""
    time_ms: int
    """When it was true, ms since 1970 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantUnit:
    """One unit with its rows and, if it has one, its droop."""

    index: int
    unit: Unit
    rows: UnitRows
    droop: DroopPlan | None
    capacity_kwh: float
    """NaN: not known."""

    @property
    def name(self) -> str:
        """As the site calls it."""
        return self.unit.name


class Plant:
    """Reads for the calls about the plant."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        control = desk.site.control
        self.units = [] if control is None else list(_units(control))
        self.fleets = [] if control is None else [each for each in control.controllers if isinstance(each, FleetPlan)]
        self.control = control

    def unit(self, name: str | None) -> PlantUnit:
        """The unit of this name, or the only one. Raises `Refusal`: 404, or 409 where one must be named."""
        return _one(self.units, name, "unit")

    def fleet(self, name: str | None) -> FleetPlan:
        """The fleet of this name, or the only one. Raises `Refusal`."""
        return _one(self.fleets, name, "fleet")

    def named(self, name: str | None) -> Sequence[PlantUnit]:
        """The unit of this name, or all. Raises `Refusal`: 404, or 409 where there is none."""
        if name is not None or not self.units:
            return [self.unit(name)]
        return self.units

    def droops(self, name: str | None) -> list[PlantUnit]:
        """Units with a frequency response, or the one of this name. Raises `Refusal` (404, 409)."""
        found = [each for each in self.units if each.droop is not None]
        if name is not None:
            found = [each for each in [self.unit(name)] if each.droop is not None]
            if not found:
                raise Refusal(409, f"unit {name} has no frequency response (control: droop in site.yaml)")
        if not found:
            raise Refusal(409, "this site has no frequency response (control: droop in site.yaml)")
        return found

    def reading(self, row: int) -> Reading | None:
        """The point of this row; None for `NO_ROW`."""
        if row == NO_ROW:
            return None
        mirror, catalogue = self._desk.client.mirror, self._desk.catalogue
        quality, value = int(mirror.quality[row]), float(mirror.value[row])
        known = not quality & _NEVER and math.isfinite(value)
        return Reading(
            point=catalogue.names[row],
            value=value if known else None,
            unit=catalogue.units[row],
            usable=known and not quality & UNUSABLE,
            quality=Quality(quality).words,
            time_ms=int(mirror.time_ns[row]) // 1_000_000,
        )

    def number(self, row: int) -> float | None:
        """A value that is fit for a decision, or None."""
        reading = self.reading(row)
        return reading.value if reading is not None and reading.usable else None

    def is_on(self, row: int) -> bool | None:
        """A binary that is fit for a decision, or None."""
        value = self.number(row)
        return None if value is None else bool(value)

    def sum(self, rows: Sequence[int]) -> float | None:
        """All of these together; None when one of them is not known."""
        values = [self.number(row) for row in rows if row != NO_ROW]
        known = [value for value in values if value is not None]
        return float(np.sum(known)) if values and len(known) == len(values) else None


def _units(control: ControlPlan) -> Iterator[PlantUnit]:
    droops = {plan.unit: plan for plan in control.controllers if isinstance(plan, DroopPlan)}
    capacity = {index: plan.envelope.capacity_kwh for index, plan in droops.items()}
    for fleet in control.controllers:
        if isinstance(fleet, FleetPlan):
            capacity |= {each.unit: each.capacity_kwh for each in fleet.members if not math.isnan(each.capacity_kwh)}
    for index, (unit, rows) in enumerate(zip(control.units, control.unit_rows, strict=True)):
        yield PlantUnit(
            index=index, unit=unit, rows=rows, droop=droops.get(index), capacity_kwh=capacity.get(index, math.nan)
        )


def _one(known: Sequence[_Named], name: str | None, what: str) -> _Named:
    if not known:
        raise Refusal(409, f"this site has no {what} (control: {what}s in site.yaml)")
    names = [each.name for each in known]
    if name is None and len(known) > 1:
        raise Refusal(409, f"say which {what}: {', '.join(names)}")
    if name is not None and name not in names:
        raise Refusal(404, f"there is no {what} {name}; known: {', '.join(names)}")
    return known[0 if name is None else names.index(name)]
