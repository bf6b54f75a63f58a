"""A journal is its model: a list of events, some in flight, and what of it was on disk at the last commit."""

from __future__ import annotations

import copy
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.events import EVENT, EventJournal
from tests.kit.feedkit import QuietLog

BINDINGS = 5
NAMES = [(f"p{i}", f"ca 1 ioa {i}") for i in range(BINDINGS)]


@dataclass
class Model:
    """What the journal is to hold. `events` are sequence numbers, oldest first."""

    capacity: int
    events: list[int] = field(default_factory=list)
    in_flight: int = 0
    lost: int = 0
    seq: int = 0
    overflowing: bool = False
    reported: dict[int, int] = field(default_factory=dict)

    def append(self, fresh: list[int]) -> int:
        self.seq = max([self.seq, *fresh])
        self.reported |= {seq % BINDINGS: seq for seq in fresh}
        flying, waiting = self.events[: self.in_flight], self.events[self.in_flight :] + fresh
        dropped = max(0, len(flying) + len(waiting) - self.capacity)
        self.events = flying + waiting[dropped:]
        self.lost += dropped
        self.overflowing |= dropped > 0
        return dropped

    def release(self, count: int) -> None:
        del self.events[:count]
        self.in_flight -= count
        self.overflowing &= bool(self.events)


class JournalMachine(RuleBasedStateMachine):
    @initialize(capacity=st.integers(1, 30))
    def open(self, capacity: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gridgate-journal-"))
        self.life = 0
        self.following = 1
        self.log = QuietLog()
        self.model = Model(capacity)
        self.durable = copy.deepcopy(self.model)
        self.journal = self._open()

    def _open(self) -> EventJournal:
        return EventJournal.open(self.folder / f"{self.life}" / "m.db", self.model.capacity, NAMES, self.log)

    @rule(count=st.integers(0, 25), skipped=st.integers(0, 3))
    def append(self, count: int, skipped: int) -> None:
        first = self.following + skipped
        self.following = first + count
        batch = np.zeros(count, EVENT)
        batch["seq"] = np.arange(first, first + count)
        batch["binding"], batch["value"] = batch["seq"] % BINDINGS, batch["seq"]
        assert self.journal.append(batch) == self.model.append(list(range(first, first + count)))

    @rule(count=st.integers(1, 20))
    def take(self, count: int) -> None:
        start = self.model.in_flight
        self.model.in_flight = min(len(self.model.events), start + count)
        expected = self.model.events[start : self.model.in_flight]
        assert self.journal.take(count)["seq"].tolist() == expected

    @rule(part=st.floats(0, 1))
    def release(self, part: float) -> None:
        count = round(part * self.model.in_flight)
        self.journal.release(count)
        self.model.release(count)

    @rule()
    def rewind(self) -> None:
        self.journal.rewind()
        self.model.in_flight = 0

    @rule(skipped=st.integers(0, 9))
    def note(self, skipped: int) -> None:
        self.following += skipped
        self.model.seq = max(self.model.seq, self.following - 1)
        self.journal.note(self.following - 1)

    @rule()
    def commit(self) -> None:
        assert self.journal.commit()
        self.durable = copy.deepcopy(self.model)

    @rule()
    def close_and_open(self) -> None:
        self.journal.close()
        self.model.in_flight = 0
        self.durable = copy.deepcopy(self.model)
        self.journal = self._open()

    @rule()
    def crash_and_open(self) -> None:
        """Another process finds the files as they lie there, and the core gives again what they lack."""
        source = self.folder / f"{self.life}"
        self.life += 1
        shutil.copytree(source, self.folder / f"{self.life}", ignore=shutil.ignore_patterns("*-shm"))
        self.journal.close()
        self.model = copy.deepcopy(self.durable)
        self.model.in_flight = 0
        self.journal = self._open()
        self.durable = copy.deepcopy(self.model)
        assert self.journal.confirmed_seq == self.model.seq
        self.following = self.model.seq + 1

    @precondition(lambda self: self.model.capacity > 1)
    @rule(capacity=st.integers(1, 30))
    def open_with_another_capacity(self, capacity: int) -> None:
        self.journal.close()
        model = self.model
        model.in_flight, model.capacity = 0, capacity
        dropped = max(0, len(model.events) - capacity)
        if dropped:
            del model.events[:dropped]
            model.lost, model.overflowing = model.lost + dropped, True
        self.journal = self._open()
        self.durable = copy.deepcopy(model)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "journal"):
            return
        journal, model = self.journal, self.model
        assert (len(journal), journal.in_flight) == (len(model.events), model.in_flight)
        assert (journal.lost, journal.overflowing, journal.noted_seq) == (model.lost, model.overflowing, model.seq)
        assert journal.confirmed_seq == self.durable.seq
        reported = journal._baseline.copy()
        for _, events in journal._unwritten:
            reported.take_events(events)
        known = reported.reported
        assert dict(zip(known.index.tolist(), known.values.tolist(), strict=True)) == model.reported

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.folder)
            assert not [line for line in self.log.lines if line[0] == "error"]


JournalMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestJournal = JournalMachine.TestCase
