"""One target over many units: by capacity, by state of charge, or in order of it; within every unit's limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SMALL = 1e-9


class DispatchMethod(StrEnum):
    """How a target is shared."""

    PROPORTIONAL = "proportional"
    """In proportion to what each unit can do."""
    BALANCED = "balanced"
    """In proportion to energy: the full discharge more, the empty charge more, until all are equal."""
    PRIORITY = "priority"
    """The fullest discharges first, the emptiest charges first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """All units of a fleet, arrays of one length. `low_kw` <= 0 <= `high_kw`; a unit that is not available has both 0.

    `energy_kwh` is what can still be discharged, `space_kwh` what can still be charged.
    """

    low_kw: Floats
    high_kw: Floats
    energy_kwh: Floats
    space_kwh: Floats
    soc_percent: Floats
    min_run_kw: Floats
    """A unit that runs runs at least at this."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Set-point of each unit in kW, and what no unit could take (same sign as the target)."""

    kw: Floats
    unserved_kw: float


def dispatch(target_kw: float, fleet: FleetState, method: DispatchMethod) -> Shares:
    """Share `target_kw` (+ discharge). A unit at its floor or ceiling gets nothing in that direction."""
    discharging = target_kw >= 0
    most = np.maximum(fleet.high_kw if discharging else -fleet.low_kw, 0.0)
    energy = fleet.energy_kwh if discharging else fleet.space_kwh
    most = np.where(energy > 0, most, 0.0)
    order = np.lexsort((np.arange(len(most)), -fleet.soc_percent if discharging else fleet.soc_percent))
    amount = min(abs(target_kw), float(most.sum()))
    least = np.minimum(np.maximum(fleet.min_run_kw, 0.0), most)
    running = _running(amount, most, least, fleet.min_run_kw, order)
    shares = _SHARED[method](
        amount, np.where(running, least, 0.0), np.where(running, most, 0.0), np.maximum(energy, 0.0), order
    )
    sign = 1.0 if discharging else -1.0
    return Shares(sign * shares, target_kw - sign * float(shares.sum()))


def _running(
    amount: float, most: Floats, least: Floats, min_run_kw: Floats, order: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Which units run: as many as the amount can keep above their minimum, those first in order."""
    able = (most > 0) & (most >= min_run_kw - _SMALL)
    running = np.zeros(len(most), np.bool_)
    left = amount + _SMALL if amount > _SMALL else -1.0
    for unit in order.tolist():
        if able[unit] and least[unit] <= left:
            running[unit] = True
            left -= float(least[unit])
    return running


def _by_weight(weight: Floats, amount: float, least: Floats, most: Floats) -> Floats:
    """Find k so that clip(weight k, least, most) sums to the amount; the sum is piecewise linear in k."""
    weight = np.where((most > 0) & (weight <= 0), _SMALL, weight)
    on = most > 0
    out = np.zeros_like(most)
    if not on.any():
        return out
    w, low, high = weight[on], least[on], most[on]
    amount = min(max(amount, float(low.sum())), float(high.sum()))
    knots = np.unique(np.concatenate((low / w, high / w)))
    sums = np.clip(w * knots[:, None], low, high).sum(axis=1)
    at = min(max(int(np.searchsorted(sums, amount)), 1), len(knots) - 1) if len(knots) > 1 else 0
    if len(knots) == 1 or sums[at] - sums[at - 1] <= 0:
        k = knots[at]
    else:
        k = knots[at - 1] + (amount - sums[at - 1]) / (sums[at] - sums[at - 1]) * (knots[at] - knots[at - 1])
    out[on] = np.clip(w * k, low, high)
    return out


def _proportional(amount: float, least: Floats, most: Floats, energy: Floats, order: NDArray[np.intp]) -> Floats:
    return _by_weight(most, amount, least, most)


def _balanced(amount: float, least: Floats, most: Floats, energy: Floats, order: NDArray[np.intp]) -> Floats:
    return _by_weight(energy, amount, least, most)


def _priority(amount: float, least: Floats, most: Floats, energy: Floats, order: NDArray[np.intp]) -> Floats:
    """Each at its minimum, then the rest in order."""
    out = least.copy()
    room = (most - least)[order]
    rest = max(0.0, amount - float(least.sum()))
    before = np.concatenate(([0.0], np.cumsum(room)[:-1]))
    out[order] += np.clip(rest - before, 0.0, room)
    return out


_Share = Callable[[float, Floats, Floats, Floats, NDArray[np.intp]], Floats]
_SHARED: Mapping[DispatchMethod, _Share] = {
    DispatchMethod.PROPORTIONAL: _proportional,
    DispatchMethod.BALANCED: _balanced,
    DispatchMethod.PRIORITY: _priority,
}
