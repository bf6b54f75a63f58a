"""Who wins: tables of one decision each, and what must hold for any requests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.arbitration import Decision, UnitLimits, UnitState, arbitrate
from gateway.control.controller import PriorityClass as P
from gateway.control.controller import Request

LIMITS = UnitLimits(low_kw=-1000, high_kw=1000, ramp_kw_per_s=500)


def ask(priority: P, **wish: object) -> Request:
    return Request(unit=0, priority=priority, source=priority.name.lower(), **wish)  # type: ignore[arg-type]


def decide(*requests: Request, base: float | None = 0.0, held: float | None = 0.0, local: bool = False) -> Decision:
    return arbitrate(LIMITS, UnitState(base), list(requests), held, local, 100.0)


REMOTE, OPERATOR = ask(P.REMOTE, target_kw=400.0), ask(P.OPERATOR, target_kw=-200.0)
SCHEDULE, DROOP = ask(P.SCHEDULE, target_kw=100.0), ask(P.RESPONSE, add_kw=50.0)
RAMP_ZERO, STOP = ask(P.INTERLOCK, target_kw=0.0), ask(P.SAFETY, stop=True)
BLOCK = ask(P.SAFETY, block=True)
HALF = ask(P.INTERLOCK, low_kw=-500.0, high_kw=500.0)


@pytest.mark.parametrize(
    ("requests", "target", "who"),
    [
        ((), 0.0, P.HOLD),
        ((SCHEDULE,), 100.0, P.SCHEDULE),
        ((SCHEDULE, REMOTE), 400.0, P.REMOTE),
        ((SCHEDULE, REMOTE, DROOP), 450.0, P.RESPONSE),
        ((DROOP,), 50.0, P.RESPONSE),
        ((REMOTE, DROOP, OPERATOR), -200.0, P.OPERATOR),
        ((REMOTE, DROOP, OPERATOR, RAMP_ZERO), 0.0, P.INTERLOCK),
        ((REMOTE, DROOP, OPERATOR, RAMP_ZERO, STOP), 0.0, P.SAFETY),
        ((REMOTE, BLOCK), 0.0, P.REMOTE),
    ],
)
def test_the_highest_class_wins_and_droop_adds_to_what_is_below_it(
    requests: tuple[Request, ...], target: float, who: P
) -> None:
    decision = decide(*requests)
    assert (decision.target_kw, decision.priority) == (target, who)


def test_a_limit_cuts_at_once_and_says_whose_it_is() -> None:
    decision = arbitrate(LIMITS, UnitState(900.0), [ask(P.REMOTE, target_kw=900.0), HALF], 900.0, False, 0.02)
    assert decision.target_kw == 500.0
    assert decision.limited_by == "interlock"


def test_what_a_limit_has_cut_comes_back_along_the_ramp() -> None:
    cut = arbitrate(LIMITS, UnitState(900.0), [ask(P.REMOTE, target_kw=900.0), HALF], 900.0, False, 0.02)
    free = arbitrate(LIMITS, cut.state, [ask(P.REMOTE, target_kw=900.0)], 500.0, False, 0.02)
    assert free.target_kw == pytest.approx(510.0)


def test_limits_that_contradict_each_other_leave_zero() -> None:
    decision = decide(REMOTE, ask(P.INTERLOCK, low_kw=300.0), ask(P.INTERLOCK, high_kw=100.0))
    assert (decision.low_kw, decision.high_kw, decision.target_kw) == (0.0, 0.0, 0.0)


def test_a_set_point_begins_where_the_device_stands() -> None:
    first = arbitrate(LIMITS, UnitState(None), [REMOTE], 200.0, False, 0.02)
    assert first.target_kw == pytest.approx(210.0)


def test_nothing_is_decided_while_nothing_is_known() -> None:
    assert arbitrate(LIMITS, UnitState(None), [DROOP], None, False, 0.02).target_kw is None


def test_in_local_only_protection_goes_on() -> None:
    assert decide(REMOTE, DROOP, held=700.0, local=True).target_kw == 700.0
    assert decide(REMOTE, DROOP, HALF, held=700.0, local=True).target_kw == 500.0
    assert decide(REMOTE, DROOP, STOP, held=700.0, local=True).target_kw == 0.0


KW = st.floats(-3000, 3000, allow_nan=False)
REQUESTS = st.lists(
    st.one_of(
        st.builds(lambda p, kw: ask(p, target_kw=kw), st.sampled_from([P.INTERLOCK, P.OPERATOR, P.REMOTE]), KW),
        st.builds(lambda kw: ask(P.RESPONSE, add_kw=kw), KW),
        st.builds(lambda a, b: ask(P.INTERLOCK, low_kw=min(a, b), high_kw=max(a, b)), KW, KW),
        st.builds(lambda: BLOCK),
    ),
    max_size=6,
)


@given(REQUESTS, KW, st.floats(-1000, 1000), st.floats(-200, 200), st.floats(0, 1))
def test_never_outside_limits_and_never_faster_than_the_ramps(
    requests: list[Request], held: float, base: float, add: float, dt_s: float
) -> None:
    before = UnitState(base, add)
    decision = arbitrate(LIMITS, before, requests, held, False, dt_s)
    assert decision.target_kw is not None
    assert decision.low_kw <= decision.target_kw <= decision.high_kw
    assert -1000 <= decision.target_kw <= 1000
    moved = abs(decision.target_kw - (base + add))
    inside = decision.low_kw <= base <= decision.high_kw and decision.low_kw <= base + add <= decision.high_kw
    asked = any(request.target_kw is not None for request in requests)
    if inside and asked:
        assert moved <= 2 * 500 * dt_s + 1e-6  # base and addition each have their ramp


@given(REQUESTS, KW, st.booleans())
def test_a_stop_is_zero_whatever_else_is_asked(requests: list[Request], held: float, local: bool) -> None:
    decision = arbitrate(LIMITS, UnitState(700.0, 50.0), [*requests, STOP], held, local, 0.02)
    assert decision.stop
    assert decision.target_kw == 0.0
    assert decision.state == UnitState(0.0, 0.0)
    assert not math.isnan(decision.low_kw)
