"""The bindings of one master at work: found by table row and by address, and coded in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import TableView
from gateway.events import Events
from gateway.points import PointCatalogue, Qualities, Rows, Times, Values
from gateway.points.shown import Shown
from protocols.iec104 import elements, marks, quality
from protocols.iec104.asdu import TEST_BIT, Cause, Run, capacity, pack_sequence, pack_singles, with_addresses
from protocols.iec104.elements import TYPES, TypeRow
from protocols.iec104.plan import BindingColumns, Mode
from protocols.iec104.time56 import Zone
from protocols.iec104.values import Batch

Index = NDArray[np.intp]

COUNTER_TYPE: Final = 15
_STATE_TYPES: Final = (1, 3, 5)
_CAUSE_BY_ORIGIN: Final = (Cause.SPONTANEOUS, Cause.RETURN_REMOTE, Cause.RETURN_LOCAL)
Show = Callable[[Index, Values, Qualities], tuple[Values, Qualities]]
"""Readings of counters, from what the table says."""


class Bindings:
    """Read-only tables made once from the plan; nothing here changes while the server runs."""

    def __init__(self, columns: BindingColumns, catalogue: PointCatalogue, zone: Zone) -> None:
        self.columns = columns
        self.zone = zone
        self.low: Values = catalogue.low[columns.row]
        self.high: Values = catalogue.high[columns.row]
        self.monitored: NDArray[np.bool_] = columns.mode == Mode.MONITORED
        self.counting: NDArray[np.bool_] = self.monitored & (columns.static_type == COUNTER_TYPE)
        self.returning: NDArray[np.bool_] = self.monitored & np.isin(columns.static_type, _STATE_TYPES)
        """Types that the standard sends as return information (IEC 60870-5-101 7.3): states, not measured values."""
        self.stations = [int(address) for address in np.unique(columns.ca)]
        self._by_row = _RowLookup(columns.row, self.monitored, len(catalogue))
        keys = columns.ca.astype(np.uint64) << np.uint64(24) | columns.ioa
        self._address_order = np.argsort(keys, kind="stable")
        self._addresses = keys[self._address_order]

    def __len__(self) -> int:
        return len(self.columns)

    def shown(self) -> Shown:
        """What of a quality an event shows the master, by the event type of each binding."""
        types, form = np.unique(self.columns.event_type, return_inverse=True)
        return Shown(form, [elements.shown(TYPES[int(each)]) for each in types])

    def of_rows(self, rows: Rows) -> tuple[Index, Index]:
        """Monitored bindings of table rows: positions in `rows` and binding indices, in the order of `rows`."""
        return self._by_row.find(rows)

    def find(self, address: int, ioa: int) -> int:
        """Binding at a common address and ioa, or -1."""
        key = np.uint64(address << 24 | ioa)
        at = int(np.searchsorted(self._addresses, key))
        if at < len(self._addresses) and self._addresses[at] == key:
            return int(self._address_order[at])
        return -1

    def interrogated(self, address: int, group: int) -> Index:
        """What a station (group 0) or group interrogation answers with, in order of type and ioa. No counters."""
        return self._select(address, group, self.columns.static_type != COUNTER_TYPE)

    def counters(self, address: int, group: int) -> Index:
        """What a general (group 0) or group counter interrogation answers with."""
        return self._select(address, group, self.columns.static_type == COUNTER_TYPE)

    def encode_events(self, events: Events, limit: int) -> list[tuple[bytes, int]]:
        """ASDUs in the order of the events, each with its number of events: spontaneous or return information."""
        index = events["binding"].astype(np.intp)
        types = self.columns.event_type[index]
        addresses = self.columns.ca[index]
        tests = quality.test(events["quality"])
        places, blobs = self._blobs(index, types, events)
        origins = marks.origins(events["quality"])
        key = types.astype(np.uint32) << 24 | addresses.astype(np.uint32) << 8 | origins << 1 | tests
        edges = [0, *(np.flatnonzero(key[1:] != key[:-1]) + 1).tolist(), len(key)]
        packed: list[tuple[bytes, int]] = []
        for start, stop in pairwise(edges):
            row = TYPES[int(types[start])]
            cause = _CAUSE_BY_ORIGIN[int(origins[start])] | (TEST_BIT if tests[start] else 0)
            place = int(places[start])
            run = Run(row, cause, int(addresses[start]), place, place + stop - start)
            packed.extend(pack_singles(run, blobs[row.id], limit))
        return packed

    def _blobs(self, index: Index, types: NDArray[np.uint8], events: Events) -> tuple[Index, dict[int, bytes]]:
        """Objects of each type as one string, and every event's place in the string of its type."""
        places = np.empty(len(index), np.intp)
        blobs: dict[int, bytes] = {}
        for type_id in set(types.tolist()):
            chosen = np.flatnonzero(types == type_id)
            places[chosen] = np.arange(len(chosen))
            these = events[chosen]
            coded = self._elements(TYPES[type_id], index[chosen], these["value"], these["quality"], these["time_ns"])
            blobs[type_id] = with_addresses(self.columns.ioa[index[chosen]], coded).tobytes()
        return places, blobs

    def encode_state(
        self, index: Index, table: TableView, cause: int, originator: int = 0, show: Show | None = None
    ) -> Iterator[bytes]:
        """ASDUs with the present values of bindings of one common address, packed as full as they go.

        `index` is in the order of the columns; untimed twins; `cause` carries its T bit if any. `show` says what
        counters read.
        """
        types = self.columns.static_type[index]
        edges = np.flatnonzero(types[1:] != types[:-1]) + 1
        for part in np.split(index, edges):
            if len(part):
                yield from self._encode_type(part, table, cause, originator, show)

    def _encode_type(
        self, index: Index, table: TableView, cause: int, originator: int, show: Show | None
    ) -> Iterator[bytes]:
        row = TYPES[int(self.columns.static_type[index[0]])]
        rows = self.columns.row[index]
        values, qualities = table.value[rows], table.quality[rows]
        if show is not None and row.id == COUNTER_TYPE:
            values, qualities = show(index, values, qualities)
        coded = self._elements(row, index, values, qualities, table.time_ns[rows])
        ioas = self.columns.ioa[index]
        tests = quality.test(qualities)
        address = int(self.columns.ca[index[0]])
        bare, full = coded.tobytes(), with_addresses(ioas, coded).tobytes()
        for start, stop, sequence in layout(row, ioas, tests):
            run = Run(row, cause | (TEST_BIT if tests[start] else 0), address, start, stop, originator)
            packed = pack_sequence(run, int(ioas[start]), bare) if sequence else pack_singles(run, full)
            for asdu, _ in packed:
                yield asdu

    def _elements(
        self, row: TypeRow, index: Index, values: Values, qualities: Qualities, times_ns: Times
    ) -> elements.Octets:
        batch = Batch(values, qualities, self.low[index], self.high[index])
        return elements.encode(row, batch, times_ns, self.zone)

    def _select(self, address: int, group: int, of_kind: NDArray[np.bool_]) -> Index:
        chosen = self.monitored & of_kind & (self.columns.ca == address)
        if group:
            chosen &= self.columns.group == group
        return np.flatnonzero(chosen)


