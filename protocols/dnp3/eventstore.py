"""All events of one master: made from changes, held by class, chosen for a response, gone once confirmed. Pure.

A binding's number in an event is its position in the columns; the number plus the size of the columns stands for the
event that tells of a command to it (g13, g43), whose quality column holds the status code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import TableView
from gateway.events import EVENT, Events
from gateway.points import Changes, Qualities, Rows, Times, Values
from gateway.points.deadband import Deadband
from protocols.dnp3.database import Database, Index
from protocols.dnp3.events import EventBuffer, Numbers
from protocols.dnp3.pointtypes import FROZEN_OF, PointType

CLASSES: Final = (1, 2, 3)
ALL_CLASSES: Final = frozenset(CLASSES)
_FROZEN: Final = np.isin(np.arange(len(PointType)), [int(kind) for kind in FROZEN_OF.values()])
_NO_EVENTS: Final = np.empty(0, EVENT)


@dataclass(slots=True)
class Sent:
    """Events in a response that waits for its confirmation, by class."""

    numbers: dict[int, Numbers] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(numbers) for numbers in self.numbers.values())

    def add(self, classes: NDArray[np.uint8], numbers: Numbers) -> None:
        """More events of the same response."""
        for number in set(classes.tolist()):
            more = numbers[classes == number]
            before = self.numbers.get(number)
            self.numbers[number] = more if before is None else np.concatenate([before, more])


@dataclass(frozen=True, slots=True)
class Chosen:
    """Waiting events in the order in which they came about, with class and number of each."""

    events: Events
    classes: NDArray[np.uint8]
    numbers: Numbers

    def __len__(self) -> int:
        return len(self.events)


class EventStore:
    """Deadbands and the buffers of classes 1 to 3."""

    def __init__(self, database: Database, capacity: tuple[int, int, int], table: TableView) -> None:
        self._database = database
        self._table = table
        columns = database.columns
        size = len(columns)
        self.deadband = Deadband(columns.limit.copy())
        self.buffers = {number: EventBuffer(capacity[number - 1], 2 * size) for number in CLASSES}
        self.next_number = 0
        self._newest_only = bool(columns.newest_only.any())
        self._lookup = RowLookup(columns.row, ~_FROZEN[columns.type])
        self._reported = np.zeros(size, np.bool_)
        self._confirmed_seq = 0
        self._noted_seq = 0

    @property
    def waiting(self) -> int:
        """Events that are in no response."""
        return sum(buffer.waiting for buffer in self.buffers.values())

    def __len__(self) -> int:
        """Events that are not confirmed."""
        return sum(len(buffer) for buffer in self.buffers.values())

    @property
    def lost(self) -> int:
        """Events dropped since start."""
        return sum(buffer.lost for buffer in self.buffers.values())

    @property
    def overflowing(self) -> bool:
        """Events were dropped and no room was made since (IIN2.3)."""
        return any(buffer.overflowing for buffer in self.buffers.values())

    @property
    def confirmed_seq(self) -> int:
        """Everything that came of feed records up to this one was confirmed (or dropped)."""
        oldest = [buffer.oldest_seq for buffer in self.buffers.values()]
        return min((seq - 1 for seq in oldest if seq is not None), default=self._noted_seq)

    def resume(self, confirmed_seq: int) -> None:
        """The master had confirmed everything up to this feed record before the worker started."""
        self._confirmed_seq = confirmed_seq
        self._noted_seq = max(self._noted_seq, confirmed_seq)

    def begin(self) -> None:
        """The table is right: what has not been reported since is compared with what the table shows now."""
        quiet = np.flatnonzero(~self._reported)
        rows = self._database.columns.row[quiet]
        self.deadband.reset(quiet, self._table.value[rows], self._table.quality[rows])
        # From here on every record is new: see `EventLog` numbering of the feed's reader after a lost core.
        self._confirmed_seq = 0

    def changes(self, batch: Changes, seq: int) -> int:
        """Make events of changes; `seq` is that of the last record. Returns how many events were dropped."""
        first = seq - len(batch) + 1
        known = max(0, self._confirmed_seq - first + 1)
        if known:
            batch, first = batch[known:], first + known
        places, positions = self._lookup.find(batch["row"])
        dropped = self._report(batch[places], places + first, positions) if len(positions) else 0
        self._noted_seq = max(self._noted_seq, seq)
        return dropped

    def _report(self, changed: Changes, seqs: Index, positions: Index) -> int:
        passed = self.deadband.passes(positions, changed["value"], changed["quality"])
        if not passed.all():
            changed, seqs, positions = changed[passed], seqs[passed], positions[passed]
        self._reported[positions] = True
        events = make_events(
            positions,
            changed["value"] - self._database.counter_zero[positions],
            changed["quality"],
            changed["time_ns"],
            seqs,
        )
        return self._append(events, self._database.event_class[positions])

    def frozen(self, positions: Index) -> int:
        """Points were frozen: events with the frozen values. Returns how many events were dropped."""
        database = self._database
        events = make_events(
            positions,
            database.frozen_value[positions],
            database.frozen_quality[positions],
            database.frozen_time_ns[positions],
            np.full(len(positions), self._noted_seq),
        )
        return self._append(events, database.event_class[positions])

    def commanded(self, position: int, value: float, status: int, time_ns: int) -> int:
        """A command to an output was answered with `status`; `value` in engineering units."""
        columns = self._database.columns
        if not columns.command_event_var[position]:
            return 0
        events = make_events(
            np.array([position + len(columns)]),
            np.array([value]),
            np.array([status], np.uint32),
            np.array([time_ns]),
            np.array([self._noted_seq]),
        )
        return self._append(events, self._database.event_class[[position]])

    def _append(self, events: Events, classes: NDArray[np.uint8]) -> int:
        """Events by their class, numbered in their order; those of class 0 are none."""
        first = self.next_number
        self.next_number += len(events)
        newest = self._newest_of(events) if self._newest_only else None
        dropped = 0
        for number, buffer in self.buffers.items():
            mine = np.flatnonzero(classes == number)
            if len(mine):
                only = None if newest is None else newest[mine]
                dropped += buffer.append(events[mine], first + mine, only)
        return dropped

    def _newest_of(self, events: Events) -> NDArray[np.bool_]:
        only = self._database.columns.newest_only
        binding = events["binding"].astype(np.intp)
        marked: NDArray[np.bool_] = only[binding % len(only)] & (binding < len(only))
        return marked

    def has(self, number: int) -> bool:
        """Whether an event of this class waits."""
        return self.buffers[number].waiting > 0

    def waiting_of(self, classes: frozenset[int]) -> int:
        """Events of these classes that are in no response."""
        return sum(self.buffers[number].waiting for number in classes)

    def choose(
        self, classes: frozenset[int], limit: int, before: int, kinds: NDArray[np.bool_] | None = None
    ) -> Chosen:
        """The oldest waiting events of these classes, numbered below `before`; nothing moves."""
        parts = [(number, *self.buffers[number].peek(limit, kinds)) for number in sorted(classes) if self.has(number)]
        if not parts:
            return Chosen(_NO_EVENTS, np.empty(0, np.uint8), np.empty(0, np.int64))
        events = np.concatenate([events for _, events, _ in parts])
        numbers = np.concatenate([numbers for _, _, numbers in parts])
        of_class = np.concatenate([np.full(len(numbers), number, np.uint8) for number, _, numbers in parts])
        order = np.argsort(numbers, kind="stable")[:limit]
        order = order[numbers[order] < before]
        return Chosen(events[order], of_class[order], numbers[order])

    def send(self, chosen: Chosen, count: int, sent: Sent) -> None:
        """The first `count` of `chosen` are in a response now; `sent` remembers them."""
        classes, numbers = chosen.classes[:count], chosen.numbers[:count]
        for number in set(classes.tolist()):
            self.buffers[number].send(numbers[classes == number])
        sent.add(classes, numbers)

    def confirm(self, sent: Sent) -> None:
        """The master confirmed a response."""
        for number, numbers in sent.numbers.items():
            self.buffers[number].confirm(numbers)

    def offer_again(self, sent: Sent) -> None:
        """A response was not confirmed."""
        for number, numbers in sent.numbers.items():
            self.buffers[number].offer_again(numbers)


def make_events(
    bindings: NDArray[np.integer], values: Values, qualities: Qualities, times_ns: Times, seqs: NDArray[np.integer]
) -> Events:
    """Columns of one length as `EVENT` records."""
    events = np.empty(len(bindings), EVENT)
    events["binding"] = bindings
    events["quality"] = qualities
    events["value"] = values
    events["time_ns"] = times_ns
    events["seq"] = seqs
    return events


class RowLookup:
    """From table rows to positions: most rows have one binding or none, some have several."""

    def __init__(self, rows: Rows, reported: NDArray[np.bool_]) -> None:
        chosen = np.flatnonzero(reported)
        order = np.argsort(rows[chosen], kind="stable")
        self._positions = chosen[order]
        self._rows = rows[self._positions].astype(np.int64)
        self._single = len(np.unique(self._rows)) == len(self._rows)

    def find(self, rows: Rows) -> tuple[Index, Index]:
        """Places in `rows` and positions of their bindings, in the order of `rows`."""
        low = np.searchsorted(self._rows, rows)
        high = np.searchsorted(self._rows, rows, "right")
        counts = high - low
        if self._single:
            places = np.flatnonzero(counts)
            return places, self._positions[low[places]]
        places = np.repeat(np.arange(len(rows)), counts)
        first = np.cumsum(counts) - counts
        nth = np.arange(len(places)) - first[places]
        return places, self._positions[low[places] + nth]
