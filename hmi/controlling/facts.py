"""What control of this site is, from its plan: units, responses, targets, with the names of their points. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gateway.control.frequency.plan import DroopPlan
from gateway.control.plan import ControlPlan
from gateway.control.targets.agc import AgcPlan
from gateway.control.targets.fleet import FleetPlan
from gateway.control.targets.places import PlacesPlan
from gateway.control.targets.reactive import ReactivePlan
from gateway.control.targets.schedule import SchedulePlan
from gateway.control.unit import Fallback, Unit
from gateway.points.model import PointCatalogue
from gateway.site.plan import SitePlan
from hmi.endpoint import Answer

Points = dict[str, str]
"""What a point is for -> its name; empty where there is none."""


class UnitFacts(Answer):
    name: str
    low_kw: float
    high_kw: float
    rated_kw: float
    ramp_kw_per_s: float | None
    """None: as quick as the device."""
    valid_s: float | None
    """How long a master's set-point holds; None: until another comes."""
    operator_valid_s: float
    fallback: str
    safe_state: str
    soc_limits: tuple[float, float]
    points: Points


class DroopFacts(Answer):
    name: str
    rated_kw: float
    nominal_hz: float
    curve: list[tuple[float, float]]
    """Hz, % of rated power."""
    band_hz: tuple[float, float]
    limits_hz: tuple[float, float]
    band_edges_hz: list[float]
    band_names: list[str]
    sources: list[str]
    """Points of frequency in order of preference."""
    reserve_min: float
    profile: str
    settings: list[tuple[str, str]]
    attestation: str
    points: Points


class AgcFacts(Answer):
    name: str
    low_kw: float
    high_kw: float
    period_s: float
    valid_s: float
    signal: str
    """A measured point in place of the command point."""
    points: Points


class ScheduleFacts(Answer):
    name: str
    zone: str
    from_points: bool
    points: Points


class ReactiveFacts(Answer):
    name: str
    mode: str
    rated_kva: float
    kvar: float
    power_factor: float
    points: Points


class FleetFacts(Answer):
    name: str
    units: list[str]
    method: str
    valid_s: float | None
    points: Points


class PlaceFacts(Answer):
    name: str
    units: list[str]
    points: Points


class ControlFacts(Answer):
    """`local`: the point of the local/remote switch, and its value when remote."""

    control: bool
    attestation: str = ""
    cycle_ms: float = 0.0
    bypass_max_s: float = 0.0
    local: str = ""
    remote_when: float = 0.0
    units: Sequence[UnitFacts] = ()
    droops: Sequence[DroopFacts] = ()
    agc: Sequence[AgcFacts] = ()
    schedules: Sequence[ScheduleFacts] = ()
    reactive: Sequence[ReactiveFacts] = ()
    fleets: Sequence[FleetFacts] = ()
    places: Sequence[PlaceFacts] = ()


def control_facts(site: SitePlan) -> ControlFacts:
    """Everything about control that does not change while it runs."""
    plan, catalogue = site.control, site.catalogue
    if plan is None:
        return ControlFacts(control=False)
    names = _Names(catalogue)
    return ControlFacts(
        control=True,
        attestation=plan.attestation,
        cycle_ms=plan.cycle_ms,
        bypass_max_s=plan.bypass_max_s,
        local=names.of(plan.local_row),
        remote_when=plan.remote_when,
        units=[_unit(unit, names.all(rows), names) for unit, rows in zip(plan.units, plan.unit_rows, strict=True)],
        droops=[_droop(each, plan, names) for each in _of(plan, DroopPlan)],
        agc=[_agc(each, plan, names) for each in _of(plan, AgcPlan)],
        schedules=[_schedule(each, names) for each in _of(plan, SchedulePlan)],
        reactive=[_reactive(each, plan, names) for each in _of(plan, ReactivePlan)],
        fleets=[_fleet(each, plan, names) for each in _of(plan, FleetPlan)],
        places=[place for each in _of(plan, PlacesPlan) for place in _places(each, plan, names)],
    )


class _Names:
    def __init__(self, catalogue: PointCatalogue) -> None:
        self._names = catalogue.names

    def of(self, row: int) -> str:
        return self._names[row] if row >= 0 else ""

    def all(self, rows: Any) -> Points:
        """Of a dataclass of rows."""
        return {key: self.of(row) for key, row in asdict(rows).items()}


