"""One decision per unit and cycle: who wins, within which limits, how fast. Pure.

::

    targets ──► highest class wins ──► ramp ──► base ─┐
    additions (droop) ──► sum ──► ramp ─────────────── + ──► limits ──► target
    limits ──► intersected ────────────────────────────────────▲
    stop ──► zero, at once, past everything

Limits hold at once and without a ramp: a derating that takes its time protects nothing. What a limit has cut comes
back along the ramp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.control.controller import PriorityClass, Request

_BACK_PART: Final = 0.005
IN_LOCAL: Final = frozenset({PriorityClass.SAFETY, PriorityClass.INTERLOCK, PriorityClass.HOLD})
"""Classes that act while the site is switched to local: protection goes on, all else leaves the unit alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLimits:
    """What no request can leave: ratings in kW, and the ramp of whoever names none."""

    low_kw: float
    high_kw: float
    ramp_kw_per_s: float = math.inf


@dataclass(slots=True)
class UnitState:
    """Where the unit's set-point stands after a cycle. None: nothing is known of the device yet, nothing is written."""

    base_kw: float | None = None
    add_kw: float = 0.0
    responding: bool = False
    """A response is added, or was and the device has not come back from it."""


@dataclass(slots=True)
class Decision:
    """What becomes of a unit's requests."""

    state: UnitState
    target_kw: float | None
    wanted_kw: float | None
    """Where the winner wants to go, without ramp and limits."""
    priority: PriorityClass
    source: str
    low_kw: float
    high_kw: float
    limited_by: str
    """Whose limit cuts the target; empty when none does."""
    stop: bool
    blocked_by: str
    """Who blocks the unit; empty when nobody does."""


@dataclass(slots=True, kw_only=True)
class Ruling:
    """What the requests of one unit come to, whatever its state: it holds until one of them changes."""

    priority: PriorityClass
    source: str
    goal_kw: float | None
    """Where the winner wants the base set-point; None: nobody asks."""
    aim_kw: float
    """The goal within the limits of set-points."""
    rate_kw_per_s: float
    add_kw: float
    add_rate_kw_per_s: float
    add_by: str
    low_kw: float
    high_kw: float
    low_by: str
    high_by: str
    base_low_kw: float
    base_high_kw: float
    base_by: str
    stop: bool
    blocked_by: str


def arbitrate(
    limits: UnitLimits,
    state: UnitState,
    requests: Sequence[Request],
    held_kw: float | None,
    local: bool,
    dt_s: float,
) -> Decision:
    """Decide. `held_kw` is what the device itself has as set-point (or delivers), None when not known."""
    return move(limits, rule(limits, requests, local), state, held_kw, dt_s)


def rule(limits: UnitLimits, requests: Sequence[Request], local: bool) -> Ruling:
    """Who wins, and within which limits."""
    if local:
        requests = [request for request in requests if _protects(request)]
    low, high, low_by, high_by = _intersect(limits, requests)
    stopped = next((request for request in requests if request.stop), None)
    winner = _winner(requests) if stopped is None else stopped
    priority, source = (PriorityClass.HOLD, "held") if winner is None else (winner.priority, winner.source)
    add, add_rate, add_by = _additions(limits, requests, priority)
    base_low, base_high, base_by = _base_limits(requests, low, high, priority)
    goal = None if winner is None else winner.target_kw
    return Ruling(
        priority=priority,
        source=source,
        goal_kw=goal,
        aim_kw=0.0 if goal is None else _clamp(goal, base_low, base_high),
        rate_kw_per_s=_rate(limits, winner),
        add_kw=add,
        add_rate_kw_per_s=add_rate,
        add_by=add_by,
        low_kw=low,
        high_kw=high,
        low_by=low_by,
        high_by=high_by,
        base_low_kw=base_low,
        base_high_kw=base_high,
        base_by=base_by,
        stop=stopped is not None,
        blocked_by=next((request.source for request in requests if request.block or request.stop), ""),
    )


def move(limits: UnitLimits, ruling: Ruling, state: UnitState, held_kw: float | None, dt_s: float) -> Decision:
    """One cycle's way towards what was ruled."""
    low, high, blocked_by = ruling.low_kw, ruling.high_kw, ruling.blocked_by
    priority, source, add_wish = ruling.priority, ruling.source, ruling.add_kw
    if ruling.stop:
        return Decision(UnitState(0.0, 0.0), 0.0, 0.0, priority, source, low, high, source, True, source)
    goal = ruling.goal_kw
    away = goal is None and _still_away(limits, state, held_kw)
    add = _step(state.add_kw, add_wish, ruling.add_rate_kw_per_s * dt_s)
    responding = bool(ruling.add_by) and (add_wish != 0 or add != 0 or away)
    wish, begin = _from_where(goal, state, held_kw, responding)
    if wish is None or begin is None:
        return Decision(UnitState(), None, None, priority, source, low, high, "", False, blocked_by)
    base_low, base_high = ruling.base_low_kw, ruling.base_high_kw
    base = _clamp(_step(begin, _clamp(wish, base_low, base_high), ruling.rate_kw_per_s * dt_s), low, high)
    target, wanted = _clamp(base + add, low, high), wish + add_wish
    if responding:
        priority, source = PriorityClass.RESPONSE, ruling.add_by
    limited_by = ruling.low_by if wanted < low else ruling.high_by if wanted > high else ""
    if not limited_by and not base_low <= wish <= base_high:
        limited_by = ruling.base_by
    after = UnitState(base, target - base, responding)
    return Decision(after, target, wanted, priority, source, low, high, limited_by, False, blocked_by)