class _RowLookup:
    """From table rows to bindings: most rows have one binding or none, some have several."""

    def __init__(self, rows: Rows, monitored: NDArray[np.bool_], table_length: int) -> None:
        chosen = np.flatnonzero(monitored)
        order = np.argsort(rows[chosen], kind="stable")
        self._bindings = chosen[order]
        counts = np.bincount(rows[chosen], minlength=table_length)
        self._starts = np.concatenate(([0], np.cumsum(counts)))
        self._counts = counts
        self._single = bool(len(counts) == 0 or counts.max() <= 1)

    def find(self, rows: Rows) -> tuple[Index, Index]:
        counts = self._counts[rows]
        if self._single:
            positions = np.flatnonzero(counts)
            return positions, self._bindings[self._starts[rows[positions]]]
        positions = np.repeat(np.arange(len(rows)), counts)
        first = np.cumsum(counts) - counts
        nth = np.arange(len(positions)) - first[positions]
        return positions, self._bindings[self._starts[rows[positions]] + nth]


def layout(row: TypeRow, ioas: NDArray[np.uint32], tests: NDArray[np.bool_]) -> list[tuple[int, int, bool]]:
    """Cut objects of one type into (start, stop, SQ): SQ=1 where addresses run on and it fills ASDUs better.

    Objects in test have their own ASDUs, for the test bit belongs to the cause. A stretch of running addresses
    shorter than half an ASDU joins its neighbours with SQ=0, unless it has none.
    """
    breaks = (np.diff(ioas.astype(np.int64)) != 1) | (tests[1:] != tests[:-1])
    starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    lengths = np.diff(np.concatenate((starts, [len(ioas)])))
    long = lengths >= max(2, capacity(row, False) // 2)
    parted = np.concatenate(([True], long[1:] | long[:-1] | (tests[starts[1:]] != tests[starts[:-1]])))
    firsts = np.flatnonzero(parted)
    stretches = np.diff(np.concatenate((firsts, [len(starts)])))
    edges = [*starts[firsts].tolist(), len(ioas)]
    running = (stretches == 1) & (lengths[firsts] > 1)
    return list(zip(edges, edges[1:], running.tolist(), strict=False))
