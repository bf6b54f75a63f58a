"""The event buffers against a plain list: whatever is read, confirmed, cut or lost, in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.events import EventQueue
from gateway.points import CHANGE
from protocols.dnp3.database import Database
from protocols.dnp3.eventstore import EventStore, Sent
from protocols.dnp3.pointtypes import PointType as T
from tests.contract.server_suite import Table
from tests.kit.dnp3kit import Row, columns

CAPACITY = 12
# position -> class: three types, two classes with sequences and one point that keeps its newest event alone
ROWS = [
    Row(row=0, type=T.BI, index=0, event_class=1),
    Row(row=1, type=T.CTR, index=0, event_class=2),
    Row(row=2, type=T.AI, index=0, event_class=1),
    Row(row=3, type=T.AI, index=1, event_class=2, newest_only=True),
    Row(row=4, type=T.AI, index=2),
]
CLASS_OF = {0: 1, 1: 2, 2: 1, 3: 2}


@dataclass
class Entry:
    point: int
    value: float
    sent: bool = False


@dataclass
class Response:
    """Events in a response, as the store knows them and as the list does."""

    sent: Sent = field(default_factory=Sent)
    entries: list[Entry] = field(default_factory=list)


class Buffers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        table = Table(5)
        table.quality[:] = 0
        self.store = EventStore(Database(columns(ROWS), table), (CAPACITY,) * 3, table, EventQueue(3 * CAPACITY))
        self.store.begin()
        self.entries: list[Entry] = []
        self.responses: list[Response] = []
        self.value = 0
        self.newest = 0.0
        """The value of the newest event there ever was of the point that keeps that one alone."""
        self.seq = 0
        self.lost = 0

    def _held(self, number: int) -> list[Entry]:
        return [entry for entry in self.entries if CLASS_OF[entry.point] == number]

    @rule(points=st.lists(st.integers(0, 4), min_size=1, max_size=5))
    def change(self, points: list[int]) -> None:
        batch = np.zeros(len(points), CHANGE)
        for place, point in enumerate(points):
            self.value += 1
            batch[place] = (point, 0, float(self.value), self.value)
        self.seq += len(points)
        self.store.changes(batch, self.seq)
        new = [Entry(point, float(value)) for point, value in zip(points, batch["value"], strict=True) if point != 4]
        newest = [entry for entry in new if entry.point == 3][-1:]
        new = [entry for entry in new if entry.point != 3 or entry in newest]
        if newest:
            self.newest = newest[0].value
            self.entries = [entry for entry in self.entries if entry.point != 3 or entry.sent]
        for number in (1, 2):
            mine = [entry for entry in new if CLASS_OF[entry.point] == number]
            for _ in range(len(self._held(number)) + len(mine) - CAPACITY):
                self._drop_one(number)
        self.entries += new

    def _drop_one(self, number: int) -> None:
        """The oldest one that waits; what is on its way goes last."""
        held = self._held(number)
        self.entries.remove(next((entry for entry in held if not entry.sent), held[0]))
        self.lost += 1

    @rule(classes=st.sampled_from([{1}, {2}, {1, 2}]), limit=st.integers(1, 6), analogs=st.booleans())
    def read(self, classes: set[int], limit: int, analogs: bool) -> None:
        kinds = np.tile(np.array([False, False, True, True, True]), 2) if analogs else None
        chosen = self.store.choose(frozenset(classes), limit, self.store.next_number, kinds)
        expected = [
            entry
            for entry in self.entries
            if not entry.sent and CLASS_OF[entry.point] in classes and (not analogs or entry.point >= 2)
        ][:limit]
        assert [(int(event["binding"]), float(event["value"])) for event in chosen.events] == [
            (entry.point, entry.value) for entry in expected
        ]
        response = Response()
        self.store.send(chosen, len(chosen), response.sent)
        for entry in expected:
            entry.sent = True
        response.entries = expected
        self.responses.append(response)

    @precondition(lambda self: self.responses)
    @rule(data=st.data(), confirmed=st.booleans())
    def settle(self, data: st.DataObject, confirmed: bool) -> None:
        response = self.responses.pop(data.draw(st.integers(0, len(self.responses) - 1)))
        if confirmed:
            self.store.confirm(response.sent)
            self.entries = [entry for entry in self.entries if all(entry is not gone for gone in response.entries)]
            return
        self.store.offer_again(response.sent)
        for entry in response.entries:
            entry.sent = False
        self.entries = [e for e in self.entries if e.point != 3 or e.sent or e.value == self.newest]

    @invariant()
    def same(self) -> None:
        self.store.settle()
        for number in (1, 2):
            held = self._held(number)
            buffer = self.store.buffers[number]
            assert (len(buffer), buffer.waiting) == (len(held), sum(not entry.sent for entry in held))
        assert len(self.store.queue) == len(self.entries)
        assert self.store.lost == self.lost
        assert self.store.queue.confirmed_seq <= self.seq


TestBuffers = Buffers.TestCase
TestBuffers.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


class Master:
    """Has sent for events of class 2 and answers, or not, in an order of its own."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.table = Table(5)
        self.table.quality[:] = 0
        self.capacity = (capacity,) * 3
        self.queue = EventQueue(3 * capacity)
        self.changes = 0
        self.store = self.started()
        self.store.begin()

    def started(self) -> EventStore:
        """A store on the queue as it is: after a restart, what was taken is to be taken again."""
        self.queue.rewind()
        return EventStore(Database(columns(ROWS), self.table), self.capacity, self.table, self.queue)

    def changes_to(self, row: int, value: float) -> None:
        self.changes += 1
        self.store.changes(np.array([(row, 0, value, self.changes)], CHANGE), self.changes)

    def reads(self) -> tuple[list[float], Sent]:
        chosen, sent = self.store.choose(frozenset({2}), 100, self.store.next_number), Sent()
        self.store.send(chosen, len(chosen), sent)
        return chosen.events["value"].tolist(), sent


