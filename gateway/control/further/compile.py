"""From entries to plans of controllers, with every problem in its place."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.contracts import Report, nearest
from gateway.control.agc import AgcSettings
from gateway.control.dispatch import DispatchMethod
from gateway.control.frequency.compile import DroopCompiler
from gateway.control.frequency.curve import Curve, CurveError
from gateway.control.frequency.plan import DroopRows
from gateway.control.further.section import Entry, FurtherSection
from gateway.control.further.settings import ReactiveSection, ScheduleRow, ScheduleSection
from gateway.control.locations import LocationError, Locations
from gateway.control.lookup import Lookup
from gateway.control.reactive import Capability, ReactiveMode, ReactiveSettings, voltage_curve
from gateway.control.schedule import BLOCKS, Schedule
from gateway.control.targets.agc import AgcPlan, AgcRows
from gateway.control.targets.fleet import FleetPlan, FleetRows, Member
from gateway.control.targets.places import PlaceRows, PlacesPlan
from gateway.control.targets.reactive import ReactivePlan, ReactiveRows
from gateway.control.targets.schedule import SchedulePlan, ScheduleRows
from gateway.control.unit import Unit
from gateway.points.model import NO_ROW, Kind
from gateway.site.maps import MapReader


class FurtherCompiler:
    """One compilation; goes on after every problem."""

    def __init__(
        self,
        section: FurtherSection,
        units: Sequence[Unit],
        lookup: Lookup,
        maps: MapReader,
        folder: Path,
        start_grace_s: float = 10.0,
    ) -> None:
        self._start_grace_s = start_grace_s
        self._section, self._units, self._lookup, self._maps, self._folder = section, units, lookup, maps, folder
        self._index = {unit.name: i for i, unit in enumerate(units)}
        self._report: Report = lookup.report
        self._capacity = {
            entry.settings.unit: entry.settings.capacity_kwh or math.nan for entry in section.entries["droop"]
        }

    def compile(self) -> list[Any]:
        """Plans in the order in which their controllers run."""
        entries = self._section.entries
        makers = (
            ("droop", self._droop),
            ("fleets", self._fleet),
            ("agc", self._agc),
            ("schedules", self._schedule),
            ("reactive", self._reactive),
        )
        plans = [plan for key, make in makers for entry in entries[key] if (plan := make(entry)) is not None]
        places = self._places(entries["locations"])
        return plans if places is None else [*plans, places]

    def _unit(self, entry: Entry[Any], name: str, key: str = "unit") -> int | None:
        index = self._index.get(name)
        if index is None:
            near = nearest(name, self._index)
            text = f"there is no unit {name}{near}: describe it under control: units"
            self._report.error(entry.section.key_place(key), text)
        return index

    def _droop(self, entry: Entry[Any]) -> Any:
        index = self._unit(entry, entry.settings.unit)
        if index is None:
            return None
        compiler = DroopCompiler(entry.settings, entry.section, self._lookup, self._folder, self._report)
        return compiler.compile(index, self._units[index], DroopRows(**entry.rows))

    def _agc(self, entry: Entry[Any]) -> Any:
        settings, section = entry.settings, entry.section
        index = self._unit(entry, settings.unit)
        if index is None:
            return None
        unit = self._units[index]
        low, high = settings.limits_kw or (unit.low_kw, unit.high_kw)
        if low > high:
            self._report.error(section.key_place("limits_kw"), f"{low:g} is above {high:g}")
        return AgcPlan(
            unit=index,
            name=unit.name,
            settings=AgcSettings(
                low_kw=max(low, unit.low_kw),
                high_kw=min(high, unit.high_kw),
                period_s=settings.period_s,
                valid_s=settings.valid_s or 3 * settings.period_s,
            ),
            rows=AgcRows(**entry.rows),
            signal=self._lookup.row(settings.signal, section.key_place("signal"), (Kind.ANALOG,)),
            enable=self._lookup.row(settings.enable, section.key_place("enable"), (Kind.BINARY,)),
        )

    # -- schedules ---------------------------------------------------------------------------------------------------

    def _schedule(self, entry: Entry[Any]) -> Any:
        settings: ScheduleSection = entry.settings
        section = entry.section
        index = self._unit(entry, settings.unit)
        if (settings.file is None) == (settings.points is None):
            self._report.error(section.place, "a schedule has either a file or points")
            return None
        blocks = () if settings.points is None else self._block_points(entry, settings.points)
        schedule = None if settings.file is None else self._schedule_file(entry, settings.file)
        if index is None or blocks is None:
            return None
        power = self._lookup.row(settings.power, section.key_place("power"), (Kind.ANALOG,))
        return SchedulePlan(
            unit=index,
            schedule=schedule,
            blocks=blocks,
            zone=settings.time_zone,
            power=self._units[index].power if power == NO_ROW else power,
            rows=ScheduleRows(**entry.rows),
        )

    def _block_points(self, entry: Entry[Any], name: str) -> tuple[int, ...] | None:
        """`plan/block` stands for `plan/block[1]` to `plan/block[96]`."""
        place = entry.section.key_place("points")
        rows = [self._lookup.row(f"{name}[{number}]", place, (Kind.ANALOG,)) for number in range(1, BLOCKS + 1)]
        return None if NO_ROW in rows else tuple(rows)

    def _schedule_file(self, entry: Entry[Any], file: str) -> Schedule | None:
        found = self._maps.master_map(self._folder / file, ScheduleRow, entry.section.key_place("file"))
        if found is None:
            return None
        days: dict[dt.date | None, list[float]] = {}
        for row, place in zip(found.models, found.places, strict=True):
            try:
                day = None if row.date is None else dt.date.fromisoformat(row.date)
            except ValueError:
                self._report.error(place.at("date"), f"{row.date} is no day")
                continue
            blocks = days.setdefault(day, [math.nan] * BLOCKS)
            if not math.isnan(blocks[row.block - 1]):
                self._report.error(place.at("block"), f"block {row.block} stands here a second time")
            blocks[row.block - 1] = row.kw
        every = tuple(days.pop(None, [math.nan] * BLOCKS))
        return Schedule(every, {day: tuple(blocks) for day, blocks in days.items() if day is not None})

    # -- reactive power ----------------------------------------------------------------------------------------------

    def _reactive(self, entry: Entry[Any]) -> Any:
        settings: ReactiveSection = entry.settings
        section, place = entry.section, entry.section.key_place
        index = self._unit(entry, settings.unit)
        setpoint = self._lookup.row(settings.setpoint, place("setpoint"), (Kind.SETPOINT,))
        voltage = self._lookup.row(settings.voltage, place("voltage"), (Kind.ANALOG,))
        if settings.mode == "voltage" and (settings.voltage is None or settings.nominal_voltage is None):
            self._report.error(section.place, "mode voltage needs voltage and nominal_voltage")
            return None
        high, low = self._curve(entry, "high_over_power"), self._curve(entry, "low_over_power")
        if index is None or setpoint == NO_ROW:
            return None
        limit = settings.limit_kvar or settings.rated_kva
        return ReactivePlan(
            unit=index,
            setpoint=setpoint,
            settings=ReactiveSettings(
                mode=ReactiveMode(settings.mode),
                capability=Capability(rated_kva=settings.rated_kva, high_over_power=high, low_over_power=low),
                kvar=settings.kvar,
                power_factor=settings.power_factor,
                kvar_over_voltage=voltage_curve(1.0, settings.deadband_percent / 100, settings.slope_percent, limit),
                hold_s=settings.hold_s,
            ),
            rows=ReactiveRows(**entry.rows),
            power=self._units[index].power,
            voltage=voltage,
            nominal_voltage=settings.nominal_voltage or 1.0,
            ramp_kvar_per_s=settings.ramp_kvar_per_s or math.inf,
            start_grace_s=self._start_grace_s,
        )

    def _curve(self, entry: Entry[Any], key: str) -> Curve | None:
        points = getattr(entry.settings, key)
        if points is None:
            return None
        try:
            return Curve.of([(pair[0], pair[1]) for pair in points])
        except CurveError as error:
            self._report.error(entry.section.key_place(key), str(error))
            return None

    # -- fleets and places -------------------------------------------------------------------------------------------

    def _member(self, index: int, min_run_kw: float = 0.0) -> Member:
        unit = self._units[index]
        return Member(
            unit=index,
            soc=unit.soc,
            power=unit.power,
            capacity_kwh=self._capacity.get(unit.name, math.nan),
            soc_limits=unit.soc_limits,
            min_run_kw=min_run_kw,
        )

    def _fleet(self, entry: Entry[Any]) -> Any:
        settings = entry.settings
        indices = [self._unit(entry, name, "units") for name in settings.units]
        if len(set(settings.units)) != len(settings.units):
            self._report.error(entry.section.key_place("units"), "a unit stands here twice")
        for name in settings.min_run_kw:
            if name not in settings.units:
                self._report.error(entry.section.key_place("min_run_kw"), f"{name} is no unit of this fleet")
        known = [index for index in indices if index is not None]
        if len(known) != len(indices):
            return None
        return FleetPlan(
            name=settings.name,
            members=tuple(self._member(i, settings.min_run_kw.get(self._units[i].name, 0.0)) for i in known),
            method=DispatchMethod(settings.method),
            rows=FleetRows(**entry.rows),
            valid_s=settings.valid_s or math.inf,
            ramp_kw_per_s=settings.ramp_kw_per_s,
        )

    def _places(self, entries: Sequence[Entry[Any]]) -> PlacesPlan | None:
        if not entries:
            return None
        members = {entry.settings.name: entry.settings.members for entry in entries}
        try:
            locations = Locations.of([unit.name for unit in self._units], members)
        except LocationError as error:
            at = next(entry for entry in entries if entry.settings.name == error.name)
            self._report.error(at.section.key_place("members"), str(error))
            return None
        return PlacesPlan(
            locations=locations,
            members=tuple(self._member(i) for i in range(len(self._units))),
            rows=tuple(PlaceRows(**entry.rows) for entry in entries),
        )
