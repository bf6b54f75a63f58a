"""`alarms:` of a site: read before the points are complete, compiled after. Used while a site is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.compile import AlarmSources, MapRow, compile_alarms
from gateway.alarms.model import Condition, Priority
from gateway.alarms.seed import AlarmSeed
from gateway.alarms.settings import AlarmRow, AlarmSettings
from gateway.alarms.summary import ACKNOWLEDGE_ALL, GROUP_POINTS, SUMMARY_POINTS, AlarmSystemRows
from gateway.contracts import MasterSystemRows, Place, Report
from gateway.points.model import NO_ROW, Kind, PointCatalogue
from gateway.site.maps import MapReader
from gateway.site.plan import DeviceSystemRows
from gateway.site.points import SitePoints
from gateway.site.section import Section

DEVICE_LOST_S: Final = 5.0
MASTER_GONE_S: Final = 60.0
JOURNAL_FULL_PART: Final = 0.8
AUDIT_FAILING: Final = "audit/failing"

AddPoint = Callable[[str, Kind, Place, str], int]
"""(name below ``system/``, kind, place, description) -> row."""


@dataclass(slots=True)
class AlarmSection:
    """The settings, the rows of the map, and what the gateway itself defines."""

    settings: AlarmSettings
    rows: list[MapRow]
    place: Place

    @classmethod
    def read(cls, top: Section, folder: Path, maps: MapReader, report: Report) -> AlarmSection:
        """The section and its map, by their models."""
        if not isinstance(top.value.get("alarms"), dict):
            return cls(AlarmSettings(), [], top.place)
        section = top.inner("alarms")
        settings = section.validate(AlarmSettings, report)
        named = section.value.get("map")
        found = maps.master_map(folder / named, AlarmRow, section.key_place("map")) if isinstance(named, str) else None
        rows = [] if found is None else [MapRow(*pair) for pair in zip(found.models, found.places, strict=True)]
        return cls(settings or AlarmSettings(), rows, section.place)

    def system_points(self, add: AddPoint, seeds: Iterable[AlarmSeed]) -> AlarmSystemRows:
        """The points that tell of all alarms, and of each first-out group."""
        named = [*(seed.group for seed in seeds), *(row.settings.group or "" for row in self.rows)]
        groups = list(dict.fromkeys(name for name in named if name))
        return AlarmSystemRows(
            summary={
                name: add(f"alarms/{name}", kind, self.place, text) for name, (kind, text) in SUMMARY_POINTS.items()
            },
            groups={
                group: {
                    name: add(f"alarms/group/{group}/{name}", kind, self.place, text.format(group=group))
                    for name, (kind, text) in GROUP_POINTS.items()
                }
                for group in groups
            },
            acknowledge_all=add(
                f"alarms/{ACKNOWLEDGE_ALL}", Kind.CONTROL, self.place, "Acknowledges every alarm in sight"
            ),
        )

    def compile(
        self, points: SitePoints, catalogue: PointCatalogue, seeds: Iterable[AlarmSeed], report: Report
    ) -> AlarmCatalogue:
        """The alarms of the site, once all points are known."""
        sources = AlarmSources(
            catalogue=catalogue,
            settings=self.settings,
            wishes=points.alarms,
            seeds=[seed for seed in seeds if seed.row != NO_ROW],
            rows=self.rows,
            find=points.find,
            doubtful=points.doubtful,
        )
        return compile_alarms(sources, report)


def device_seeds(devices: dict[str, DeviceSystemRows], points: SitePoints) -> list[AlarmSeed]:
    """A device that does not answer is an alarm, and the cause of whatever its points say then."""
    return [
        AlarmSeed(
            row=rows.online,
            place=points.place(rows.online),
            limit=0.0,
            priority=Priority.HIGH,
            message=f"Device {name} does not answer",
            on_delay_s=DEVICE_LOST_S,
        )
        for name, rows in devices.items()
        if rows.online != NO_ROW
    ]


def master_seeds(
    masters: dict[tuple[str, str], MasterSystemRows], settings: dict[tuple[str, str], Any], points: SitePoints
) -> list[AlarmSeed]:
    """Of each master: it is not connected, its journal is nearly full, events of it were lost."""
    out: list[AlarmSeed] = []
    for (server, name), rows in masters.items():
        if NO_ROW in (rows.online, rows.events_waiting, rows.overflow):
            continue
        place, who = points.place(rows.online), f"{name} ({server})"
        out += [
            AlarmSeed(
                row=rows.online,
                place=place,
                limit=0.0,
                priority=Priority.LOW,
                message=f"Master {who} is not connected",
                on_delay_s=MASTER_GONE_S,
            ),
            AlarmSeed(
                row=rows.overflow, place=place, priority=Priority.HIGH, message=f"Events of {who} are being lost"
            ),
        ]
        capacity = getattr(getattr(settings.get((server, name)), "events", None), "capacity", None)
        if capacity:
            out.append(
                AlarmSeed(
                    row=rows.events_waiting,
                    place=place,
                    condition=Condition.H,
                    limit=JOURNAL_FULL_PART * capacity,
                    deadband=0.1 * capacity,
                    priority=Priority.MEDIUM,
                    message=f"The journal of {who} is nearly full",
                )
            )
    return out


def audit_seed(row: int, place: Place) -> AlarmSeed:
    """The audit record cannot be written: commands are refused."""
    message = "The audit record cannot be written: commands are refused"
    return AlarmSeed(row=row, place=place, priority=Priority.HIGH, message=message)
