"""What kind of device each of a site's devices is, and which of its points say the things that a drawing shows. Pure.

Nothing in a site file says "this is a battery": it is known by what the device measures (a state of charge, a
set-point in kW) and by the words of its names.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.points.model import Kind, PointCatalogue
from gateway.site.plan import SitePlan

KW: Final = {"kW": 1.0, "MW": 1000.0, "W": 0.001}
"""kW of the units in which a power may be given."""


class Sort(StrEnum):
    """What a device, or a unit made of devices, is."""

    METER = "meter"
    PMU = "pmu"
    BATTERY = "battery"
    BMS = "bms"
    """Knows the charge, not the power."""
    SOLAR = "solar"
    WIND = "wind"
    GENERATOR = "generator"
    LOAD = "load"
    CONVERTER = "converter"
    """Has a power and takes a set-point; nothing says what is behind it."""
    OTHER = "other"


_WORDS: Final = {
    Sort.SOLAR: {"pv", "solar", "sun", "panel", "panels", "photovoltaic"},
    Sort.WIND: {"wind", "turbine", "wtg"},
    Sort.GENERATOR: {"generator", "genset", "diesel", "dg", "chp"},
    Sort.LOAD: {"load", "consumption", "auxiliary", "aux", "house"},
    Sort.METER: {"meter", "poi", "pcc", "poc", "grid", "mains", "interconnection", "utility"},
}
_SWITCH: Final = {"breaker", "contactor", "cb", "disconnector", "isolator", "recloser"}
_NO_SWITCH: Final = {"fault", "alarm", "warning", "trip", "tripped", "local", "count", "request"}
_TROUBLE: Final = ("fault", "estop", "emergency_stop", "tripped", "trip", "watchdog")
_RUNNING: Final = ("running", "producing", "operating", "run_state", "on")
_MODE: Final = ("mode", "state", "operating_state", "status")
_STATES: Final = re.compile(r"(?:^|[;:,]\s*)(\d+)\s+([^;,:]+)")
_MAIN: Final = ("poi", "pcc", "poc", "grid", "mains")


@dataclass(frozen=True, slots=True)
class Switch:
    """A breaker or contactor. `closed`: the value that means closed."""

    row: int
    label: str
    closed: float


@dataclass(frozen=True, slots=True)
class Mode:
    """A point whose numbers have words."""

    row: int
    words: dict[int, str]


@dataclass(slots=True)
class SiteDevice:
    """One device as the drawing sees it. Rows are table rows; None: it has no such point."""

    name: str
    prefix: str
    sort: Sort
    power: int | None = None
    reactive: int | None = None
    soc: int | None = None
    frequency: int | None = None
    voltage: int | None = None
    setpoint: int | None = None
    running: int | None = None
    mode: Mode | None = None
    switches: list[Switch] = field(default_factory=list)
    troubles: list[int] = field(default_factory=list)

    @property
    def main(self) -> bool:
        """Whether its name says that it stands at the grid connection."""
        return any(word in _MAIN for word in tokens(f"{self.name} {self.prefix}"))


def tokens(text: str) -> set[str]:
    """Words of a name, without the numbers that count them."""
    return {word for word in re.split(r"[^a-z]+", text.lower()) if word}


def site_devices(plan: SitePlan) -> list[SiteDevice]:
    """Every device in the order of the site file."""
    return [
        _Look(plan.catalogue, name, driver, plan.device_rows[name].tolist()).device()
        for name, driver in plan.device_drivers.items()
    ]


class _Look:
    def __init__(self, catalogue: PointCatalogue, name: str, driver: str, rows: Sequence[int]) -> None:
        self._catalogue, self._name, self._driver = catalogue, name, driver
        names = [catalogue.names[row] for row in rows]
        self._prefix = _common_folder(names)
        cut = len(self._prefix) + 1 if self._prefix else 0
        self._leaves = [(row, each[cut:].lower()) for row, each in zip(rows, names, strict=True)]

    def device(self) -> SiteDevice:
        found = SiteDevice(self._name, self._prefix, Sort.OTHER)
        found.power = self._power("active_power", "power", "p", "w", "ac_power", "total_power", "power_kw")
        found.reactive = self._measured(("kvar", "MVAr", "Mvar", "var"), "reactive_power", "q")
        found.soc = self._measured(("%",), "soc", "state_of_charge")
        found.frequency = self._measured(("Hz",), "frequency", "freq", "f")
        found.voltage = self._measured(("V", "kV"), "voltage", "line_voltage", "voltage_l1", "u", "v")
        found.setpoint = self._first(lambda row, leaf: self._kind(row) is Kind.SETPOINT and self._unit(row) in KW)
        found.running = self._state(_RUNNING)
        found.mode = self._mode()
        found.switches = self._switches()
        found.troubles = [row for row, leaf in self._leaves if self._kind(row) is Kind.BINARY and leaf in _TROUBLE][:4]
        found.sort = self._sort(found)
        return found

    def _sort(self, found: SiteDevice) -> Sort:
        if self._driver == "c37118":
            return Sort.PMU
        if found.soc is not None:
            return Sort.BMS if found.power is None else Sort.BATTERY
        return Sort.OTHER if found.power is None else self._sort_of_power(found)

    def _sort_of_power(self, found: SiteDevice) -> Sort:
        named = tokens(f"{self._name} {self._prefix}")
        sorts = [sort for sort, words in _WORDS.items() if named & words]
        if sorts:
            return sorts[0]
        if "dc_power" in (leaf for _, leaf in self._leaves):
            return Sort.SOLAR
        if found.setpoint is None and found.running is None and found.voltage is not None:
            return Sort.METER
        return Sort.CONVERTER

    def _kind(self, row: int) -> Kind:
        return self._catalogue.kind(row)

    def _unit(self, row: int) -> str:
        return self._catalogue.units[row]

    def _first(self, fits: Callable[[int, str], bool]) -> int | None:
        return next((row for row, leaf in self._leaves if fits(row, leaf)), None)

    def _measured(self, units: Sequence[str], *leaves: str) -> int | None:
        """The first point in one of these units called so; the names in order of preference."""
        analogs = {
            leaf: row
            for row, leaf in reversed(self._leaves)
            if self._kind(row) is Kind.ANALOG and self._unit(row) in units
        }
        return next((analogs[leaf] for leaf in leaves if leaf in analogs), None)

    def _power(self, *leaves: str) -> int | None:
        exact = self._measured(tuple(KW), *leaves)
        return exact if exact is not None else self._measured(tuple(KW), *self._ending("active_power"))

    def _ending(self, end: str) -> list[str]:
        return [leaf for _, leaf in self._leaves if leaf.endswith(end) and "reactive" not in leaf]

    def _state(self, leaves: Sequence[str]) -> int | None:
        states = {leaf: row for row, leaf in reversed(self._leaves) if self._kind(row) is Kind.BINARY}
        return next((states[leaf] for leaf in leaves if leaf in states), None)

    def _mode(self) -> Mode | None:
        for row, leaf in self._leaves:
            if leaf in _MODE and self._kind(row) is Kind.ANALOG:
                words = {
                    int(number): word.strip() for number, word in _STATES.findall(self._catalogue.descriptions[row])
                }
                if len(words) > 1:
                    return Mode(row, words)
        return None

    def _switches(self) -> list[Switch]:
        """Doubles first: a binary that says the same of the same switch is left out."""
        found: list[Switch] = []
        for kind in (Kind.DOUBLE, Kind.BINARY):
            for row, leaf in self._leaves:
                words = tokens(leaf)
                if self._kind(row) is not kind or not words & _SWITCH or words & _NO_SWITCH:
                    continue
                label = leaf.removesuffix("_closed").removesuffix("_open")
                if any(each.label == label for each in found):
                    continue
                opened = kind is Kind.BINARY and leaf.endswith("_open")
                found.append(Switch(row, label, 2.0 if kind is Kind.DOUBLE else 0.0 if opened else 1.0))
        return found[:3]


def _common_folder(names: Sequence[str]) -> str:
    return os.path.commonpath([name.rpartition("/")[0] for name in names]) if names else ""
