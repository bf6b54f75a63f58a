"""node-opcua, the independent client, against the points: browse, read, subscribe, write, call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.contracts import Outcome, Reason, Stage
from protocols.opcua.quality import OVERFLOW
from protocols.opcua.uastack import Codes
from tests.kit.nodepoints import NodeClient, needs_node, node_client
from tests.kit.opcuakit import PASSWORD, Plant, running
from tests.kit.opcuapoints import ALARM, BREAKER, POWER, RUN, SETPOINT, TIME_NS, cells, node, plant_of

pytestmark = needs_node
LAST_USABLE = 0x4090_0000
NOT_TOPICAL = 2


@asynccontextmanager
async def talking(folder: Path, user: str = "operator", **keys: Any) -> AsyncIterator[tuple[Plant, NodeClient]]:
    plant = plant_of(folder, **keys)
    app = plant.app()
    async with running(plant), node_client(folder) as client:
        await client.ask(
            "connect",
            url=plant.url,
            folder=str(folder / "node-pki"),
            policy="Basic256Sha256",
            mode=3,
            certificate=str(app.certificate_pem),
            key=str(app.pem),
            uri=app.uri,
            user=user,
            password=PASSWORD,
        )
        yield plant, client


def told(heard: dict[str, Any]) -> list[Any]:
    return [value for _, value, *_ in heard["heard"]]


def test_ten_thousand_points_are_browsed_and_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        points = cells(10_000)
        async with talking(tmp_path, points=points) as (_, client):
            found = await client.ask("walk", node="i=85", most=40)
            assert sorted(found["variables"]) == sorted(points.names)
            assert found["widest"] <= 100
            assert found["turns"] > 100  # by BrowseNext: no more than 40 at a time were asked for
            answer = await client.ask("read", nodes=[node(name) for name in points.names])
            assert [value["value"] for value in answer["values"]] == [float(row) for row in range(10_000)]
            assert {(value["status"], value["source"]) for value in answer["values"]} == {(0, TIME_NS // 10**6)}

    asyncio.run(scenario())


def test_values_have_the_type_of_their_point_and_the_quality_of_their_source(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (plant, client):
            plant.port.set(POWER, 12.5, TIME_NS, NOT_TOPICAL)
            names = ["bess1/pcs/power", "bess1/alarm", "bess1/breaker", "bess1/pcs/none"]
            power, alarm, breaker, none = (await client.ask("read", nodes=[node(name) for name in names]))["values"]
            assert (power["value"], power["status"], power["source"]) == (12.5, LAST_USABLE, TIME_NS // 10**6)
            assert (alarm["type"], alarm["value"]) == ("Boolean", True)
            assert (breaker["type"], breaker["value"]) == ("UInt32", BREAKER)
            assert none["status"] == Codes.BadNodeIdUnknown

    asyncio.run(scenario())


def test_every_change_between_two_publishings_is_kept_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (plant, client):
            await client.ask("subscribe", interval=100)
            await client.ask("monitor", items=[{"node": node("bess1/pcs/power"), "queue": 100}])
            await client.ask("heard", count=1)
            plant.port.change([(POWER, float(n), 0, TIME_NS + n * 10**6) for n in range(1, 51)])
            heard = await client.ask("heard", count=50)
            assert told(heard) == [float(n) for n in range(1, 51)]
            assert [source for _, _, _, _, source, _ in heard["heard"]] == [TIME_NS // 10**6 + n for n in range(1, 51)]

    asyncio.run(scenario())


def test_a_full_queue_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (plant, client):
            power = node("bess1/pcs/power")
            for oldest, values, marked in ((True, [8.0, 9.0, 10.0], 0), (False, [1.0, 2.0, 10.0], 2)):
                await client.ask("subscribe", interval=100)
                await client.ask("monitor", items=[{"node": power, "queue": 3, "discardOldest": oldest}])
                await client.ask("heard", count=1)
                plant.port.change([(POWER, float(n), 0, TIME_NS + n) for n in range(1, 11)])
                heard = await client.ask("heard", count=3)
                assert told(heard) == values
                statuses = [status for _, _, _, status, *_ in heard["heard"]]
                assert [at for at, status in enumerate(statuses) if status & OVERFLOW == OVERFLOW] == [marked]
                await client.ask("drop")

    asyncio.run(scenario())


ABSOLUTE = {"deadbandType": "Absolute", "deadband": 5.0}
PERCENT = {"deadbandType": "Percent", "deadband": 0.25}
STATUS = {"trigger": "Status"}


def test_filters_compare_with_what_was_reported_last(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (plant, client):
            for how, expected in ((ABSOLUTE, [5.5, 0.4, 6.0]), (PERCENT, [5.5, 0.4, 6.0]), (STATUS, [])):
                plant.port.set(POWER, 0.0, TIME_NS)
                await client.ask("subscribe", interval=100)
                await client.ask("monitor", items=[{"node": node("bess1/pcs/power"), "queue": 100, **how}])
                await client.ask("heard", count=1)
                # 2 and 4 creep: neither is further than 5 from 0, though 5.5 is. 5.5 to 0.4 is more than 5.
                values = [2.0, 4.0, 5.5, 3.0, 0.4, 4.0, 6.0, 1.5]
                plant.port.change([(POWER, value, 0, TIME_NS + n) for n, value in enumerate(values, 1)])
                plant.port.change([(POWER, 1.5, NOT_TOPICAL, TIME_NS + 99)])
                heard = await client.ask("heard", count=len(expected) + 1)
                assert told(heard) == [*expected, 1.5], how
                assert heard["heard"][-1][3] == LAST_USABLE
                await client.ask("drop")

    asyncio.run(scenario())


def test_a_deadband_that_cannot_be_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (_, client):
            await client.ask("subscribe", interval=100)
            percent = {"deadbandType": "Percent", "deadband": 1}
            refused = await client.try_to("monitor", items=[{"node": node("bess1/energy"), **percent}])
            assert refused["items"][0]["status"] == Codes.BadDeadbandFilterInvalid
            refused = await client.try_to("monitor", items=[{"node": node("bess1/alarm"), **percent}])
            assert refused["items"][0]["status"] == Codes.BadFilterNotAllowed

    asyncio.run(scenario())


def test_a_write_is_good_when_the_device_has_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (plant, client):
            setpoint = node("bess1/pcs/setpoint")
            assert (await client.ask("write", values=[{"node": setpoint, "value": 120.0}]))["codes"] == [0]
            (command,) = plant.port.commands.received
            assert (command.row, command.value, command.origin.master) == (SETPOINT, 120.0, "operator")
            assert command.origin.peer.startswith("operator@127.0.0.1:")

            def refuse(command: Any, tell: Any) -> None:
                tell(Outcome(id=command.id, stage=Stage.REFUSED, reason=Reason.INTERLOCKED))

            plant.port.commands.script = refuse
            assert (await client.ask("write", values=[{"node": setpoint, "value": 1.0}]))["codes"] == [
                Codes.BadInvalidState
            ]
            wrong = await client.ask("write", values=[{"node": setpoint, "value": 1, "type": "Int32"}])
            assert wrong["codes"] == [Codes.BadTypeMismatch]
            measured = await client.ask("write", values=[{"node": node("bess1/pcs/power"), "value": 1.0}])
            assert measured["codes"] == [Codes.BadNotWritable]

    asyncio.run(scenario())


def test_who_may_only_look_commands_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path, user="viewer") as (plant, client):
            written = await client.ask("write", values=[{"node": node("bess1/pcs/setpoint"), "value": 1.0}])
            assert written["codes"] == [Codes.BadUserAccessDenied]
            called = await client.ask(
                "call",
                object=node("bess1/pcs/run|Control"),
                method=node("bess1/pcs/run|Select"),
                arguments=[{"type": "Boolean", "value": True}],
            )
            assert called["status"] == Codes.BadUserAccessDenied
            assert not plant.port.commands.received
            assert [command.refusal for command in plant.port.commands.refused] == [Reason.NOT_AUTHORISED] * 2

    asyncio.run(scenario())


def test_select_before_operate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (plant, client):

            async def call(method: str, *values: Any, kind: str = "Boolean") -> dict[str, Any]:
                return await client.ask(
                    "call",
                    object=node("bess1/pcs/run|Control"),
                    method=node(f"bess1/pcs/run|{method}"),
                    arguments=[{"type": kind, "value": value} for value in values],
                )

            assert (await call("Operate", True))["status"] == Codes.BadInvalidState
            assert (await call("Select", True))["status"] == 0
            assert (await call("Operate", False))["status"] == Codes.BadInvalidState
            assert not plant.port.commands.received
            assert (await call("Select", True))["status"] == 0
            assert (await call("Operate", True))["status"] == 0
            (command,) = plant.port.commands.received
            assert (command.row, command.value) == (RUN, 1.0)
            assert (await call("Select", True))["status"] == 0
            assert (await call("Cancel"))["status"] == 0
            assert (await call("Operate", True))["status"] == Codes.BadInvalidState
            assert (await call("Select"))["status"] == Codes.BadArgumentsMissing
            wrong = await call("Select", 1.0, kind="Double")
            assert (wrong["status"], wrong["arguments"]) == (Codes.BadInvalidArgument, [Codes.BadTypeMismatch])

    asyncio.run(scenario())


def test_a_slow_field_delays_nothing_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as (plant, client):
            pending: list[tuple[Any, Any]] = []
            plant.port.commands.script = lambda command, tell: pending.append((command, tell))
            await client.ask("subscribe", interval=100)
            await client.ask("monitor", items=[{"node": node("bess1/alarm")}])
            await client.ask("heard", count=1)
            await client.send("write", values=[{"node": node("bess1/pcs/setpoint"), "value": 1.0}], later=True)
            await client.answer()
            values = (await client.ask("read", nodes=[node("bess1/energy")]))["values"]
            assert values[0]["status"] == 0
            plant.port.change([(ALARM, 0.0, 0, TIME_NS + 1)])
            assert told(await client.ask("heard", count=1)) == [False]
            ((command, tell),) = pending
            tell(Outcome(id=command.id, stage=Stage.COMPLETED))
            assert (await client.ask("written"))["codes"] == [0]

    asyncio.run(scenario())