def _of(plan: ControlPlan, kind: type[Any]) -> Sequence[Any]:
    return [entry for entry in plan.controllers if isinstance(entry, kind)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _unit(unit: Unit, rows: Points, names: _Names) -> UnitFacts:
    own = ("setpoint", "run", "running", "power", "soc", "heartbeat")
    fallback = "keeps the last set-point" if unit.fallback is Fallback.HOLD else f"{unit.fallback_kw:g} kW"
    return UnitFacts(
        name=unit.name,
        low_kw=unit.low_kw,
        high_kw=unit.high_kw,
        rated_kw=unit.rated_kw,
        ramp_kw_per_s=_finite(unit.ramp_kw_per_s),
        valid_s=_finite(unit.valid_s),
        operator_valid_s=unit.operator_valid_s,
        fallback=fallback,
        safe_state=unit.safe_state.value,
        soc_limits=unit.soc_limits,
        points=rows | {key: names.of(getattr(unit, key)) for key in own},
    )


def _droop(plan: DroopPlan, control: ControlPlan, names: _Names) -> DroopFacts:
    response, settings = plan.response, plan.settings
    return DroopFacts(
        name=plan.name,
        rated_kw=plan.rated_kw,
        nominal_hz=response.nominal_hz,
        curve=list(zip(response.curve.x, response.curve.y, strict=True)),
        band_hz=(response.band.low_hz, response.band.high_hz),
        limits_hz=plan.frequency_limits_hz,
        band_edges_hz=list(plan.bands.edges_hz),
        band_names=list(plan.bands.names),
        sources=[names.of(row) for row in plan.frequency],
        reserve_min=plan.envelope.reserve_s / 60,
        profile=str(settings.get("profile") or ""),
        settings=[(key, _words(value)) for key, value in sorted(settings.items()) if value is not None],
        attestation=plan.attestation,
        points=names.all(plan.rows) | {"power": names.of(plan.power), "soc": names.of(plan.soc)},
    )


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items() if each is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _agc(plan: AgcPlan, control: ControlPlan, names: _Names) -> AgcFacts:
    settings = plan.settings
    return AgcFacts(
        name=control.units[plan.unit].name,
        low_kw=settings.low_kw,
        high_kw=settings.high_kw,
        period_s=settings.period_s,
        valid_s=settings.valid_s,
        signal=names.of(plan.signal),
        points=names.all(plan.rows),
    )


def _schedule(plan: SchedulePlan, names: _Names) -> ScheduleFacts:
    return ScheduleFacts(
        name=schedule_name(plan, names),
        zone=plan.zone,
        from_points=bool(plan.blocks),
        points=names.all(plan.rows) | {"power": names.of(plan.power)},
    )


def schedule_name(plan: SchedulePlan, names: _Names | PointCatalogue) -> str:
    """Its name as its points have it: ``system/control/NAME/schedule_kw``."""
    known = _Names(names) if isinstance(names, PointCatalogue) else names
    return known.of(plan.rows.schedule_kw).removeprefix("system/control/").rpartition("/")[0]


def _reactive(plan: ReactivePlan, control: ControlPlan, names: _Names) -> ReactiveFacts:
    settings = plan.settings
    own = {"setpoint": names.of(plan.setpoint), "voltage": names.of(plan.voltage), "power": names.of(plan.power)}
    return ReactiveFacts(
        name=control.units[plan.unit].name,
        mode=settings.mode.value,
        rated_kva=settings.capability.rated_kva,
        kvar=settings.kvar,
        power_factor=settings.power_factor,
        points=names.all(plan.rows) | own,
    )


def _fleet(plan: FleetPlan, control: ControlPlan, names: _Names) -> FleetFacts:
    return FleetFacts(
        name=plan.name,
        units=[control.units[member.unit].name for member in plan.members],
        method=plan.method.value,
        valid_s=_finite(plan.valid_s),
        points=names.all(plan.rows),
    )


def _places(plan: PlacesPlan, control: ControlPlan, names: _Names) -> list[PlaceFacts]:
    return [
        PlaceFacts(
            name=name,
            units=[control.units[i].name for i in np.flatnonzero(plan.locations.member[at]).tolist()],
            points=names.all(rows),
        )
        for at, (name, rows) in enumerate(zip(plan.locations.names, plan.rows, strict=True))
    ]
