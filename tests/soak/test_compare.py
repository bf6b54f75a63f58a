"""The comparison can fail: each sort of fault, written into a master's book by hand, is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.soak.compare import COLUMNS, compare
from tests.soak.ledger import ANSWERED, EVENT, LINK_LOST, LINK_UP, RECORD, WRITE, LedgerWriter, Records
from tests.soak.plan import Peer, SoakPlan
from tests.soak.run import Outcome
from tests.soak.trouble import Fault
from tests.soak.verdict import Verdict

SECOND: Final = 1_000_000_000
BEGAN_NS: Final = 1_800_000_000 * SECOND
CHANGES: Final = 8
ANALOG, BINARY = 3, 19
"""Points of the small plant."""

Edit = Callable[[Records], Records]


def outcome(folder: Path) -> Outcome:
    """Two devices of twenty points, one master."""
    plan = SoakPlan(
        seed=1, folder=str(folder), seconds=60, points=40, devices=2, changes_per_s=8, commands_per_s=1, scan_ms=1000,
        peers=[Peer("sldc1", "iec104", 1, first=0, count=40, commander=1)],
        field_ports=[], field_relays=[], listen={},
    )  # fmt: skip
    plan.ledgers.mkdir(exist_ok=True)
    return Outcome(plan, began_ns=BEGAN_NS)


def honest(plan: SoakPlan) -> Records:
    """What a perfect master writes down; the plant's book is written on the way."""
    rows: list[tuple[int, int, float, int, int, int]] = []
    with LedgerWriter(plan.ledgers / "plant.bin") as plant:
        for change in range(CHANGES):
            made_ns = BEGAN_NS + (4 * change + 1) * SECOND
            left_ns = made_ns + SECOND // 2
            for point in range(plan.points):
                value = (change + 1) % 2 if plan.binary(point) else change + 1
                value += 30_000 * (plan.alarmed(point) and value % 8 >= 4)
                plant.add(point, EVENT, value, 0, made_ns, made_ns)
                plant.add(point, ANSWERED, value, 0, left_ns, left_ns)
                rows.append((point, EVENT, value, 0, left_ns + 1_000_000, left_ns + 9_000_000))
        plant.add(4, WRITE, 1_000_001, 0, BEGAN_NS + SECOND)
    alarms = [
        {"alarm": f"{plan.name(point)}/h", "event": event}
        for point in filter(plan.alarmed, range(plan.points))
        for event in ("raised", "returned")
    ]
    (Path(plan.folder) / "alarms.jsonl").write_text("".join(json.dumps(line) + "\n" for line in alarms))
    found: Records = np.array(rows, RECORD)
    return found


def told(run: Outcome, edit: Edit = lambda book: book, answer: str = "confirmed", value: int = 1_000_001) -> Verdict:
    """The verdict on an honest book after `edit`, and on one command."""
    book = edit(honest(run.plan))
    with LedgerWriter(run.plan.ledgers / "sldc1.bin") as ledger:
        ledger.add(-1, LINK_UP, 0.0, 0, 0, BEGAN_NS)
        ledger.extend(book)
    line = {"id": 1, "point": 4, "value": value, "sort": "good", "answer": answer, "sent_ns": 1, "answered_ns": 2}
    (run.plan.ledgers / "sldc1.commands.jsonl").write_text(json.dumps(line) + "\n")
    return compare(run)


def at(book: Records, point: int, change: int) -> int:
    """Where in the book it stands."""
    return int(np.flatnonzero(book["point"] == point)[change])


def without(point: int, change: int) -> Edit:
    return lambda book: np.delete(book, at(book, point, change))


def altered(point: int, change: int, **values: float) -> Edit:
    def edit(book: Records) -> Records:
        for name, value in values.items():
            book[name][at(book, point, change)] += value
        return book

    return edit


def twice(point: int, change: int) -> Edit:
    return lambda book: np.append(book, book[at(book, point, change)])


def swapped(point: int, change: int) -> Edit:
    def edit(book: Records) -> Records:
        one, other = at(book, point, change), at(book, point, change + 1)
        book[[one, other]] = book[[other, one]]
        return book

    return edit


def test_an_honest_book_agrees(tmp_path: Path) -> None:
    assert told(outcome(tmp_path)).findings == []


