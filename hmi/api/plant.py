"""What the plant does and could do: telemetry, nodes, capacity, violations, frequency and droop."""

from __future__ import annotations

import fnmatch
import math
import time
from typing import Final

from pydantic import Field

from gateway.alarms.model import Priority
from gateway.control.controller import PriorityClass
from gateway.control.frequency.plan import DroopPlan
from gateway.control.frequency.response import ResponseState
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.plant import Plant, PlantUnit, Reading

TAG: Final = "plant"
_MOST_POINTS: Final = 2_000


class Telemetry(Answer):
    class UnitValues(Answer):
        unit: str
        power: Reading | None
        """+ is discharge."""
        soc: Reading | None
        setpoint: Reading | None
        running: Reading | None
        target_kw: float | None
        """What control tells it now."""

    site: str
    time_ms: int
    power_kw: float | None
    """All units together; null while one of them is not known."""
    frequency: Reading | None
    units: list[UnitValues]
    points: list[Reading]
    """Those that were asked for."""
    unknown: list[str]
    """Names asked for that are no points."""
    cut: bool
    """More points match than are answered."""


class PointsQuery(Body):
    points: list[str] = Field(default_factory=list, max_length=50)
    """Names, or patterns such as `bess1/pcs/*`; may be given again and again."""


class Nodes(Answer):
    class DeviceNode(Answer):
        name: str
        driver: str
        points: int
        online: bool | None
        errors: float | None

    class UnitNode(Answer):
        name: str
        rated_kw: float
        running: bool | None
        blocked: bool | None
        tripped: bool | None
        source: str
        """Who decides now: safety, interlock, operator, response, remote, schedule, fallback, hold."""

    devices: list[DeviceNode]
    units: list[UnitNode]
    fleets: list[str]


class UnitCapacity(Answer):
    unit: str
    rated_kw: float
    available_low_kw: float | None
    """The lowest power that it may be told now (negative: charge)."""
    available_high_kw: float | None
    power_kw: float | None
    headroom_up_kw: float | None
    """How much more it could export than now."""
    headroom_down_kw: float | None
    capacity_kwh: float | None
    soc_percent: float | None
    energy_up_kwh: float | None
    """What it can discharge down to its lowest state of charge."""
    energy_down_kwh: float | None


class Capacity(Answer):
    units: list[UnitCapacity]
    headroom_up_kw: float | None
    """Of all units; null while one of them is not known."""
    headroom_down_kw: float | None
    energy_up_kwh: float | None
    energy_down_kwh: float | None


class Violation(Answer):
    kind: str
    """`interlock` or `alarm`."""
    name: str
    message: str
    state: list[str]
    since_ms: int


class UnitFrequency(Answer):
    unit: str
    frequency_hz: float | None
    source: str
    """The point that is believed; empty: none can be."""
    band: str
    rocof_hz_per_s: float | None
    nominal_hz: float
    lost: bool | None


class UnitDroop(Answer):
    unit: str
    enabled: bool | None
    state: str
    """off, in band, responding, fast, holding, lost."""
    response_kw: float | None
    headroom_up_kw: float | None
    headroom_down_kw: float | None
    band_hz: tuple[float, float]
    curve: list[tuple[float, float]]
    """(Hz, % of rated power)."""
    rated_kw: float


async def _telemetry(visit: Visit) -> Telemetry:
    plant, desk, query = Plant(visit.desk), visit.desk, visit.query
    rows: dict[int, None] = {}
    unknown: list[str] = []
    for name in query.points:
        found = desk.catalogue.rows.get(name)
        matching = [found] if found is not None else []
        if "*" in name:
            matching = [desk.catalogue.rows[each] for each in fnmatch.filter(desk.catalogue.names, name)]
        if not matching:
            unknown.append(name)
        rows |= dict.fromkeys(matching)
    asked = [plant.reading(row) for row in list(rows)[:_MOST_POINTS]]
    return Telemetry(
        site=desk.site.name,
        time_ms=time.time_ns() // 1_000_000,
        power_kw=plant.sum([each.unit.power for each in plant.units]),
        frequency=_frequency(plant),
        units=[_unit_values(plant, each) for each in plant.units],
        points=[reading for reading in asked if reading is not None],
        unknown=unknown,
        cut=len(rows) > _MOST_POINTS,
    )


