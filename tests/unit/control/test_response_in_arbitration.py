"""A response on top of a set-point: while it lasts, when it ends, and with energy kept for it."""

from __future__ import annotations

import math

import pytest

from gateway.control.arbitration import Decision, UnitLimits, UnitState, arbitrate
from gateway.control.controller import PriorityClass, Request

LIMITS = UnitLimits(low_kw=-1000, high_kw=1000)


def response(kw: float) -> Request:
    return Request(unit=0, priority=PriorityClass.RESPONSE, source="droop", add_kw=kw, ramp_kw_per_s=math.inf)


def remote(kw: float) -> Request:
    return Request(unit=0, priority=PriorityClass.REMOTE, source="sldc", target_kw=kw)


def cycles(story: list[tuple[float | None, list[Request]]]) -> list[Decision]:
    """(what the device shows as set-point, requests) -> decisions, one after the other."""
    out, state = [], UnitState()
    for held, requests in story:
        decision = arbitrate(LIMITS, state, requests, held, False, 0.02)
        state = decision.state
        out.append(decision)
    return out


def test_with_nobody_asking_the_response_does_not_run_away_on_what_the_device_shows() -> None:
    """The device shows base and response together a few cycles later: that is no new base."""
    held = [200.0, 200.0, 300.0, 300.0, 300.0]
    decisions = cycles([(shown, [response(100)]) for shown in held])
    assert [decision.target_kw for decision in decisions] == [300.0] * 5
    assert [decision.state.base_kw for decision in decisions] == [200.0] * 5


def test_when_it_ends_the_unit_goes_back_to_its_base_and_is_then_left_alone() -> None:
    story: list[tuple[float | None, list[Request]]] = [
        (200.0, [response(0)]),
        (200.0, [response(100)]),
        (300.0, [response(100)]),
        (300.0, [response(0)]),
        (300.0, [response(0)]),
        (200.0, [response(0)]),
        (200.0, [response(0)]),
        (250.0, [response(0)]),
    ]
    decisions = cycles(story)
    assert [decision.target_kw for decision in decisions] == [200, 300, 300, 200, 200, 200, 200, 250]
    hold, adds = PriorityClass.HOLD, PriorityClass.RESPONSE
    assert [decision.priority for decision in decisions] == [hold, adds, adds, adds, adds, hold, hold, hold]


def test_a_masters_set_point_is_the_base() -> None:
    decisions = cycles([(0.0, [remote(400), response(100)]), (500.0, [remote(400), response(0)])])
    assert [decision.target_kw for decision in decisions] == [500, 400]
    assert decisions[1].priority is PriorityClass.REMOTE


def test_a_reserve_limits_the_set_point_and_leaves_the_response() -> None:
    reserve = Request(
        unit=0, priority=PriorityClass.INTERLOCK, source="reserve", base_low_kw=-1000.0, base_high_kw=100.0
    )
    [decision] = cycles([(0.0, [remote(400), response(300), reserve])])
    assert decision.state.base_kw == 100
    assert decision.target_kw == 400
    assert decision.limited_by == "reserve"


@pytest.mark.parametrize("priority", [PriorityClass.INTERLOCK, PriorityClass.SAFETY, PriorityClass.OPERATOR])
def test_whoever_stands_above_it_takes_the_response_away(priority: PriorityClass) -> None:
    above = Request(unit=0, priority=priority, source="above", target_kw=50.0)
    [decision] = cycles([(0.0, [above, response(300)])])
    assert decision.target_kw == 50
