"""`control:` of a site: read before the points are complete, compiled after. Used while a site is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.alarms.model import Priority
from gateway.alarms.seed import AlarmSeed
from gateway.contracts import Place, Report
from gateway.control.further.section import FurtherSection
from gateway.control.interlock.effect import EffectError, parse_effects
from gateway.control.interlock.plan import BUILT_IN, TRIPS, InterlockRows
from gateway.control.plan import RunnerRows
from gateway.control.settings import ControlSettings, InterlockRow, UnitSettings
from gateway.control.unit import UnitRows
from gateway.points.model import NO_ROW, Kind
from gateway.site.maps import MapReader
from gateway.site.section import Section

AddPoint = Callable[[str, Kind, Place, str], int]
"""(name below ``system/``, kind, place, description) -> row."""

_UNIT_POINTS: Final = {
    "target_kw": (Kind.ANALOG, "Set-point that control sends to {0}"),
    "requested_kw": (Kind.ANALOG, "What {0} is asked for, before ramp and limits"),
    "source": (
        Kind.ANALOG,
        "Who controls {0}: 1 safety, 2 interlock, 3 operator, 4 response, 5 remote, 6 schedule, 7 fallback, 8 nobody",
    ),
    "limit_low_kw": (Kind.ANALOG, "Lowest set-point that {0} may have now"),
    "limit_high_kw": (Kind.ANALOG, "Highest set-point that {0} may have now"),
    "limited": (Kind.BINARY, "A limit cuts what {0} is asked for"),
    "blocked": (Kind.BINARY, "{0} may not start and takes no set-point but 0"),
    "tripped": (Kind.BINARY, "{0} is stopped by an interlock"),
    "write_errors": (Kind.COUNTER, "Writes to {0} that failed since start"),
    "release": (Kind.CONTROL, "Lets go of the set-point that a person gave {0}"),
}
_INTERLOCK_POINTS: Final = {
    "active": (Kind.BINARY, "Cause of {0} is there: {1}"),
    "latched": (Kind.BINARY, "Trip of {0} is latched: {1}"),
    "tripped": (Kind.BINARY, "{0} is in force: {1}"),
    "bypassed": (Kind.BINARY, "{0} is bypassed"),
    "first_out": (Kind.BINARY, "{0} was the first cause of a trip"),
    "reset": (Kind.CONTROL, "Resets {0}"),
}
_RUNNER_POINTS: Final = {
    "cycle_us": (Kind.ANALOG, "Longest control cycle of the last second in us"),
    "jitter_us": (Kind.ANALOG, "Latest start of a control cycle within the last second in us"),
    "overruns": (Kind.COUNTER, "Control cycles missed since start"),
    "cycles": (Kind.COUNTER, "Control cycles since start"),
    "stop_all": (Kind.CONTROL, "Emergency stop of every unit, latched"),
    "reset": (Kind.CONTROL, "Resets every interlock that can be reset"),
}
BUILT_IN_MESSAGES: Final = {"stop_all": "Emergency stop of all units", "watchdog": "Control cycle stalled or failed"}


@dataclass(slots=True)
class MatrixRow:
    """One row of the matrix and where it stands."""

    settings: InterlockRow
    place: Place


@dataclass(slots=True)
class ControlSection:
    """What the engineer wrote, and the system points that come of it."""

    settings: ControlSettings
    section: Section
    units: list[tuple[UnitSettings, Section]]
    droop: dict[str, dict[str, Any]]
    """Keys of `droop` entries by unit, as far as they are sound enough to derive a unit from."""
    rows: list[MatrixRow]
    further: FurtherSection
    folder: Path
    maps: MapReader
    unit_rows: list[UnitRows] = field(default_factory=list)
    interlock_rows: dict[str, InterlockRows] = field(default_factory=dict)
    runner_rows: RunnerRows | None = None

    @classmethod
    def read(cls, top: Section, folder: Path, maps: MapReader, report: Report) -> ControlSection | None:
        """The section, its units and its matrix by their models; None where the site has no control."""
        if not isinstance(top.value.get("control"), dict):
            return None
        section = top.inner("control")
        settings = section.validate(ControlSettings, report)
        if settings is None:
            return None
        units = [(unit, entry) for entry in section.entries("units") if (unit := entry.validate(UnitSettings, report))]
        droop = {
            entry.value["unit"]: entry.value
            for entry in section.entries("droop")
            if isinstance(entry.value.get("unit"), str)
        }
        named = {unit.unit for unit, _ in units}
        for entry in section.entries("droop"):
            name = entry.value.get("unit")
            if isinstance(name, str) and name not in named and (unit := entry_unit(name)):
                named.add(name)
                units.append((unit, entry))
        rows = _matrix(settings.interlocks, folder, section, maps, report)
        return cls(settings, section, units, droop, rows, FurtherSection.read(section, report), folder, maps)

    @property
    def runs(self) -> bool:
        """Whether there is anything for a cycle to do."""
        return bool(self.units or self.rows)

    def system_points(self, add: AddPoint) -> None:
        """Adds `system/control/...` and `system/interlock/...`."""
        if not self.runs:
            return
        place = self.section.place

        def made(at: str, points: dict[str, tuple[Kind, str]], where: Place, *words: str) -> dict[str, int]:
            return {
                name: add(f"{at}/{name}", kind, where, text.format(*words)) for name, (kind, text) in points.items()
            }

        self.runner_rows = RunnerRows(**made("control", _RUNNER_POINTS, place))
        taken = set[str]()
        for unit, entry in self.units:
            if unit.unit not in taken:
                taken.add(unit.unit)
                self.unit_rows.append(UnitRows(**made(f"control/{unit.unit}", _UNIT_POINTS, entry.place, unit.unit)))
        for name, text in BUILT_IN_MESSAGES.items():
            rows = made(f"interlock/{name}", _INTERLOCK_POINTS, place, name, text)
            self.interlock_rows[name] = InterlockRows(**rows)
        for row in self.rows:
            name, text = row.settings.name, row.settings.message
            if name not in self.interlock_rows:
                rows = made(f"interlock/{name}", _INTERLOCK_POINTS, row.place, name, text)
                self.interlock_rows[name] = InterlockRows(**rows)
        self.further.system_points(add)

    def seeds(self) -> list[AlarmSeed]:
        """Each interlock that is in force is an alarm; units are groups of first-out; a bypass is told as well."""
        out: list[AlarmSeed] = []
        if self.runner_rows is None:
            return out
        rows = {row.settings.name: row for row in self.rows}
        for name, at in self.interlock_rows.items():
            row = rows.get(name)
            if row is None:
                words, priority, place = BUILT_IN_MESSAGES[name], Priority.CRITICAL, self.section.place
            else:
                words, place = row.settings.message or f"Interlock {name}", row.place
                priority = _priority(row.settings)
            if NO_ROW in (at.tripped, at.bypassed):
                continue
            group = _group(row)
            seed = AlarmSeed(
                row=at.tripped, place=place, priority=priority, message=words, group=group, names_cause=True
            )
            bypass = AlarmSeed(
                row=at.bypassed, place=place, priority=Priority.LOW, message=f"Interlock {name} is bypassed"
            )
            out += [seed, bypass]
        return out + self.further.seeds()


def entry_unit(name: str) -> UnitSettings | None:
    """The unit that a `droop` entry implies."""
    try:
        return UnitSettings(unit=name)
    except ValueError:
        return None


def _matrix(named: str | None, folder: Path, section: Section, maps: MapReader, report: Report) -> list[MatrixRow]:
    if named is None:
        return []
    found = maps.master_map(folder / named, InterlockRow, section.key_place("interlocks"))
    if found is None:
        return []
    out: list[MatrixRow] = []
    seen: dict[str, Place] = {}
    for settings, place in zip(found.models, found.places, strict=True):
        name = settings.name
        if name in BUILT_IN:
            report.error(place.at("name"), f"{name} is the gateway's own interlock: choose another name")
        elif name in seen:
            report.error(
                place.at("name"), f"interlock {name} stands here a second time (first in row {seen[name].line})"
            )
        else:
            seen[name] = place
            out.append(MatrixRow(settings, place))
    return out


def _priority(settings: InterlockRow) -> Priority:
    return Priority[(settings.priority or "high").upper()]


def _group(row: MatrixRow | None) -> str:
    """First-out counts within the unit that a row trips first."""
    if row is None:
        return ""
    try:
        effects = parse_effects(row.settings.then)
    except EffectError:
        return ""
    return next((effect.target for effect in effects if effect.kind in TRIPS), "")
