"""Point maps checked with their protocol's models: each file once, however many devices or masters use it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from gateway.contracts import Place, Report
from gateway.points.model import KIND_BY_WORD
from gateway.points.pointmap import PointMap, check_columns, parse_map, with_decimal_points
from gateway.site.plainwords import Words, known_keys, takes_float
from gateway.site.yamlfile import read_text

FLOAT_COLUMNS: Final = (
    *("low", "high", "alarm_ll", "alarm_l", "alarm_h", "alarm_hh"),
    *("max_age_s", "feedback_tolerance", "feedback_s", "chatter_count", "chatter_s"),
)


@dataclass(frozen=True, slots=True)
class AlarmWish:
    """What a point's own row says of its alarms besides the limits: the state that is one, priority, message."""

    state: float | None
    priority: str | None
    message: str
    place: Place


@dataclass(slots=True)
class CheckedMap:
    """Rows that passed their model, where they stand, and point names of rows that did not."""

    file: str
    models: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)


@dataclass(slots=True)
class DeviceMap:
    """A device map as columns, one element per sound row."""

    checked: CheckedMap
    points: list[str]
    descriptions: list[str]
    units: list[str]
    kinds: NDArray[np.uint8]
    numbers: dict[str, NDArray[np.float64]]
    """By `FLOAT_COLUMNS`; NaN where the cell is empty."""
    feedbacks: list[tuple[int, str]]
    """(element, feedback as written)."""
    alarms: list[tuple[int, AlarmWish]]
    """(element, what its row says of its alarms), where it says anything."""


