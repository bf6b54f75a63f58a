"""The archive: each line once, an edit shows, old entries go and the chain holds."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from gateway.history.archive import FILE_NAME, Archive
from gateway.history.events import Events
from gateway.history.tails import follow
from gateway.points import Kind, Point, PointCatalogue
from gateway.points.change import CHANGE

SECOND = 10**9


def lines(*seconds: int, what: str = "x") -> list[tuple[int, str]]:
    return [(at * SECOND, json.dumps({"time_ns": at * SECOND, "what": what})) for at in seconds]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path)
    made.append("soe", lines(1, 2), "feed", 2)
    made.append("action", lines(3, what="operator"), "audit/a", 10)
    made.append("soe", lines(4, 5), "feed", 4)
    return made


def test_what_was_archived_is_read_by_kind_and_time(archive: Archive) -> None:
    assert [event["time_ns"] // SECOND for event in archive.read("soe", 0, 10 * SECOND)] == [1, 2, 4, 5]
    assert [event["time_ns"] // SECOND for event in archive.read("soe", 2 * SECOND, 5 * SECOND)] == [2, 4]
    assert [event["what"] for event in archive.read("action", 0, 10 * SECOND)] == ["operator"]
    assert archive.positions() == {"feed": 4, "audit/a": 10}


def test_the_newest_come_first_from_any_place(archive: Archive) -> None:
    found = list(archive.newest("soe", 0, 10 * SECOND))
    assert [event["time_ns"] // SECOND for _, event in found] == [5, 4, 2, 1]
    for at, (place, _) in enumerate(found):
        assert list(archive.newest("soe", 0, 10 * SECOND, place)) == found[at + 1 :]
    assert [event["time_ns"] // SECOND for _, event in archive.newest("soe", 2 * SECOND, 5 * SECOND)] == [4, 2]


def test_an_untouched_chain_holds(archive: Archive) -> None:
    verdict = archive.verify()
    assert (verdict.entries, verdict.lines, verdict.trouble) == (3, 5, "")
    assert verdict.head == archive.head


@pytest.mark.parametrize(
    ("edit", "trouble"),
    [
        ("UPDATE entries SET first_ns = first_ns + 1 WHERE number = 2", "entry 2 (action) is not what was written"),
        ("UPDATE entries SET data = zeroblob(40) WHERE number = 1", "entry 1 (soe) is not what was written"),
        ("UPDATE entries SET kind = 'alarm' WHERE number = 3", "entry 3 (alarm) is not what was written"),
        ("DELETE FROM entries WHERE number = 2", "entry 2 is missing: the next one is 3"),
        ("UPDATE entries SET hash = zeroblob(32) WHERE number = 3", "entry 3 (soe) is not what was written"),
    ],
)
def test_an_edit_shows(archive: Archive, tmp_path: Path, edit: str, trouble: str) -> None:
    archive.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute(edit)
    db.close()
    again = Archive(tmp_path, read_only=True)
    assert again.verify().trouble == trouble
    again.close()


def test_cutting_off_the_end_shows_against_the_head_that_was_logged(archive: Archive, tmp_path: Path) -> None:
    head = archive.head
    archive.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("DELETE FROM entries WHERE number = 3")
    db.close()
    again = Archive(tmp_path, read_only=True)
    assert again.verify().trouble == ""
    assert again.head != head
    again.close()


def test_old_entries_go_and_the_chain_goes_on(archive: Archive) -> None:
    assert archive.clean(4 * SECOND) == 2
    assert archive.verify().trouble == ""
    archive.append("alarm", lines(9), "alarms/a", 1)
    assert archive.verify().entries == 2
    assert archive.clean(100 * SECOND) == 2
    assert archive.verify().trouble == ""
    archive.append("soe", lines(10), "feed", 9)
    assert archive.verify().entries == 1


def test_files_of_lines_are_followed_each_line_once(tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    audit.mkdir()
    path = audit / "commands-20261125.jsonl"
    path.write_text('{"time":1,"step":"accepted"}\n{"time":2,"st')
    archive = Archive(tmp_path / "history")
    assert follow(tmp_path, archive) == 1
    assert follow(tmp_path, archive) == 0
    with path.open("a") as file:
        file.write('ep":"completed"}\nnot json\n{"time":3,"step":"refused"}\n')
    (audit / "commands-20261126.jsonl").write_text('{"time":4,"step":"accepted"}\n')
    assert follow(tmp_path, archive) == 3
    steps = [(event["time_ns"], event["step"]) for event in archive.read("action", 0, 10)]
    assert steps == [(1, "accepted"), (2, "completed"), (3, "refused"), (4, "accepted")]
    archive.close()
    archive = Archive(tmp_path / "history")
    assert follow(tmp_path, archive) == 0
    archive.close()


def test_events_that_wait_for_a_full_disk_are_held_up_to_a_number_and_the_rest_is_counted() -> None:
    events = Events(PointCatalogue.of([Point(row=0, name="bay1/breaker", kind=Kind.DOUBLE)]), most=3)
    events.take(np.array([(0, 0, 1.0, at) for at in (1, 2)], CHANGE))
    refused = events.drain()
    events.take(np.array([(0, 0, 2.0, at) for at in (3, 4, 5)], CHANGE))
    events.put_back(refused)
    assert [time_ns for time_ns, _ in events.drain()] == [3, 4, 5]
    assert events.lost == 2
