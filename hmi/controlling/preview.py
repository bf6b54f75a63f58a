"""What a command would do now, in words, before it is given. Pure; the broker's own checks are the last word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.control.plan import ControlPlan
from gateway.control.unit import Unit
from gateway.points.model import NO_ROW, Kind, PointCatalogue
from gateway.site.plan import SitePlan

State = dict[str, Any]
"""What `gateway.control.view` gave; empty: not known, or no control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`lines` say what will happen; `warnings` what stands in the way or will cut it."""

    lines: list[str]
    warnings: list[str]


def preview(site: SitePlan, state: State, row: int, value: float, present: float | None) -> Preview:
    """`present`: the point's value now, None when it is not known."""
    lines, warnings = list[str](), list[str]()
    for kind, words in _all(site, state, row, value, present):
        (warnings if kind == "!" else lines).append(words)
    return Preview(lines=lines, warnings=warnings)


Said = Iterator[tuple[str, str]]
"""("" or "!", words)."""


def _all(site: SitePlan, state: State, row: int, value: float, present: float | None) -> Said:
    plan = site.control
    for i, unit in enumerate(() if plan is None else plan.units):
        told = state["units"][i] if i < len(state.get("units", ())) else {}
        if row == unit.setpoint:
            yield from _setpoint(unit, told, state, value, present)
            return
        if row == unit.run:
            yield from _run(unit, told, value)
            return
    yield from _plain(site.catalogue, plan, row, value, present)


def _setpoint(unit: Unit, told: State, state: State, value: float, present: float | None) -> Said:
    begin = told.get("base_kw")
    begin = present if begin is None else begin
    if begin is not None:
        away = abs(value - begin)
        ramped = math.isfinite(unit.ramp_kw_per_s) and away > 0
        took = f" in about {away / unit.ramp_kw_per_s:.1f} s ({unit.ramp_kw_per_s:g} kW/s)" if ramped else " at once"
        way = f"goes from {begin:g} kW to {value:g} kW{took}" if away else f"stays at {value:g} kW"
        yield "", f"{unit.name} {way}."
    minutes = unit.operator_valid_s / 60
    yield (
        "",
        f"You then hold the unit for {minutes:g} min, or until it is released: no master, AGC or schedule moves it.",
    )
    yield "", "While you hold it the frequency response adds nothing."
    yield from _holder(unit, told)
    low, high = told.get("low_kw"), told.get("high_kw")
    if low is not None and high is not None and not low <= value <= high:
        cut = min(max(value, low), high)
        by = _limiter(told)
        yield "!", f"{unit.name} can do {low:g} to {high:g} kW now{by}: the set-point would be cut to {cut:g} kW."
    if told.get("blocked_by"):
        yield "!", f"{unit.name} is blocked by interlock {told['blocked_by']}: it takes 0 alone."
    if told.get("not_ready"):
        yield "!", f"{unit.name}: {told['not_ready']}."
    if state.get("local"):
        yield "!", "The site is in local."


def _limiter(told: State) -> str:
    return f" (limited by {told['limited_by']})" if told.get("limited_by") else ""


def _holder(unit: Unit, told: State) -> Said:
    operator, remote = told.get("operator"), told.get("remote")
    if operator is not None:
        yield "", f"{operator['owner']} holds {unit.name} at {operator['kw']:g} kW now: your set-point takes its place."
    elif remote is not None:
        yield "", f"{remote['owner']} has set {remote['kw']:g} kW: that waits behind yours."
    elif told.get("source") == "hold":
        yield "", "Nobody drives it now: the device keeps what it has."
    elif told.get("owner"):
        yield "", f"Now it is driven by {told['owner']}."


def _run(unit: Unit, told: State, value: float) -> Said:
    if value == 0.0:
        yield "", f"{unit.name} stops at once, without a ramp."
        return
    yield "", f"{unit.name} starts and goes to its set-point."
    if told.get("no_start"):
        yield "!", f"{told['no_start']}."
    if told.get("not_ready"):
        yield "!", f"{unit.name}: {told['not_ready']}."


def _plain(catalogue: PointCatalogue, plan: ControlPlan | None, row: int, value: float, present: float | None) -> Said:
    name = catalogue.names[row]
    if catalogue.descriptions[row]:
        yield "", f"{catalogue.descriptions[row]}."
    before = "" if present is None else f" (now {_value(catalogue, row, present)})"
    yield "", f"{name} is set to {_value(catalogue, row, value)}{before}."
    device = int(catalogue.device[row])
    if device >= 0:
        yield "", f"It is written to device {catalogue.devices[device]}."
    else:
        yield "", "The gateway itself carries it out."
    feedback = int(catalogue.feedback[row])
    if feedback != NO_ROW:
        seconds = float(catalogue.feedback_s[row])
        yield "", f"{catalogue.names[feedback]} is to follow within {seconds:g} s."


def _value(catalogue: PointCatalogue, row: int, value: float) -> str:
    if catalogue.kind(row) is Kind.CONTROL:
        return "on (1)" if value else "off (0)"
    return f"{value:g} {catalogue.units[row]}".rstrip()
