"""What control does now, for a person who asks: what the points of `system/control` do not say. JSON, words included.

Asked for by the page for technicians when something has changed, never in the cycle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.control.interlock.state import InterlockState
from gateway.control.standing import Standing
from gateway.control.targets.agc import AgcController
from gateway.control.targets.fleet import FleetController

if TYPE_CHECKING:
    from gateway.control.cycle import ControlCycle
    from gateway.control.plan import ControlPlan

_FOR_EVER_NS: Final = 100 * 365 * 86_400 * 10**9


class Viewed(Protocol):
    """Of the runner: what is looked at."""

    plan: ControlPlan
    cycle: ControlCycle

    def not_ready(self, unit: int) -> str: ...
    def acknowledged_kw(self, unit: int) -> tuple[float | None, Exception | None]: ...


def control_view(runner: Viewed, now_ns: int, wall_ns: int) -> dict[str, Any]:
    """Times in the answer are ns since 1970 UTC; `now_ns` is monotonic.

    `interlocks` holds rows that are not at rest, by name; `units` all, in the order of the plan.
    """
    cycle = runner.cycle
    return {
        "time": wall_ns,
        "local": cycle.local,
        "units": [_unit(runner, i, now_ns, wall_ns) for i in range(len(runner.plan.units))],
        "interlocks": dict(_interlocks(cycle, now_ns)),
        "agc": dict(_agc(cycle, now_ns, wall_ns)),
        "fleets": dict(_fleets(cycle)),
    }


def _unit(runner: Viewed, i: int, now_ns: int, wall_ns: int) -> dict[str, Any]:
    cycle, unit = runner.cycle, runner.plan.units[i]
    decision, standing = cycle.decisions[i], cycle.standing[i]
    acknowledged, trouble = runner.acknowledged_kw(i)
    first = cycle.engine.first_out[i]
    facts: dict[str, Any] = {
        "name": unit.name,
        "operator": _standing(standing.operator, now_ns, wall_ns),
        "remote": _standing(standing.remote, now_ns, wall_ns),
        "acknowledged_kw": acknowledged,
        "trouble": "" if trouble is None else str(trouble),
        "not_ready": runner.not_ready(i),
        "no_start": cycle.engine.start_refusal(i),
        "first_out": "" if first is None else cycle.engine.rows[first].name,
    }
    if decision is None:
        return facts
    return facts | {
        "source": decision.priority.name.lower(),
        "owner": decision.source,
        "base_kw": decision.state.base_kw,
        "response_kw": decision.state.add_kw,
        "target_kw": decision.target_kw,
        "wanted_kw": decision.wanted_kw,
        "low_kw": decision.low_kw,
        "high_kw": decision.high_kw,
        "limited_by": decision.limited_by,
        "blocked_by": decision.blocked_by,
        "stopped": decision.stop,
    }


def _standing(standing: Standing | None, now_ns: int, wall_ns: int) -> dict[str, Any] | None:
    if standing is None:
        return None
    left_ns = standing.until_ns - now_ns
    until = None if left_ns > _FOR_EVER_NS else wall_ns + left_ns
    return {"kw": standing.kw, "owner": standing.owner, "until": until}


def _interlocks(cycle: ControlCycle, now_ns: int) -> Iterator[tuple[str, dict[str, Any]]]:
    engine = cycle.engine
    for i, (row, state) in enumerate(zip(engine.rows, engine.states, strict=True)):
        if _rests(state):
            continue
        waits = state.since_ns is not None and not state.active
        left_ns = row.delay_ns - (now_ns - state.since_ns) if waits and state.since_ns is not None else 0
        by = state.bypass
        yield (
            row.name,
            {
                "cause_there": state.raw,
                "active": state.active,
                "delay_left_s": max(0.0, left_ns / 1e9),
                "unknown": state.waiting,
                "latched": state.latched,
                "acknowledged": state.acknowledged,
                "tripped_at": state.latched_ns or None,
                "cause": state.cause,
                "bypass": None if by is None else {"owner": by.owner, "reason": by.reason, "until": by.until_ns},
                "no_reset": engine.reset_refusal(i) if state.latched else "",
            },
        )


def _rests(state: InterlockState) -> bool:
    return not (state.raw or state.active or state.latched or state.waiting or state.bypass is not None)


def _agc(cycle: ControlCycle, now_ns: int, wall_ns: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for controller in cycle.controllers:
        if isinstance(controller, AgcController) and (heard := controller.follower.heard) is not None:
            kw, at_ns = heard
            name = cycle.plan.units[controller.follower.plan.unit].name
            yield name, {"kw": kw, "at": wall_ns - (now_ns - at_ns)}


def _fleets(cycle: ControlCycle) -> Iterator[tuple[str, dict[str, Any]]]:
    for controller in cycle.controllers:
        if isinstance(controller, FleetController):
            shares = {cycle.plan.units[unit].name: kw for unit, kw in controller.shares or ()}
            asked = controller.asked_kw
            yield controller.plan.name, {"asked_kw": asked, "shares": shares, "unserved_kw": controller.unserved_kw}