def _frequency(plant: Plant) -> Reading | None:
    """The first good source of the first droop; without one that is good, the first."""
    rows = next((each.droop.frequency for each in plant.units if each.droop is not None), ())
    readings = [reading for row in rows if (reading := plant.reading(row)) is not None]
    return next((each for each in readings if each.usable), readings[0] if readings else None)


def _unit_values(plant: Plant, each: PlantUnit) -> Telemetry.UnitValues:
    return Telemetry.UnitValues(
        unit=each.name,
        power=plant.reading(each.unit.power),
        soc=plant.reading(each.unit.soc),
        setpoint=plant.reading(each.unit.setpoint),
        running=plant.reading(each.unit.running),
        target_kw=plant.number(each.rows.target_kw),
    )


async def _nodes(visit: Visit) -> Nodes:
    plant, site = Plant(visit.desk), visit.desk.site
    return Nodes(
        devices=[
            Nodes.DeviceNode(
                name=name,
                driver=driver,
                points=len(site.device_rows[name]),
                online=plant.is_on(site.device_system[name].online),
                errors=plant.number(site.device_system[name].errors),
            )
            for name, driver in site.device_drivers.items()
        ],
        units=[_unit_node(plant, each) for each in plant.units],
        fleets=[fleet.name for fleet in plant.fleets],
    )


def _unit_node(plant: Plant, each: PlantUnit) -> Nodes.UnitNode:
    source = plant.number(each.rows.source)
    known = {int(each): each.name.lower() for each in PriorityClass}
    return Nodes.UnitNode(
        name=each.name,
        rated_kw=each.unit.rated_kw,
        running=plant.is_on(each.unit.running),
        blocked=plant.is_on(each.rows.blocked),
        tripped=plant.is_on(each.rows.tripped),
        source=known.get(int(source), "hold") if source is not None else "",
    )


async def _capacity(visit: Visit) -> Capacity:
    plant = Plant(visit.desk)
    units = [_unit_capacity(plant, each) for each in plant.units]
    return Capacity(
        units=units,
        headroom_up_kw=_total([each.headroom_up_kw for each in units]),
        headroom_down_kw=_total([each.headroom_down_kw for each in units]),
        energy_up_kwh=_total([each.energy_up_kwh for each in units]),
        energy_down_kwh=_total([each.energy_down_kwh for each in units]),
    )


