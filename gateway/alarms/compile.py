"""Alarm definitions from points' own limits, other parts and the alarm map. Used while a site is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.alarms.catalogue import AlarmCatalogue, AlarmRules
from gateway.alarms.model import CONDITION_BY_WORD, PRIORITY_BY_WORD, Condition
from gateway.alarms.seed import AlarmSeed
from gateway.alarms.settings import AlarmRow, AlarmSettings
from gateway.alarms.units import unit_class
from gateway.contracts.places import Place, Report
from gateway.points.expression import Expression, ExpressionError
from gateway.points.model import Kind, PointCatalogue
from gateway.site.maps import AlarmWish

_LIMIT_COLUMNS: Final = {
    Condition.LL: "alarm_ll",
    Condition.L: "alarm_l",
    Condition.H: "alarm_h",
    Condition.HH: "alarm_hh",
}
_PRIORITIES: Final = {
    Condition.LL: "high",
    Condition.L: "medium",
    Condition.H: "medium",
    Condition.HH: "high",
    Condition.ALARM: "medium",
    Condition.QUALITY: "low",
}
"""Where neither the point's row nor the map names one."""
_STATES: Final = {Kind.BINARY: (0.0, 1.0), Kind.DOUBLE: (0.0, 1.0, 2.0, 3.0)}
QUALITY_DELAY_S: Final = 5.0
GAP_PART: Final = 0.25
"""A dead band that is not written takes at most this part of the gap between the low and the high limit."""
_CONDITIONS: Final = len(Condition)
_PRIORITY_NUMBER: Final = {"off": 0} | {word: int(priority) for word, priority in PRIORITY_BY_WORD.items()}

_BY_CONDITION: Final = np.array([_PRIORITY_NUMBER[_PRIORITIES[condition]] for condition in Condition], np.uint8)

_Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class MapRow:
    """One sound row of the alarm map and where it stands."""

    settings: AlarmRow
    place: Place


@dataclass(kw_only=True)
class AlarmSources:
    """Everything that alarms are made of. `find` reports an unknown point and gives None."""

    catalogue: PointCatalogue
    settings: AlarmSettings
    wishes: Mapping[int, AlarmWish]
    seeds: Iterable[AlarmSeed]
    rows: list[MapRow]
    find: Callable[[str, Place], int | None]
    doubtful: Callable[[str], bool]


@dataclass(slots=True)
class _Columns:
    """Alarms in the making: columns of one length."""

    row: _Index
    condition: NDArray[np.uint8]
    limit: NDArray[np.float64]
    priority: NDArray[np.uint8]
    on_delay_s: NDArray[np.float64]
    off_delay_s: NDArray[np.float64]
    deadband: NDArray[np.float64]
    group: NDArray[np.int32]
    suppression: NDArray[np.int32]
    cause: NDArray[np.bool_]

    def taken(self, index: NDArray[Any]) -> _Columns:
        return _Columns(*(getattr(self, name)[index] for name in self.__slots__))

    def with_more(self, more: _Columns) -> _Columns:
        return _Columns(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))


def _columns(row: Any, condition: Any, limit: Any, **given: Any) -> _Columns:
    size = len(row)
    priority = given.get("priority", _BY_CONDITION[np.asarray(condition, np.intp)])
    return _Columns(
        row=np.asarray(row, np.intp),
        condition=np.asarray(condition, np.uint8),
        limit=np.asarray(limit, np.float64),
        priority=np.asarray(priority, np.uint8),
        on_delay_s=np.asarray(given.get("on_delay_s", np.zeros(size)), np.float64),
        off_delay_s=np.asarray(given.get("off_delay_s", np.zeros(size)), np.float64),
        deadband=np.asarray(given.get("deadband", np.full(size, np.nan)), np.float64),
        group=np.full(size, -1, np.int32),
        suppression=np.full(size, -1, np.int32),
        cause=np.asarray(given.get("cause", np.zeros(size)), np.bool_),
    )


def compile_alarms(sources: AlarmSources, report: Report) -> AlarmCatalogue:
    """All alarms of the site. Problems go to `report`, each with the place in the engineer's files."""
    return _Compiler(sources, report).compile()


