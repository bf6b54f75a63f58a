"""All events of one master: made from changes, held by class, chosen for a response, gone once confirmed. Pure.

A binding's number in an event is its position in the columns; the number plus the size of the columns stands for the
event that tells of a command to it (g13, g43), whose quality column holds the status code.

The queue holds every event until it is confirmed (on disk, if it is a journal); the buffers find them by class.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import TableView
from gateway.events import EVENT, EventQueue, Events
from gateway.points import Changes, Qualities, Quality, Rows, Times, Values
from gateway.points.deadband import Deadband
from protocols.dnp3.database import Database, Index
from protocols.dnp3.events import EventBuffer, Numbers
from protocols.dnp3.pointtypes import FROZEN_OF, PointType
from protocols.dnp3.shown import shown

CLASSES: Final = (1, 2, 3)
ALL_CLASSES: Final = frozenset(CLASSES)
_FROZEN: Final = np.isin(np.arange(len(PointType)), [int(kind) for kind in FROZEN_OF.values()])
_NO_EVENTS: Final = np.empty(0, EVENT)
_MANY: Final = 8_192
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)


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
    """Deadbands, and the buffers of classes 1 to 3."""

    def __init__(
        self, database: Database, capacity: tuple[int, int, int], table: TableView, queue: EventQueue | None = None
    ) -> None:
        """`queue` holds the events, of all classes together; without one they are held in memory."""
        self._database = database
        self._table = table
        columns = database.columns
        size = len(columns)
        self.queue = EventQueue(sum(capacity)) if queue is None else queue
        self.deadband = Deadband(columns.limit.copy(), shown(columns))
        self.buffers = {number: EventBuffer(capacity[number - 1], 2 * size) for number in CLASSES}
        self._newest_only = np.concatenate([columns.newest_only, np.zeros(size, np.bool_)])
        self._lookup = RowLookup(columns.row, ~_FROZEN[columns.type])
        self._reported = np.zeros(size, np.bool_)
        self._confirmed_seq = 0
        self._missed = 0
        self._gone: list[Numbers] = []
        self._restore()

    def reported(self, row: int) -> tuple[float, int] | None:
        """Value and quality of a table row that was last made an event; None: none was."""
        _, positions = self._lookup.find(np.array([row], np.uint32))
        return None if not len(positions) else self.deadband.last(int(positions[0]))

    def _restore(self) -> None:
        """What the queue has from before this process: what was last reported, and events that wait."""
        size = len(self._database)
        before = self.queue.reported
        known = before.index < size
        self.deadband.reset(before.index[known], before.values[known], before.qualities[known])
        self._reported[before.index[known]] = True
        numbers = self.queue.numbers
        events = self.queue.take(len(numbers))
        keep = self._newest_of(events)
        self.queue.release_some(numbers[~keep])
        events, numbers = events[keep], numbers[keep]
        if len(events):
            # A point that has lost its class since keeps what waits for it in class 1.
            classes = np.maximum(self._database.event_class[events["binding"].astype(np.intp) % size], 1)
            self._enter(events, classes, numbers)
        for buffer in self.buffers.values():
            self.queue.release_some(buffer.make_room(0)[0])
            buffer.overflowing = self.queue.overflowing and len(buffer) > 0

    @property
    def next_number(self) -> int:
        """Events that come from now on are numbered from here."""
        return self.queue.next_number

    @property
    def waiting(self) -> int:
        """Events that are in no response."""
        return sum(buffer.waiting for buffer in self.buffers.values())

    def __len__(self) -> int:
        """Events that are not confirmed."""
        return sum(len(buffer) for buffer in self.buffers.values())

    @property
    def lost(self) -> int:
        """Events dropped."""
        return self.queue.lost

    @property
    def overflowing(self) -> bool:
        """Events were dropped and no room was made since, or never came here (IIN2.3)."""
        return self._missed > 0 or any(buffer.overflowing for buffer in self.buffers.values())

    @property
    def confirmed_seq(self) -> int:
        """See `EventQueue`."""
        return self.queue.confirmed_seq

    @property
    def settled(self) -> bool:
        """See `EventQueue`."""
        return self.queue.settled

    def missed(self, count: int) -> None:
        """So many changes never came here; at most so many events are lost with them."""
        self.queue.missed(count)
        self._missed = 2  # what is confirmed next may have been sent before this was known

    def resume(self, confirmed_seq: int) -> None:
        """The core holds that this master needs no feed record up to this one; the queue may know of more."""
        self._confirmed_seq = self.queue.resume(confirmed_seq)

    def begin(self) -> None:
        """The table is right: what differs from what was last reported is an event, what never was is told by none.

        A point that was reported before but that this core has not heard of yet keeps standing as it was reported.
        """
        # From here on every record is new; what the feed's reader makes up itself (a lost core, a difference between
        # snapshots) is numbered with the last record it had, which may be an old one.
        self._confirmed_seq = 0
        rows = self._database.columns.row
        heard = (self._table.quality[rows] & _NEVER) == 0
        own = ~_FROZEN[self._database.columns.type]
        quiet = np.flatnonzero(~self._reported)
        self.deadband.reset(quiet, self._live(quiet, self._table.value[rows[quiet]]), self._table.quality[rows[quiet]])
        told = np.flatnonzero(~self._reported & heard & own)
        self.queue.report(told, self._live(told, self._table.value[rows[told]]), self._table.quality[rows[told]])
        self._catch_up(np.flatnonzero(self._reported & heard & own))

    def _catch_up(self, positions: Index) -> None:
        """Events for points that the table shows otherwise than they were last reported, oldest first."""
        rows = self._database.columns.row[positions]
        order = np.argsort(self._table.time_ns[rows], kind="stable")
        positions, rows = positions[order], rows[order]
        seqs = np.full(len(rows), self.queue.noted_seq)
        self._report(positions, self._table.value[rows], self._table.quality[rows], self._table.time_ns[rows], seqs)

    def changes(self, batch: Changes, seq: int) -> int:
        """Make events of changes; `seq` is that of the last record. Returns how many events were dropped."""
        first = seq - len(batch) + 1
        known = max(0, self._confirmed_seq - first + 1)
        if known:
            batch, first = batch[known:], first + known
        places, positions = self._lookup.find(batch["row"])
        dropped = 0
        if len(positions):
            changed = batch[places]
            dropped = self._report(positions, changed["value"], changed["quality"], changed["time_ns"], places + first)
        self.queue.note(seq)
        return dropped

    def _live(self, positions: Index, values: Values) -> Values:
        """Counters less what a freeze-and-clear took away."""
        live: Values = values - self._database.counter_zero[positions]
        return live

    def _report(
        self, positions: Index, values: Values, qualities: Qualities, times_ns: Times, seqs: NDArray[np.integer]
    ) -> int:
        values = self._live(positions, values)
        passed = self.deadband.passes(positions, values, qualities)
        positions = positions[passed]
        self._reported[positions] = True
        events = make_events(positions, values[passed], qualities[passed], times_ns[passed], seqs[passed])
        return self._append(events, self._database.event_class[positions])

    def cleared(self, positions: Index) -> None:
        """Counters were set to 0 by the master: that is no event."""
        rows = self._database.columns.row[positions]
        self.deadband.reset(positions, self._live(positions, self._table.value[rows]), self._table.quality[rows])

    def frozen(self, positions: Index) -> int:
        """Points were frozen: events with the frozen values. Returns how many events were dropped."""
        database = self._database
        events = make_events(
            positions,
            database.frozen_value[positions],
            database.frozen_quality[positions],
            database.frozen_time_ns[positions],
            np.full(len(positions), self.queue.noted_seq),
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
            np.array([self.queue.noted_seq]),
        )
        return self._append(events, self._database.event_class[[position]])

    def _append(self, events: Events, classes: NDArray[np.uint8]) -> int:
        """Events of a class into queue and buffer; those of class 0 are none. Returns how many were dropped."""
        if not classes.all():
            events, classes = events[classes > 0], classes[classes > 0]
        if not len(events):
            return 0
        keep = self._newest_of(events)
        dropped = 0
        for number in set(classes.tolist()):
            mine = np.flatnonzero((classes == number) & keep)
            buffer = self.buffers[number]
            self._gone.append(buffer.supersede(events["binding"][mine][self._newest_only[events["binding"][mine]]]))
            numbers, too_many = buffer.make_room(len(mine))
            self._gone.append(numbers)
            keep[mine[:too_many]] = False
            dropped += len(numbers) + too_many
        self._release(at_once=len(self.queue) + len(events) > self.queue.capacity)
        self.queue.lost += dropped
        self.queue.overflowing |= dropped > 0
        events, classes = events[keep], classes[keep]
        first = self.queue.next_number
        self.queue.append(events)
        self.queue.take(len(events))
        self._enter(events, classes, np.arange(first, first + len(events)))
        return dropped

    def _enter(self, events: Events, classes: NDArray[np.uint8], numbers: Numbers) -> None:
        newest = self._newest_only[events["binding"]]
        for number, buffer in self.buffers.items():
            mine = classes == number
            if mine.any():
                buffer.append(events[mine], numbers[mine], newest[mine])

    def _newest_of(self, events: Events) -> NDArray[np.bool_]:
        """Everything but the events that a later one of the same batch supersedes."""
        keep = np.ones(len(events), np.bool_)
        binding = events["binding"]
        only = np.flatnonzero(self._newest_only[binding])
        if len(only):
            _, last = np.unique(binding[only][::-1], return_index=True)
            keep[only] = False
            keep[only[len(only) - 1 - last]] = True
        return keep

    @property
    def class_bits(self) -> int:
        """The bits of the classes that have events waiting: class 1 is bit 1 (IIN1.1 to 1.3)."""
        one, two, three = self.buffers.values()
        return (one.waiting > 0) << 1 | (two.waiting > 0) << 2 | (three.waiting > 0) << 3

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
        if len(parts) == 1:
            # One buffer is in order by itself.
            number, events, numbers = parts[0]
            count = int(np.searchsorted(numbers, before))
            return Chosen(events[:count], np.full(count, number, np.uint8), numbers[:count])
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
        self._missed = max(0, self._missed - 1)
        for number, numbers in sent.numbers.items():
            self._gone.append(self.buffers[number].confirm(numbers))
        self._release()

    def offer_again(self, sent: Sent) -> None:
        """A response was not confirmed."""
        for number, numbers in sent.numbers.items():
            self._gone.append(self.buffers[number].offer_again(numbers))
        self._release()

    def settle(self) -> None:
        """Let go of everything that is confirmed. Call it soon after a confirmation, and at the end."""
        self._release(at_once=True)

    def _release(self, at_once: bool = False) -> None:
        """The oldest events leave the queue at once; those out of its middle when there are many, for that is slow."""
        if not self._gone:
            return
        numbers = np.sort(np.concatenate(self._gone))
        if at_once or len(numbers) >= _MANY or self.queue.leads(numbers):
            self.queue.release_some(numbers)
            self._gone = []
        else:
            self._gone = [numbers]


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
