"""The output against mosquitto and independent clients: JSON, outages, TLS. The core is the test's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.points import Quality
from protocols.mqtt.gridplan import ServerPlan
from protocols.mqtt.server import MqttServer
from tests.contract.server_suite import FakePort, until
from tests.kit import pki
from tests.kit.mqttkit import Broker, Gate, Peer, needs_mosquitto
from tests.kit.mqttstory import NOON, POINTS, plan_for, play, points_of, serving


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    needs_mosquitto()
    with Broker(tmp_path / "broker") as running:
        yield running


def test_a_change_is_told_with_value_unit_quality_and_source_time(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        port.change([(0, 180.25, 0, NOON), (1, 1.0, int(Quality.SUBSTITUTED), NOON + 1)])
        await until(lambda: bool(points_of(peer)))
        (points,) = points_of(peer)
        assert points["poi/power"] == {
            "value": 180.25, "unit": "kW", "quality": "good", "flags": 0,
            "time": "2025-11-25T12:00:00.123Z", "time_ms": NOON // 1_000_000,
        }  # fmt: skip
        assert points["poi/breaker"]["value"] is True
        assert points["poi/breaker"]["quality"] == "substituted"
        await until(lambda: port.confirmed.get("broker") == 2)
        port.change([(0, 180.25, int(Quality.COMM_LOST), NOON)])
        await until(lambda: len(points_of(peer)) == 2)
        again = points_of(peer)[1]["poi/power"]
        assert (again["value"], again["quality"], again["time_ms"]) == (180.25, "comm lost", NOON // 1_000_000)

    play(broker, story)


def test_a_move_inside_the_deadband_is_not_told(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        port.change([(3, 50.0, 0, NOON), (3, 50.9, 0, NOON + 1), (3, 51.5, 0, NOON + 2)])
        await until(lambda: len(points_of(peer)) == 2)
        assert [points["bess/soc"]["value"] for points in points_of(peer)] == [50.0, 51.5]

    play(broker, story)


def test_a_topic_per_point_and_retained_values(broker: Broker) -> None:
    async def story(port: FakePort, peer: Peer) -> None:
        port.change([(0, 5.0, 0, NOON)])
        await until(lambda: bool(peer.on("site/north/poi/power")))
        with Peer(broker.port, "site/#") as late:
            await until(lambda: bool(late.heard))
            topic, payload, retained = late.heard[0]
            assert (topic, retained, json.loads(payload)["point"]) == ("site/north/poi/power", True, "poi/power")

    play(broker, story, topic="site/{node}/{point}", retain=True)


def test_what_the_point_is_at_the_first_start_is_told_once(broker: Broker) -> None:
    async def scene() -> None:
        port = FakePort(POINTS)
        port.set(0, 42.0, NOON)
        with Peer(broker.port, "vpp/telemetry/#") as peer:
            async with serving(plan_for(broker), port):
                await until(lambda: bool(peer.heard))
            assert points_of(peer) == [{"poi/power": points_of(peer)[0]["poi/power"]}]
            async with serving(plan_for(broker), port):
                port.change([(3, 1.0, 0, NOON)])
                await until(lambda: len(peer.heard) == 2)
            assert list(points_of(peer)[1]) == ["bess/soc"], "told before: not again after a restart"

    asyncio.run(scene())


def test_the_status_says_online_and_the_broker_says_offline_for_us(broker: Broker) -> None:
    async def scene() -> None:
        with Peer(broker.port, "vpp/status/north") as peer:
            async with serving(plan_for(broker)) as port:
                await until(lambda: bool(peer.heard))
                assert json.loads(peer.heard[0][1])["online"] is True
                link = port.server.publishers["broker"]._link
                link._sock.shutdown(2)  # the network breaks: the will speaks, and the next connection
                await until(lambda: len(peer.heard) >= 3)
                states = [json.loads(payload)["online"] for _, payload, _ in peer.heard]
                assert sorted(states[:3]) == [False, True, True]
            await until(lambda: json.loads(peer.heard[-1][1])["online"] is False)

    asyncio.run(scene())


def test_10_000_publishes_over_a_broker_killed_and_restarted_none_lost_in_order(broker: Broker) -> None:
    """With QoS 0 towards the listener mosquitto hands on before it acknowledges: what it has acknowledged has come."""
    total, step, kills = 10_000, 250, (2_500, 5_000, 7_500)
    got: list[float] = []

    def listener() -> Peer:
        peer = Peer(broker.port, "t", qos=0)
        peer.on_message = lambda topic, payload, retained: got.append(json.loads(payload)["value"])
        return peer

    async def scene() -> None:
        gate, peer = Gate(broker.port), await asyncio.to_thread(listener)
        await gate.open()
        plan = plan_for(broker, server={"url": f"mqtt://127.0.0.1:{gate.port}"}, payload="point", topic="t")
        async with serving(plan) as port:
            queue = port.server.publishers["broker"].stream.queue
            for made in range(0, total, step):
                if made in kills:
                    await until(lambda n=made: len(got) > n - 1_500)
                    await asyncio.to_thread(broker.kill)
                    await gate.shut()
                    assert await asyncio.to_thread(peer.gone.wait, 10), "the listener has read all there was"
                    peer.client.loop_stop()
                port.change([(0, made + i + 0.5, 0, NOON + made + i) for i in range(step)])
                if made in kills:
                    await asyncio.to_thread(broker.start)
                    peer = await asyncio.to_thread(listener)
                    await gate.open()
            await until(lambda: len(queue) == 0, 60)
            await until(lambda: bool(got) and got[-1] == total - 0.5)
        await gate.shut()
        peer.close()

    asyncio.run(scene())
    assert list(dict.fromkeys(got)) == [i + 0.5 for i in range(total)], "none lost, in order"
    assert len(got) - total <= 20 * len(kills), "only what was in flight comes again"


def test_events_survive_the_process_and_the_outage(broker: Broker) -> None:
    async def scene() -> None:
        broker.kill()
        async with serving(plan_for(broker, payload="point", topic="t")) as port:
            port.change([(0, float(i), 0, NOON + i) for i in range(500)])
            await until(lambda: port.server.publishers["broker"].stream.queue.settled)
        broker.start()
        with Peer(broker.port, "t") as peer:
            async with serving(plan_for(broker, payload="point", topic="t"), port, port.confirmed):
                await until(lambda: len(peer.heard) >= 500)
            values = [json.loads(payload)["value"] for payload in peer.on("t")]
            assert values == [float(i) for i in range(500)]

    asyncio.run(scene())


def test_what_never_reached_the_server_is_told_as_an_overflow_is(broker: Broker) -> None:
    async def scene() -> None:
        async with serving(plan_for(broker)) as port:
            assert isinstance(port.server, MqttServer)
            port.server.missed(250)
            await until(lambda: port.published.get(6) == 250.0)
            assert port.log.said("events lost: changes never reached this process")

    asyncio.run(scene())


def test_overflow_drops_the_oldest_counts_and_tells(broker: Broker) -> None:
    async def scene() -> None:
        broker.kill()
        async with serving(plan_for(broker, events={"capacity": 100})) as port:
            port.change([(0, float(i), 0, NOON + i) for i in range(250)])
            await until(lambda: port.published.get(7) == 1.0)
            assert (port.published[5], port.published[6]) == (100.0, 150.0)
            assert port.log.said("events lost: buffer full, oldest dropped")
            with contextlib.ExitStack() as stack:
                await asyncio.to_thread(broker.start)
                peer = stack.enter_context(Peer(broker.port, "vpp/telemetry/#"))
                await until(lambda: port.published.get(5) == 0.0 and port.published.get(7) == 0.0)
                values = [points["poi/power"]["value"] for points in points_of(peer)]
                assert not values or (values == sorted(values) and values[0] >= 150.0)

    asyncio.run(scene())


# -- who speaks with whom -----------------------------------------------------------------------------------------


def connected(plan: ServerPlan, want: str) -> FakePort:
    """Serve until it is connected, or until a line says `want`."""

    async def scene() -> FakePort:
        async with serving(plan) as port:
            if want:
                await until(lambda: any(want in str(line["cause"]) for line in port.log.said("not connected")))
            else:
                await until(lambda: port.published.get(4) == 1.0)
        return port

    return asyncio.run(scene())


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_password_is_shown_to_the_broker_and_to_nobody_else(tmp_path: Path, version: str) -> None:
    needs_mosquitto()
    words = tmp_path / "words"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(words), "north", "swordfish"], check=True, capture_output=True)
    with Broker(tmp_path / "b", "allow_anonymous false", f"password_file {words}") as broker:
        good = plan_for(broker, server={"username": "north", "password": "swordfish", "version": version})
        connected(good, "")
        wrong = plan_for(broker, server={"username": "north", "password": "haddock", "version": version})
        port = connected(wrong, "not authori" if version == "5" else "refuses us")
        assert "haddock" not in repr(port.log.lines) + repr(wrong)


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_in_words(tmp_path: Path, mutual: bool) -> None:
    needs_mosquitto()
    trusted, other = pki.authority(tmp_path), pki.authority(tmp_path, "another")
    trusted.issue("broker", hosts=("127.0.0.1",))
    trusted.issue("elsewhere", hosts=("broker.example",))
    trusted.issue("north")

    def listener(name: str) -> list[str]:
        certificate = trusted.certificate(name)
        lines = [f"certfile {certificate}", f"keyfile {certificate.with_suffix('.key')}", f"cafile {trusted.file}"]
        return [*lines, f"require_certificate {str(mutual).lower()}"]

    def tls(ca: Path, own: bool = mutual) -> dict[str, Any]:
        files = {"ca": str(ca)}
        if own:
            certificate = trusted.certificate("north")
            files |= {"certificate": str(certificate), "key": str(certificate.with_suffix(".key"))}
        return {"tls": files}

    with Broker(tmp_path / "b", *listener("broker")) as broker:
        url = {"url": broker.url.replace("mqtt:", "mqtts:")}
        connected(plan_for(broker, server={**url, **tls(trusted.file)}), "")
        connected(plan_for(broker, server={**url, **tls(other.file)}), "unknown authority")
        connected(plan_for(broker, server={**url}), "unknown authority")
        connected(plan_for(broker), "TLS, or no MQTT")
        if mutual:
            connected(plan_for(broker, server={**url, **tls(trusted.file, own=False)}), "certificate of ours")
    with Broker(tmp_path / "e", *listener("elsewhere")) as broker:
        url = {"url": broker.url.replace("mqtt:", "mqtts:")}
        connected(plan_for(broker, server={**url, **tls(trusted.file)}), "is for another")


def test_a_broker_that_refuses_a_topic_keeps_the_events_here(tmp_path: Path) -> None:
    needs_mosquitto()
    (tmp_path / "acl").write_text("topic read #\ntopic write vpp/status/#\n")
    with Broker(tmp_path / "b", f"acl_file {tmp_path / 'acl'}") as broker:

        async def scene() -> None:
            async with serving(plan_for(broker, server={"version": "5"})) as port:
                port.change([(0, 1.0, 0, NOON)])
                await until(
                    lambda: any("refuses what is published" in str(x["cause"]) for x in port.log.said("not connected"))
                )
                assert len(port.server.publishers["broker"].stream.queue) == 1

        asyncio.run(scene())
