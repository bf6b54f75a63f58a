"""The MQTT driver under the suite of every field driver, with mosquitto in between: JSON, and a Sparkplug edge node."""

from __future__ import annotations

import json
import random
import threading
import time
from abc import abstractmethod
from pathlib import Path

import pytest

from gateway.contracts import FieldDriver
from protocols.mqtt.driver import MqttDriver
from tests.contract.driver_suite import DevicePeer, DriverSuite
from tests.kit.mqttkit import Broker, Peer, device_plan, needs_mosquitto
from tests.kit.recordingport import RecordingPort
from tests.peers.sparkplug_peer import SparkplugPeer

EVERY_S = 0.05


class MqttPeer(DevicePeer):
    """A device that publishes every 50 ms from a thread of its own; its going is the broker's as well."""

    device = "dev"
    rows = 4
    command = 3
    command_values = (12.5, -3.0)

    def __init__(self, folder: Path) -> None:
        self.measured = [0, 1, 2]
        self.broker = Broker(folder)
        self.values = {0: 0.0, 1: 0.0, 2: 0.0}
        self.frozen = self.garbage = self.refusing = False
        self.delay_s = self.share = 0.0
        self._written: list[tuple[int, float]] = []
        self._peer: Peer | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        self.broker.start()
        if self._peer is None:
            self._stop.clear()
            self._peer = self.connect()
            self._peer.on_message = self.ordered
            self.begin()
            self._thread = threading.Thread(target=self._run, args=(self._peer,), daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        self._stop.set()
        self.broker.kill()
        if self._thread is not None:
            self._thread.join(5)
        if self._peer is not None:
            self._peer.client.loop_stop()
            self._peer = None

    def _run(self, peer: Peer) -> None:
        while not self._stop.wait(EVERY_S):
            if not self.frozen and random.random() >= self.share:
                self.tell(peer, dict(self.values))

    def send(self, peer: Peer, topic: str, payload: bytes) -> None:
        if self.garbage:
            payload = b"\xff\x00not what was agreed"
        if self.delay_s:
            threading.Timer(self.delay_s, peer.say, (topic, payload)).start()
        else:
            peer.say(topic, payload)

    @abstractmethod
    def connect(self) -> Peer: ...

    def begin(self) -> None:
        """Connected."""

    @abstractmethod
    def tell(self, peer: Peer, values: dict[int, float]) -> None: ...

    @abstractmethod
    def ordered(self, topic: str, payload: bytes, retained: bool) -> None: ...

    def show(self, values: dict[int, float]) -> None:
        self.values = dict(values)

    def freeze(self, on: bool) -> None:
        self.frozen = on

    def garble(self, on: bool) -> None:
        self.garbage = on

    def slow(self, delay_s: float) -> None:
        self.delay_s = delay_s

    def lose(self, share: float) -> None:
        self.share = share

    def refuse_writes(self, on: bool) -> None:
        self.refusing = on

    def written(self) -> list[tuple[int, float]]:
        out, self._written = self._written, []
        return out


class JsonPeer(MqttPeer):
    """One payload with three values and a time; commands are replied to by their id."""

    MAP = """
    point,kind,topic,json,time,payload,reply_topic,reply_json,reply_done,reply_failed
    power,analog,plant/dev,a.p,t,,,,,
    level,analog,plant/dev,a.list[1],t,,,,,
    soc,analog,plant/dev/soc,,,,,,,
    limit,setpoint,plant/dev/set,,,,plant/dev/done,state,ok,no
    """

    def driver(self, port: RecordingPort) -> FieldDriver:
        keys = {"silent_s": 0.2, "command_s": 1.0, "reconnect_max_s": 0.3, "timeout_ms": 1000}
        return MqttDriver(device_plan(self.MAP, url=self.broker.url, **keys), port)

    def connect(self) -> Peer:
        return Peer(self.broker.port, "plant/dev/set")

    def tell(self, peer: Peer, values: dict[int, float]) -> None:
        document = {"t": time.time_ns() // 1_000, "a": {"p": values[0], "list": ["x", values[1]]}}
        self.send(peer, "plant/dev", json.dumps(document).encode())
        self.send(peer, "plant/dev/soc", str(values[2]).encode())

    def ordered(self, topic: str, payload: bytes, retained: bool) -> None:
        order = json.loads(payload)
        if self.frozen or self._peer is None:
            return
        if not self.refusing:
            self._written.append((3, float(order["value"])))
        word = "no" if self.refusing else "ok"
        self._peer.say("plant/dev/done", json.dumps({"id": order["id"], "state": word}))


class EdgePeer(MqttPeer):
    """A Sparkplug edge node with a device, encoded by protobuf itself."""

    MAP = """
    point,kind,topic,metric
    power,analog,plants/north/dev,P
    level,analog,plants/north/dev,L
    soc,analog,plants/north,SOC
    limit,setpoint,plants/north/dev,Limit
    """

    def driver(self, port: RecordingPort) -> FieldDriver:
        keys = {"silent_s": 0.2, "command_s": 1.0, "reconnect_max_s": 0.3, "timeout_ms": 1000}
        return MqttDriver(device_plan(self.MAP, url=self.broker.url, **keys), port)

    def connect(self) -> Peer:
        self._edge = SparkplugPeer("plants", "north")
        self._order = threading.RLock()  # what is numbered first is said first, by whichever thread
        return Peer(
            self.broker.port, "spBv1.0/plants/NCMD/north", "spBv1.0/plants/DCMD/north/#", will=self._edge.will()
        )

    def begin(self) -> None:
        self._limit = 0.0
        self._births()

    def _births(self) -> None:
        assert self._peer is not None
        with self._order:
            self._peer.say(*self._edge.birth({"SOC": self.values[2]}))
            self._peer.say(*self._edge.birth({"P": self.values[0], "L": self.values[1], "Limit": self._limit}, "dev"))

    def tell(self, peer: Peer, values: dict[int, float]) -> None:
        """A node loses nothing and is not late: the network's faults are those of its broker."""
        with self._order:
            self.send(peer, *self._edge.data({"P": values[0], "L": values[1]}, "dev"))
            self.send(peer, *self._edge.data({"SOC": values[2]}))

    def ordered(self, topic: str, payload: bytes, retained: bool) -> None:
        if self.frozen or self._peer is None:
            return
        with self._order:
            self._obey(self._edge.commands(payload))

    def _obey(self, commands: dict[str, float]) -> None:
        assert self._peer is not None
        for name, value in commands.items():
            if name == "Node Control/Rebirth":
                self._births()
            elif name == "Limit" and not self.refusing:
                self._limit = value
                self._written.append((3, value))
                self._peer.say(*self._edge.data({"Limit": value}, "dev"))
            elif name == "Limit":
                answer = {"gridgate_answer": "refused: it is not to be"}
                self._peer.say(*self._edge.data({"Limit": self._limit}, "dev", properties=answer))


class MqttSuite(DriverSuite):
    @pytest.fixture(autouse=True)
    def _mosquitto(self, tmp_path: Path) -> None:
        needs_mosquitto()
        self.folder = tmp_path


class TestMqttJson(MqttSuite):
    def peer(self) -> DevicePeer:
        return JsonPeer(self.folder)


class TestMqttSparkplug(MqttSuite):
    def peer(self) -> DevicePeer:
        return EdgePeer(self.folder)
