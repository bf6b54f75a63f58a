"""A fleet as a controller: one target over its units, shared anew in every cycle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.control.controller import (
    ControllerBase,
    ControllerResult,
    Kept,
    PriorityClass,
    Request,
    TakeValue,
    UnitView,
)
from gateway.control.dispatch import DispatchMethod, FleetState, Shares, dispatch
from gateway.control.image import Image
from gateway.points.model import NO_ROW


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRows:
    """Table rows of `system/fleet/NAME/...`; `setpoint_kw` and `release` are commanded."""

    setpoint_kw: int
    release: int
    target_kw: int
    unserved_kw: int
    available_low_kw: int
    available_high_kw: int
    units_available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One unit of the fleet. `soc` and `power` are table rows; capacity NaN: no store, energy is no limit."""

    unit: int
    soc: int
    power: int
    capacity_kwh: float
    soc_limits: tuple[float, float]
    min_run_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """`valid_s`: how long a set-point holds; then the units are left to whoever else asks."""

    name: str
    members: tuple[Member, ...]
    method: DispatchMethod
    rows: FleetRows
    valid_s: float = float("inf")
    ramp_kw_per_s: float | None = None

    def build(self) -> FleetController:
        return FleetController(self)


class FleetController(ControllerBase):
    """A set-point of the fleet becomes a request of class REMOTE to each unit."""

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = self._plan = plan
        self.source = f"fleet {plan.name}"
        """Its name among those who ask for a unit's power."""
        self.shares: list[tuple[int, float]] | None = None
        """(unit, kW) of the last cycle; None while nobody asks."""
        self.unserved_kw = 0.0
        self._asked: tuple[float, int] | None = None
        self._limits = (0.0, 0.0)
        self._wall_offset_ns = 0
        self._kept: Kept | None = None

    @property
    def inputs(self) -> Iterable[int]:
        return [row for member in self._plan.members for row in (member.soc, member.power)]

    @property
    def commands(self) -> Mapping[int, TakeValue]:
        return {self._plan.rows.release: self._release}

    @property
    def asked_kw(self) -> float | None:
        """The set-point that stands; None: nobody asks."""
        return None if self._asked is None else self._asked[0]

    def trouble_with(self, kw: float) -> str:
        """Why this is not taken as a set-point; empty when it is."""
        low, high = self._limits
        if low - 1e-6 <= kw <= high + 1e-6:
            return ""
        return f"{kw:g} kW is outside {low:g} to {high:g} kW, what the units can do now"

    def ask(self, kw: float, now_ns: int) -> None:
        """A set-point, until another comes or its validity ends."""
        self._asked, self.shares, self._kept = (kw, now_ns), None, None

    def _release(self, value: float, now_ns: int) -> str:
        if value:
            self._asked = self._kept = None
        return ""

    @property
    def name(self) -> str:
        return f"fleet/{self._plan.name}"

    def kept(self) -> Kept | None:
        """A set-point with a validity. One without would come back after an outage of any length: it does not."""
        if self._kept is None and self._asked is not None and math.isfinite(self._plan.valid_s):
            kw, at_ns = self._asked
            self._kept = {"kw": kw, "wall_ns": at_ns + self._wall_offset_ns}
        return self._kept

    def restore(self, kept: Kept, now_ns: int, wall_ns: int) -> None:
        """For the rest of its validity, by the wall clock, and never from the future."""
        kw, age_ns = float(kept["kw"]), wall_ns - int(kept["wall_ns"])
        if 0 <= age_ns <= self._plan.valid_s * 1e9:
            self._asked, self._wall_offset_ns = (kw, now_ns - age_ns), wall_ns - now_ns

    def step(self, image: Image, units: Sequence[UnitView]) -> ControllerResult:
        self._wall_offset_ns = image.wall_ns - image.now_ns
        state = self._state(image, units)
        self._limits = float(state.low_kw.sum()), float(state.high_kw.sum())
        if self._asked is not None and image.now_ns - self._asked[1] > self._plan.valid_s * 1e9:
            self._asked = self._kept = None
        shares = None if self._asked is None else dispatch(self._asked[0], state, self._plan.method)
        units_kw = [] if shares is None else shares.kw.tolist()
        members = [member.unit for member in self._plan.members]
        self.shares = None if shares is None else list(zip(members, units_kw, strict=True))
        self.unserved_kw = 0.0 if shares is None else shares.unserved_kw
        return ControllerResult(
            requests=[] if shares is None else list(self._requests(shares)),
            points=list(self._points(state, shares)),
        )

    def _state(self, image: Image, units: Sequence[UnitView]) -> FleetState:
        members = self._plan.members
        views = [units[member.unit] for member in members]
        able = [not (view.tripped or view.blocked or view.local) for view in views]
        socs = [image.get(member.soc) for member in members]
        known = [soc is not None or member.soc == NO_ROW for soc, member in zip(socs, members, strict=True)]
        on = np.array(able) & np.array(known)
        soc = np.array([50.0 if value is None else value for value in socs])
        low = np.array([member.soc_limits[0] for member in members])
        high = np.array([member.soc_limits[1] for member in members])
        capacity = np.array([member.capacity_kwh for member in members])
        endless = np.isnan(capacity)
        return FleetState(
            low_kw=np.where(on, np.minimum([view.low_kw for view in views], 0.0), 0.0),
            high_kw=np.where(on, np.maximum([view.high_kw for view in views], 0.0), 0.0),
            energy_kwh=np.where(endless, 1.0, np.maximum(soc - low, 0.0) / 100 * np.nan_to_num(capacity)),
            space_kwh=np.where(endless, 1.0, np.maximum(high - soc, 0.0) / 100 * np.nan_to_num(capacity)),
            soc_percent=soc,
            min_run_kw=np.array([member.min_run_kw for member in members]),
        )

    def _requests(self, shares: Shares) -> Iterator[Request]:
        for member, kw in zip(self._plan.members, shares.kw.tolist(), strict=True):
            yield Request(
                unit=member.unit,
                priority=PriorityClass.REMOTE,
                source=self.source,
                target_kw=kw,
                ramp_kw_per_s=self._plan.ramp_kw_per_s,
            )

    def _points(self, state: FleetState, shares: Shares | None) -> Iterator[tuple[int, float]]:
        rows, low_high = self._plan.rows, self._limits
        yield rows.target_kw, 0.0 if shares is None else round(float(shares.kw.sum()), 2)
        yield rows.unserved_kw, 0.0 if shares is None else round(shares.unserved_kw, 2)
        yield rows.available_low_kw, round(low_high[0], 1)
        yield rows.available_high_kw, round(low_high[1], 1)
        yield rows.units_available, float(((state.high_kw > 0) | (state.low_kw < 0)).sum())
