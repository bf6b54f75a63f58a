"""A tree of places (region, campus, building, unit) and what each of them adds up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


class LocationError(ValueError):
    """The places make no tree. `name` is the one at fault."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class UnitSums:
    """Of all units, arrays in the order of the units: power in kW (NaN: not known), energies in kWh, SoC in %."""

    power_kw: NDArray[np.float64]
    energy_kwh: NDArray[np.float64]
    """Above the floor: what can be discharged."""
    stored_kwh: NDArray[np.float64]
    """Capacity: the weight of a unit's state of charge."""
    soc_percent: NDArray[np.float64]
    online: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Of all places, arrays in the order of `Locations.names`."""

    power_kw: NDArray[np.float64]
    energy_kwh: NDArray[np.float64]
    soc_percent: NDArray[np.float64]
    """NaN where no unit's is known."""
    units_online: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Locations:
    """Places and which units lie in each, at any depth: `member[place, unit]`."""

    names: tuple[str, ...]
    member: NDArray[np.float64]

    @classmethod
    def of(cls, units: Sequence[str], members: Mapping[str, Sequence[str]]) -> Self:
        """`members`: place -> units and places in it. Raises `LocationError` for circles, strangers and doubles."""
        column = {name: i for i, name in enumerate(units)}
        found: dict[str, frozenset[int]] = {}

        def units_of(name: str, above: tuple[str, ...]) -> frozenset[int]:
            if name in above:
                raise LocationError(name, f"{name} lies within itself: {' > '.join((*above, name))}")
            if name in found:
                return found[name]
            inside: set[int] = set()
            for inner in members[name]:
                part = frozenset((column[inner],)) if inner in column else None
                if part is None and inner not in members:
                    raise LocationError(name, f"{inner} is neither a unit nor a location")
                part = units_of(inner, (*above, name)) if part is None else part
                if inside & part:
                    raise LocationError(name, f"{inner} adds a unit to {name} that it has already")
                inside |= part
            found[name] = frozenset(inside)
            return found[name]

        member = np.zeros((len(members), len(units)))
        for i, name in enumerate(members):
            if name in column:
                raise LocationError(name, f"{name} is the name of a unit")
            member[i, sorted(units_of(name, ()))] = 1.0
        return cls(tuple(members), member)

    def add_up(self, units: UnitSums) -> Aggregates:
        """What every place adds up to now. A unit whose power or SoC is not known counts for nothing there."""
        known = ~np.isnan(units.soc_percent)
        weight = np.where(known, units.stored_kwh, 0.0)
        total = self.member @ weight
        charge = self.member @ (weight * np.nan_to_num(units.soc_percent))
        return Aggregates(
            power_kw=self.member @ np.nan_to_num(units.power_kw),
            energy_kwh=self.member @ np.nan_to_num(units.energy_kwh),
            soc_percent=np.divide(charge, total, out=np.full(len(total), np.nan), where=total > 0),
            units_online=self.member @ units.online.astype(np.float64),
        )
