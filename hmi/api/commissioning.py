"""Point-to-point tests of masters: begin, drive, tick, resume, print; and the SOE buffer test."""

from __future__ import annotations

from typing import Final

from gateway.users.roles import Role
from hmi.commissioning.calls import (
    AwaitOrder,
    Commissioning,
    DriveOrder,
    ItemAnswer,
    ItemNumber,
    NewSheet,
    People,
    SheetFacts,
    SoeOrder,
    Tick,
)
from hmi.commissioning.sheet import Report, Sheet
from hmi.endpoint import Endpoint, Nothing, Topic

_calls: Final = Commissioning()
_TAG: Final = "commissioning"
_ONE: Final = "/api/commissioning/tests/{id}"
_NO_TEST: Final = {404: "no such test or point", 409: "not possible now"}

TOPIC: Final = Topic(
    begin=_calls.begin_topic,
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/commissioning/tests",
            handler=_calls.list_all,
            answer=list[SheetFacts],
            tag=_TAG,
            summary="All tests of masters, the newest first.",
        ),
        Endpoint(
            method="POST",
            path="/api/commissioning/tests",
            handler=_calls.begin,
            right=Role.ENGINEER,
            body=NewSheet,
            answer=Sheet,
            tag=_TAG,
            summary="Begin a point-to-point test of a master.",
            responses={404: "no such master", 409: "it has no map", 507: "it cannot be kept"},
        ),
        Endpoint(
            method="GET",
            path=_ONE,
            handler=_calls.load,
            answer=Sheet,
            tag=_TAG,
            summary="One test.",
            responses=_NO_TEST,
        ),
        Endpoint(
            method="PUT",
            path=_ONE,
            handler=_calls.people,
            right=Role.ENGINEER,
            body=People,
            answer=Sheet,
            tag=_TAG,
            summary="Change names and remark, close or open again.",
            responses=_NO_TEST | {507: "it cannot be kept"},
        ),
        Endpoint(
            method="DELETE",
            path=_ONE,
            handler=_calls.remove,
            right=Role.ENGINEER,
            answer=dict[str, str],
            tag=_TAG,
            summary="Remove a test.",
            responses=_NO_TEST,
        ),
        Endpoint(
            method="GET",
            path=f"{_ONE}/item",
            handler=_calls.item,
            query=ItemNumber,
            answer=ItemAnswer,
            tag=_TAG,
            summary="One point of the list, and values worth driving.",
            responses=_NO_TEST,
        ),
        Endpoint(
            method="POST",
            path=f"{_ONE}/drive",
            handler=_calls.drive,
            right=Role.ENGINEER,
            body=DriveOrder,
            answer=ItemAnswer,
            tag=_TAG,
            summary="Put a test value into a measured point and see what the master was sent.",
            responses=_NO_TEST | {507: "it cannot be kept"},
        ),
        Endpoint(
            method="POST",
            path=f"{_ONE}/release",
            handler=_calls.release,
            right=Role.ENGINEER,
            body=ItemNumber,
            answer=ItemAnswer,
            tag=_TAG,
            summary="End the test value of a point now.",
            responses=_NO_TEST,
        ),
        Endpoint(
            method="POST",
            path=f"{_ONE}/await",
            handler=_calls.await_command,
            right=Role.ENGINEER,
            body=AwaitOrder,
            answer=ItemAnswer,
            tag=_TAG,
            summary="Wait for the master's command of a point.",
            responses=_NO_TEST | {504: "none came", 507: "it cannot be kept"},
        ),
        Endpoint(
            method="POST",
            path=f"{_ONE}/tick",
            handler=_calls.ticked,
            right=Role.ENGINEER,
            body=Tick,
            answer=ItemAnswer,
            tag=_TAG,
            summary="A person's verdict on a point.",
            responses=_NO_TEST | {507: "it cannot be kept"},
        ),
        Endpoint(
            method="POST",
            path=f"{_ONE}/soe",
            handler=_calls.soe,
            right=Role.ENGINEER,
            body=SoeOrder,
            answer=Report,
            tag=_TAG,
            summary="Run the SOE buffer test of this master and keep its report.",
            responses=_NO_TEST | {507: "it cannot be kept"},
        ),
        Endpoint(
            method="GET",
            path=f"{_ONE}/sheet",
            handler=_calls.page,
            query=Nothing,
            media="text/html",
            tag=_TAG,
            summary="The FAT or SAT sheet to be printed.",
            responses=_NO_TEST,
        ),
    ],
)
