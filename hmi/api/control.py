"""Control: what it is and does; set-points and controls by select and execute; stop all, release, schedule."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from gateway.contracts.command import Action, Outcome
from gateway.control.targets.schedule import SchedulePlan
from gateway.points.model import Kind
from gateway.points.quality import UNUSABLE
from gateway.users.roles import Role
from hmi.controlling.blocks import DayOfBlocks, actual, scheduled
from hmi.controlling.console import console
from hmi.controlling.facts import ControlFacts, schedule_name
from hmi.controlling.preview import preview
from hmi.controlling.selects import VALID_S
from hmi.controlling.told import Told, ordered, told
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.refusal import Refusal

PointName = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Value = Annotated[float, Field(ge=-1e12, le=1e12)]
_LISTED: Final = 200
_TAG: Final = "control"


class ControlState(Answer):
    """`state` as `gateway.control.view` gives it; empty: the core does not answer, or there is no control."""

    state: dict[str, Any]


class CommandPoint(Answer):
    name: str
    kind: str
    unit: str
    description: str
    low: float | None
    high: float | None
    control: str
    """The unit of control that takes it for its own; empty: it goes to its device, or to the gateway."""
    ramp_kw_per_s: float | None


class Search(Body):
    search: Annotated[str, Field(max_length=100)] = ""


class CommandPoints(Answer):
    """`total` fit; the first are listed."""

    points: list[CommandPoint]
    total: int


class ToSelect(Body):
    point: PointName
    value: Value


class Selected(Answer):
    """`select`: to be executed within `valid_s`; empty when the broker refuses: `told` says why."""

    select: str
    valid_s: float
    told: Told
    lines: list[str]
    warnings: list[str]
    present: float | None
    unit: str


class ToExecute(Body):
    select: Annotated[str, Field(min_length=1, max_length=64)]
    point: PointName
    value: Value


class Executed(Answer):
    """`command` names it in the passport; empty when it is not known."""

    told: Told
    command: str


class ToCancel(Body):
    select: Annotated[str, Field(min_length=1, max_length=64)]


class ToStop(Body):
    reason: Annotated[str, Field(min_length=3, max_length=400)]


class ToRelease(Body):
    unit: Name = ""
    fleet: Name = ""


class OfSchedule(Body):
    name: Name


async def _facts(visit: Visit) -> ControlFacts:
    return console(visit.desk).facts


async def _state(visit: Visit) -> ControlState:
    watch = console(visit.desk).watch
    return ControlState(state={} if watch is None else await watch.ask())


async def _points(visit: Visit) -> CommandPoints:
    desk, wanted = visit.desk, visit.query.search.lower()
    catalogue = desk.catalogue
    commanded = [kind for kind in Kind if kind.commanded]
    rows = np.flatnonzero(np.isin(catalogue.kinds, commanded)).tolist()
    shared = console(desk)
    if not visit.person.may(Role.ENGINEER):
        rows = [row for row in rows if row not in shared.engineers_only]
    if wanted:
        rows = [
            row
            for row in rows
            if wanted in catalogue.names[row].lower() or wanted in catalogue.descriptions[row].lower()
        ]
    first = sorted(rows, key=lambda row: (row not in shared.own, catalogue.names[row]))[:_LISTED]
    return CommandPoints(points=[_point(desk, row) for row in first], total=len(rows))


def _point(desk: Desk, row: int) -> CommandPoint:
    catalogue = desk.catalogue
    unit = console(desk).own.get(row)
    low, high = float(catalogue.low[row]), float(catalogue.high[row])
    setpoint = unit is not None and row == unit.setpoint
    if unit is not None and setpoint:
        low, high = unit.low_kw, unit.high_kw
    ramp = unit.ramp_kw_per_s if unit is not None and setpoint else np.inf
    return CommandPoint(
        name=catalogue.names[row],
        kind=catalogue.kind(row).word,
        unit=catalogue.units[row],
        description=catalogue.descriptions[row],
        low=low if np.isfinite(low) else None,
        high=high if np.isfinite(high) else None,
        control="" if unit is None else unit.name,
        ramp_kw_per_s=ramp if np.isfinite(ramp) else None,
    )


def _row(visit: Visit, name: str) -> int:
    """The row of a point that this person may command. Raises `Refusal`."""
    row = visit.desk.row(name)
    if row in console(visit.desk).engineers_only and not visit.person.may(Role.ENGINEER):
        raise Refusal(403, f"{name} is for engineers: it shows the response a frequency that is none")
    return row


async def _select(visit: Visit) -> Selected:
    desk, body, shared = visit.desk, visit.body, console(visit.desk)
    row = _row(visit, body.point)
    state = {} if shared.watch is None else await shared.watch.ask()
    mirror = desk.client.mirror
    known = not int(mirror.quality[row]) & int(UNUSABLE) and np.isfinite(mirror.value[row])
    present = float(mirror.value[row]) if known else None
    word = await ordered(desk, visit.person, Action.SELECT, row=row, value=body.value)
    said = preview(desk.site, state, row, body.value, present)
    token = shared.selects.open(visit.person.who, row, body.value, time.monotonic()) if word.done else ""
    return Selected(
        select=token,
        valid_s=VALID_S,
        told=word,
        lines=said.lines,
        warnings=said.warnings,
        present=present,
        unit=desk.catalogue.units[row],
    )


async def _execute(visit: Visit) -> Executed:
    desk, body, shared = visit.desk, visit.body, console(visit.desk)
    row = _row(visit, body.point)
    shared.selects.take(body.select, visit.person.who, row, body.value, time.monotonic())

    def hear(outcome: Outcome) -> None:
        shared.follow(body.select, outcome)

    outcome = await desk.command(visit.person, Action.EXECUTE, row=row, value=body.value, told=hear)
    return Executed(told=told(outcome), command=shared.key(outcome.id))


async def _cancel(visit: Visit) -> dict[str, Any]:
    console(visit.desk).selects.drop(visit.body.select)
    return {}


async def _stop_all(visit: Visit) -> Told:
    if visit.desk.site.control is None:
        raise Refusal(409, "this site has no control section: nothing here can stop its units")
    return await ordered(visit.desk, visit.person, Action.STOP_ALL, text=visit.body.reason.strip())


async def _release(visit: Visit) -> Told:
    facts, body = console(visit.desk).facts, visit.body
    kind, name = ("unit", body.unit) if body.unit else ("fleet", body.fleet)
    known: Any = facts.units if kind == "unit" else facts.fleets
    found = next((each for each in known if each.name == name), None)
    if found is None:
        raise Refusal(404, f"there is no {kind} {name}")
    return await ordered(
        visit.desk, visit.person, Action.EXECUTE, row=visit.desk.row(found.points["release"]), value=1.0
    )


async def _schedule(visit: Visit) -> DayOfBlocks:
    desk, name = visit.desk, visit.query.name
    plan = _schedule_plan(desk, name)
    now_ns = time.time_ns()
    block, planned = scheduled(plan, desk.client.mirror, now_ns)
    delivered: list[float | None] = []
    if desk.history_folder is not None and plan.power >= 0:
        point = desk.catalogue.names[plan.power]
        try:
            delivered = await desk.on_disk(lambda: actual(desk.history(), point, plan, now_ns))
        except Refusal:  # nothing is recorded yet
            delivered = []
    return DayOfBlocks(
        name=name,
        day=block.day.isoformat(),
        block=block.number,
        scheduled_kw=planned,
        actual_kw=delivered or [None] * len(planned),
        recorded=bool(delivered),
    )


def _schedule_plan(desk: Desk, name: str) -> SchedulePlan:
    controllers: Any = () if desk.site.control is None else desk.site.control.controllers
    for plan in controllers:
        if isinstance(plan, SchedulePlan) and schedule_name(plan, desk.catalogue) == name:
            return plan
    raise Refusal(404, f"there is no schedule {name}")


def _begin(desk: Desk) -> None:
    console(desk)


_GONE: Final = {404: "there is no such point", 409: "the select has run out, or was for something else"}

TOPIC: Final = Topic(
    begin=_begin,
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/control",
            handler=_facts,
            answer=ControlFacts,
            tag=_TAG,
            summary="What control of this site is: units, responses, targets, with the names of their points.",
        ),
        Endpoint(
            method="GET",
            path="/api/control/state",
            handler=_state,
            answer=ControlState,
            tag=_TAG,
            summary="What control does now: who drives each unit, for how long, what limits or blocks it.",
            quiet=True,
        ),
        Endpoint(
            method="GET",
            path="/api/control/points",
            handler=_points,
            query=Search,
            answer=CommandPoints,
            tag=_TAG,
            summary="Set-points and controls that may be commanded, those of control's units first.",
        ),
        Endpoint(
            method="POST",
            path="/api/control/select",
            handler=_select,
            right=Role.OPERATOR,
            body=ToSelect,
            answer=Selected,
            tag=_TAG,
            summary="Select a point with a value: every check is made, nothing is written.",
            responses={404: "there is no such point"},
        ),
        Endpoint(
            method="POST",
            path="/api/control/execute",
            handler=_execute,
            right=Role.OPERATOR,
            body=ToExecute,
            answer=Executed,
            tag=_TAG,
            summary="Execute what was selected, with the same value and in time; answers with the last word on it.",
            responses=_GONE,
        ),
        Endpoint(
            method="POST",
            path="/api/control/cancel",
            handler=_cancel,
            right=Role.OPERATOR,
            body=ToCancel,
            answer=dict[str, Any],
            tag=_TAG,
            summary="Give a select up.",
        ),
        Endpoint(
            method="POST",
            path="/api/control/stop-all",
            handler=_stop_all,
            right=Role.OPERATOR,
            body=ToStop,
            answer=Told,
            tag=_TAG,
            summary="Stop every unit at once, latched.",
            responses={409: "the site has no control"},
        ),
        Endpoint(
            method="POST",
            path="/api/control/release",
            handler=_release,
            right=Role.OPERATOR,
            body=ToRelease,
            answer=Told,
            tag=_TAG,
            summary="Let go of a unit, or of a fleet's set-point.",
            responses={404: "there is no such unit or fleet"},
        ),
        Endpoint(
            method="GET",
            path="/api/control/schedule",
            handler=_schedule,
            query=OfSchedule,
            answer=DayOfBlocks,
            tag=_TAG,
            summary="The day of a schedule in 96 blocks, and what was delivered.",
            responses={404: "there is no such schedule"},
        ),
    ],
)
