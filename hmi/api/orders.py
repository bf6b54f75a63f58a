"""Orders to the plant: power of a unit, on, off, emergency stop, dispatch of a fleet, droop. All through the broker."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import Final

from pydantic import Field

from gateway.contracts.command import Action, Outcome, Reason, Stage
from gateway.points.model import NO_ROW
from gateway.users.roles import Role
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.plant import Plant, PlantUnit
from hmi.refusal import Refusal

TAG: Final = "orders"
_STATUS: Final = {
    Reason.NOT_AUTHORISED: 403,
    Reason.CORE_LOST: 503,
    Reason.TIMEOUT: 504,
}
_RESPONSES: Final = {
    404: "there is no such unit or fleet",
    409: "refused, or it failed: the words say why",
    504: "no result before the deadline; whether it was done is not known",
}
_Kw = Field(ge=-1e7, le=1e7)


class UnitName(Body):
    unit: str | None = Field(default=None, max_length=64)
    """Where there is more than one."""


class Power(UnitName):
    power_kw: float = _Kw
    """+ is discharge."""
    reason: str = Field(default="", max_length=300)
    """For the record."""


class ControlAction(StrEnum):
    ENABLE = "enable"
    DISABLE = "disable"
    EMERGENCY_STOP = "emergency_stop"


class Control(UnitName):
    """Without a unit: all of them. An emergency stop is always of all."""

    action: ControlAction
    reason: str = Field(default="", max_length=300)


class Dispatch(Body):
    fleet: str | None = Field(default=None, max_length=64)
    """Where there is more than one."""
    power_kw: float = _Kw
    reason: str = Field(default="", max_length=300)


class DroopSwitch(UnitName):
    """Without a unit: all that have a frequency response."""

    enabled: bool


class Result(Answer):
    subject: str
    """The unit, the fleet, or `site`."""
    point: str
    stage: str
    """completed: the device has acknowledged, and the feedback agreed where there is one."""
    text: str
    took_ms: int


async def _power(visit: Visit) -> Result:
    body: Power = visit.body
    unit = Plant(visit.desk).unit(body.unit)
    return await _order(visit, unit.name, unit.unit.setpoint, body.power_kw, body.reason)


async def _control(visit: Visit) -> list[Result]:
    body: Control = visit.body
    plant = Plant(visit.desk)
    if body.action is ControlAction.EMERGENCY_STOP:
        return [await _stop_all(visit, plant, body.reason)]
    units = plant.named(body.unit)
    without = [unit.name for unit in units if unit.unit.run == NO_ROW]
    if without:
        raise Refusal(409, f"no run control (control: units: run) of {', '.join(without)}")
    value = 1.0 if body.action is ControlAction.ENABLE else 0.0
    return await _all(visit, [(unit.name, unit.unit.run, value) for unit in units], body.reason)


async def _stop_all(visit: Visit, plant: Plant, reason: str) -> Result:
    if plant.control is None:
        raise Refusal(409, "this site has no control (control: in site.yaml): nothing can be stopped from here")
    began_s = time.monotonic()
    outcome = await visit.desk.command(visit.person, Action.STOP_ALL, text=reason)
    return _result("site", "system/control/stop_all", outcome, began_s)


async def _dispatch(visit: Visit) -> Result:
    body: Dispatch = visit.body
    fleet = Plant(visit.desk).fleet(body.fleet)
    return await _order(visit, fleet.name, fleet.rows.setpoint_kw, body.power_kw, body.reason)


async def _droop(visit: Visit) -> list[Result]:
    body: DroopSwitch = visit.body
    units: list[PlantUnit] = Plant(visit.desk).droops(body.unit)
    rows = [(unit.name, unit.droop.rows.droop_enable, float(body.enabled)) for unit in units if unit.droop is not None]
    return await _all(visit, rows, "")


async def _all(visit: Visit, orders: list[tuple[str, int, float]], reason: str) -> list[Result]:
    """All at once; when one is refused the answer says which were not."""
    answers = await asyncio.gather(
        *(_order(visit, name, row, value, reason) for name, row, value in orders), return_exceptions=True
    )
    results, refusals = list[Result](), list[Refusal]()
    for answer in answers:
        if isinstance(answer, Refusal):
            refusals.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            results.append(answer)
    if not refusals:
        return results
    if len(orders) == 1:
        raise refusals[0]
    done = tuple(f"{result.subject}: {result.stage}" for result in results)
    raise Refusal(refusals[0].status, "not all units obeyed", (*(refusal.text for refusal in refusals), *done))


async def _order(visit: Visit, subject: str, row: int, value: float, reason: str) -> Result:
    began_s = time.monotonic()
    outcome = await visit.desk.command(visit.person, Action.EXECUTE, row=row, value=value, text=reason)
    return _result(subject, visit.desk.catalogue.names[row], outcome, began_s)


def _result(subject: str, point: str, outcome: Outcome, began_s: float) -> Result:
    """Raises `Refusal` for what was refused or failed."""
    if outcome.stage is not Stage.COMPLETED:
        words = f"{subject}: {outcome.stage.value}, {outcome.reason.value}"
        raise Refusal(_STATUS.get(outcome.reason, 409), f"{words}: {outcome.text}" if outcome.text else words)
    took_ms = int((time.monotonic() - began_s) * 1e3)
    return Result(subject=subject, point=point, stage=outcome.stage.value, text=outcome.text, took_ms=took_ms)


TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="POST",
            path="/power",
            handler=_power,
            body=Power,
            answer=Result,
            right=Role.OPERATOR,
            tag=TAG,
            summary="Set-point of a unit's active power; answered when the unit is there.",
            responses=_RESPONSES,
        ),
        Endpoint(
            method="POST",
            path="/control",
            handler=_control,
            body=Control,
            answer=list[Result],
            right=Role.OPERATOR,
            tag=TAG,
            summary="Start or stop units, or stop everything at once, latched, until a person resets it.",
            responses=_RESPONSES,
        ),
        Endpoint(
            method="POST",
            path="/dispatch",
            handler=_dispatch,
            body=Dispatch,
            answer=Result,
            right=Role.OPERATOR,
            tag=TAG,
            summary="One target for a fleet (control: fleets), shared by its units.",
            responses=_RESPONSES,
        ),
        Endpoint(
            method="POST",
            path="/droop/enable",
            handler=_droop,
            body=DroopSwitch,
            answer=list[Result],
            right=Role.OPERATOR,
            tag=TAG,
            summary="Switch the frequency response on or off.",
            responses=_RESPONSES,
        ),
    ]
)
