"""A broker (mosquitto) in a folder of its own, independent clients (paho in its thread), maps as written by hand."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import itertools
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource, MasterRowSource, MasterSource, ServerSource
from gateway.points import PointCatalogue
from protocols.mqtt.fieldplan import BrokerPlan
from protocols.mqtt.fieldsettings import SETTINGS as FIELD
from protocols.mqtt.gridplan import ServerPlan
from protocols.mqtt.gridsettings import SETTINGS as GRID
from tests.kit.modbuskit import device_rows
from tests.kit.ports import free_port

MOSQUITTO = shutil.which("mosquitto") or ("/usr/sbin/mosquitto" if Path("/usr/sbin/mosquitto").exists() else "")
_ids = itertools.count()


def needs_mosquitto() -> None:
    """Skips where there is no broker."""
    if not MOSQUITTO:
        pytest.skip("mosquitto is not installed")


class Broker:
    """mosquitto on a free port; `kill` is kill -9. `more` are further lines of its configuration."""

    def __init__(self, folder: Path, *more: str) -> None:
        needs_mosquitto()
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._configuration = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            "max_queued_messages 0",
            "set_tcp_nodelay true",
        ]
        lines.append(f"user {getpass.getuser()}")  # started by root it would change to a user who sees no test's files
        if not any(line.startswith("allow_anonymous") for line in more):
            lines.append("allow_anonymous true")
        self._configuration.write_text("\n".join([*lines, *more]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Come up, and wait until it takes connections."""
        if self._process is not None:
            return
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._configuration)], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
            assert time.monotonic() < end, "mosquitto does not come up"
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


class Peer:
    """An independent client in its own thread. `heard` keeps what came: (topic, payload, retained)."""

    def __init__(
        self, port: int, *filters: str, will: tuple[str, bytes] | None = None, version: int = 4, qos: int = 1
    ) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.on_message: Callable[[str, bytes, bool], None] | None = None
        self._filters, self._qos, self._ready = filters, qos, threading.Event()
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"peer-{port}-{next(_ids)}", protocol=MQTTProtocolVersion(version)
        )
        if will is not None:
            self.client.will_set(*will, qos=1)
        self.client.reconnect_delay_set(1, 1)
        self.gone = threading.Event()
        self.client.on_disconnect = lambda *_: self.gone.set()
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._message
        self.client.connect("127.0.0.1", port, keepalive=30)
        self.client.loop_start()
        assert self._ready.wait(10), "the peer cannot subscribe"

    def _connected(self, *_: object) -> None:
        if self._filters:
            self.client.subscribe([(each, self._qos) for each in self._filters])
        else:
            self._ready.set()

    def _message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload), bool(message.retain)))
        if self.on_message is not None:
            self.on_message(message.topic, bytes(message.payload), bool(message.retain))

    def say(self, topic: str, payload: bytes | str, *, retain: bool = False, qos: int = 1) -> None:
        self.client.publish(topic, payload, qos, retain)

    def on(self, topic: str) -> list[bytes]:
        """Payloads heard on a topic."""
        return [payload for name, payload, _ in list(self.heard) if name == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """Go without a word: the broker publishes the will."""
        sock = self.client.socket()
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def device_source(text: str, first_row: int = 0, **keys: Any) -> DeviceSource:
    """One device with its map, as the configuration hands it over."""
    settings = FIELD.device_model(
        **{"name": "dev", "driver": "mqtt", "map": "dev.csv", "prefix": "dev", "url": "mqtt://127.0.0.1:1883", **keys}
    )
    place = Place("site.yaml", 5)
    rows = [
        DeviceRowSource(
            settings=FIELD.row_model(**{name: cell for name, cell in row.items() if cell}),
            row=first_row + number,
            name=f"{settings.prefix}/{row['point']}",
            place=Place("dev.csv", number + 2, row=True),
        )
        for number, row in enumerate(device_rows(text))
    ]
    return DeviceSource(settings, rows, place, {name: Place("site.yaml", 6) for name in keys})


def device_plans(*sources: DeviceSource) -> list[BrokerPlan]:
    """The plans; fails when something is wrong."""
    report = Report()
    plans = FIELD.compile(list(sources), report)
    assert not report.errors, report.errors
    return plans


def device_plan(text: str, **keys: Any) -> BrokerPlan:
    """The plan of one device."""
    (plan,) = device_plans(device_source(text, **keys))
    return plan


def server_source(
    text: str, catalogue: PointCatalogue, server: Mapping[str, Any] | None = None, **master: Any
) -> ServerSource:
    """A server with one master and its map, as the configuration hands it over."""
    settings = GRID.server_model(
        **{"name": "cloud", "protocol": "mqtt", "url": "mqtt://127.0.0.1:1883", **(server or {})}
    )
    keys = {"name": "broker", "map": "m.csv", **master}
    rows = [
        MasterRowSource(
            GRID.row_model(**{name: cell for name, cell in row.items() if cell}),
            catalogue.rows[row["point"]],
            Place("m.csv", number + 2, row=True),
        )
        for number, row in enumerate(device_rows(text))
    ]
    place = Place("site.yaml", 9)
    masters = [MasterSource(GRID.master_model(**keys), rows, place, dict.fromkeys(keys, place))]
    return ServerSource(settings, masters, place, dict.fromkeys(server or {}, place))


def server_plan(
    text: str, catalogue: PointCatalogue, server: Mapping[str, Any] | None = None, **master: Any
) -> ServerPlan:
    """The plan; fails when something is wrong."""
    report = Report()
    plan = GRID.compile(server_source(text, catalogue, server, **master), catalogue, report)
    assert not report.errors, report.errors
    return plan


class Gate:
    """A way to the broker that can be shut: what is on its way is lost with it. Lives on the loop."""

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(here)
        for source, sink in ((reader, here), (there, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
