"""The entries that become controllers: read with the section, given their points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from gateway.alarms.model import Priority
from gateway.alarms.seed import AlarmSeed
from gateway.contracts import Place, Report
from gateway.contracts.settings import Strict
from gateway.control.frequency.settings import DroopSettings
from gateway.control.further import points as words
from gateway.control.further.settings import (
    AgcSection,
    FleetSection,
    LocationSection,
    ReactiveSection,
    ScheduleSection,
)
from gateway.points.model import NO_ROW, Kind
from gateway.site.section import Section

AddPoint = Callable[[str, Kind, Place, str], int]
_Settings = TypeVar("_Settings", bound=Strict)


@dataclass(slots=True)
class Entry(Generic[_Settings]):
    """One entry: its keys, where it stands, the rows of its points."""

    settings: _Settings
    section: Section
    rows: dict[str, int] = field(default_factory=dict)


_KINDS: Final[dict[str, tuple[type[Strict], str, str, words.Points]]] = {
    "droop": (DroopSettings, "unit", "control", words.DROOP),
    "agc": (AgcSection, "unit", "control", words.AGC),
    "schedules": (ScheduleSection, "unit", "control", words.SCHEDULE),
    "reactive": (ReactiveSection, "unit", "control", words.REACTIVE),
    "fleets": (FleetSection, "name", "fleet", words.FLEET),
    "locations": (LocationSection, "name", "location", words.LOCATION),
}
"""Key of `control:` -> model, key of its name, where its points stand below ``system/``, its points."""
FURTHER: Final = tuple(_KINDS)


@dataclass(slots=True)
class FurtherSection:
    """All of them, by key."""

    entries: dict[str, list[Entry[Any]]]

    @classmethod
    def read(cls, section: Section, report: Report) -> FurtherSection:
        """By their models; each name once per key."""
        out: dict[str, list[Entry[Any]]] = {}
        for key, (model, name, _, _) in _KINDS.items():
            found = [
                Entry(settings, entry) for entry in section.entries(key) if (settings := entry.validate(model, report))
            ]
            seen: set[str] = set()
            for entry in found:
                called = getattr(entry.settings, name)
                if called in seen:
                    report.error(entry.section.key_place(name), f"{called} stands a second time under {key}")
                seen.add(called)
            out[key] = [e for i, e in enumerate(found) if getattr(e.settings, name) not in _names(found[:i], name)]
        return cls(out)

    def system_points(self, add: AddPoint) -> None:
        """Adds each entry's points."""
        for key, (_, name, at, points) in _KINDS.items():
            for entry in self.entries[key]:
                called = getattr(entry.settings, name)
                entry.rows = {
                    point: add(f"{at}/{called}/{point}", kind, entry.section.place, text.format(called))
                    for point, (kind, text) in points.items()
                }

    def seeds(self) -> list[AlarmSeed]:
        """What is an alarm of them."""
        told = (
            ("droop", "frequency_lost", Priority.HIGH, "No source of frequency: {0} does not respond", True),
            ("droop", "droop_off", Priority.MEDIUM, "The frequency response of {0} is switched off", True),
            ("agc", "agc_lost", Priority.MEDIUM, "AGC of {0} has no signal", True),
        )
        return [
            AlarmSeed(
                row=entry.rows[point],
                place=entry.section.place,
                priority=priority,
                message=text.format(entry.settings.unit),
                names_cause=cause,
            )
            for key, point, priority, text, cause in told
            for entry in self.entries[key]
            if entry.rows.get(point, NO_ROW) != NO_ROW
        ]

    def facts(self) -> dict[str, Any]:
        """Every setting, by key and name."""
        return {
            key: {getattr(entry.settings, name): entry.settings.model_dump() for entry in self.entries[key]}
            for key, (_, name, _, _) in _KINDS.items()
        }

    def cycle_ms(self) -> float | None:
        """The quickest cycle that a droop entry asks for."""
        return min((e.settings.cycle_ms for e in self.entries["droop"] if e.settings.cycle_ms), default=None)


def _names(entries: Sequence[Entry[Any]], name: str) -> set[str]:
    return {getattr(entry.settings, name) for entry in entries}
