"""MQTT changes per second, QoS 1 from the durable queue, beside paho-mqtt with its queue in memory; and the input.

One broker (mosquitto on this machine) for all of them, one after the other. The peer of the output publishes the same
JSON payloads, made beforehand, at 20 in flight, from its own thread. The peer of the input is a callback that reads the
JSON and does nothing with it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from bench.modbus_poll import CountingPort
from bench.result import Result
from gateway.config import load_site
from gateway.feed.mirror import Mirror
from gateway.log import get_log
from gateway.points.change import changes
from gateway.tracing.trace import TraceRing
from protocols.mqtt.client import WINDOW
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.server import MqttServer

POINTS = 500
EVENTS = 40_000
BATCH = 500
MESSAGES = 20_000
PEER = "paho-mqtt alone: payloads made beforehand, queue in memory"
FORMS = {
    "one change a payload": "{name: m, map: m.csv, payload: point, topic: t}",
    "groups": "{name: m, map: m.csv, topic: t}",
    "sparkplug": "{name: m, map: m.csv, form: sparkplug, group: g, edge: e}",
}


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """mosquitto on a free port; `OSError` where there is none."""
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if binary is None:
        raise OSError("mosquitto is not installed")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n"
    )
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([binary, "-c", str(configuration)], stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def _site(folder: Path, port: int, master: str) -> Any:
    rows = "".join(f"p{i},analog,in,v{i}\n" for i in range(POINTS))
    (folder / "d.csv").write_text(f"point,kind,topic,json\n{rows}")
    (folder / "m.csv").write_text("point\n" + "".join(f"d/p{i}\n" for i in range(POINTS)))
    url = f'"mqtt://127.0.0.1:{port}"'
    (folder / "site.yaml").write_text(
        f"site: bench\ndevices: [{{name: d, driver: mqtt, url: {url}, map: d.csv, prefix: d}}]\n"
        f"servers: [{{name: cloud, protocol: mqtt, url: {url}, masters: [{master}]}}]\n"
    )
    return load_site(folder / "site.yaml")


class _Port:
    """A worker without a core."""

    def __init__(self, plan: Any, folder: Path) -> None:
        self.log, self.catalogue, self.state_dir = get_log(), plan.catalogue, folder / "state"
        self.table, self.trace, self.commands = Mirror(len(plan.catalogue)), TraceRing(), None

    def confirm(self, master: str, seq: int) -> None:
        """No core."""

    def publish(self, rows: Any, values: Any) -> None:
        """No core."""


def _ours(folder: Path, port: int, master: str) -> float:
    plan = _site(folder, port, master)
    worker = _Port(plan, folder)

    async def run() -> float:
        server = MqttServer(plan.servers[0].plan, worker)  # type: ignore[arg-type]
        await server.start()
        publisher = next(iter(server.publishers.values()))
        while publisher._link is None:
            await asyncio.sleep(0.01)
        rows = np.arange(POINTS, dtype=np.uint32)
        began = time.perf_counter()
        for start in range(0, EVENTS, BATCH):
            batch = changes(
                rows, np.arange(start, start + BATCH) + 0.5, np.zeros(BATCH, np.uint32), np.full(BATCH, time.time_ns())
            )
            worker.table.apply(batch)
            server.changes(batch, start + BATCH)
            await asyncio.sleep(0)
        while len(publisher.stream.queue):
            await asyncio.sleep(0.002)
        seconds = time.perf_counter() - began
        await server.stop()
        return EVENTS / seconds

    return asyncio.run(run())


def _paho(port: int) -> float:
    payload = (
        '{"point":"d/p%d","value":%r,"unit":"","quality":"good","flags":0,'
        '"time":"2025-11-25T12:00:00.123Z","time_ms":1764072000123}'
    )
    payloads = [(payload % (i % POINTS, i + 0.5)).encode() for i in range(EVENTS)]
    client, done, acked = Client(CallbackAPIVersion.VERSION2), threading.Event(), 0

    def published(*_: object) -> None:
        nonlocal acked
        acked += 1
        if acked == EVENTS:
            done.set()

    client.on_publish = published
    client.max_inflight_messages_set(WINDOW)
    client.connect("127.0.0.1", port)
    client.loop_start()
    began = time.perf_counter()
    for each in payloads:
        client.publish("t", each, 1)
    if not done.wait(120):
        raise TimeoutError("paho did not finish")
    seconds = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return EVENTS / seconds


_SENDER = """
import sys, time
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
client = Client(CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
for n in range(int(sys.argv[2])):
    client.publish("in", '{"v%d":%d.5,"v%d":%d.25}' % (n % 500, n, (n + 1) % 500, n), 0)
    if n % 200 == 0:
        time.sleep(0.02)
time.sleep(1)
client.publish("in", '{"v0":-1}', 1).wait_for_publish(10)
"""


def _send(port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _SENDER, str(port), str(MESSAGES)])


def _driver_cpu(folder: Path, port: int) -> float:
    """CPU per message, in us."""
    plan = _site(folder, port, FORMS["groups"])
    core = CountingPort()
    last = False

    async def run() -> float:
        nonlocal last
        driver = MqttDriver(plan.drivers[0][1], core)  # type: ignore[arg-type]
        view = driver._json
        task = asyncio.create_task(driver.run())
        while driver._link is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        sender, began = _send(port), time.process_time()
        while view._last.get(0) != -1.0:
            await asyncio.sleep(0.02)
        cpu = time.process_time() - began
        sender.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return 1e6 * cpu / driver.counters()["d"]["messages"]

    return asyncio.run(run())


def _callback_cpu(port: int) -> float:
    client, done, count = Client(CallbackAPIVersion.VERSION2), threading.Event(), 0

    def message(_client: Client, _data: object, found: Any) -> None:
        nonlocal count
        count += 1
        if json.loads(found.payload).get("v0") == -1:
            done.set()

    ready = threading.Event()
    client.on_message = message
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("in", 1)
    ready.wait(5)
    sender, began = _send(port), time.process_time()
    if not done.wait(60):
        raise TimeoutError("the messages did not come")
    cpu = time.process_time() - began
    sender.wait()
    client.disconnect()
    client.loop_stop()
    return 1e6 * cpu / count


def measure() -> Iterable[Result]:
    """Output in three forms beside paho alone; input beside a plain callback."""
    with tempfile.TemporaryDirectory(prefix="gridgate-bench-") as name, broker(Path(name)) as port:
        peer = _paho(port)
        for number, (form, master) in enumerate(FORMS.items()):
            folder = Path(name) / f"form{number}"
            folder.mkdir()
            yield Result(
                name=f"mqtt output, {form}",
                value=_ours(folder, port, master),
                unit="changes/s",
                peer=PEER,
                peer_value=peer,
                note=f"{EVENTS} changes of {POINTS} points until the broker had acknowledged all, QoS 1",
            )
        folder = Path(name) / "in"
        folder.mkdir()
        yield Result(
            name="mqtt input, CPU per message of two values",
            value=_driver_cpu(folder, port),
            unit="us",
            peer="paho-mqtt and json.loads in a callback",
            peer_value=_callback_cpu(port),
        )
