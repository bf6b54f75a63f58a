"""What survives: history lines, the state that follows, cut lines, and an engine that goes on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from gateway.alarms import store as store_module
from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.engine import AlarmEngine
from gateway.alarms.model import AlarmRecord, Condition
from gateway.alarms.store import AlarmStore
from gateway.alarms.wire import WireError, line_of, record_from, record_of, record_to
from gateway.contracts.command import Action
from tests.kit.alarmkit import DOOR, TEMP, Definition, Story, alarm_catalogue
from tests.kit.feedkit import QuietLog

HOT, OPEN = "bess1/temp/hh", "bess1/door/alarm"


def catalogue() -> AlarmCatalogue:
    return alarm_catalogue(
        Definition(row=TEMP, condition=Condition.HH, limit=60, group="trip"),
        Definition(row=DOOR, condition=Condition.ALARM, limit=1, group="trip"),
    )


def story() -> Story:
    return (
        Story(catalogue()).told((TEMP, 20), (DOOR, 0)).told((DOOR, 1)).at(1).told((TEMP, 61)).at(2)
        .act(Action.ACKNOWLEDGE, HOT, "on my way").act(Action.SHELVE, OPEN, "being painted", 600)
    )  # fmt: skip


def lines(told: Story) -> list[dict[str, object]]:
    return [json.loads(json.dumps(line_of(record, told.alarms))) for record in told.events]


def stored(folder: Path) -> list[dict[str, object]]:
    found = AlarmStore(folder, QuietLog()).load()
    return sorted(found, key=lambda line: str(line["alarm"]))


def written(folder: Path, *batches: list[dict[str, object]]) -> None:
    keeper = AlarmStore(folder, QuietLog())
    keeper.load()
    keeper.start()
    for batch in batches:
        keeper.append(batch)
    keeper.stop()


def restored(told: Story, folder: Path, now_s: float) -> Story:
    """Another life of the same site, `now_s` after the begin of the story."""
    later = Story(told.alarms, now_s=now_s)
    records = [record_of(line, later.index(str(line["alarm"]))) for line in stored(folder) if "seq" in line]
    later.engine.restore(records, 1000, later.now_ns, later.utc_ns)
    return later


def test_what_stood_stands_and_a_shelf_expires_when_it_was_to(tmp_path: Path) -> None:
    told = story()
    written(tmp_path, lines(told))
    later = restored(told, tmp_path, 100)
    assert later.engine.records == told.engine.records
    assert later.at(601.9).state(OPEN) == "shelved"
    assert later.at(602.1).state(OPEN) == "unacknowledged"
    later.told((TEMP, 50))
    assert later.state(HOT) == "normal"
    assert later.events[-1].seq > 1000


def test_a_shelf_that_expired_meanwhile_is_over_at_once(tmp_path: Path) -> None:
    told = story()
    written(tmp_path, lines(told))
    later = restored(told, tmp_path, 5000)
    assert later.at(5000).state(OPEN) == "unacknowledged"


def test_a_condition_that_is_gone_returns_with_the_first_good_value_only(tmp_path: Path) -> None:
    told = story()
    written(tmp_path, lines(told))
    later = restored(told, tmp_path, 10).told((TEMP, 0, 1 << 3))
    assert later.state(HOT) == "acknowledged"
    assert later.told((TEMP, 20)).state(HOT) == "normal"


def test_a_quality_alarm_that_stood_returns_with_a_good_value() -> None:
    alarms = alarm_catalogue(Definition(row=TEMP, condition=Condition.QUALITY))
    later = Story(alarms)
    later.engine.restore([AlarmRecord(index=0, seq=5, active=True)], 5, 0, later.utc_ns)
    assert later.told((TEMP, 20)).state("bess1/temp/quality") == "normal"


def test_killed_without_a_state_file_and_in_the_middle_of_a_line(tmp_path: Path) -> None:
    told = story()
    written(tmp_path, lines(told))
    (tmp_path / "state.json").unlink()
    [path] = tmp_path.glob("*.jsonl")
    whole = path.read_bytes()
    names = [line["alarm"] for line in stored(tmp_path)]
    assert names == [OPEN, HOT]
    for cut in range(1, len(whole.splitlines()[-1]), 37):
        path.write_bytes(whole[:-cut])
        assert {line["alarm"] for line in stored(tmp_path)} == {OPEN, HOT}
    written(tmp_path, [lines(told)[-1] | {"seq": 99}])
    assert json.loads(path.read_text().splitlines()[-1])["seq"] == 99, "the cut line did not swallow the next"
    assert json.loads((tmp_path / "state.json").read_text())["seq"] == 99


def test_the_state_is_the_last_state_file_and_what_came_after(tmp_path: Path) -> None:
    told = story()
    first, second = lines(told)[:2], lines(told)[2:]
    written(tmp_path, first)
    kept = (tmp_path / "state.json").read_bytes()
    written(tmp_path, second)
    whole = stored(tmp_path)
    (tmp_path / "state.json").write_bytes(kept)
    assert stored(tmp_path) == whole
    (tmp_path / "state.json").write_text('{"seq": 1}')
    assert stored(tmp_path) == whole


def test_counts_are_kept_when_the_alarm_is_normal_again(tmp_path: Path) -> None:
    told = Story(catalogue()).told((TEMP, 61)).told((TEMP, 1)).act(Action.ACKNOWLEDGE, HOT)
    written(tmp_path, lines(told))
    assert stored(tmp_path) == [{"alarm": HOT, "count": 1}]


def test_a_full_disk_keeps_lines_in_memory_and_writes_them_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_RETRY_S", 0.02)
    folder, log = tmp_path / "alarms", QuietLog()
    keeper = AlarmStore(folder, log)
    keeper.load()
    keeper.start()
    folder.rmdir()
    folder.write_text("in the way")
    keeper.append(lines(story())[:1])
    end = time.monotonic() + 10
    while "alarm history cannot be written: it is kept in memory" not in log.events():
        assert time.monotonic() < end
        time.sleep(0.01)
    folder.unlink()
    folder.mkdir()
    keeper.append(lines(story())[1:])
    keeper.stop()
    [path] = folder.glob("*.jsonl")
    assert len(path.read_text().splitlines()) == len(story().events)
    assert "alarm history is written again" in log.events()


def test_what_a_full_disk_took_in_part_stands_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes the first line and half of the second, then everything."""
    monkeypatch.setattr(store_module, "_RETRY_S", 0.02)
    whole, told = os.write, lines(story())
    assert len(told) > 1
    short = [len(json.dumps(told[0], separators=(",", ":"))) + 20]
    monkeypatch.setattr(
        store_module.os, "write", lambda handle, data: whole(handle, data[: short.pop()] if short else data)
    )
    keeper = AlarmStore(tmp_path / "alarms", QuietLog())
    keeper.load()
    keeper.append(told)
    keeper.start()
    keeper.stop()
    [path] = (tmp_path / "alarms").glob("*.jsonl")
    assert [json.loads(line) for line in path.read_text().splitlines()] == told


def test_records_travel_as_they_are_and_nothing_else_is_taken_for_one() -> None:
    told = story()
    for record in told.events:
        wire = json.loads(json.dumps(record_to(record)))
        assert record_from(wire, len(told.alarms)) == record
        for at in range(len(wire)):
            for wrong in (None, [], {}, "x" if not isinstance(wire[at], str) else 7):
                with pytest.raises(WireError):
                    record_from([*wire[:at], wrong, *wire[at + 1 :]], len(told.alarms))
        with pytest.raises(WireError):
            record_from([99, *wire[1:]], len(told.alarms))
        with pytest.raises(WireError):
            record_from(wire[1:], len(told.alarms))


def test_an_engine_with_no_alarms_has_nothing_to_do() -> None:
    engine = AlarmEngine(AlarmCatalogue(points=catalogue().points))
    assert (engine.records, engine.tick(0, 0)) == ({}, [])
