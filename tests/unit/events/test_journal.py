"""The journal: what a process wrote is what the next one finds."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.events import EventJournal
from gateway.events.store import Commit, JournalStore
from gateway.feed.frames import EPOCH_SHIFT
from tests.unit.events.conftest import NAMES, Bench, events, seqs

Until = Callable[[Callable[[], bool]], None]


def test_after_an_orderly_end_the_next_process_goes_on_where_the_last_stopped(bench: Bench) -> None:
    journal = bench.open()
    journal.append(events(1, 2, 3, 4, 5))
    journal.take(3)
    journal.release(2)
    journal.close()
    journal = bench.open()
    assert seqs(journal.take(9)) == [3, 4, 5]
    assert journal.confirmed_seq == 5
    assert bench.said("events held from before") == [{"held": 3}]
    assert not bench.said("not closed in order")


def test_after_a_kill_it_is_as_at_the_last_commit(bench: Bench) -> None:
    journal = bench.open()
    journal.append(events(1, 2, 3))
    journal.take(2)
    journal.commit()
    journal.release(2)
    journal.append(events(4))
    after = bench.crash(journal)
    assert seqs(after.take(9)) == [1, 2, 3], "1 and 2 were confirmed after the commit: they repeat; 4 is the core's"
    assert after.confirmed_seq == 3
    assert bench.said("not closed in order") == [{"held": 3, "in_flight_at_last_commit": 2, "commit_every_ms": 50}]


def test_the_core_is_told_what_is_on_disk_and_nothing_else(bench: Bench) -> None:
    journal = bench.open()
    journal.append(events(1, 2))
    journal.take(2)
    journal.release(2)
    assert (journal.confirmed_seq, journal.settled) == (0, False)
    journal.commit()
    assert (journal.confirmed_seq, journal.settled) == (2, True)


def test_a_thread_commits_on_its_own(bench: Bench, until: Until) -> None:
    journal = bench.open()
    journal.start()
    journal.append(events(1, 2))
    until(lambda: journal.confirmed_seq == 2)
    journal.note(9)
    until(lambda: journal.confirmed_seq == 9)
    journal.take(1)
    journal.release(1)
    journal.append(events(10))
    until(lambda: journal.settled)
    assert seqs(bench.crash(journal).take(9)) == [2, 10]


def test_resuming_takes_the_later_of_journal_and_core(bench: Bench) -> None:
    epoch = 7 << EPOCH_SHIFT
    journal = bench.open()
    journal.note(epoch + 100)
    assert journal.resume(epoch + 90) == epoch + 100
    assert journal.resume(epoch + 120) == epoch + 120
    assert journal.resume((8 << EPOCH_SHIFT) + 3) == (8 << EPOCH_SHIFT) + 3, "a new core counts anew"
    assert journal.resume((2 << EPOCH_SHIFT) + 1) == (2 << EPOCH_SHIFT) + 1, "also one whose epochs began again"
    assert journal.confirmed_seq == (2 << EPOCH_SHIFT) + 1


def test_what_was_last_reported_is_known_to_the_next_process(bench: Bench) -> None:
    journal = bench.open()
    journal.report(np.array([6, 7]), np.array([60.0, 70.0]), np.array([0, 2], np.uint32))
    journal.append(events(1, 2, 9))
    journal.append(events(10, binding=7))
    journal.take(9)
    journal.release(3)
    journal.commit()
    journal.append(events(11))
    reported = bench.crash(journal).reported
    assert dict(zip(reported.index.tolist(), reported.values.tolist(), strict=True)) == {1: 9, 2: 2, 6: 60, 7: 10}
    assert reported.qualities.tolist() == [0, 0, 0, 0]


def test_notes_of_a_protocol_above_the_quality_are_no_quality(bench: Bench) -> None:
    journal = bench.open()
    batch = events(1)
    batch["quality"] = 1 << 28 | 2
    journal.append(batch)
    journal.commit()
    after = bench.crash(journal)
    assert after.reported.qualities.tolist() == [2]
    assert after.take(1)["quality"].tolist() == [1 << 28 | 2]


def test_overflow_survives(bench: Bench) -> None:
    journal = bench.open(capacity=3)
    journal.append(events(1, 2, 3))
    journal.take(1)
    assert journal.append(events(4, 5)) == 2
    journal.commit()
    after = bench.crash(journal, capacity=3)
    assert (after.lost, after.overflowing) == (2, True)
    assert seqs(after.take(9)) == [1, 4, 5]
    after.release(3)
    assert not after.overflowing


def test_a_smaller_capacity_drops_the_oldest_and_says_so(bench: Bench) -> None:
    journal = bench.open()
    journal.append(events(1, 2, 3, 4))
    journal.close()
    journal = bench.open(capacity=3)
    assert (seqs(journal.take(9)), journal.lost, journal.overflowing) == ([2, 3, 4], 1, True)
    assert bench.said("more than its capacity")


def test_another_map_finds_its_events_by_name(bench: Bench) -> None:
    journal = bench.open()
    journal.append(events(0, 1, 2, 3))
    journal.report(np.array([5]), np.array([50.0]), np.zeros(1, np.uint32))
    journal.close()
    names = [("new/point", "ca 1 ioa 1 M_SP_TB_1"), NAMES[3], NAMES[1], NAMES[5]]
    journal = bench.open(names=names)
    kept = journal.take(9)
    assert [(int(e["binding"]), float(e["value"])) for e in kept] == [(2, 1.0), (1, 3.0)]
    assert journal.reported.index.tolist() == [1, 2, 3]
    assert bench.said("map has changed") == [{"events_kept": 2, "events_removed": 2, "bindings_removed": 5}]
    journal.release(1)
    journal.append(events(4, binding=0))
    journal.close()
    assert [int(e["binding"]) for e in bench.open(names=names).take(9)] == [1, 0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no database at all, but long enough to be taken for something" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: sqlite3.connect(path).execute("DROP TABLE cursor"),
        lambda path: sqlite3.connect(path).execute("PRAGMA user_version=99"),
        lambda path: _change(path, "UPDATE cursor SET spans='[[0,9]]'"),
        lambda path: _change(path, "UPDATE cursor SET spans='[[3'"),
        lambda path: _change(path, "UPDATE blobs SET data=x'00'"),
        lambda path: _change(path, "UPDATE blobs SET count=1000000000"),
        lambda path: _change(path, "DELETE FROM baseline"),
        lambda path: _change(path, "UPDATE bindings SET size=-1"),
        lambda path: _change(path, "UPDATE cursor SET lost='many'"),
    ],
)
def test_a_file_that_is_damaged_or_not_ours_is_moved_aside(bench: Bench, spoil: Callable[[Path], object]) -> None:
    journal = bench.open()
    journal.append(events(1, 2, 3))
    journal.close()
    spoil(journal.path)
    journal = bench.open()
    assert len(journal) == 0
    told = bench.said("moved aside")
    assert len(told) == 1 and told[0]["cause"]
    assert journal.path.with_name(str(told[0]["moved_to"])).exists()
    journal.append(events(4))
    journal.close()
    assert seqs(bench.open().take(9)) == [4]


def _change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_a_place_that_cannot_be_used_is_an_error(bench: Bench) -> None:
    (bench.folder / "life0" / "main.db").mkdir(parents=True)
    with pytest.raises(OSError, match="unable to open"):
        bench.open()


def test_two_processes_never_share_a_journal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.open()
    monkeypatch.setattr("gateway.events.opening.LOCK_WAIT_S", 0.1)
    with pytest.raises(OSError, match="in use by another process"):
        bench.open()


def test_files_are_for_their_owner_alone(bench: Bench) -> None:
    journal = bench.open()
    journal.append(events(1))
    journal.commit()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in journal.path.parent.iterdir()}
    assert set(modes) == {"main.db", "main.db-wal", "main.db-shm", "main.lock"}
    assert set(modes.values()) == {0o600}


class StubbornDisk:
    """A store that refuses, breaks or stands still."""

    def __init__(self, store: JournalStore) -> None:
        self.store = store
        self.refusing = False
        self.moving = threading.Event()
        self.moving.set()
        self.standing = threading.Event()

    def write(self, commit: Commit) -> None:
        if self.refusing:
            raise OSError("database or disk is full")
        if not self.moving.is_set():
            self.standing.set()
            assert self.moving.wait(20)
        self.store.write(commit)

    def close(self) -> None:
        self.store.close()


def stubborn(journal: EventJournal) -> StubbornDisk:
    disk = StubbornDisk(journal._store)
    journal._store = disk  # type: ignore[assignment]
    return disk


def test_a_full_disk_loses_nothing_and_is_told_once(bench: Bench) -> None:
    journal = bench.open()
    disk = stubborn(journal)
    disk.refusing = True
    journal.append(events(1, 2))
    assert not journal.commit()
    journal.append(events(3))
    assert not journal.commit()
    assert journal.confirmed_seq == 0, "the core keeps what is not on disk"
    assert seqs(journal.take(1)) == [1], "events go out all the same"
    journal.release(1)
    disk.refusing = False
    assert journal.commit()
    assert journal.confirmed_seq == 3
    assert seqs(bench.crash(journal).take(9)) == [2, 3]
    assert len(bench.said("cannot be written")) == 1
    assert len(bench.said("is written again")) == 1


def test_a_disk_that_stands_still_holds_up_nobody_and_memory_stays_bounded(bench: Bench) -> None:
    journal = bench.open(capacity=1_000)
    disk = stubborn(journal)
    disk.moving.clear()
    journal.start()
    journal.append(events(0))
    assert disk.standing.wait(20)
    for start in range(1, 200_001, 1_000):
        journal.append(events(*range(start, start + 1_000)))
        if start < 100_000:
            journal.take(10_000)
            journal.release(journal.in_flight)
    assert len(journal) == 1_000 and journal.overflowing
    assert sum(len(chunk) for _, chunk in journal._unwritten) < 25_000
    disk.moving.set()
    journal.close()
    after = bench.crash(journal)
    assert seqs(after.take(9_999)) == list(range(199_001, 200_001))
    assert after.lost == journal.lost
    assert max(after.reported.values) == 200_000


def test_a_file_that_breaks_in_use_is_replaced_with_all_that_is_held(bench: Bench) -> None:
    journal = bench.open()
    journal.append(events(1, 2, 3))
    journal.take(1)
    journal.release(1)
    journal.commit()
    _change(journal.path, "DROP TABLE cursor")
    journal.append(events(4))
    journal.commit()
    assert bench.said("moved aside")
    journal.append(events(5))
    assert journal.commit()
    after = bench.crash(journal)
    assert seqs(after.take(9)) == [2, 3, 4, 5]
    assert len(after.reported.index) == 5


def test_what_is_not_needed_is_removed(bench: Bench) -> None:
    journal = bench.open(capacity=100)
    for start in range(0, 400_000, 4_000):
        journal.append(events(*range(start, start + 4_000)))
        journal.commit()
        journal.take(100)
        journal.release(100)
    journal.commit(clean=True)
    assert journal._store.load().blobs == 0
    assert journal.path.stat().st_size < 4_000_000


WRITER = """
import sys
from pathlib import Path
import numpy as np
from gateway.events import EVENT, EventJournal
from gateway.log import get_log
path, start = Path(sys.argv[1]), int(sys.argv[2])
journal = EventJournal.open(path, 10_000_000, [("p", str(i)) for i in range(64)], get_log())
journal.start()
told = 0
while True:
    batch = np.zeros(500, EVENT)
    batch["seq"] = np.arange(start, start + 500)
    batch["binding"] = batch["seq"] % 64
    batch["value"] = batch["seq"]
    start += 500
    journal.append(batch)
    if journal.confirmed_seq > told:
        told = journal.confirmed_seq
        sys.stdout.write(f"{told}\\n")
        sys.stdout.flush()
"""


def test_kill_9_twenty_times_at_full_speed_loses_nothing_that_was_committed(bench: Bench) -> None:
    path = bench.folder / "life0" / "main.db"
    names = [("p", str(i)) for i in range(64)]
    following = 1
    for life in range(20):
        command = [sys.executable, "-c", WRITER, str(path), str(following)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as run:
            assert run.stdout is not None
            committed = 0
            for _ in range(1 + life % 3):
                committed = int(run.stdout.readline())
            run.kill()
            committed = max([committed, *(int(line) for line in run.stdout.read().split("\n")[:-1])])
        journal = EventJournal.open(path, 10_000_000, names, bench.log)
        held = seqs(journal.take(10_000_000))
        assert journal.confirmed_seq >= committed
        assert held == list(range(held[0], journal.confirmed_seq + 1))
        assert held[0] <= following, "nothing of this life or the one before is missing"
        newest = {seq % 64: float(seq) for seq in held[-64:]}
        reported = journal.reported
        assert dict(zip(reported.index.tolist(), reported.values.tolist(), strict=True)) == newest
        journal.release(max(0, len(held) - 64))
        following = journal.confirmed_seq + 1
        journal.close()
    assert not bench.said("moved aside")
    assert len(bench.said("not closed in order")) == 20
