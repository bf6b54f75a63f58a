"""ASDUs of a controlled station to the points that are bound to them. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Quality, Rows, Times, Values
from protocols.iec104 import elements as element_table
from protocols.iec104.asdu import Asdu
from protocols.iec104.elements import Elements, Tag, TypeRow
from protocols.iec104.field.plan import PointColumns
from protocols.iec104.field.tags import Stamps, Tags
from protocols.iec104.field.types import CARRY, COUNTERS, FAMILY, MONITORED, QUALITIES, WORDS, quality_octets

Index = NDArray[np.intp]

_TIME_INVALID: Final = np.uint32(Quality.TIME_INVALID)
_INVALID: Final = np.uint32(Quality.INVALID)
_TEST: Final = np.uint32(Quality.TEST)
_MOST_NAMED: Final = 50
"""So many strangers of a kind are told by name; what comes beyond is counted."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Points as they came, in order; a row may come more than once."""

    rows: Rows
    values: Values
    qualities: Qualities
    times_ns: Times


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for the log, told once."""

    event: str
    facts: dict[str, object]


class Decoder:
    """Binds what one RTU sends. `heard`: points that were given since `begin`; `ever`: at any time."""

    def __init__(self, points: PointColumns, tags: Tags, marked: bool, counters: Counter[str]) -> None:
        self._points, self._tags, self._counters = points, tags, counters
        self._untimed = _TIME_INVALID if marked else np.uint32(0)
        self._told: set[object] = set()
        self._known = np.zeros(len(points), np.bool_)
        self._value = np.zeros(len(points))
        self._quality: Qualities = np.zeros(len(points), np.uint32)
        self.heard: NDArray[np.bool_] = np.zeros(len(points), np.bool_)
        self.ever: NDArray[np.bool_] = np.zeros(len(points), np.bool_)
        self.notices: list[Notice] = []

    def forget(self) -> None:
        """The link broke: what comes next is news, whatever it is."""
        self._known[:] = False

    def decode(self, asdu: Asdu, received_ns: int) -> Batch | None:
        """The points of one ASDU of a monitored type; None when none is bound. Raises `Iec104Error` if malformed."""
        row = MONITORED[asdu.type_id]
        ioas, elements = asdu.objects(MONITORED)
        keys = np.uint64(asdu.common_address << 24) | ioas.astype(np.uint64)
        objects, bound = self._bind(row, keys)
        if not len(bound):
            return None
        picked = elements[objects]
        values = self._values(row, picked, bound)
        octets = quality_octets(row, picked)
        qualities = QUALITIES[FAMILY[row.id]][octets]
        if FAMILY[row.id] == COUNTERS:
            self._counters["counter_carries"] += int(((octets & CARRY) != 0).sum())
        if asdu.test:
            qualities = qualities | _TEST
        if not (finite := np.isfinite(values)).all():
            values = np.where(finite, values, self._value[bound])
            qualities = np.where(finite, qualities, qualities | _INVALID)
        stamps = self._stamps(row, picked, received_ns)
        if stamps is None:
            qualities = self._mark(bound, values, qualities)
            times: Times = np.full(len(bound), received_ns, np.int64)
        else:
            times = stamps.times_ns
            qualities = qualities | np.where(stamps.invalid, _TIME_INVALID, np.uint32(0))
        self._remember(bound, values, qualities)
        return Batch(self._points.row[bound], values, qualities.astype(np.uint32), times)

    def _bind(self, row: TypeRow, keys: NDArray[np.uint64]) -> tuple[Index, Index]:
        """Objects and the points they are for, pairwise; what is for none is counted and told."""
        first = np.searchsorted(self._points.key, keys, "left")
        count = np.searchsorted(self._points.key, keys, "right") - first
        objects = np.repeat(np.arange(len(keys)), count)
        within = np.arange(len(objects)) - np.repeat(np.cumsum(count) - count, count)
        bound = np.repeat(first, count) + within
        if len(unknown := np.flatnonzero(count == 0)):
            self._counters["unknown_points"] += len(unknown)
            self._strangers(row, keys[unknown])
        fits = self._points.family[bound] == FAMILY[row.id]
        if not fits.all():
            self._counters["wrong_type"] += int((~fits).sum())
            self._misfits(row, bound[~fits])
            objects, bound = objects[fits], bound[fits]
        return objects, bound

    def _values(self, row: TypeRow, elements: Elements, bound: Index) -> Values:
        points = self._points
        values = element_table.values(row, elements, points.low[bound], points.high[bound])
        bits = points.bit[bound]
        if (bits >= 0).any():
            shifted = values.astype(np.int64) >> np.maximum(bits, 0)
            values = np.where(bits >= 0, shifted & 1, values)
        scaled: Values = values * points.scale[bound] + points.offset[bound]
        return scaled

    def _stamps(self, row: TypeRow, elements: Elements, received_ns: int) -> Stamps | None:
        if row.tag is Tag.NONE:
            return None
        read = self._tags.short if row.tag is Tag.CP24 else self._tags.long
        stamps = read(elements["time"], received_ns)
        if stamps.senseless.any():
            self._counters["bad_time_tags"] += int(stamps.senseless.sum())
            example = elements["time"][stamps.senseless][0].tobytes().hex()
            self._tell("time tags that are no time", "tags", example=example)
        return stamps

    def _mark(self, bound: Index, values: Values, qualities: Qualities) -> Qualities:
        """Without a tag: what only repeats the known value keeps the standing of its time."""
        before = self._quality[bound]
        same = self._known[bound] & (self._value[bound] == values) & ((before & ~_TIME_INVALID) == qualities)
        marked: Qualities = np.where(same, before, qualities | self._untimed)
        return marked

    def _remember(self, bound: Index, values: Values, qualities: Qualities) -> None:
        self._known[bound] = True
        self._value[bound] = values
        self._quality[bound] = qualities
        self.heard[bound] = self.ever[bound] = True

    # -- what is told once --------------------------------------------------------------------------------------

    def _strangers(self, row: TypeRow, keys: NDArray[np.uint64]) -> None:
        if sum(isinstance(each, int) for each in self._told) > _MOST_NAMED:
            return
        for key in keys.tolist():
            self._tell("point in no map", key, ca=key >> 24, ioa=key & 0xFFFFFF, type=row.name)

    def _misfits(self, row: TypeRow, bound: Index) -> None:
        for at in bound.tolist():
            self._tell(
                "point of another type",
                ("type", at),
                point=self._points.names[at],
                sent=row.name,
                expected=WORDS[int(self._points.family[at])],
            )

    def _tell(self, event: str, what: object, **facts: object) -> None:
        if what in self._told or len(self._told) > 4 * _MOST_NAMED:
            return
        self._told.add(what)
        self.notices.append(Notice(event, facts))

    def take_notices(self) -> list[Notice]:
        notices, self.notices = self.notices, []
        return notices
