"""Responses of an outstation to the points that are bound to them: values, quality and time as it gave them. Pure.

bit          7      6               5                4             3              2          1        0
BINARY       STATE  .               CHATTER_FILTER   LOCAL_FORCED  REMOTE_FORCED  COMM_LOST  RESTART  ONLINE
COUNTER      .      DISCONTINUITY   ROLLOVER         "             "              "          "        "
ANALOG       .      REFERENCE_ERR   OVER_RANGE       "             "              "          "        "
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Quality, Rows, Times, Values
from protocols.dnp3 import objects, quality, time48
from protocols.dnp3.field.plan import PointColumns
from protocols.dnp3.function import Function
from protocols.dnp3.headers import ObjectHeader, read_headers
from protocols.dnp3.objecttable import ObjectRow
from protocols.dnp3.pointtypes import BY_EVENT_GROUP, BY_STATIC_GROUP, TypeRow
from protocols.dnp3.quality import Family

_GOOD: Final = Quality(0)
_COMMON: Final[Mapping[int, Quality]] = {
    quality.RESTART: Quality.NEVER_REPORTED,
    quality.COMM_LOST: Quality.COMM_LOST,
    quality.REMOTE_FORCED: Quality.LOCAL_FORCED,
    # Forced at the outstation itself, as we say it of values forced here.
    quality.LOCAL_FORCED: Quality.SUBSTITUTED,
    quality.STATE: _GOOD,
}
_BINARY: Final = {**_COMMON, quality.CHATTER_FILTER: Quality.CHATTER, 0x40: _GOOD}
FLAGS: Final[Mapping[Family, Mapping[int, Quality]]] = {
    Family.BINARY: _BINARY,
    Family.DOUBLE: _BINARY,
    Family.OUTPUT: {**_COMMON, 0x20: _GOOD, 0x40: _GOOD},
    # Both speak of the difference to the reading before, not of the reading.
    Family.COUNTER: {**_COMMON, quality.ROLLOVER: _GOOD, quality.DISCONTINUITY: _GOOD},
    Family.ANALOG: {
        **_COMMON,
        quality.OVER_RANGE: Quality.OVER_RANGE,
        quality.REFERENCE_ERR: Quality.REFERENCE_ERROR,
    },
}
"""Our flag for each bit of an outstation's; ONLINE taken away without another word is INVALID."""

_COMMON_TIME: Final = 51
_TIME_INVALID: Final = np.uint32(Quality.TIME_INVALID)
_INVALID: Final = np.uint32(Quality.INVALID)
_LATEST_MS: Final = 9_000_000_000_000
"""Times behind it do not fit ns in 64 bits, and are none: the year 2255."""


def _lookup(bits: Mapping[int, Quality]) -> Qualities:
    octets = np.arange(256)
    table: Qualities = np.zeros(256, np.uint32)
    for bit, flag in bits.items():
        table[(octets & bit) != 0] |= np.uint32(int(flag))
    silent = ((octets & quality.ONLINE) == 0) & ((octets & (quality.RESTART | quality.COMM_LOST)) == 0)
    table[silent] |= _INVALID
    return table


QUALITIES: Final[Mapping[Family, Qualities]] = {family: _lookup(bits) for family, bits in FLAGS.items()}


@dataclass(frozen=True, slots=True)
class Batch:
    """Points as they came, in order; a row may come more than once."""

    rows: Rows
    values: Values
    qualities: Qualities
    times_ns: Times