@dataclass(slots=True)
class _Compiler:
    """One compilation."""

    sources: AlarmSources
    report: Report
    columns: _Columns = field(default_factory=lambda: _columns([], [], []))
    messages: dict[tuple[int, int], str] = field(default_factory=dict)
    """By (row, condition)."""
    groups: dict[str, int] = field(default_factory=dict)
    suppressions: dict[str, tuple[int, Expression] | None] = field(default_factory=dict)

    def compile(self) -> AlarmCatalogue:
        self._from_points()
        self._from_seeds()
        chosen = [(row, self._targets(row)) for row in self.sources.rows]
        for row, points in chosen:
            self._add(row, points)
        order = np.lexsort((self.columns.condition, self.columns.row))
        self.columns = self.columns.taken(order)
        for row, points in chosen:
            self._refine(row, points)
        self._deadbands()
        self.columns = self.columns.taken(np.flatnonzero(self.columns.priority))
        return self._catalogue()

    def _from_points(self) -> None:
        """The limits of points, and the states that their own rows call alarms."""
        catalogue, wishes = self.sources.catalogue, self.sources.wishes
        for condition, name in _LIMIT_COLUMNS.items():
            limits = getattr(catalogue, name)
            rows = np.flatnonzero(~np.isnan(limits))
            self._more(_columns(rows, np.full(len(rows), condition), limits[rows]))
        states = {row: wish.state for row, wish in wishes.items() if wish.state is not None}
        self._more(_columns(list(states), [Condition.ALARM] * len(states), list(states.values())))
        columns = self.columns
        wanted = np.full(len(catalogue), -1, np.int16)
        for row, wish in wishes.items():
            if wish.priority is not None:
                wanted[row] = _PRIORITY_NUMBER[wish.priority]
        given = wanted[columns.row]
        columns.priority = np.where(given >= 0, given, columns.priority).astype(np.uint8)
        spoken = {row: wish.message for row, wish in wishes.items() if wish.message}
        for at in np.flatnonzero(np.isin(columns.row, list(spoken))).tolist():
            row = int(columns.row[at])
            self.messages[row, int(columns.condition[at])] = spoken[row]

    def _from_seeds(self) -> None:
        seeds = list(self.sources.seeds)
        self._more(
            _columns(
                [seed.row for seed in seeds],
                [seed.condition for seed in seeds],
                [seed.limit for seed in seeds],
                priority=[seed.priority for seed in seeds],
                on_delay_s=[seed.on_delay_s for seed in seeds],
                off_delay_s=[seed.off_delay_s for seed in seeds],
                deadband=[seed.deadband for seed in seeds],
                cause=[seed.names_cause for seed in seeds],
            )
        )
        for position, seed in enumerate(seeds, len(self.columns.row) - len(seeds)):
            self.columns.group[position] = self._group(seed.group) if seed.group else -1
            if seed.message:
                self.messages[seed.row, seed.condition] = seed.message

    def _more(self, more: _Columns) -> None:
        self.columns = self.columns.with_more(more)

    def _group(self, name: str) -> int:
        return self.groups.setdefault(name, len(self.groups))

    def _targets(self, row: MapRow) -> list[int]:
        """Table rows that a row of the map is about; a pattern that adds nothing stands for those that have alarms."""
        name, place = row.settings.point, row.place.at("point")
        if "*" not in name:
            found = self.sources.find(name, place)
            return [] if found is None else [found]
        pattern = re.compile(".*".join(map(re.escape, name.split("*"))))
        names, adds = self.sources.catalogue.names, row.settings.value is not None or row.settings.limit == "quality"
        among = range(len(names)) if adds else np.flatnonzero(np.bincount(self.columns.row)).tolist()
        begin = name.partition("*")[0]
        found_rows = [at for at in among if names[at].startswith(begin) and pattern.fullmatch(names[at])]
        if not found_rows and not self.sources.doubtful(name.partition("*")[0].rstrip("/")):
            self.report.error(place, f"no point that has an alarm matches {name}")
        return found_rows

    def _add(self, row: MapRow, points: list[int]) -> None:
        """Alarms that the map defines by itself: a limit or state given as `value`, or the quality of a point."""
        word, value = row.settings.limit, row.settings.value
        if word is None or word == "*":
            if value is not None:
                self.report.error(row.place.at("value"), "a value needs its limit: ll, l, h, hh or alarm")
            return
        condition = CONDITION_BY_WORD[word]
        known = set(self.columns.row[self.columns.condition == condition].tolist())
        for point in points:
            if point in known or not self._fits(condition, point, row):
                continue
            if value is None and condition is not Condition.QUALITY:
                name = self.sources.catalogue.names[point]
                self.report.error(row.place.at("limit"), f"{name} has no {_noun(condition)}: give one in column value")
                continue
            delay_s = QUALITY_DELAY_S if condition is Condition.QUALITY else 0.0
            limit = np.nan if value is None else value
            self._more(_columns([point], [condition], [limit], on_delay_s=[delay_s]))

    def _fits(self, condition: Condition, point: int, row: MapRow) -> bool:
        kind, value = self.sources.catalogue.kind(point), row.settings.value
        states = _STATES.get(kind)
        trouble = ""
        if condition is Condition.QUALITY:
            trouble = "a quality alarm has no value" if value is not None else ""
        elif condition is Condition.ALARM:
            if states is None:
                trouble = f"this point is of kind {kind.word}: only a binary or double has a state that is an alarm"
            elif value is not None and value not in states:
                trouble = f"a {kind.word} is never {value:g}: expected one of {', '.join(f'{at:g}' for at in states)}"
        elif states is not None:
            trouble = f"this point is of kind {kind.word}: it has states, no limits"
        if trouble:
            self.report.error(row.place.at("limit"), trouble)
        return not trouble

    def _refine(self, row: MapRow, points: list[int]) -> None:
        settings, columns = row.settings, self.columns
        wanted = CONDITION_BY_WORD.get(settings.limit or "*")
        begin, end = np.searchsorted(columns.row, points), np.searchsorted(columns.row, points, "right")
        spans = [np.arange(a, b) for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
        index = np.concatenate([np.empty(0, np.intp), *spans])
        if wanted is not None:
            index = index[columns.condition[index] == wanted]
        if not len(index):
            if points and wanted is None:
                self.report.error(row.place.at("point"), f"{settings.point} has no alarm")
            return
        for name in ("on_delay_s", "off_delay_s", "deadband"):
            value = getattr(settings, name)
            if value is not None:
                getattr(columns, name)[index] = value
        if settings.value is not None and wanted is not None:
            self._limit(row, index, settings.value)
        if settings.priority is not None:
            columns.priority[index] = _PRIORITY_NUMBER[settings.priority]
        if settings.group is not None:
            columns.group[index] = self._group(settings.group)
        if settings.message:
            for at in index.tolist():
                self.messages[int(columns.row[at]), int(columns.condition[at])] = settings.message
        if settings.suppressed_when is not None:
            self._suppress(row, index, settings.suppressed_when)

    def _limit(self, row: MapRow, index: _Index, value: float) -> None:
        """Another limit or state; limits of a point stay in order."""
        columns = self.columns
        for at in index.tolist():
            if not self._fits(Condition(int(columns.condition[at])), int(columns.row[at]), row):
                return
            columns.limit[at] = value
            same = np.flatnonzero((columns.row == columns.row[at]) & (columns.condition <= Condition.HH))
            limits = columns.limit[same]
            if len(same) > 1 and (np.diff(limits) < 0).any():
                words = [Condition(int(c)).word for c in columns.condition[same].tolist()]
                stand = ", ".join(f"{word} {limit:g}" for word, limit in zip(words, limits.tolist(), strict=True))
                name = self.sources.catalogue.names[int(columns.row[at])]
                self.report.error(row.place.at("value"), f"the limits of {name} are out of order: {stand}")

    def _suppress(self, row: MapRow, index: _Index, source: str) -> None:
        place = row.place.at("suppressed_when")
        found = self._expression(source, place)
        if found is None:
            return
        number, expression = found
        columns, names = self.columns, self.sources.catalogue.names
        for at in index.tolist():
            point = int(columns.row[at])
            if columns.cause[at]:
                self.report.error(place, f"{names[point]} names the cause of a trip: it is never suppressed")
            elif point in expression.inputs:
                self.report.error(place, f"{names[point]} must not suppress its own alarm: it may be the cause")
            else:
                columns.suppression[at] = number

    def _expression(self, source: str, place: Place) -> tuple[int, Expression] | None:
        """(number, expression), compiled once per text; None when it is wrong (told once)."""
        if source not in self.suppressions:
            self.suppressions[source] = None
            try:
                expression = Expression(source, self.sources.catalogue.rows)
            except ExpressionError as error:
                if not self.sources.doubtful(error.unknown):
                    self.report.error(place, f"suppressed_when: {error}")
                return None
            if not len(expression.inputs):
                self.report.error(place, "suppressed_when: no point in it, so it would never change")
                return None
            number = sum(found is not None for found in self.suppressions.values())
            self.suppressions[source] = (number, expression)
        return self.suppressions[source]

    def _deadbands(self) -> None:
        """Where none is written: a part of the point's range by its unit's class, within the gap between l and h."""
        columns, catalogue = self.columns, self.sources.catalogue
        analog = columns.condition <= Condition.HH
        columns.deadband[~analog] = 0.0
        open_ = np.flatnonzero(analog & np.isnan(columns.deadband))
        if not len(open_):
            return
        rows = columns.row[open_]
        classes = self.sources.settings.deadband_percent.model_dump()
        part = {unit: classes[unit_class(unit)] / 100 for unit in set(catalogue.units)}
        units = catalogue.units
        parts = np.array([part[units[row]] for row in rows.tolist()])
        outer, gap = self._spans(len(catalogue))
        span = catalogue.high[rows] - catalogue.low[rows]
        span = np.where(np.isnan(span) | (span <= 0), outer[rows], span)
        span = np.where(span > 0, span, np.abs(columns.limit[open_]))
        columns.deadband[open_] = np.minimum(parts * span, GAP_PART * gap[rows])

    def _spans(self, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By point: distance of the outermost limits (0: only one), gap between l and h (infinite: not both)."""
        columns = self.columns
        analog = columns.condition <= Condition.HH
        least, most = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(least, columns.row[analog], columns.limit[analog])
        np.maximum.at(most, columns.row[analog], columns.limit[analog])
        floor, roof = np.full(size, -np.inf), np.full(size, np.inf)
        below = columns.condition <= Condition.L
        np.maximum.at(floor, columns.row[below], columns.limit[below])
        above = analog & ~below
        np.minimum.at(roof, columns.row[above], columns.limit[above])
        with np.errstate(invalid="ignore"):
            return np.maximum(most - least, 0.0), roof - floor

    def _catalogue(self) -> AlarmCatalogue:
        columns, settings = self.columns, self.sources.settings
        spoken = np.flatnonzero(np.isin(columns.row, [row for row, _ in self.messages])).tolist()
        keys = ((index, (int(columns.row[index]), int(columns.condition[index]))) for index in spoken)
        messages = {index: self.messages[key] for index, key in keys if key in self.messages}
        return AlarmCatalogue(
            points=self.sources.catalogue,
            row=columns.row,
            condition=columns.condition,
            limit=columns.limit,
            deadband=columns.deadband,
            on_delay_s=columns.on_delay_s,
            off_delay_s=columns.off_delay_s,
            priority=columns.priority,
            group=columns.group,
            suppression=columns.suppression,
            messages=messages,
            groups=list(self.groups),
            suppressions=[found[1] for found in self.suppressions.values() if found is not None],
            rules=AlarmRules(
                confirm=settings.confirm,
                shelve_max_s=settings.shelve_max_s,
                flood_count=settings.flood.count,
                flood_window_s=settings.flood.window_s,
                chatter_count=settings.chatter.count,
                chatter_window_s=settings.chatter.window_s,
                standing_s=settings.standing_h * 3600,
            ),
        )


def _noun(condition: Condition) -> str:
    return "alarm state" if condition is Condition.ALARM else f"limit {condition.word}"