def _total(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if parts and len(known) == len(parts) else None


def _unit_capacity(plant: Plant, each: PlantUnit) -> UnitCapacity:
    low, high = plant.number(each.rows.limit_low_kw), plant.number(each.rows.limit_high_kw)
    power, soc = plant.number(each.unit.power), plant.number(each.unit.soc)
    floor, ceiling = each.unit.soc_limits
    kwh = None if math.isnan(each.capacity_kwh) else each.capacity_kwh
    energy = kwh is not None and soc is not None
    return UnitCapacity(
        unit=each.name,
        rated_kw=each.unit.rated_kw,
        available_low_kw=low,
        available_high_kw=high,
        power_kw=power,
        headroom_up_kw=None if high is None or power is None else max(0.0, high - power),
        headroom_down_kw=None if low is None or power is None else max(0.0, power - low),
        capacity_kwh=kwh,
        soc_percent=soc,
        energy_up_kwh=max(0.0, (soc or 0.0) - floor) / 100 * (kwh or 0.0) if energy else None,
        energy_down_kwh=max(0.0, ceiling - (soc or 0.0)) / 100 * (kwh or 0.0) if energy else None,
    )


async def _violations(visit: Visit) -> list[Violation]:
    return [*_tripped(Plant(visit.desk)), *_critical(visit)]


def _tripped(plant: Plant) -> list[Violation]:
    found: list[Violation] = []
    for interlock in () if plant.control is None else plant.control.interlocks:
        words = ("active", "latched", "tripped", "first_out", "bypassed")
        on = [word for word in words if plant.is_on(getattr(interlock.rows, word))]
        if "tripped" in on or "latched" in on or ("active" in on and not interlock.permissive):
            since = plant.reading(interlock.rows.tripped if "tripped" in on else interlock.rows.active)
            state = [word.replace("_", " ") for word in on]
            at_ms = since.time_ms if since is not None else 0
            message = interlock.message or interlock.name
            found.append(Violation(kind="interlock", name=interlock.name, message=message, state=state, since_ms=at_ms))
    return found


def _critical(visit: Visit) -> list[Violation]:
    alarms = visit.desk.client.alarms
    if alarms is None:
        return []
    catalogue = alarms.catalogue
    return [
        Violation(
            kind="alarm",
            name=catalogue.name(index),
            message=catalogue.message(index),
            state=[record.state.value],
            since_ms=record.raised_ns // 1_000_000,
        )
        for index, record in sorted(alarms.records.items())
        if record.active and catalogue.priority_of(index) is Priority.CRITICAL
    ]


async def _frequency_status(visit: Visit) -> list[UnitFrequency]:
    plant = Plant(visit.desk)
    return [_unit_frequency(visit, plant, each.name, each.droop) for each in plant.droops(None) if each.droop]


def _unit_frequency(visit: Visit, plant: Plant, name: str, droop: DroopPlan) -> UnitFrequency:
    band, source = plant.number(droop.rows.frequency_band), plant.number(droop.rows.frequency_source)
    number = int(source or 0)
    return UnitFrequency(
        unit=name,
        frequency_hz=plant.number(droop.rows.frequency_hz),
        source=visit.desk.catalogue.names[droop.frequency[number - 1]] if 0 < number <= len(droop.frequency) else "",
        band=droop.bands.names[int(band)] if band is not None and 0 <= band < len(droop.bands.names) else "",
        rocof_hz_per_s=plant.number(droop.rows.rocof_hz_per_s),
        nominal_hz=droop.response.nominal_hz,
        lost=plant.is_on(droop.rows.frequency_lost),
    )


async def _droop_status(visit: Visit) -> list[UnitDroop]:
    plant = Plant(visit.desk)
    return [_unit_droop(plant, each.name, each.droop) for each in plant.droops(None) if each.droop]


def _unit_droop(plant: Plant, name: str, droop: DroopPlan) -> UnitDroop:
    rows, curve, state = droop.rows, droop.response.curve, plant.number(droop.rows.droop_state)
    return UnitDroop(
        unit=name,
        enabled=plant.is_on(rows.droop_enabled),
        state="" if state is None else ResponseState(int(state)).name.lower().replace("_", " "),
        response_kw=plant.number(rows.response_kw),
        headroom_up_kw=plant.number(rows.headroom_up_kw),
        headroom_down_kw=plant.number(rows.headroom_down_kw),
        band_hz=(droop.response.band.low_hz, droop.response.band.high_hz),
        curve=list(zip(curve.x, curve.y, strict=True)),
        rated_kw=droop.rated_kw,
    )


TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/telemetry",
            handler=_telemetry,
            query=PointsQuery,
            answer=Telemetry,
            tag=TAG,
            summary="Power, state of charge and frequency of the site by unit, and any points by name or pattern.",
        ),
        Endpoint(
            method="GET",
            path="/nodes",
            handler=_nodes,
            answer=Nodes,
            tag=TAG,
            summary="Devices and units, and how they do.",
        ),
        Endpoint(
            method="GET",
            path="/capacity",
            handler=_capacity,
            answer=Capacity,
            tag=TAG,
            summary="What the units could do now: power up and down, energy.",
        ),
        Endpoint(
            method="GET",
            path="/safety/violations",
            handler=_violations,
            answer=list[Violation],
            tag=TAG,
            summary="Interlocks whose cause is there or that have tripped, and critical alarms that are active.",
        ),
        Endpoint(
            method="GET",
            path="/frequency/status",
            handler=_frequency_status,
            answer=list[UnitFrequency],
            tag=TAG,
            summary="The frequency that each unit's response believes.",
        ),
        Endpoint(
            method="GET",
            path="/droop/status",
            handler=_droop_status,
            answer=list[UnitDroop],
            tag=TAG,
            summary="Each unit's frequency response: whether it is on, what it does, its curve.",
        ),
    ]
)