class Decoder:
    """Binds what one outstation sends. What only repeats a known value keeps the time that it came with."""

    def __init__(self, points: PointColumns, counters: Counter[str]) -> None:
        self._points, self._counters = points, counters
        size = len(points)
        self._known: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self._value: Values = np.zeros(size)
        self._quality: Qualities = np.zeros(size, np.uint32)
        self._time_ns: Times = np.zeros(size, np.int64)

    def forget(self) -> None:
        """The link broke: what comes next is news, whatever it is."""
        self._known[:] = False

    def decode(self, payload: bytes, received_ns: int, doubtful: bool) -> list[Batch]:
        """Objects of one response; `doubtful`: the outstation says that its clock is not set (IIN1.4)."""
        headers, _, error = read_headers(payload, Function.RESPONSE)
        self._counters["unreadable"] += error is not None
        batches: list[Batch] = []
        base_ms, trusted = 0, True
        for header in headers:
            if header.group == _COMMON_TIME:
                base_ms, trusted = int.from_bytes(header.data[: time48.SIZE], "little"), header.variation == 1
                continue
            batch = self._header(header, received_ns, base_ms, doubtful or not trusted)
            if batch is not None:
                batches.append(batch)
        return batches

    def _header(self, header: ObjectHeader, received_ns: int, base_ms: int, doubtful: bool) -> Batch | None:
        static = BY_STATIC_GROUP.get(header.group)
        kind = static or BY_EVENT_GROUP.get(header.group)
        row = header.row
        if kind is None or row is None or not (header.ranged or header.indexed):
            return None
        self._counters["events"] += 0 if static else header.count
        which, bound = self._bind(kind, header)
        if not len(bound):
            return None
        records = objects.decode(row, header.data, header.count)[which]
        values = objects.values(row, records) * self._points.scale[bound] + self._points.offset[bound]
        qualities = QUALITIES[kind.family][objects.flags(row, records)]
        finite = np.isfinite(values)
        values = np.where(finite, values, self._value[bound])
        qualities = np.where(finite, qualities, qualities | _INVALID)
        times, invalid = self._times(row, records, received_ns, base_ms, doubtful)
        if times is None and static:
            times = self._standing(bound, values, qualities, received_ns)
        elif times is None:
            times, invalid = np.full(len(bound), received_ns, np.int64), np.ones(len(bound), np.bool_)
        qualities = np.where(invalid, qualities | _TIME_INVALID, qualities).astype(np.uint32)
        self._remember(bound, values, qualities, times)
        return Batch(self._points.row[bound], values, qualities, times)

    def _bind(self, kind: TypeRow, header: ObjectHeader) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Objects and the points that they are of; what is in no map is counted."""
        keys = (int(kind.type) << 16) | header.indices
        held = self._points.key
        at = np.minimum(np.searchsorted(held, keys), max(len(held) - 1, 0))
        known = held[at] == keys if len(held) else np.zeros(len(keys), np.bool_)
        self._counters["unknown_points"] += int((~known).sum())
        which = np.flatnonzero(known)
        return which, at[which]

    def _times(
        self, row: ObjectRow, records: objects.Records, received_ns: int, base_ms: int, doubtful: bool
    ) -> tuple[Times | None, NDArray[np.bool_]]:
        """The outstation's own times, and which of them are not to be trusted; None: it gave none."""
        times_ms = objects.times_ms(row, records, base_ms)
        if times_ms is None:
            return None, np.zeros(len(records), np.bool_)
        senseless = (times_ms < 0) | (times_ms > _LATEST_MS)
        times = np.where(senseless, received_ns, np.where(senseless, 0, times_ms) * time48.NS_PER_MS)
        return times, senseless | doubtful

    def _standing(self, bound: NDArray[np.intp], values: Values, qualities: Qualities, received_ns: int) -> Times:
        """A present value is of now, unless it is the one that came with a time before that can be trusted."""
        same = self._known[bound] & (self._value[bound] == values) & (self._quality[bound] == qualities)
        standing: Times = np.where(same, self._time_ns[bound], received_ns)
        return standing

    def _remember(self, bound: NDArray[np.intp], values: Values, qualities: Qualities, times: Times) -> None:
        self._known[bound] = True
        self._value[bound], self._quality[bound], self._time_ns[bound] = values, qualities, times
