"""All alarms of a site as columns, ordered by the row of their point. Pure; small to hold, quick to pickle."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.alarms.model import CONDITION_BY_WORD, Condition, Priority
from gateway.points.expression import Expression
from gateway.points.model import DOUBLE_OFF, DOUBLE_ON, Kind, PointCatalogue

_LIMIT_WORDS: Final = {
    Condition.LL: "very low: below",
    Condition.L: "low: below",
    Condition.H: "high: above",
    Condition.HH: "very high: above",
}
_STATE_WORDS: Final = {
    (Kind.DOUBLE, 0.0): "intermediate",
    (Kind.DOUBLE, DOUBLE_OFF): "open",
    (Kind.DOUBLE, DOUBLE_ON): "closed",
    (Kind.DOUBLE, 3.0): "faulty",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRules:
    """What holds for all alarms of a site."""

    confirm: bool = False
    """Whether an acknowledged alarm is to be confirmed as well."""
    shelve_max_s: float = 8 * 3600.0
    flood_count: int = 10
    """More than so many alarms announced within `flood_window_s` are a flood, until fewer than half of them are."""
    flood_window_s: float = 600.0
    chatter_count: int = 3
    """An alarm raised so often within `chatter_window_s` chatters."""
    chatter_window_s: float = 60.0
    standing_s: float = 24 * 3600.0
    """An alarm that has been active for so long stands."""


@dataclass(kw_only=True)
class AlarmCatalogue:
    """Index = alarm. `limit` is the threshold, or the state that is the alarm (NaN for a quality alarm).

    `group` indexes `groups` (-1: none), `suppression` indexes `suppressions` (-1: none): expressions that keep the
    alarm out of sight while they are not 0. `deadband` is in the point's unit, delays in s.
    """

    points: PointCatalogue
    row: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    condition: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    limit: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    deadband: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    on_delay_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    off_delay_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    priority: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    group: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    suppression: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    messages: dict[int, str] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    suppressions: list[Expression] = field(default_factory=list)
    rules: AlarmRules = AlarmRules()

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Alarms of the point in row r are those from ``starts[r]`` to ``starts[r + 1] - 1``."""
        return np.searchsorted(self.row, np.arange(len(self.points) + 1))

    @cached_property
    def digest(self) -> int:
        """Tells another set of alarms from this one: records name alarms by their index."""
        names = [self.points.names[row] for row in dict.fromkeys(self.row.tolist())]
        return zlib.crc32("\n".join(names).encode() + self.condition.tobytes())

    def of_row(self, row: int) -> range:
        """The alarms of one point."""
        return range(int(self.starts[row]), int(self.starts[row + 1]))

    def name(self, index: int) -> str:
        """The stable name: ``bess1/pcs/cabinet_temp/hh``."""
        return f"{self.points.names[self.row[index]]}/{Condition(int(self.condition[index])).word}"

    def find(self, name: str) -> int | None:
        """The alarm of this name; None if there is none."""
        point, _, word = name.rpartition("/")
        condition, row = CONDITION_BY_WORD.get(word), self.points.rows.get(point)
        if condition is None or row is None:
            return None
        return next((index for index in self.of_row(row) if self.condition[index] == condition), None)

    def names(self) -> list[str]:
        """Every name; for messages to people."""
        return [self.name(index) for index in range(len(self))]

    def priority_of(self, index: int) -> Priority:
        return Priority(int(self.priority[index]))

    def condition_of(self, index: int) -> Condition:
        return Condition(int(self.condition[index]))

    def group_of(self, index: int) -> str:
        """The first-out group, or an empty string."""
        group = int(self.group[index])
        return self.groups[group] if group >= 0 else ""

    def number_in_group(self, index: int) -> int:
        """Its number in its first-out group, from 1, in the order of the catalogue."""
        return int((self.group[:index] == self.group[index]).sum()) + 1

    def message(self, index: int) -> str:
        """What a person is told: as written, or made from the point's description and the limit."""
        return self.messages.get(index) or self._made_message(index)

    def _made_message(self, index: int) -> str:
        row, limit = int(self.row[index]), float(self.limit[index])
        condition = self.condition_of(index)
        what = self.points.descriptions[row] or self.points.names[row]
        if condition is Condition.QUALITY:
            return f"{what}: no usable value"
        if condition is Condition.ALARM:
            word = _STATE_WORDS.get((self.points.kind(row), limit), "on" if limit else "off")
            return f"{what}: {word}"
        return f"{what} {_LIMIT_WORDS[condition]} {limit:g} {self.points.units[row]}".rstrip()

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key not in ("starts", "digest")}
