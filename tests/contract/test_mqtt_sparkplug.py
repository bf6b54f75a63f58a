"""What the output publishes as Sparkplug B, read by an independent decoder, over mosquitto. The core is the test's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from gateway.points import Kind, Point, PointCatalogue, Quality
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.server import MqttServer
from tests.contract.server_suite import FakePort, until
from tests.kit.mqttkit import Broker, Peer, device_plan, needs_mosquitto, server_plan
from tests.kit.recordingport import RecordingPort
from tests.peers.sparkplug_peer import Payload, parse, properties_of, value_of

NOON = 1_764_072_000_123_000_000
LOST = int(Quality.COMM_LOST)
POINTS = PointCatalogue.of(
    [
        Point(row=0, name="poi/power", kind=Kind.ANALOG, unit="kW"),
        Point(row=1, name="poi/breaker", kind=Kind.BINARY),
        Point(row=2, name="bess/soc", kind=Kind.ANALOG, unit="%"),
        Point(row=3, name="bess/limit", kind=Kind.SETPOINT, unit="kW", low=-100, high=100),
        Point(row=4, name="bess/switch", kind=Kind.DOUBLE),
        Point(row=5, name="system/master/cloud/broker/online", kind=Kind.BINARY),
    ]
)
MAP = """
point,device,name
poi/power,,
poi/breaker,,
bess/soc,bess,SOC
bess/limit,bess,Limit
bess/switch,bess,
"""
NEEDED = "spBv1.0/plants"


class Story:
    """The broker, a host that hears everything, and the gateway's output between the test's core and them."""

    def __init__(self, broker: Broker, port: FakePort, peer: Peer) -> None:
        self.broker, self.port, self.peer = broker, port, peer

    def messages(self) -> list[tuple[str, Any]]:
        """(kind, payload) of everything that was said, in order; commands are not of our node."""
        heard = [(topic.split("/"), payload) for topic, payload, _ in list(self.peer.heard)]
        return [
            (parts[2], parse(data))
            for parts, data in heard
            if parts[0] == "spBv1.0" and not parts[2].endswith("CMD") and parts[1] != "STATE"
        ]

    def of(self, kind: str) -> list[Any]:
        return [payload for each, payload in self.messages() if each == kind]

    async def born(self, kind: str = "NBIRTH", count: int = 1) -> Any:
        await until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[-1]

    def names(self) -> dict[int, str]:
        births = [payload for kind, payload in self.messages() if kind.endswith("BIRTH")]
        return {metric.alias: metric.name for birth in births for metric in birth.metrics if metric.HasField("alias")}

    def command(self, topic: str, name: str, value: float | bool, time_ms: int | None = None) -> None:
        now = time.time_ns() // 1_000_000 if time_ms is None else time_ms
        payload = Payload(timestamp=now)
        metric = payload.metrics.add(name=name, timestamp=now, datatype=11 if isinstance(value, bool) else 10)
        setattr(metric, "boolean_value" if isinstance(value, bool) else "double_value", value)
        self.peer.say(topic, payload.SerializeToString(), qos=0)


@contextlib.asynccontextmanager
async def serving(broker: Broker, port: FakePort | None = None, **master: Any) -> AsyncIterator[FakePort]:
    if port is None:
        port = FakePort(POINTS)
        port.set(0, 10.5, NOON)
        port.set(2, 55.0, NOON)
    keys = {"form": "sparkplug", "group": "plants", "edge": "north", "commands": True, **master}
    server = {"url": broker.url, "reconnect_max_s": 0.3}
    port.server = MqttServer(server_plan(MAP, POINTS, server, **keys), port)
    await port.server.start()
    try:
        yield port
    finally:
        await port.server.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    needs_mosquitto()
    with Broker(tmp_path / "broker") as running:
        yield running


def play(broker: Broker, story: Callable[[Story], Awaitable[None]], **master: Any) -> None:
    async def scene() -> None:
        with Peer(broker.port, "#") as peer:
            async with serving(broker, **master) as port:
                await story(Story(broker, port, peer))

    asyncio.run(scene())


def test_births_tell_names_types_values_units_and_qualities(broker: Broker) -> None:
    async def story(host: Story) -> None:
        await host.born("DBIRTH")
        node, device = host.of("NBIRTH")[0], host.of("DBIRTH")[0]
        assert (node.seq, device.seq) == (0, 1)
        by_name = {metric.name: metric for metric in [*node.metrics, *device.metrics]}
        assert value_of(by_name["bdSeq"]) == 0 and value_of(by_name["Node Control/Rebirth"]) is False
        power = by_name["poi/power"]
        assert (power.datatype, value_of(power), power.timestamp) == (10, 10.5, NOON // 1_000_000)
        assert properties_of(power) == {"Quality": 192, "gridgate_quality": 0, "engUnit": "kW"}
        assert by_name["poi/breaker"].is_null and properties_of(by_name["poi/breaker"])["Quality"] == 0
        assert {metric.name for metric in device.metrics} == {"SOC", "Limit", "bess/switch"}
        aliases = [metric.alias for metric in by_name.values() if metric.HasField("alias")]
        assert len(aliases) == len(set(aliases)) == 5

    play(broker, story)


def test_data_by_alias_with_source_time_quality_and_sequence(broker: Broker) -> None:
    async def story(host: Story) -> None:
        await host.born("DBIRTH")
        host.port.change([(0, 11.5, 0, NOON + 5_000_000), (2, 56.0, int(Quality.OVER_RANGE), NOON), (1, 1.0, 0, NOON)])
        await until(lambda: len(host.of("NDATA")) == 2)
        (first, last), (device,) = host.of("NDATA"), host.of("DDATA")
        assert [payload.seq for payload in (first, device, last)] == [2, 3, 4]
        (power,) = first.metrics
        assert host.names()[power.alias] == "poi/power" and not power.name
        assert (value_of(power), power.timestamp) == (11.5, NOON // 1_000_000 + 5)
        assert not power.is_historical and not power.HasField("properties")
        assert properties_of(device.metrics[0]) == {"Quality": 192, "gridgate_quality": int(Quality.OVER_RANGE)}
        host.port.change([(0, 11.5, LOST, NOON), (0, 11.5, 0, NOON)])
        await until(lambda: len(host.of("NDATA")) == 3)
        bad, good = host.of("NDATA")[2].metrics
        assert properties_of(bad)["Quality"] == 500 and properties_of(good)["Quality"] == 192

    play(broker, story)


def test_a_device_whose_points_are_lost_dies_and_is_born_again(broker: Broker) -> None:
    async def story(host: Story) -> None:
        await host.born("DBIRTH")
        host.port.change([(2, 55.0, LOST, NOON)])
        await until(lambda: bool(host.of("DDEATH")))
        kinds = [kind for kind, _ in host.messages()]
        assert kinds[-2:] == ["DDATA", "DDEATH"], "what happened is told before the death"
        host.port.change([(2, 60.0, 0, NOON + 1)])
        await host.born("DBIRTH", 2)
        assert {m.name: value_of(m) for m in host.of("DBIRTH")[1].metrics}["SOC"] == 60.0
        await until(lambda: len(host.of("DDATA")) == 2)
        assert host.of("DDATA")[1].metrics[0].is_historical, "the birth told it already"
        seqs = [payload.seq for _, payload in host.messages()]
        assert seqs == list(range(len(seqs)))

    play(broker, story)


def test_a_rebirth_is_made_on_demand_with_the_same_bdseq(broker: Broker) -> None:
    async def story(host: Story) -> None:
        await host.born("DBIRTH")
        host.port.change([(0, 1.0, 0, NOON)])
        await until(lambda: bool(host.of("NDATA")))
        host.command(f"{NEEDED}/NCMD/north", "Node Control/Rebirth", True)
        await host.born("DBIRTH", 2)
        assert [payload.seq for payload in host.of("NBIRTH")] == [0, 0]
        numbers = [value_of(m) for payload in host.of("NBIRTH") for m in payload.metrics if m.name == "bdSeq"]
        assert numbers == [0, 0]

    play(broker, story)


def test_the_death_has_the_bdseq_of_its_birth_and_an_outage_comes_as_history(broker: Broker) -> None:
    async def story(host: Story) -> None:
        await host.born("DBIRTH")
        host.port.server.publishers["broker"]._link._sock.shutdown(2)
        await until(lambda: bool(host.of("NDEATH")))
        host.port.change([(0, float(i), 0, NOON + i * 1_000_000) for i in range(300)])
        await host.born("NBIRTH", 2)
        await until(lambda: sum(len(payload.metrics) for payload in host.of("NDATA")) >= 300)
        numbers = [value_of(m) for p in host.of("NBIRTH") for m in p.metrics if m.name == "bdSeq"]
        assert numbers == [0, 1] and value_of(host.of("NDEATH")[0].metrics[0]) == 0
        told = [metric for payload in host.of("NDATA") for metric in payload.metrics]
        assert [value_of(metric) for metric in told] == [float(i) for i in range(300)]
        assert all(metric.is_historical for metric in told)
        host.port.change([(0, -1.0, 0, NOON)])
        await until(lambda: len([m for p in host.of("NDATA") for m in p.metrics]) == 301)
        assert not host.of("NDATA")[-1].metrics[0].is_historical

    play(broker, story)


def test_an_orderly_end_says_ndeath_and_bdseq_goes_on_over_restarts(broker: Broker) -> None:
    async def scene() -> None:
        with Peer(broker.port, "spBv1.0/#") as peer:
            async with serving(broker) as port:
                host = Story(broker, port, peer)
                await host.born("DBIRTH")
            await until(lambda: bool(host.of("NDEATH")))
            async with serving(broker, port):
                await host.born("NBIRTH", 2)
                assert [value_of(m) for m in host.of("NBIRTH")[1].metrics if m.name == "bdSeq"] == [1]

    asyncio.run(scene())


def state(online: bool) -> str:
    return json.dumps({"online": online, "timestamp": time.time_ns() // 1_000_000})


def test_nothing_is_told_while_the_primary_host_is_offline(broker: Broker) -> None:
    async def story(host: Story) -> None:
        topic = "spBv1.0/STATE/scada"
        await until(lambda: host.port.published.get(5) == 1.0)
        host.port.change([(0, 1.0, 0, NOON), (0, 2.0, 0, NOON)])
        await asyncio.sleep(0.3)
        assert not host.of("NBIRTH")
        host.peer.say(topic, state(True), retain=True)
        await host.born("NBIRTH")
        await until(lambda: bool(host.of("NDATA")))
        assert all(m.is_historical for m in host.of("NDATA")[0].metrics)
        host.peer.say(topic, state(False), retain=True)
        await until(lambda: bool(host.of("NDEATH")))
        host.port.change([(0, 3.0, 0, NOON)])
        count = len(host.of("NDATA"))
        await until(lambda: len([line for line in host.port.log.lines if line[1] == "connected"]) >= 2)
        await asyncio.sleep(0.2)
        assert len(host.of("NDATA")) == count and len(host.of("NBIRTH")) == 1
        host.peer.say(topic, state(True), retain=True)
        await host.born("NBIRTH", 2)
        await until(lambda: len(host.of("NDATA")) > count)
        assert value_of(host.of("NDATA")[-1].metrics[-1]) == 3.0

    play(broker, story, primary_host="scada")


def test_a_command_is_answered_by_its_metric(broker: Broker) -> None:
    async def story(host: Story) -> None:
        await host.born("DBIRTH")
        host.command(f"{NEEDED}/DCMD/north/bess", "Limit", 25.5)
        await until(lambda: bool(host.of("DDATA")))
        (command,) = host.port.commands.received
        assert (command.row, command.value) == (3, 25.5)
        (metric,) = host.of("DDATA")[0].metrics
        assert value_of(metric) == 25.5 and properties_of(metric)["gridgate_answer"] == "completed"

        def refuse(command: Command, tell: OnOutcome) -> None:
            tell(Outcome(id=command.id, stage=Stage.REFUSED, reason=Reason.LOCAL, text="switch says local"))

        host.port.commands.script = refuse
        host.command(f"{NEEDED}/DCMD/north/bess", "Limit", 30.0)
        await until(lambda: len(host.of("DDATA")) == 2)
        (metric,) = host.of("DDATA")[1].metrics
        answer = properties_of(metric)["gridgate_answer"]
        assert answer == "refused: local control selected, switch says local" and value_of(metric) == 25.5

    play(broker, story)


def test_old_repeated_and_unknown_commands_are_not_carried_out(broker: Broker) -> None:
    async def story(host: Story) -> None:
        await host.born("DBIRTH")
        now = time.time_ns() // 1_000_000
        for _ in range(3):
            host.command(f"{NEEDED}/DCMD/north/bess", "Limit", 5.0, now)
        host.command(f"{NEEDED}/DCMD/north/bess", "Limit", 6.0, now - 60_000)
        host.command(f"{NEEDED}/DCMD/north/bess", "Nothing", 7.0)
        host.command(f"{NEEDED}/NCMD/north", "poi/power", 8.0)
        host.command(f"{NEEDED}/DCMD/north/bess", "Limit", 9.0)
        host.peer.say(f"{NEEDED}/DCMD/north/bess", b"\xff\x01 no payload")
        host.command(f"{NEEDED}/DCMD/north/bess", "Limit", 10.0)
        await until(lambda: len(host.port.commands.received) == 3)
        assert [command.value for command in host.port.commands.received] == [5.0, 9.0, 10.0]
        assert [command.refusal for command in host.port.commands.refused] == [Reason.EXPIRED, Reason.NOT_AUTHORISED]

    play(broker, story)


def test_our_driver_as_the_primary_host_says_whether_it_is_there(broker: Broker) -> None:
    async def story(host: Story) -> None:
        text = "point,kind,topic,metric\npower,analog,plants/north,poi/power\n"
        driver = MqttDriver(device_plan(text, url=broker.url, host_id="scada"), RecordingPort(1))
        running = asyncio.create_task(driver.run())
        await host.born("NBIRTH")
        link = driver._link
        assert link is not None
        link._sock.shutdown(2)  # without a word: the will speaks for it
        await until(lambda: bool(host.of("NDEATH")))
        await host.born("NBIRTH", 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await until(lambda: len(host.of("NDEATH")) >= 2)

    play(broker, story, primary_host="scada")