def test_of_the_newest_alone_an_old_value_is_not_offered_again_after_a_newer_one_was_confirmed() -> None:
    master = Master()
    master.changes_to(3, 1.0)
    values, first = master.reads()
    assert values == [1.0]
    master.changes_to(3, 2.0)
    values, second = master.reads()
    assert values == [2.0]
    master.store.confirm(second)
    master.store.offer_again(first)
    assert master.reads()[0] == []
    master.store.settle()
    assert (len(master.store), len(master.store.queue), master.store.lost) == (0, 0, 0)
    master.changes_to(3, 3.0)
    assert master.reads()[0] == [3.0]


def test_of_the_newest_alone_an_old_value_is_not_offered_again_after_a_newer_one_was_dropped() -> None:
    master = Master(capacity=2)
    master.changes_to(3, 1.0)
    _, first = master.reads()
    master.changes_to(3, 2.0)
    master.changes_to(1, 10.0)
    assert (master.store.lost, master.store.overflowing) == (1, True)
    master.store.offer_again(first)
    assert master.store.overflowing, "the master is told that it has missed something"
    assert master.reads()[0] == [10.0]


def test_of_the_newest_alone_a_restart_offers_one_event_though_an_older_one_was_on_its_way() -> None:
    master = Master()
    master.changes_to(3, 1.0)
    master.changes_to(1, 10.0)
    master.reads()
    master.changes_to(3, 2.0)
    assert len(master.queue) == 3
    master.store = master.started()
    assert len(master.queue) == 2
    assert master.reads()[0] == [10.0, 2.0]


def test_of_a_sequence_everything_is_offered_again_in_its_old_place() -> None:
    master = Master()
    master.changes_to(1, 1.0)
    _, first = master.reads()
    master.changes_to(1, 2.0)
    _, second = master.reads()
    master.changes_to(1, 3.0)
    master.store.confirm(second)
    master.store.offer_again(first)
    assert master.reads()[0] == [1.0, 3.0]