@pytest.mark.parametrize("point", [ANALOG, BINARY])
@pytest.mark.parametrize(
    ("sort", "edit"),
    [
        ("lost", lambda point: without(point, 4)),
        ("doubled", lambda point: twice(point, CHANGES - 1)),
        ("out of order", lambda point: swapped(point, 3)),
        ("wrong quality", lambda point: altered(point, 3, quality=0x80)),
        ("wrong time", lambda point: altered(point, 3, time_ns=-2 * SECOND)),
        ("not the last", lambda point: without(point, CHANGES - 1)),
    ],
)
def test_a_fault_in_a_book_is_found(tmp_path: Path, point: int, sort: str, edit: Callable[[int], Edit]) -> None:
    verdict = told(outcome(tmp_path), edit(point))
    # A binary with a wrong time cannot be told from one that was never made.
    column = "wrong value" if point == BINARY and sort == "wrong time" else sort
    assert verdict.receivers[0][column] >= 1, verdict
    assert verdict.findings


def test_a_value_that_the_plant_never_made(tmp_path: Path) -> None:
    assert told(outcome(tmp_path), altered(ANALOG, 2, value=100)).receivers[0]["wrong value"] == 1


def test_what_comes_again_after_a_new_link_is_no_double(tmp_path: Path) -> None:
    run = outcome(tmp_path)

    def edit(book: Records) -> Records:
        again = book[at(book, ANALOG, CHANGES - 1)].copy()
        last_ns = int(book["at_ns"].max())
        marks = np.zeros(2, RECORD)
        marks["point"], marks["kind"], marks["at_ns"] = -1, (LINK_LOST, LINK_UP), (last_ns + 1, last_ns + 2)
        again["at_ns"] = last_ns + 3
        return np.concatenate([book, marks, np.array([again], RECORD)])

    verdict = told(run, edit)
    assert (verdict.receivers[0]["doubled"], verdict.receivers[0]["repeated"]) == (0, 1)
    assert verdict.findings == []


def test_a_frozen_device_must_be_told_bad_and_good_again(tmp_path: Path) -> None:
    run = outcome(tmp_path)
    run.faults = [Fault("freeze device", "dev0", 10, 8, began_ns=BEGAN_NS + SECOND, ended_ns=BEGAN_NS + 9 * SECOND)]
    assert told(run).receivers[0]["not told bad"] == 20


@pytest.mark.parametrize(
    ("answer", "value", "words"),
    [
        ("refused", 1_000_001, "1 commands refused, executed"),
        ("confirmed", 1_000_002, "1 commands confirmed, not executed"),
        ("unknown", 1_000_002, "1 commands were executed that nobody gave"),
    ],
)
def test_commands_against_what_was_executed(tmp_path: Path, answer: str, value: int, words: str) -> None:
    assert any(words in finding for finding in told(outcome(tmp_path), answer=answer, value=value).findings)


def test_a_missed_alarm(tmp_path: Path) -> None:
    run = outcome(tmp_path)
    told(run)
    (tmp_path / "alarms.jsonl").write_text("")
    assert "alarms: 8 missed" in " ".join(compare(run).findings)


def stored(folder: Path, edit: Edit = lambda book: book) -> Verdict:
    """The verdict on a database, which has the order of its samples' times; the clock was 8 s behind for a while."""
    run = outcome(folder)
    run.plan.peers[0] = Peer("influx", "influx", 0, first=0, count=40)
    since, until = BEGAN_NS + 7 * SECOND, BEGAN_NS + 15 * SECOND
    run.faults = [Fault("step clock", "clock", 7, 8, -8, began_ns=since, ended_ns=until)]
    book = honest(run.plan)
    behind = (book["time_ns"] > since) & (book["time_ns"] < until)
    book["time_ns"][behind] -= 8 * SECOND
    book["at_ns"] = BEGAN_NS + 99 * SECOND
    book = np.sort(edit(book), order=["point", "time_ns"], kind="stable")
    with LedgerWriter(run.plan.ledgers / "influx.bin") as ledger:
        ledger.extend(book)
    return compare(run)


def test_a_database_whose_clock_was_stepped_agrees(tmp_path: Path) -> None:
    verdict = stored(tmp_path)
    assert [verdict.receivers[0][column] for column in COLUMNS] == [0] * len(COLUMNS), verdict.examples


@pytest.mark.parametrize(
    ("sort", "edit"),
    [
        ("lost", without(ANALOG, 2)),  # of the time when the clock was behind
        ("lost", without(ANALOG, 6)),
        ("lost", without(ANALOG, CHANGES - 1)),
        ("out of order", altered(ANALOG, 6, time_ns=9 * SECOND)),
        ("wrong value", altered(ANALOG, 6, value=100)),
        ("wrong time", altered(ANALOG, 6, time_ns=3 * SECOND)),
        ("not the last", without(ANALOG, CHANGES - 1)),
    ],
)
def test_a_fault_in_a_database_is_found(tmp_path: Path, sort: str, edit: Edit) -> None:
    assert stored(tmp_path, edit).receivers[0][sort] == 1


def test_all_sorts_are_columns() -> None:
    assert len(COLUMNS) == 8
