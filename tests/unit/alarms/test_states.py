"""The states of ISA-18.2, as tables of what happens and what an alarm is then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.alarms.actions import AlarmRefused
from gateway.alarms.catalogue import AlarmRules
from gateway.alarms.model import Condition
from gateway.contracts.command import Action
from gateway.points import Quality
from tests.kit.alarmkit import BREAKER, DOOR, FLOW, RUN, TEMP, Definition, Story, alarm_catalogue

HH = "bess1/temp/hh"
Step = tuple[float, Callable[[Story], object], str]


def temp(value: float, quality: int = 0) -> Callable[[Story], object]:
    return lambda story: story.told((TEMP, value, quality))


def act(action: Action, text: str = "", duration_s: float = 0.0) -> Callable[[Story], object]:
    return lambda story: story.act(action, HH, text, duration_s)


def nothing(story: Story) -> None:
    """Only time passes."""


acknowledge = act(Action.ACKNOWLEDGE)
shelve = act(Action.SHELVE, "sensor is being changed", 600)
unshelve = act(Action.UNSHELVE)
take_out = act(Action.OUT_OF_SERVICE, "overhaul")
take_in = act(Action.IN_SERVICE)
NORMAL, UNACKED, ACKED, RETURNED = "normal", "unacknowledged", "acknowledged", "returned unacknowledged"
SHELVED, OUT = "shelved", "out of service"

STORIES: dict[str, tuple[dict[str, float], list[Step]]] = {
    "acknowledged, then back": (
        {},
        [(0, temp(50), NORMAL), (1, temp(61), UNACKED), (2, acknowledge, ACKED), (3, temp(50), NORMAL)],
    ),
    "back, then acknowledged": ({}, [(1, temp(61), UNACKED), (2, temp(50), RETURNED), (3, acknowledge, NORMAL)]),
    "back and again": (
        {},
        [(1, temp(61), UNACKED), (2, temp(50), RETURNED), (3, temp(62), UNACKED), (4, acknowledge, ACKED)],
    ),
    "acknowledged, back, and again: it asks anew": (
        {},
        [(1, temp(61), UNACKED), (2, acknowledge, ACKED), (3, temp(50), NORMAL), (4, temp(61), UNACKED)],
    ),
    "on the limit is not above it": ({}, [(1, temp(60), NORMAL), (2, temp(60.001), UNACKED), (3, temp(60), RETURNED)]),
    "the dead band lies on the normal side": (
        {"deadband": 2},
        [(1, temp(61), UNACKED), (2, temp(59), UNACKED), (3, temp(58.1), UNACKED), (4, temp(58), RETURNED)],
    ),
    "on-delay": (
        {"on_delay_s": 5},
        [(1, temp(61), NORMAL), (5.9, nothing, NORMAL), (6, nothing, UNACKED)],
    ),
    "on-delay, gone before it has passed": (
        {"on_delay_s": 5},
        [(1, temp(61), NORMAL), (5, temp(60), NORMAL), (5.5, temp(61), NORMAL), (9, nothing, NORMAL)],
    ),
    "off-delay": (
        {"off_delay_s": 5},
        [(1, temp(61), UNACKED), (2, temp(50), UNACKED), (6.9, nothing, UNACKED), (7, nothing, RETURNED)],
    ),
    "off-delay, there again before it has passed: no second alarm": (
        {"off_delay_s": 5},
        [
            (1, temp(61), UNACKED),
            (2, acknowledge, ACKED),
            (3, temp(50), ACKED),
            (4, temp(61), ACKED),
            (20, nothing, ACKED),
        ],
    ),
    "bad quality holds an active alarm": (
        {},
        [(1, temp(61), UNACKED), (2, temp(50, Quality.COMM_LOST), UNACKED), (3, temp(50), RETURNED)],
    ),
    "bad quality raises nothing": ({}, [(1, temp(99, Quality.INVALID), NORMAL), (2, temp(99), UNACKED)]),
    "bad quality does not stop what is about to be raised": (
        {"on_delay_s": 5},
        [(1, temp(61), NORMAL), (2, temp(61, Quality.NOT_TOPICAL), NORMAL), (6, nothing, UNACKED)],
    ),
    "bad quality stops a return: it needs evidence": (
        {"off_delay_s": 5},
        [
            *((1, temp(61), UNACKED), (2, temp(50), UNACKED), (3, temp(50, Quality.COMM_LOST), UNACKED)),
            *((30, nothing, UNACKED), (31, temp(50), UNACKED), (36, nothing, RETURNED)),
        ],
    ),
    "shelved and expired while it stands: as it was": (
        {},
        [(1, temp(61), UNACKED), (2, shelve, SHELVED), (601.9, nothing, SHELVED), (602, nothing, UNACKED)],
    ),
    "shelved while acknowledged, taken off": (
        {},
        [(1, temp(61), UNACKED), (2, acknowledge, ACKED), (3, shelve, SHELVED), (4, unshelve, ACKED)],
    ),
    "raised while shelved: announced when the shelf expires": (
        {},
        [(1, shelve, SHELVED), (2, temp(61), SHELVED), (601, nothing, UNACKED)],
    ),
    "raised and returned while shelved: nobody need know": (
        {},
        [(1, shelve, SHELVED), (2, temp(61), SHELVED), (3, temp(50), SHELVED), (601, nothing, NORMAL)],
    ),
    "shelved again for longer": (
        {},
        [(1, shelve, SHELVED), (500, shelve, SHELVED), (601, nothing, SHELVED), (1100, nothing, NORMAL)],
    ),
    "one shot: shelved until it has returned": (
        {},
        [
            (1, temp(61), UNACKED),
            (2, act(Action.SHELVE, "known"), SHELVED),
            (9, temp(50), RETURNED),
            (10, temp(61), UNACKED),
        ],
    ),
    "one shot that never returns comes back after the longest time": (
        {},
        [(1, temp(61), UNACKED), (2, act(Action.SHELVE, "known"), SHELVED), (8 * 3600 + 2, nothing, UNACKED)],
    ),
    "out of service and back": (
        {},
        [
            (1, take_out, OUT),
            (2, temp(61), OUT),
            (99999, nothing, OUT),
            (99999, take_in, UNACKED),
            (99999, temp(1), RETURNED),
        ],
    ),
    "out of service goes before shelved": ({}, [(1, shelve, SHELVED), (2, take_out, OUT), (3, take_in, SHELVED)]),
}


@pytest.mark.parametrize("name", STORIES)
def test_states(name: str) -> None:
    facts, steps = STORIES[name]
    story = Story(alarm_catalogue(Definition(row=TEMP, condition=Condition.HH, limit=60, **facts)))
    for at_s, happens, state in steps:
        happens(story.at(at_s))
        assert story.state(HH) == state, f"at {at_s:g} s"
    assert (HH in [story.alarms.name(index) for index in story.engine.records]) is (story.state(HH) != NORMAL)


REFUSED: dict[str, tuple[list[Step], Callable[[Story], object], str]] = {
    "acknowledging what is normal": ([], acknowledge, "nothing to acknowledge"),
    "acknowledging twice": ([(1, temp(61), UNACKED), (2, acknowledge, ACKED)], acknowledge, "nothing to acknowledge"),
    "shelving without a reason": ([], act(Action.SHELVE, "  ", 60), "needs a reason"),
    "shelving for too long": ([], act(Action.SHELVE, "why", 9 * 3600), "28800 s at most"),
    "shelving for no number": ([], act(Action.SHELVE, "why", float("nan")), "at most"),
    "unshelving what is not shelved": ([], unshelve, "not shelved"),
    "out of service without a reason": ([], act(Action.OUT_OF_SERVICE), "needs a reason"),
    "out of service twice": ([(1, take_out, OUT)], take_out, "already"),
    "into service what is in it": ([], take_in, "in service"),
    "confirming where nothing is confirmed": ([], act(Action.CONFIRM), "not confirmed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_action_that_makes_no_sense_is_refused_and_changes_nothing(name: str) -> None:
    steps, happens, words = REFUSED[name]
    story = Story(alarm_catalogue(Definition(row=TEMP, condition=Condition.HH, limit=60)))
    for at_s, before, _ in steps:
        before(story.at(at_s))
    record = story.record(HH)
    with pytest.raises(AlarmRefused, match=words):
        happens(story)
    assert story.record(HH) == record


def test_confirmation_comes_after_the_acknowledgement() -> None:
    story = Story(
        alarm_catalogue(Definition(row=TEMP, condition=Condition.HH, limit=60), rules=AlarmRules(confirm=True))
    )
    story.told((TEMP, 61))
    with pytest.raises(AlarmRefused, match="acknowledged first"):
        story.act(Action.CONFIRM, HH)
    story.act(Action.ACKNOWLEDGE, HH).told((TEMP, 1))
    assert (story.state(HH), story.record(HH).plain) == (NORMAL, False)
    story.act(Action.CONFIRM, HH, by="ravi")
    assert (story.record(HH).plain, story.events[-1].by) == (True, "ravi")


def test_a_binary_is_an_alarm_in_its_state_and_a_double_in_one_of_its_four() -> None:
    story = Story(
        alarm_catalogue(
            Definition(row=DOOR, condition=Condition.ALARM, limit=0),
            Definition(row=BREAKER, condition=Condition.ALARM, limit=1),
        )
    )
    story.told((DOOR, 1), (BREAKER, 2)).told((BREAKER, 0)).told((BREAKER, 3))
    assert story.said() == []
    story.told((BREAKER, 1), (DOOR, 0)).told((BREAKER, 2), (DOOR, 1))
    assert sorted(story.said()) == [
        *("bess1/breaker/alarm raised", "bess1/breaker/alarm returned"),
        *("bess1/door/alarm raised", "bess1/door/alarm returned"),
    ]


def test_the_quality_itself_may_be_an_alarm() -> None:
    story = Story(
        alarm_catalogue(
            Definition(row=TEMP, condition=Condition.HH, limit=60),
            Definition(row=TEMP, condition=Condition.QUALITY, limit=float("nan"), on_delay_s=5),
        )
    )
    story.told((TEMP, 20)).at(1).told((TEMP, 20, Quality.COMM_LOST)).at(3).told((TEMP, 20)).at(10)
    assert story.said() == [], "lost for less than its delay"
    story.told((TEMP, 20, Quality.NOT_TOPICAL)).at(15)
    assert story.said() == ["bess1/temp/quality raised"]
    story.told((TEMP, 20, Quality.NOT_TOPICAL | Quality.COMM_LOST)).told((TEMP, 99))
    assert story.said() == ["bess1/temp/hh raised", "bess1/temp/quality returned"]


def test_a_row_that_comes_twice_in_a_batch_is_an_alarm_and_its_return() -> None:
    story = Story(alarm_catalogue(Definition(row=TEMP, condition=Condition.HH, limit=60)))
    story.told((TEMP, 61), (TEMP, 50))
    assert story.said() == [f"{HH} raised", f"{HH} returned"]


def test_a_delayed_alarm_bears_the_source_time_of_its_value_and_the_delay() -> None:
    story = Story(alarm_catalogue(Definition(row=TEMP, condition=Condition.HH, limit=60, on_delay_s=5, off_delay_s=2)))
    begin_ns = story.utc_ns
    story.at(1).told((TEMP, 61)).at(20).told((TEMP, 70)).at(30).told((TEMP, 50)).at(40)
    record = story.record(HH)
    assert [(at - begin_ns) / 1e9 for at in (record.raised_ns, record.returned_ns)] == [6, 32]


def test_each_limit_is_an_alarm_of_its_own() -> None:
    limits = {Condition.LL: 5, Condition.L: 10, Condition.H: 50, Condition.HH: 60}
    story = Story(alarm_catalogue(*(Definition(row=TEMP, condition=at, limit=v) for at, v in limits.items())))
    story.told((TEMP, 30)).told((TEMP, 55)).told((TEMP, 65)).told((TEMP, 30)).told((TEMP, 1))
    assert story.said() == [
        *("bess1/temp/h raised", "bess1/temp/hh raised", "bess1/temp/h returned", "bess1/temp/hh returned"),
        *("bess1/temp/ll raised", "bess1/temp/l raised"),
    ]


def suppressed() -> Story:
    """Low flow is no alarm while the pump does not run."""
    low = Definition(row=FLOW, condition=Condition.L, limit=2, suppressed_when="bess1/run == 0")
    return Story(alarm_catalogue(low))


LOW = "bess1/flow/l"


def test_what_comes_while_suppressed_is_hidden_and_announced_when_it_is_not_suppressed_any_more() -> None:
    story = suppressed().told((RUN, 1), (FLOW, 5)).told((RUN, 0), (FLOW, 0))
    assert story.state(LOW) == "suppressed by design"
    assert story.engine.suppressed_count() == 1
    story.said()
    story.told((RUN, 1))
    assert (story.said(), story.state(LOW)) == ([f"{LOW} unsuppressed", f"{LOW} announced"], UNACKED)


def test_what_comes_and_goes_while_suppressed_asks_for_nobody() -> None:
    story = suppressed().told((RUN, 0)).told((FLOW, 0)).told((FLOW, 5))
    assert (story.state(LOW), story.engine.records) == (NORMAL, {})


def test_an_alarm_that_was_there_first_may_be_the_cause_and_stays_in_sight() -> None:
    story = suppressed().told((RUN, 1), (FLOW, 5)).told((FLOW, 0)).told((RUN, 0))
    assert story.state(LOW) == UNACKED


def test_in_doubt_nothing_is_suppressed() -> None:
    story = suppressed().told((RUN, 0), (FLOW, 0))
    assert story.state(LOW) == "suppressed by design"
    story.told((RUN, 0, Quality.COMM_LOST))
    assert story.state(LOW) == UNACKED