class MapReader:
    """Reads maps and keeps them for the length of one loading."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._checked: dict[tuple[Path, type[Any]], CheckedMap | None] = {}
        self._devices: dict[tuple[Path, type[Any]], DeviceMap | None] = {}

    def master_map(self, path: Path, model: type[BaseModel], asked_at: Place) -> CheckedMap | None:
        """Rows of a master map; None when the file cannot be used at all."""
        key = (path, model)
        if key not in self._checked:
            raw = self._read(path, asked_at)
            self._checked[key] = None if raw is None else _check_rows(raw, model, self._report)
        return self._checked[key]

    def device_map(self, path: Path, model: type[BaseModel], asked_at: Place) -> DeviceMap | None:
        """Columns of a device map, limits and duplicates checked; None when the file cannot be used at all."""
        key = (path, model)
        if key not in self._devices:
            checked = self.master_map(path, model, asked_at)
            self._devices[key] = None if checked is None else _device_map(checked, self._report)
        return self._devices[key]

    def _read(self, path: Path, asked_at: Place) -> PointMap | None:
        text = read_text(path, self._report, asked_at)
        return None if text is None else parse_map(text, str(path), self._report)


def _check_rows(raw: PointMap, model: type[BaseModel], report: Report) -> CheckedMap | None:
    fields = known_keys(model)
    needed = [name for name, info in fields.items() if info.is_required()]
    check_columns(raw, fields, needed, report)
    absent = frozenset(name for name in needed if name not in raw.columns)
    if "point" in absent:
        return None
    unknown = {name for name in raw.columns if name not in fields}
    numeric = {name for name, info in fields.items() if takes_float(info.annotation)} if raw.semicolons else set()
    out = CheckedMap(raw.file)
    for number, cells in raw.rows:
        if unknown:
            cells = {name: cell for name, cell in cells.items() if name not in unknown}  # noqa: PLW2901
        if numeric:
            cells = with_decimal_points(cells, numeric)  # noqa: PLW2901
        place = raw.place(number)
        try:
            row = model.model_validate(cells)
        except ValidationError as error:
            _row_words(place, report).tell(model, error, absent)
            out.broken.add(cells.get("point", ""))
        else:
            out.models.append(row)
            out.places.append(place)
    return out


def _row_words(place: Place, report: Report) -> Words:
    return Words(report, lambda loc: place.at(str(loc[0])) if loc else place, noun="column")


def _device_map(checked: CheckedMap, report: Report) -> DeviceMap:
    models = _without_repeats(checked, report)
    columns = {name: _numbers([getattr(row, name) for row in models]) for name in FLOAT_COLUMNS}
    for check in (_check_scale, _check_feedback, _check_limits, _check_chatter, _check_alarm):
        for row, place in zip(models, checked.places, strict=True):
            check(row, place, report)
    return DeviceMap(
        checked=checked,
        points=[row.point for row in models],
        descriptions=[row.description for row in models],
        units=[row.unit for row in models],
        kinds=np.array([KIND_BY_WORD[row.kind] for row in models], np.uint8),
        numbers=columns,
        feedbacks=[(i, row.feedback) for i, row in enumerate(models) if row.feedback],
        alarms=[
            (i, wish)
            for i, (row, place) in enumerate(zip(models, checked.places, strict=True))
            if (wish := alarm_wish(row, place)) is not None
        ],
    )


def _without_repeats(checked: CheckedMap, report: Report) -> list[Any]:
    first: dict[str, Place] = {}
    keep: list[bool] = []
    for row, place in zip(checked.models, checked.places, strict=True):
        seen = first.setdefault(row.point, place)
        keep.append(seen is place)
        if seen is not place:
            report.error(place.at("point"), f"point {row.point} stands here a second time (first in row {seen.line})")
    if not all(keep):
        checked.models = [row for row, kept in zip(checked.models, keep, strict=True) if kept]
        checked.places = [place for place, kept in zip(checked.places, keep, strict=True) if kept]
    return checked.models


def _numbers(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _check_scale(row: Any, place: Place, report: Report) -> None:
    if row.scale == 0:
        report.error(place.at("scale"), "a scale of 0 makes every value 0")


def _check_feedback(row: Any, place: Place, report: Report) -> None:
    if row.feedback is None:
        for name in ("feedback_tolerance", "feedback_s"):
            if getattr(row, name) is not None:
                report.warning(place.at(name), "without a feedback this has no effect")
    elif not KIND_BY_WORD[row.kind].commanded:
        report.error(place.at("feedback"), f"only a control or setpoint has a feedback; this point is {_a(row.kind)}")


def _check_chatter(row: Any, place: Place, report: Report) -> None:
    given = [name for name in ("chatter_count", "chatter_s") if getattr(row, name) is not None]
    if not given:
        return
    if row.kind not in ("binary", "double"):
        report.error(place.at(given[0]), f"only a binary or double chatters; this point is {_a(row.kind)}")
    elif len(given) == 1:
        other = "chatter_s" if given == ["chatter_count"] else "chatter_count"
        report.error(place.at(given[0]), f"{given[0]} is given without {other}: so many changes in how many seconds?")


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


_ALARMS: Final = ("alarm_ll", "alarm_l", "alarm_h", "alarm_hh")


_ALARM_STATES: Final = {"binary": (0.0, 1.0), "double": (0.0, 1.0, 2.0, 3.0)}


def alarm_wish(row: Any, place: Place) -> AlarmWish | None:
    """What a device-map row or a calculated point says of its alarms, if anything."""
    if row.alarm is None and row.alarm_priority is None and not row.alarm_message:
        return None
    return AlarmWish(row.alarm, row.alarm_priority, row.alarm_message, place)


def _check_alarm(row: Any, place: Place, report: Report) -> None:
    check_alarm(row, place.at, report)


def check_alarm(row: Any, at: Callable[[str], Place], report: Report) -> None:
    """The state that is an alarm; for device-map rows and calculated points."""
    if row.alarm is None:
        if all(getattr(row, name) is None for name in _ALARMS) and (row.alarm_priority or row.alarm_message):
            name = "alarm_priority" if row.alarm_priority else "alarm_message"
            report.warning(at(name), "without an alarm limit or an alarm state this has no effect")
        return
    states = _ALARM_STATES.get(row.kind)
    if states is None:
        report.error(at("alarm"), f"only a binary or double has a state that is an alarm; this point is {_a(row.kind)}")
    elif row.alarm not in states:
        known = ", ".join(f"{state:g}" for state in states)
        report.error(at("alarm"), f"a {row.kind} is never {row.alarm:g}: expected one of {known}")


def _check_limits(row: Any, place: Place, report: Report) -> None:
    check_limits(row, place.at, report)


def check_limits(row: Any, at: Callable[[str], Place], report: Report) -> None:
    """Range and alarm limits in order; for device-map rows and calculated points."""
    if row.low is not None and row.high is not None and row.low > row.high:
        report.error(at("low"), f"low ({row.low:g}) is above high ({row.high:g})")
    given = [(name, value) for name in _ALARMS if (value := getattr(row, name)) is not None]
    for (lower, below), (upper, above) in itertools.pairwise(given):
        if below > above:
            report.error(at(lower), f"{lower} ({below:g}) is above {upper} ({above:g})")
