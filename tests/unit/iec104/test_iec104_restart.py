"""A station and the one that takes over its journal: what a master is told after a restart, and what it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.events import EventJournal
from gateway.feed.frames import EPOCH_SHIFT
from gateway.points import Changes, Kind, Quality, changes
from protocols.iec104.journal import binding_names
from protocols.iec104.plan import BindingColumns, MasterPlan
from protocols.iec104.station import Station, StationOptions
from protocols.iec104.time56 import Zone
from tests.contract.server_suite import QuietLog, Table, catalogue

POINTS = catalogue(("power", Kind.ANALOG), ("breaker", Kind.BINARY), ("energy", Kind.COUNTER))
POWER, BREAKER, ENERGY = range(3)
NOON = 1_700_000_000_000_000_000
EPOCH = 5 << EPOCH_SHIFT
NEVER = int(Quality.NEVER_REPORTED)
COLUMNS = BindingColumns(
    row=np.array([BREAKER, POWER, ENERGY], np.uint32),
    ca=np.ones(3, np.uint16),
    ioa=np.array([1001, 4001, 5001], np.uint32),
    event_type=np.array([30, 36, 37], np.uint8),
    static_type=np.array([1, 13, 15], np.uint8),
    group=np.zeros(3, np.uint8),
    limit=np.array([np.nan, 5.0, np.nan]),
    cyclic_s=np.zeros(3, np.float32),
    mode=np.zeros(3, np.uint8),
)
BY_BINDING = ["breaker", "power", "energy"]


class Life:
    """One process: a station on a table, over the journal that the lives before it left."""

    def __init__(self, path: Path, shown: dict[int, float], confirmed: int | None = None) -> None:
        self.table = Table(3)
        for row, value in shown.items():
            self.table.value[row], self.table.quality[row], self.table.time_ns[row] = value, 0, NOON + row
        names = binding_names(COLUMNS, POINTS)
        self.journal = EventJournal.open(path, 100, names, QuietLog())
        plan = MasterPlan(name="main", addresses=("127.0.0.1",), bindings=COLUMNS)
        self.station = Station(plan, POINTS, Zone("UTC"), self.table, StationOptions(), self.journal)
        if confirmed is not None:
            self.station.resume(confirmed)

    def change(self, seq: int, *records: tuple[int, float] | tuple[int, float, int]) -> None:
        """Records that end with number `seq`; the table is ahead of them, as it is during a replay."""
        rows = np.array([record[0] for record in records], np.uint32)
        values = np.array([record[1] for record in records], float)
        qualities = np.array([record[2] if len(record) > 2 else 0 for record in records], np.uint32)
        batch: Changes = changes(rows, values, qualities, np.full(len(rows), NOON + seq % 1000, np.int64))
        self.table.value[rows], self.table.quality[rows] = values, qualities
        self.station.changes(batch, seq)

    def told(self) -> list[tuple[str, float]]:
        """What waits for the master."""
        return [(BY_BINDING[event["binding"]], float(event["value"])) for event in self.journal.take(1_000)]

    def acknowledge(self) -> None:
        self.journal.release(self.journal.in_flight)


class Lives:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "main.db"
        self._last: Life | None = None

    def begin(self, shown: dict[int, float], confirmed: int | None = None) -> Life:
        """The last life ends with a commit, the next one starts."""
        self.end()
        self._last = Life(self._path, shown, confirmed)
        return self._last

    def end(self) -> None:
        if self._last is not None:
            self._last.journal.close()
            self._last = None


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Lives]:
    made = Lives(tmp_path)
    yield made
    made.end()


def test_a_difference_between_then_and_now_is_one_event_and_none_is_none(lives: Lives) -> None:
    first = lives.begin({POWER: 100.0, BREAKER: 0.0, ENERGY: 7.0})
    first.station.begin()
    assert first.told() == [], "a first start tells nothing: the master interrogates"
    first.change(EPOCH + 1, (POWER, 200.0))
    assert first.told() == [("power", 200.0)]
    first.acknowledge()

    second = lives.begin({POWER: 203.0, BREAKER: 1.0, ENERGY: 7.0})
    second.station.begin()
    assert second.told() == [("breaker", 1.0)], "203 is within the deadband of 200, which was reported"
    second.acknowledge()

    third = lives.begin({POWER: 206.0, BREAKER: 1.0, ENERGY: 7.0})
    third.station.begin()
    assert third.told() == [("power", 206.0)], "beyond the deadband of 200, two lives later"


def test_a_core_that_has_heard_nothing_yet_makes_no_events(lives: Lives) -> None:
    first = lives.begin({POWER: 100.0, BREAKER: 1.0, ENERGY: 7.0})
    first.station.begin()
    second = lives.begin({})
    second.station.begin()
    assert second.told() == []
    second.change(EPOCH + 9, (BREAKER, 1.0), (POWER, 100.0))
    assert second.told() == [], "the first scan finds it as it was reported"
    second.change(EPOCH + 10, (BREAKER, 0.0))
    assert second.told() == [("breaker", 0.0)]


def test_a_master_that_saw_a_point_unheard_is_told_when_it_is_heard(lives: Lives) -> None:
    first = lives.begin({POWER: 100.0, BREAKER: 1.0, ENERGY: 7.0})
    first.station.begin()
    second = lives.begin({POWER: 100.0})
    second.station.begin()
    second.station.link_started()
    second.change(EPOCH + 9, (POWER, 100.0))
    assert second.told() == [], "what it was shown of the power was right"
    second.change(EPOCH + 10, (BREAKER, 1.0))
    assert second.told() == [("breaker", 1.0)], "an interrogation has shown it as not valid"
    second.change(EPOCH + 11, (BREAKER, 1.0))
    assert second.told() == []


def test_a_replay_begins_where_the_journal_ends(lives: Lives) -> None:
    first = lives.begin({POWER: 0.0, BREAKER: 0.0}, confirmed=EPOCH)
    first.station.begin()
    first.change(EPOCH + 3, (BREAKER, 1.0), (BREAKER, 0.0), (POWER, 50.0))

    second = lives.begin({POWER: 60.0, BREAKER: 1.0}, confirmed=EPOCH + 1)
    assert second.journal.confirmed_seq == EPOCH + 3
    second.change(EPOCH + 5, (BREAKER, 0.0), (POWER, 50.0), (POWER, 60.0), (BREAKER, 1.0))
    second.station.begin()
    assert second.told() == [
        ("breaker", 1.0),
        ("breaker", 0.0),
        ("power", 50.0),
        ("power", 60.0),
        ("breaker", 1.0),
    ], "three from the journal, two from the core, none twice and none missing"


def test_the_core_may_know_more_than_a_journal_that_was_lost(lives: Lives) -> None:
    fresh = lives.begin({POWER: 60.0, BREAKER: 1.0}, confirmed=EPOCH + 4)
    fresh.change(EPOCH + 5, (POWER, 50.0), (POWER, 60.0))
    assert fresh.told() == [("power", 60.0)]


def test_a_loss_of_quality_while_away_is_told(lives: Lives) -> None:
    first = lives.begin({POWER: 100.0, BREAKER: 1.0, ENERGY: 7.0})
    first.station.begin()
    second = lives.begin({POWER: 100.0, BREAKER: 1.0, ENERGY: 7.0})
    second.table.quality[BREAKER] = int(Quality.NOT_TOPICAL)
    second.station.begin()
    assert second.told() == [("breaker", 1.0)]