def cruising(ruling: Ruling, decision: Decision) -> bool:
    """Whether there is nothing but the ramp to a goal left, whatever the device shows: `cruise` does for `move`."""
    state = decision.state
    plain = not (ruling.stop or ruling.add_by or state.responding or state.add_kw)
    return plain and ruling.goal_kw is not None and state.base_kw is not None


def cruise(ruling: Ruling, before: Decision, dt_s: float) -> Decision:
    """`move`, of what is `cruising`; the same decision once it has arrived."""
    begin = before.state.base_kw or 0.0
    base = _clamp(_step(begin, ruling.aim_kw, ruling.rate_kw_per_s * dt_s), ruling.low_kw, ruling.high_kw)
    if base == begin:
        return before
    made, by = UnitState(base), before.blocked_by
    low, high = ruling.low_kw, ruling.high_kw
    return Decision(
        made, base, before.wanted_kw, before.priority, before.source, low, high, before.limited_by, False, by
    )


def _from_where(
    goal_kw: float | None, state: UnitState, held_kw: float | None, responding: bool
) -> tuple[float | None, float | None]:
    """(where the base set-point is to go, where it is now).

    With nobody asking the base is what the device holds. But while a response is added, what the device holds is base
    and response: the base from before counts until the device has come back to it.
    """
    if goal_kw is not None:
        begin = held_kw if state.base_kw is None else state.base_kw
        return goal_kw, goal_kw if begin is None else begin
    known = held_kw
    if state.base_kw is not None and (held_kw is None or responding or state.responding):
        known = state.base_kw
    return known, known


def _still_away(limits: UnitLimits, state: UnitState, held_kw: float | None) -> bool:
    """A response has ended, and the device does not yet show the base again."""
    if not state.responding or state.base_kw is None:
        return False
    tolerance = _BACK_PART * max(abs(limits.low_kw), abs(limits.high_kw))
    return held_kw is None or not math.isfinite(tolerance) or abs(held_kw - state.base_kw) > tolerance


def _base_limits(
    requests: Sequence[Request], low: float, high: float, priority: PriorityClass
) -> tuple[float, float, str]:
    """Limits of set-points alone; protection goes by the whole ones."""
    by = ""
    if priority > PriorityClass.INTERLOCK:
        for request in requests:
            if request.base_low_kw > low or request.base_high_kw < high:
                low, high, by = max(low, request.base_low_kw), min(high, request.base_high_kw), request.source
    return (low, high, by) if low <= high else (0.0, 0.0, by)


def _protects(request: Request) -> bool:
    """What goes on in local: protection, and every limit and block."""
    return request.priority in IN_LOCAL or (request.target_kw is None and request.add_kw is None)


def _winner(requests: Sequence[Request]) -> Request | None:
    winner: Request | None = None
    for request in requests:
        if request.target_kw is not None and (winner is None or request.priority < winner.priority):
            winner = request
    return winner


def _additions(limits: UnitLimits, requests: Sequence[Request], base: PriorityClass) -> tuple[float, float, str]:
    """All additions together, their rate in kW/s, and who the first is of."""
    rate = limits.ramp_kw_per_s
    adding = [request for request in requests if request.add_kw is not None]
    if not adding or base < PriorityClass.RESPONSE:
        return 0.0, rate, ""
    rates = [rate if request.ramp_kw_per_s is None else request.ramp_kw_per_s for request in adding]
    return sum(request.add_kw for request in adding if request.add_kw is not None), max(rates), adding[0].source


def _rate(limits: UnitLimits, winner: Request | None) -> float:
    if winner is None or winner.ramp_kw_per_s is None:
        return limits.ramp_kw_per_s
    return winner.ramp_kw_per_s


def _step(present_kw: float, wanted_kw: float, most_kw: float) -> float:
    """The next value on the way. A rate without limit gives NaN over no time at all: that is no limit either."""
    away = wanted_kw - present_kw
    if not abs(away) > most_kw:
        return wanted_kw
    return present_kw + math.copysign(most_kw, away)


def _intersect(limits: UnitLimits, requests: Sequence[Request]) -> tuple[float, float, str, str]:
    """All limits together. Those that contradict each other, and a block, leave nothing but 0."""
    low, high, low_by, high_by = limits.low_kw, limits.high_kw, "rating", "rating"
    for request in requests:
        lowest, highest = (0.0, 0.0) if request.block else (request.low_kw, request.high_kw)
        if lowest > low:
            low, low_by = lowest, request.source
        if highest < high:
            high, high_by = highest, request.source
    if low > high:
        return 0.0, 0.0, low_by, high_by
    return low, high, low_by, high_by


def _clamp(value: float, low: float, high: float) -> float:
    return low if value < low else high if value > high else value
