"""The interlock matrix: what it is, and what persons do about it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from gateway.contracts.command import Action
from gateway.control.interlock.effect import EffectKind
from gateway.control.interlock.plan import BUILT_IN, Interlock
from gateway.control.plan import ControlPlan
from gateway.users.roles import Role
from hmi.controlling.told import Told, ordered
from hmi.controlling.watch import condition_texts
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.refusal import Refusal

Name = Annotated[str, Field(min_length=1, max_length=64)]
_TAG: Final = "interlocks"


class Condition(Answer):
    text: str
    inputs: list[str]
    """Names of points."""


class EffectCell(Answer):
    """`column`: a unit or a point."""

    column: str
    kind: str
    words: str


class InterlockFacts(Answer):
    name: str
    message: str
    conditions: list[Condition]
    vote: str
    """Such as 2oo3; empty for one condition."""
    delay_s: float
    effects: list[EffectCell]
    latch: bool
    reset: str
    on_bad: str
    may_bypass: bool
    permissive: bool
    built_in: bool
    points: dict[str, str]
    """active, latched, tripped, bypassed, first_out, reset -> name of the point."""


class Matrix(Answer):
    """Rows in the order in which they are looked at; `columns`: units, then points that are written."""

    columns: list[str]
    rows: list[InterlockFacts]
    bypass_max_min: float


class OfInterlock(Body):
    """`name` empty: all that can be."""

    name: Annotated[str, Field(max_length=64)] = ""


class ToBypass(Body):
    name: Name
    minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)]
    reason: Annotated[str, Field(min_length=3, max_length=400)]


class ToUnbypass(Body):
    name: Name


_WORDS: Final = {
    EffectKind.STOP: "stop",
    EffectKind.BLOCK: "block",
    EffectKind.RAMP: "ramp to {0:g} kW",
    EffectKind.LIMIT: "limit to {0:g} %",
    EffectKind.WRITE: "write {0:g}",
    EffectKind.PERMIT: "permits start",
}


async def _matrix(visit: Visit) -> Matrix:
    desk, plan = visit.desk, visit.desk.site.control
    if plan is None:
        return Matrix(columns=[], rows=[], bypass_max_min=0.0)
    rows = [_row(desk, plan, interlock) for interlock in plan.interlocks]
    written = dict.fromkeys(cell.column for row in rows for cell in row.effects)
    units = [unit.name for unit in plan.units]
    columns = [*units, *(column for column in written if column not in units)]
    return Matrix(columns=columns, rows=rows, bypass_max_min=plan.bypass_max_s / 60)


def _row(desk: Desk, plan: ControlPlan, interlock: Interlock) -> InterlockFacts:
    names, at, vote = desk.catalogue.names, interlock.rows, interlock.vote
    flags = ("active", "latched", "tripped", "bypassed", "first_out", "reset")
    return InterlockFacts(
        name=interlock.name,
        message=interlock.message,
        conditions=[
            Condition(text=text, inputs=list(dict.fromkeys(names[row] for row in condition.rows)))
            for text, condition in zip(condition_texts(plan, interlock), interlock.conditions, strict=True)
        ],
        vote=f"{vote.need}oo{vote.of}" if vote.of > 1 else "",
        delay_s=interlock.delay_ns / 1e9,
        effects=[
            EffectCell(
                column=plan.units[effect.unit].name if effect.unit >= 0 else names[effect.row],
                kind=effect.kind.value,
                words=_WORDS[effect.kind].format(effect.value),
            )
            for effect in interlock.effects
        ],
        latch=interlock.latch,
        reset=interlock.reset.value,
        on_bad=interlock.on_bad.value,
        may_bypass=interlock.may_bypass,
        permissive=interlock.permissive,
        built_in=interlock.name in BUILT_IN,
        points={flag: names[row] if (row := getattr(at, flag)) >= 0 else "" for flag in flags},
    )


def _known(visit: Visit, name: str) -> str:
    plan = visit.desk.site.control
    if name and (plan is None or not any(row.name == name for row in plan.interlocks)):
        raise Refusal(404, f"there is no interlock {name}")
    return name


async def _acknowledge(visit: Visit) -> Told:
    subject = _known(visit, visit.body.name)
    return await ordered(visit.desk, visit.person, Action.ACKNOWLEDGE_TRIP, subject=subject)


async def _reset(visit: Visit) -> Told:
    return await ordered(visit.desk, visit.person, Action.RESET, subject=_known(visit, visit.body.name))


async def _bypass(visit: Visit) -> Told:
    body = visit.body
    return await ordered(
        visit.desk,
        visit.person,
        Action.BYPASS,
        subject=_known(visit, body.name),
        value=body.minutes * 60,
        text=body.reason,
    )


async def _unbypass(visit: Visit) -> Told:
    return await ordered(visit.desk, visit.person, Action.UNBYPASS, subject=_known(visit, visit.body.name))


_UNKNOWN: Final = {404: "there is no such interlock"}

TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/interlocks",
            handler=_matrix,
            answer=Matrix,
            tag=_TAG,
            summary="The cause-and-effect matrix with the points that tell its state.",
        ),
        Endpoint(
            method="POST",
            path="/api/interlocks/acknowledge",
            handler=_acknowledge,
            right=Role.OPERATOR,
            body=OfInterlock,
            answer=Told,
            tag=_TAG,
            summary="Acknowledge a trip, or all of them.",
            responses=_UNKNOWN,
        ),
        Endpoint(
            method="POST",
            path="/api/interlocks/reset",
            handler=_reset,
            right=Role.OPERATOR,
            body=OfInterlock,
            answer=Told,
            tag=_TAG,
            summary="Reset a latched trip whose cause is gone, or all that can be reset.",
            responses=_UNKNOWN,
        ),
        Endpoint(
            method="POST",
            path="/api/interlocks/bypass",
            handler=_bypass,
            right=Role.ENGINEER,
            body=ToBypass,
            answer=Told,
            tag=_TAG,
            summary="Take an interlock out of action for a time and for a reason.",
            responses=_UNKNOWN,
        ),
        Endpoint(
            method="POST",
            path="/api/interlocks/unbypass",
            handler=_unbypass,
            right=Role.ENGINEER,
            body=ToUnbypass,
            answer=Told,
            tag=_TAG,
            summary="Put a bypassed interlock back into action.",
            responses=_UNKNOWN,
        ),
    ],
)
