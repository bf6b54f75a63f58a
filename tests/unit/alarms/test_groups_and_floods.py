"""First-out, floods, chatter, the summary points."""

from __future__ import annotations

import numpy as np

from gateway.alarms.catalogue import AlarmRules
from gateway.alarms.model import Condition, Priority
from gateway.alarms.summary import group_summary, summary
from gateway.contracts.command import Action
from gateway.points import Kind, Point, PointCatalogue, changes
from tests.kit.alarmkit import DOOR, FLOW, TEMP, Definition, Story, alarm_catalogue

HOT, OPEN, LOW = "bess1/temp/hh", "bess1/door/alarm", "bess1/flow/l"


def group() -> Story:
    story = Story(
        alarm_catalogue(
            Definition(row=TEMP, condition=Condition.HH, limit=60, group="trip", priority=Priority.CRITICAL),
            Definition(row=DOOR, condition=Condition.ALARM, limit=1, group="trip"),
            Definition(row=FLOW, condition=Condition.L, limit=2, group="trip", priority=Priority.LOW),
        )
    )
    story.told((TEMP, 20), (DOOR, 0), (FLOW, 5))
    return story


def first_out(story: Story) -> list[str]:
    return [story.alarms.name(index) for index, record in story.engine.records.items() if record.first_out]


def test_the_first_of_a_group_stays_marked_until_all_have_returned_and_are_acknowledged() -> None:
    story = group().at(1).told((DOOR, 1)).at(2).told((TEMP, 61)).told((FLOW, 0))
    assert first_out(story) == [OPEN]
    assert group_summary(story.engine) == {"trip": {"active": 1.0, "first_out": 2.0}}
    story.told((DOOR, 0)).act(Action.ACKNOWLEDGE, OPEN)
    assert (story.state(OPEN), first_out(story)) == ("normal", [OPEN]), "the others still stand"
    story.told((TEMP, 20), (FLOW, 5)).act(Action.ACKNOWLEDGE, HOT)
    story.said()
    story.act(Action.ACKNOWLEDGE, LOW)
    assert story.said() == [f"{LOW} acknowledged", f"{OPEN} first out reset"]
    assert (story.engine.records, group_summary(story.engine)["trip"]["active"]) == ({}, 0.0)


def test_within_a_batch_the_source_times_say_which_was_first() -> None:
    story = group()
    rows, values = np.array([TEMP, DOOR], np.uint32), np.array([61.0, 1.0])
    story.batch(changes(rows, values, np.zeros(2, np.uint32), np.array([2_000_000_005, 2_000_000_004])))
    assert first_out(story) == [OPEN]


def test_a_shelved_alarm_is_never_the_first() -> None:
    story = group().act(Action.SHELVE, OPEN, "door contact broken", 600).told((DOOR, 1)).at(1).told((TEMP, 61))
    assert first_out(story) == [HOT]


def test_the_summary_counts_what_is_in_sight() -> None:
    story = group().told((DOOR, 1), (TEMP, 61), (FLOW, 0)).act(Action.ACKNOWLEDGE, HOT)
    story.act(Action.SHELVE, LOW, "why", 60)
    shown = {name: value for name, value in summary(story.engine, story.utc_ns).items() if value}
    assert shown == {
        **{"active": 2, "unacknowledged": 1, "highest_priority": 4, "critical": 1, "medium": 1, "shelved": 1},
        "recent": 3,
    }
    story.at(25 * 3600)
    assert summary(story.engine, story.utc_ns)["standing"] == 3, "the shelf has expired"


def many(count: int, rules: AlarmRules | None = None) -> Story:
    catalogue = PointCatalogue.of([Point(row=i, name=f"p{i}", kind=Kind.ANALOG) for i in range(count)])
    definitions = [Definition(row=i, condition=Condition.H, limit=10) for i in range(count)]
    return Story(alarm_catalogue(*definitions, of=catalogue, rules=rules))


def test_more_than_ten_alarms_in_ten_minutes_are_a_flood_until_fewer_than_five_are() -> None:
    story = many(40)
    for i in range(10):
        story.at(i).told((i, 11))
    assert not story.engine.statistics.flood
    story.at(10).told((10, 11))
    assert story.engine.statistics.flood
    story.at(606)
    assert (story.engine.statistics.recent, story.engine.statistics.flood) == (5, True)
    story.at(607)
    assert (story.engine.statistics.recent, story.engine.statistics.flood) == (4, False)


def test_ten_thousand_alarms_at_once_are_each_told_once() -> None:
    story = many(10_000)
    rows = np.arange(10_000, dtype=np.uint32)
    story.batch(changes(rows, np.full(10_000, 11.0), np.zeros(10_000, np.uint32), np.full(10_000, 5)))
    assert len({record.index for record in story.events}) == len(story.events) == 10_000
    assert [record.seq for record in story.events] == list(range(1, 10_001))


def test_an_alarm_that_comes_three_times_in_a_minute_chatters() -> None:
    story = many(2)
    for i in range(3):
        story.at(i * 20).told((0, 11)).told((0, 1))
    assert story.engine.statistics.chattering == [0]
    assert summary(story.engine, story.utc_ns)["chattering"] == 1
    story.at(200)
    assert story.engine.statistics.chattering == []
    assert story.record("p0/h").count == 3
