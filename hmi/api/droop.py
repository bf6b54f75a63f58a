"""The frequency response: on and off, its test, excursions and their reports."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from starlette.responses import Response

from gateway.contracts.command import Action
from gateway.control.frequency.plan import DroopPlan
from gateway.control.frequency.profiles import ProfileError, load_profile, shipped_profiles
from gateway.users.roles import Role
from hmi.controlling.console import console
from hmi.controlling.drooptests import DroopTestState
from hmi.controlling.excursions import ExcursionList
from hmi.controlling.told import Told, ordered
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.refusal import Refusal

Unit = Annotated[str, Field(min_length=1, max_length=64)]
_TAG: Final = "droop"
_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""A report is a page of its own with its own style; it runs nothing."""


class ToSwitch(Body):
    unit: Unit
    on: bool


class ToTest(Body):
    """`profile`: one that comes with the gateway, or a YAML file beside the site's."""

    unit: Unit
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}(\.ya?ml)?$")] = "iegc"


class Profiles(Answer):
    profiles: list[str]


def _droop(desk: Desk, unit: str) -> DroopPlan:
    found = console(desk).droops.get(unit)
    if found is None:
        raise Refusal(404, f"there is no frequency response of {unit}")
    return found


async def _switch(visit: Visit) -> Told:
    plan = _droop(visit.desk, visit.body.unit)
    return await ordered(
        visit.desk, visit.person, Action.EXECUTE, row=plan.rows.droop_enable, value=float(visit.body.on)
    )


async def _test(visit: Visit) -> DroopTestState:
    desk, body = visit.desk, visit.body
    plan = _droop(desk, body.unit)
    try:
        profile = await desk.on_disk(load_profile, body.profile, desk.site.path.parent)
    except ProfileError as error:
        raise Refusal(404, str(error)) from None
    if not profile.clauses:
        raise Refusal(409, f"profile {profile.name} has no clauses to test")
    tests = console(desk).tests
    tests.start(visit.person, plan, profile)
    return tests.state


async def _stop(visit: Visit) -> DroopTestState:
    tests = console(visit.desk).tests
    tests.stop(visit.person)
    return tests.state


async def _testing(visit: Visit) -> DroopTestState:
    return console(visit.desk).tests.state


async def _profiles(visit: Visit) -> Profiles:
    return Profiles(profiles=await visit.desk.on_disk(shipped_profiles))


async def _excursions(visit: Visit) -> ExcursionList:
    found: ExcursionList = await visit.desk.on_disk(console(visit.desk).evidence.list)
    return found


async def _excursion(visit: Visit) -> Response:
    return await _page(visit, console(visit.desk).evidence.page)


async def _report(visit: Visit) -> Response:
    return await _page(visit, console(visit.desk).evidence.report)


async def _page(visit: Visit, read: Any) -> Response:
    name = visit.path["name"]
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise Refusal(404, f"there is no {name} here")
    text = await visit.desk.on_disk(read, name)
    headers = {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-store"}
    return Response(text, media_type="text/html; charset=utf-8", headers=headers)


_NO_UNIT: Final = {404: "there is no such frequency response", 409: "not possible now"}

TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="POST",
            path="/api/droop/switch",
            handler=_switch,
            right=Role.OPERATOR,
            body=ToSwitch,
            answer=Told,
            tag=_TAG,
            summary="Switch the frequency response of a unit on or off.",
            responses=_NO_UNIT,
        ),
        Endpoint(
            method="POST",
            path="/api/droop/test",
            handler=_test,
            right=Role.ENGINEER,
            body=ToTest,
            answer=DroopTestState,
            tag=_TAG,
            summary="Begin a droop test: a synthetic frequency is shown to the response.",
            responses=_NO_UNIT,
        ),
        Endpoint(
            method="POST",
            path="/api/droop/test/stop",
            handler=_stop,
            right=Role.ENGINEER,
            answer=DroopTestState,
            tag=_TAG,
            summary="End the droop test before its time.",
            responses={409: "none runs"},
        ),
        Endpoint(
            method="GET",
            path="/api/droop/test",
            handler=_testing,
            answer=DroopTestState,
            tag=_TAG,
            summary="The droop test that runs, or the last one.",
            quiet=True,
        ),
        Endpoint(
            method="GET",
            path="/api/droop/profiles",
            handler=_profiles,
            answer=Profiles,
            tag=_TAG,
            summary="Profiles that a droop test can follow.",
        ),
        Endpoint(
            method="GET",
            path="/api/droop/excursions",
            handler=_excursions,
            answer=ExcursionList,
            tag=_TAG,
            summary="Excursions of the frequency that were kept, and reports of droop tests, newest first.",
        ),
        Endpoint(
            method="GET",
            path="/api/droop/excursions/{name}",
            handler=_excursion,
            media="text/html",
            tag=_TAG,
            summary="The report of one excursion as a page.",
            responses={404: "there is no such excursion", 409: "its file cannot be read"},
        ),
        Endpoint(
            method="GET",
            path="/api/droop/reports/{name}",
            handler=_report,
            media="text/html",
            tag=_TAG,
            summary="The report of one droop test as a page.",
            responses={404: "there is no such report"},
        ),
    ],
)
