"""The output to mosquitto with a core played by the test, and the map of most tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.points import Kind, Point, PointCatalogue
from protocols.mqtt.gridplan import ServerPlan
from protocols.mqtt.server import MqttServer
from tests.contract.server_suite import FakePort, until
from tests.kit.mqttkit import Broker, Peer, server_plan

NOON = 1_764_072_000_123_000_000  # 2025-11-25T12:00:00.123Z
POINTS = PointCatalogue.of(
    [
        Point(row=0, name="poi/power", kind=Kind.ANALOG, unit="kW", low=-1000, high=1000),
        Point(row=1, name="poi/breaker", kind=Kind.BINARY),
        Point(row=2, name="bess/setpoint", kind=Kind.SETPOINT, unit="kW", low=-1000, high=1000),
        Point(row=3, name="bess/soc", kind=Kind.ANALOG, unit="%"),
        Point(row=4, name="system/master/cloud/broker/online", kind=Kind.BINARY),
        Point(row=5, name="system/master/cloud/broker/events_waiting", kind=Kind.ANALOG),
        Point(row=6, name="system/master/cloud/broker/events_lost", kind=Kind.COUNTER),
        Point(row=7, name="system/master/cloud/broker/overflow", kind=Kind.BINARY),
    ]
)
MAP = """
point,deadband
poi/power,
poi/breaker,
bess/setpoint,
bess/soc,1
"""
QUICK = {"reconnect_max_s": 0.3, "timeout_ms": 2000}


@contextlib.asynccontextmanager
async def serving(
    plan: ServerPlan, port: FakePort | None = None, confirmed: dict[str, int] | None = None
) -> AsyncIterator[FakePort]:
    port = port or FakePort(POINTS)
    port.server = MqttServer(plan, port)
    port.server.resume(confirmed or {})
    await port.server.start()
    try:
        yield port
    finally:
        await port.server.stop()


def plan_for(broker: Broker, text: str = MAP, server: dict[str, Any] | None = None, **master: Any) -> ServerPlan:
    return server_plan(text, POINTS, {"url": broker.url, **QUICK, **(server or {})}, **{"node": "north", **master})


Story = Callable[[FakePort, Peer], Awaitable[None]]


def play(broker: Broker, story: Story, text: str = MAP, **keys: Any) -> FakePort:
    async def scene() -> FakePort:
        with Peer(broker.port, "#") as peer:
            async with serving(plan_for(broker, text, **keys)) as port:
                await until(lambda: port.published.get(4) == 1.0)
                await story(port, peer)
            return port

    return asyncio.run(scene())


def points_of(peer: Peer, topic: str = "vpp/telemetry/north") -> list[dict[str, Any]]:
    return [json.loads(payload)["points"] for payload in peer.on(topic)]
