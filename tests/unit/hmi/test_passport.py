"""The audit read back: bounded, backwards, around a moment; and what a command's records tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hmi.passport.files import Budget, around, backwards
from hmi.passport.story import latest, row_of, story_of

DAY_NS = 86_400 * 10**9
NOON_NS = 1_795_608_000 * 10**9
PLENTY = 1 << 30


def keep(folder: Path, records: list[dict[str, Any]], day: str = "20261125") -> None:
    with (folder / f"commands-{day}.jsonl").open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def command(at_ns: int, step: str = "accepted", **facts: Any) -> dict[str, Any]:
    by = {"protocol": "iec104", "server": "sldc", "master": "main", "peer": "10.0.0.1:2404"}
    return {
        **{"time": at_ns, "step": step, "point": "pcs/setpoint", "value": 400.0, "action": "execute"},
        **{"origin": "iec104 sldc/main from 10.0.0.1:2404", "by": by, "command": 7, "received": NOON_NS},
        **facts,
    }


def test_records_come_back_newest_first_over_several_days(tmp_path: Path) -> None:
    keep(tmp_path, [{"time": NOON_NS - DAY_NS + i} for i in range(3)], "20261124")
    keep(tmp_path, [{"time": NOON_NS + i} for i in range(3)])
    found = [record["time"] - NOON_NS for record in backwards(tmp_path, NOON_NS + DAY_NS, 0, Budget(PLENTY))]
    assert found == [2, 1, 0, 2 - DAY_NS, 1 - DAY_NS, -DAY_NS]
    assert [each["time"] - NOON_NS for each in backwards(tmp_path, NOON_NS + 2, NOON_NS, Budget(PLENTY))] == [1, 0]


def test_a_line_cut_by_a_crash_is_no_record(tmp_path: Path) -> None:
    keep(tmp_path, [{"time": NOON_NS}])
    with (tmp_path / "commands-20261125.jsonl").open("a") as file:
        file.write('{"time": 17956\n[]\n{"time": "now"}\n')
    keep(tmp_path, [{"time": NOON_NS + 1}])
    found = [each["time"] - NOON_NS for each in backwards(tmp_path, NOON_NS + DAY_NS, 0, Budget(PLENTY))]
    assert found == [1, 0]


def test_what_may_be_read_is_bounded_and_said(tmp_path: Path) -> None:
    keep(tmp_path, [{"time": NOON_NS + i, "filling": "x" * 1000} for i in range(500)])
    budget = Budget(100_000)
    found = list(backwards(tmp_path, NOON_NS + DAY_NS, 0, budget))
    assert budget.spent
    assert 0 < len(found) < 120


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=120),
    edges=st.tuples(st.integers(-5, 130), st.integers(-5, 130)),
)
def test_around_a_moment_nothing_is_missed(tmp_path_factory: Any, lengths: list[int], edges: tuple[int, int]) -> None:
    """Records a minute apart, of any length: those between two minutes are found, and no others."""
    folder = tmp_path_factory.mktemp("audit")
    minute = 60 * 10**9
    keep(folder, [{"time": NOON_NS + i * minute, "n": i, "x": "x" * length} for i, length in enumerate(lengths)])
    low, high = sorted(edges)
    found = [each["n"] for each in around(folder, NOON_NS + low * minute, NOON_NS + high * minute, Budget(PLENTY))]
    assert found == [i for i in range(len(lengths)) if low <= i <= high]
    back = [each["n"] for each in backwards(folder, NOON_NS + high * minute, NOON_NS + low * minute, Budget(PLENTY))]
    assert back == [i for i in reversed(range(len(lengths))) if low <= i < high]


def test_a_command_is_one_row_with_its_last_word() -> None:
    accepted, ended = command(NOON_NS + 1), command(NOON_NS + 90_000_000, "completed", reason="ok")
    [row] = latest([ended, accepted])
    assert (row.outcome, row.kind, row.who, row.took_ms) == ("completed", "master", "sldc/main", 90.0)
    [under_way] = latest([accepted])
    assert (under_way.outcome, under_way.took_ms) == ("accepted", None)


def test_the_story_has_every_hop_with_the_time_between() -> None:
    select = command(NOON_NS - 10**9, "select", action="select", command=6, received=NOON_NS - 10**9)
    accepted = command(NOON_NS + 2_000_000, checks=["point", "rights", "claim"])
    hops = {"accepted": NOON_NS + 2_000_000, "written": NOON_NS + 3_000_000, "acknowledged": NOON_NS + 8_000_000}
    back = {"point": "pcs/power", "value": 398.0, "quality": "good", "expected": 400.0}
    ended = command(NOON_NS + 50_000_000, "completed", reason="ok", read_back=back, **hops)
    story = story_of(f"{NOON_NS}-7-sldc", [select, accepted, ended])
    assert story is not None
    assert [(hop.name, hop.after_ms) for hop in story.hops] == [
        *(("received", None), ("accepted", 2.0), ("written", 1.0), ("acknowledged", 5.0), ("completed", 42.0))
    ]
    assert story.select is not None and story.select.action == "select"
    assert [check.passed for check in story.checks] == [True] * 3
    assert story.read_back is not None and story.read_back.value == 398.0
    assert list(story.answers) == ["accepted", "completed"]


def test_a_refused_command_says_which_check_it_did_not_pass() -> None:
    refused = command(
        NOON_NS + 1, "refused", reason="local control selected", text="the key says local", checks=["point", "local"]
    )
    story = story_of(f"{NOON_NS}-7-sldc", [refused])
    assert story is not None
    assert [(check.name, check.passed) for check in story.checks] == [("point", True), ("local", False)]
    assert [hop.name for hop in story.hops] == ["received", "refused"]
    assert list(story.answers) == ["refused (local control selected): the key says local"]


def test_lines_of_an_older_gateway_and_of_control_itself() -> None:
    old = command(NOON_NS, "completed")
    del old["by"]
    assert row_of(old).peer == "10.0.0.1:2404"
    unit = row_of({"time": NOON_NS, "step": "control", "unit": "bess1", "target_kw": 50.0, "source": "response droop"})
    assert (unit.kind, unit.what, unit.text) == ("control", "unit bess1", "for response droop")
    trip = row_of({"time": NOON_NS, "step": "control", "interlock": "estop", "what": "tripped", "text": "pressed"})
    assert (trip.what, trip.action, trip.text) == ("interlock estop", "tripped", "pressed")


KEYS = st.sampled_from(["step", "by", "origin", "received", "value", "checks", "read_back"])


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.text()))
def test_whatever_stands_in_a_line_makes_a_row_and_a_story(facts: dict[str, Any]) -> None:
    record = {"time": NOON_NS, **facts}
    row = row_of(record)
    assert story_of(row.key, [record]) is not None
