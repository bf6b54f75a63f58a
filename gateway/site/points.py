"""All points of a site, gathered row by row into a `PointCatalogue`. Used while a site is checked."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Place, Report, nearest
from gateway.contracts.settings import DeviceRowSource
from gateway.points.expression import near_names
from gateway.points.model import NO_ROW, Kind, PointCatalogue
from gateway.site.maps import FLOAT_COLUMNS, AlarmWish, DeviceMap

SYSTEM: Final = "system"
SCANS_TO_MAX_AGE: Final = 3.0
MIN_MAX_AGE_S: Final = 0.1
FEEDBACK_S: Final = 10.0
SETPOINT_TOLERANCE: Final = 0.02
"""Of the engineering range of the setpoint, or of its feedback."""
CONTROL_TOLERANCE: Final = 0.5
_REPEATS_SHOWN: Final = 5
_SUGGESTIONS: Final = 200


@dataclass(slots=True)
class _Block:
    """Points that came together: columns of one length."""

    kinds: NDArray[np.uint8]
    numbers: Mapping[str, NDArray[np.float64]]
    device: int


@dataclass(slots=True)
class _Feedback:
    row: int
    name: str
    prefix: str
    place: Place


@dataclass(slots=True)
class SitePoints:
    """Collects points in the order of their rows and knows where each one stands."""

    report: Report
    names: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    devices: list[str] = field(default_factory=list)
    alarms: dict[int, AlarmWish] = field(default_factory=dict)
    """By row: what the point's own row says of its alarms."""
    _descriptions: list[str] = field(default_factory=list)
    _units: list[str] = field(default_factory=list)
    _blocks: list[_Block] = field(default_factory=list)
    _block_starts: list[int] = field(default_factory=list)
    _block_places: list[Sequence[Place]] = field(default_factory=list)
    _feedbacks: list[_Feedback] = field(default_factory=list)
    _unsure_names: set[str] = field(default_factory=set)
    _unsure_prefixes: set[str] = field(default_factory=set)
    _suggested: int = 0

    def add_device(self, settings: Any, found: DeviceMap, place: Place) -> list[DeviceRowSource]:
        """Points of one device; those whose name is taken are reported and left out."""
        prefix = f"{settings.prefix}/"
        full = [prefix + point for point in found.points]
        keep = self._free(full, found, place)
        places, models = found.checked.places, found.checked.models
        self._unsure_names.update(prefix + name for name in found.checked.broken)
        first = self._append(
            [full[i] for i in keep],
            [found.descriptions[i] for i in keep],
            [found.units[i] for i in keep],
            [places[i] for i in keep],
        )
        numbers = {name: column[keep] for name, column in found.numbers.items()}
        numbers["max_age_s"] = self._max_ages(settings, found, keep)
        self._blocks.append(_Block(found.kinds[keep], numbers, len(self.devices)))
        self.devices.append(settings.name)
        row_of = {element: first + n for n, element in enumerate(keep)}
        for element, wish in found.alarms:
            if element in row_of:
                self.alarms[row_of[element]] = wish
        for element, name in found.feedbacks:
            if element in row_of:
                at = places[element].at("feedback")
                self._feedbacks.append(_Feedback(row_of[element], name, settings.prefix, at))
        return [DeviceRowSource(models[i], first + n, full[i], places[i]) for n, i in enumerate(keep)]

    def _free(self, full: list[str], found: DeviceMap, place: Place) -> list[int]:
        taken = [i for i, name in enumerate(full) if name in self.rows]
        for i in taken[:_REPEATS_SHOWN]:
            at = found.checked.places[i].at("point")
            self.report.error(at, f"point {full[i]} exists already ({self.place(self.rows[full[i]])})")
        if len(taken) > _REPEATS_SHOWN:
            more = len(taken) - _REPEATS_SHOWN
            self.report.error(place, f"{more} more point names of this device exist already: give it its own prefix")
        gone = set(taken)
        return [i for i in range(len(full)) if i not in gone] if gone else list(range(len(full)))

    def _max_ages(self, settings: Any, found: DeviceMap, keep: list[int]) -> NDArray[np.float64]:
        """As given, else 3 scans (at least 0.1 s), else NaN where the protocol knows no scan."""
        models, places = found.checked.models, found.checked.places
        scans = np.array([math.nan if (s := models[i].scan_s(settings)) is None else s for i in keep], np.float64)
        given = found.numbers["max_age_s"][keep]
        for at in np.flatnonzero(given < scans).tolist():
            self.report.warning(
                places[keep[at]].at("max_age_s"),
                f"{given[at]:g} s is shorter than the scan of {scans[at]:g} s: not topical between two scans",
            )
        return np.where(np.isnan(given), np.maximum(scans * SCANS_TO_MAX_AGE, MIN_MAX_AGE_S), given)

    def add(
        self, name: str, kind: Kind, place: Place, description: str = "", unit: str = "", **numbers: float
    ) -> int | None:
        """One point without a device; its row, or None when the name is taken (reported)."""
        if name in self.rows:
            self.report.error(place, f"point {name} exists already ({self.place(self.rows[name])})")
            return None
        row = self._append([name], [description], [unit], [place])
        columns = {column: np.array([numbers.get(column, math.nan)]) for column in FLOAT_COLUMNS}
        self._blocks.append(_Block(np.array([kind], np.uint8), columns, -1))
        return row

    def _append(self, names: list[str], descriptions: list[str], units: list[str], places: Sequence[Place]) -> int:
        first = len(self.names)
        self._block_starts.append(first)
        self._block_places.append(places)
        self.names += names
        self.rows.update(zip(names, range(first, first + len(names)), strict=True))
        self._descriptions += descriptions
        self._units += units
        return first

    def place(self, row: int) -> Place:
        """Where the point of this row stands in the engineer's files."""
        block = bisect.bisect_right(self._block_starts, row) - 1
        return self._block_places[block][row - self._block_starts[block]]

    def doubt(self, prefix: object) -> None:
        """This name, or names below it, may exist: what makes them is broken and reported already.

        Without a prefix that can be read every unknown name may be one of those.
        """
        self._unsure_prefixes.add(prefix if isinstance(prefix, str) else "")

    def doubtful(self, name: str) -> bool:
        """True when `name` is unknown only because of a problem already reported."""
        return name in self._unsure_names or any(
            not prefix or name == prefix or name.startswith(f"{prefix}/") for prefix in self._unsure_prefixes
        )

    def find(self, name: str, place: Place, what: str = "point") -> int | None:
        """The row of a point by name; None (reported, unless `doubtful`) when there is none."""
        row = self.rows.get(name)
        if row is None and not self.doubtful(name):
            self.report.error(place, f"{what} {name} does not exist{self.suggestion(name)}")
        return row

    def suggestion(self, name: str) -> str:
        """A known name near this one, for a message; only so many are sought in one loading."""
        self._suggested += 1
        return nearest(name, near_names(name, self.rows)) if self._suggested <= _SUGGESTIONS else ""

    def catalogue(self) -> PointCatalogue:
        """Everything as columns, with feedbacks resolved."""
        device = [np.full(len(block.kinds), block.device, np.int32) for block in self._blocks]
        kinds = _joined([block.kinds for block in self._blocks], np.uint8)
        numbers = {name: _joined([block.numbers[name] for block in self._blocks], np.float64) for name in FLOAT_COLUMNS}
        return PointCatalogue(
            names=self.names,
            kinds=kinds,
            descriptions=self._descriptions,
            units=self._units,
            device=_joined(device, np.int32),
            devices=self.devices,
            feedback=self._resolve(kinds, numbers),
            **numbers,
        )

    def _resolve(self, kinds: NDArray[np.uint8], numbers: dict[str, NDArray[np.float64]]) -> NDArray[np.int32]:
        out = np.full(len(kinds), NO_ROW, np.int32)
        told: set[Place] = set()
        for feedback in self._feedbacks:
            row = self.rows.get(f"{feedback.prefix}/{feedback.name}", self.rows.get(feedback.name))
            trouble = self._trouble(feedback, row, kinds)
            if trouble and feedback.place not in told:
                told.add(feedback.place)
                self.report.error(feedback.place, trouble)
            if row is not None and not trouble:
                out[feedback.row] = row
                _default_tolerance(feedback.row, row, kinds, numbers)
        return out

    def _trouble(self, feedback: _Feedback, row: int | None, kinds: NDArray[np.uint8]) -> str:
        below = f"{feedback.prefix}/{feedback.name}"
        if row is None:
            if self.doubtful(below) or self.doubtful(feedback.name):
                return ""
            near = self.suggestion(below)
            return f"feedback {feedback.name} does not exist, neither below {feedback.prefix} nor as a full name{near}"
        if Kind(int(kinds[row])).commanded:
            return f"feedback {feedback.name} is itself a command ({Kind(int(kinds[row])).word}): name a measured point"
        return ""


def _default_tolerance(
    row: int, feedback: int, kinds: NDArray[np.uint8], numbers: dict[str, NDArray[np.float64]]
) -> None:
    """2 % of the setpoint's range, else of its feedback's range; 0.5 for a control; NaN when nothing is known."""
    if math.isnan(numbers["feedback_s"][row]):
        numbers["feedback_s"][row] = FEEDBACK_S
    if not math.isnan(numbers["feedback_tolerance"][row]):
        return
    if kinds[row] == Kind.CONTROL:
        numbers["feedback_tolerance"][row] = CONTROL_TOLERANCE
        return
    spans = [numbers["high"][at] - numbers["low"][at] for at in (row, feedback)]
    numbers["feedback_tolerance"][row] = SETPOINT_TOLERANCE * (spans[1] if math.isnan(spans[0]) else spans[0])


def _joined(parts: Iterable[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts])
