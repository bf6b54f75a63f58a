"""The driver of one broker connection: subscribe, listen, command, and do it again for ever when the broker is gone.

A device is online while it is heard, and lost with the broker, after its silence, when it (or the broker for it) says
that it left, and when its Sparkplug node or device died. What the broker kept for us (retained) is no sign of life.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np

from gateway.contracts import DeviceState, DriverPort, Write, WriteLost, WriteRefused
from gateway.points import Quality, Rows
from protocols.mqtt.batch import Batch
from protocols.mqtt.client import Acked, Link, LinkDown, Message, backoff_s
from protocols.mqtt.errors import MqttError
from protocols.mqtt.fieldplan import BrokerPlan, CommandPlan, DevicePlan
from protocols.mqtt.host import Died
from protocols.mqtt.jsonpath import MISSING, lookup, read_json
from protocols.mqtt.jsonview import JsonView, Seen
from protocols.mqtt.linkplan import Will
from protocols.mqtt.orders import Orders
from protocols.mqtt.reading import word_of
from protocols.mqtt.sparkplug import REBIRTH, DataType, Metric, Payload, Steps, encode
from protocols.mqtt.sparkplugtopic import NAMESPACE, Source, state_topics
from protocols.mqtt.sparkplugview import Heard, SparkplugView

ERRORS: Final = ("malformed", "unreadable", "unknown_metrics", "out_of_sequence", "disconnects", "writes_lost")
COUNTERS: Final = (
    *("messages", "malformed", "unreadable", "historical", "births", "deaths", "old_deaths"),
    *("rebirths_asked", "out_of_sequence", "unknown_metrics", "connects", "disconnects"),
    *("writes", "writes_refused", "writes_lost"),
)
_WATCH_S: Final = (0.05, 0.5)
"""Shortest and longest time between two looks at who is silent."""
_BIRTH_PATIENCE_S: Final = 1.0
"""After subscribing: a node that is alive may just be about to be born."""


class _Device:
    """One device and how it is."""

    def __init__(self, plan: DevicePlan) -> None:
        self.plan = plan
        self.state = DeviceState.CONNECTING
        self.heard_at = math.inf
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))


class MqttDriver:
    """Serves one `BrokerPlan` (`gateway.contracts.FieldDriver`)."""

    def __init__(self, plan: BrokerPlan, port: DriverPort) -> None:
        self._plan, self._port = plan, port
        self._devices = [_Device(device) for device in plan.plans]
        self._shared: Counter[str] = Counter()
        self._json = JsonView(plan.topics, [device.counters for device in self._devices])
        self._spark = SparkplugView(plan.metrics, self._shared)
        self._orders = Orders(plan.commands)
        self._batch = Batch(port.publish)
        self._link: Link | None = None
        self._state_ms = 0
        self._told: set[object] = set()
        silent = min((device.silent_s for device in plan.plans if device.silent_s), default=math.inf)
        self._watch_s = min(max(silent / 4, _WATCH_S[0]), _WATCH_S[1])
        self._status: dict[str, list[_Device]] = {}
        for device in self._devices:
            if device.plan.status_topic:
                self._status.setdefault(device.plan.status_topic, []).append(device)

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected until cancelled."""
        for device in self._devices:
            self._port.state(device.plan.name, DeviceState.CONNECTING, str(self._plan.link.broker))
        attempt, loop = 0, asyncio.get_running_loop()
        while True:
            began = loop.time()
            why = await self._converse()
            self._link = None
            self._lost(why)
            # A broker that takes us and drops us at once is as far away as one that is not there.
            attempt = 0 if loop.time() - began > self._plan.link.reconnect_max_s else attempt + 1
            await asyncio.sleep(backoff_s(attempt, self._plan.link.reconnect_max_s))

    async def _converse(self) -> str:
        """From connection to its end; returns why it ended, in words."""
        link = Link(self._plan.link, self._will())
        try:
            await link.open()
            self._link = link
            self._shared["connects"] += 1
            await link.subscribe(self._filters(), self._plan.qos)
            self._announce(link)
            return await self._listen(link)
        except LinkDown as error:
            return str(error)
        except asyncio.CancelledError:
            self._say_state(link, False, self._port.now_ns() // 1_000_000)
            await link.close()
            raise
        finally:
            link.abort("no longer needed")

    async def _listen(self, link: Link) -> str:
        loop = asyncio.get_running_loop()
        births_due = loop.time() + _BIRTH_PATIENCE_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._watch_s):
                    await link.wake.wait()
            link.wake.clear()
            await self._drain(link)
            if link.closed.done():
                return f"{self._plan.link.broker}: {link.closed.result()}"
            now = loop.time()
            self._silence(now)
            if now >= births_due and self._plan.metrics:
                births_due = now + _BIRTH_PATIENCE_S
                self._heard(link, self._spark.overdue(now, self._port.now_ns(), self._batch))

    async def _drain(self, link: Link) -> None:
        """Everything that came, in order; then what it means to the core."""
        while link.inbox:
            event = link.inbox.popleft()
            if isinstance(event, Acked):
                self._orders.acked(event.mid, event.refusal)
            else:
                await self._message(link, event)
        self._batch.flush()

    def _filters(self) -> list[str]:
        """Every topic filter once."""
        nodes = dict.fromkeys(source.node for source in self._plan.metrics)
        spark = [f"{NAMESPACE}/{node.group}/+/{node.edge}/#" for node in nodes]  # .../# is the topic itself as well
        topics = [*self._plan.topics, *self._status, *self._orders.reply_topics, *spark]
        return list(dict.fromkeys(topics))

    def _will(self) -> Will | None:
        if not self._plan.host:
            return None
        # The will carries the time of the birth: with an older one it would be taken for that of an older connection.
        self._state_ms = self._port.now_ns() // 1_000_000
        return Will(state_topics(self._plan.host)[0], _state(False, self._state_ms), retain=True)

    def _announce(self, link: Link) -> None:
        """We are there; devices that only take commands are too, as far as can be known."""
        self._say_state(link, True, self._state_ms)
        for device in self._devices:
            if not device.plan.measures:
                self._online(device)

    def _say_state(self, link: Link, online: bool, time_ms: int) -> None:
        if self._plan.host and link.up:
            link.publish(state_topics(self._plan.host)[0], _state(online, time_ms), 1, retain=True)

    # -- what comes ---------------------------------------------------------------------------------------------

    async def _message(self, link: Link, message: Message) -> None:
        topic = message.topic
        if topic in self._status:
            self._status_said(topic, message.payload)
        if topic in self._orders.reply_topics and not message.retained:
            self._orders.reply(topic, message.payload)
        if topic in self._plan.topics:
            now_ns = self._port.now_ns()
            self._seen(self._json.message(topic, message.payload, message.retained, now_ns, self._batch))
        elif topic.startswith(f"{NAMESPACE}/"):
            await self._sparkplug(link, message)

    def _seen(self, seen: Seen) -> None:
        for index in seen.devices:
            self._alive(self._devices[index])
        for key, event, facts in seen.troubles:
            self._tell_once(key, event, **facts)

    async def _sparkplug(self, link: Link, message: Message) -> None:
        now = asyncio.get_running_loop().time()
        try:
            heard = await _slowly(
                self._spark.message(
                    message.topic, message.payload, message.retained, now, self._port.now_ns(), self._batch
                )
            )
        except MqttError as error:
            self._tell_once(
                ("malformed", message.topic), "payload cannot be read", topic=message.topic, cause=str(error)
            )
            return
        self._heard(link, heard)

    def _heard(self, link: Link, heard: Heard) -> None:
        for source in heard.fresh:
            for device in self._devices:
                if source in device.plan.sources:
                    self._alive(device)
        for answered in heard.answers:
            self._orders.echoed(answered.row, answered.value, answered.answer)
        for died in heard.died:
            self._died(died)
        for source, missing in heard.absent:
            self._batch.flush()
            self._port.degrade(np.array([each.row for each in missing], np.uint32), int(Quality.INVALID))
            names = ", ".join(each.name for each in missing[:20])
            self._tell_once(("absent", source), "metrics missing in birth", source=str(source), points=names)
        for node, why in heard.ask:
            self._ask_rebirth(link, node, why)

    def _died(self, died: Died) -> None:
        """All that came of this source is lost, or in doubt until its next birth."""
        self._batch.flush()
        gone = [
            source
            for source in self._plan.metrics
            if source == died.source or (not died.source.device and source.node == died.source)
        ]
        flag = Quality.NOT_TOPICAL if died.doubt else Quality.COMM_LOST
        rows = [binding.row for source in gone for each in self._plan.metrics[source].values() for binding in each]
        if rows:
            self._port.degrade(np.array(sorted(set(rows)), np.uint32), int(flag))
        for device in self._devices:
            # A device of several sources is lost with the last of them; its points know for themselves.
            if not died.doubt and device.plan.sources and set(device.plan.sources) <= set(gone):
                self._lose(device, f"{died.source}: {died.why}")
            elif died.doubt and set(device.plan.sources) & set(gone):
                self._port.log.warning("sparkplug node in doubt", node=str(died.source), cause=died.why)

    def _ask_rebirth(self, link: Link, node: Source, why: str) -> None:
        now_ms = self._port.now_ns() // 1_000_000
        ask = Metric(name=REBIRTH, time_ms=now_ms, datatype=DataType.BOOLEAN, value=True)
        self._port.log.info("rebirth asked", node=str(node), cause=why)
        if link.up:
            link.publish(node.topic("CMD"), encode(Payload(time_ms=now_ms, metrics=[ask])), 0)

    def _status_said(self, topic: str, payload: bytes) -> None:
        """A device, or the broker for it, says whether it is there. Anything but the words for gone is no news."""
        for device in self._status[topic]:
            try:
                found = lookup(read_json(payload), device.plan.status_path)
            except ValueError:
                found = payload.decode("utf-8", "replace")
            if found is not MISSING and word_of(found) in device.plan.status_offline:
                self._batch.flush()
                self._lose(device, f"{topic} says {word_of(found)}")

    # -- states -------------------------------------------------------------------------------------------------

    def _alive(self, device: _Device) -> None:
        device.heard_at = asyncio.get_running_loop().time()
        self._online(device)

    def _online(self, device: _Device) -> None:
        if device.state is not DeviceState.ONLINE:
            device.state = DeviceState.ONLINE
            self._port.state(device.plan.name, DeviceState.ONLINE, str(self._plan.link.broker))

    def _silence(self, now: float) -> None:
        for device in self._devices:
            limit = device.plan.silent_s
            if not limit:
                continue
            if device.heard_at == math.inf:
                device.heard_at = now
            elif now - device.heard_at > limit and device.state is not DeviceState.LOST:
                self._lose(device, f"nothing heard for {limit:g} s")

    def _lost(self, why: str) -> None:
        """The broker is gone, and everything behind it with it."""
        self._shared["disconnects"] += 1
        self._batch.flush()
        self._spark.lost()
        self._orders.lost(why)
        for device in self._devices:
            self._lose(device, why)

    def _lose(self, device: _Device, why: str) -> None:
        if device.state is not DeviceState.LOST:
            device.state = DeviceState.LOST
            self._port.degrade(_rows(device), int(Quality.COMM_LOST))
            self._port.state(device.plan.name, DeviceState.LOST, why)

    def _tell_once(self, key: object, event: str, **facts: object) -> None:
        if key not in self._told:
            self._told.add(key)
            self._port.log.warning(event, **facts)

    # -- commands -----------------------------------------------------------------------------------------------

    async def write(self, write: Write) -> None:
        """Publish a command and wait for the device's word. Raises `WriteRefused` or `WriteLost`."""
        plan = self._plan.commands.get(write.row)
        if plan is None:
            raise WriteRefused("the point takes no commands")
        device = self._devices[plan.device]
        try:
            await self._write(plan, device, write.value)
        except WriteRefused:
            device.counters["writes_refused"] += 1
            raise
        except WriteLost:
            device.counters["writes_lost"] += 1
            raise
        device.counters["writes"] += 1

    async def _write(self, plan: CommandPlan, device: _Device, value: float) -> None:
        link = self._link
        if link is None or not link.up or device.state is not DeviceState.ONLINE:
            raise WriteLost(f"{device.plan.name} is {device.state}: nothing was sent")
        shown = self._spark.shown.get(plan.row) if plan.source is not None else None
        answering = plan.row in self._spark.answering
        order = self._orders.begin(plan, value, self._port.now_ns(), self._spark.types, shown, answering)
        try:
            order.mid = link.publish(order.topic, order.payload, 1)
            async with asyncio.timeout(device.plan.command_s):
                await order.result
        except LinkDown as error:
            raise WriteLost(f"nothing was sent: {error}") from None
        except TimeoutError:
            raise WriteLost(order.overdue(device.plan.command_s)) from None
        finally:
            self._orders.end(order)

    # -- figures ------------------------------------------------------------------------------------------------

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Per device: its own figures and those of its connection."""
        out: dict[str, Mapping[str, int]] = {}
        for device in self._devices:
            figures = device.counters + self._shared
            named = {name: figures[name] for name in COUNTERS}
            out[device.plan.name] = {**named, "errors": sum(figures[name] for name in ERRORS)}
        return out


async def _slowly(steps: Steps[Heard]) -> Heard:
    """Work in steps, others having their turn between two of them: a birth may have thousands of metrics."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            heard: Heard = end.value
            return heard
        await asyncio.sleep(0)


def _rows(device: _Device) -> Rows:
    return device.plan.rows


def _state(online: bool, time_ms: int) -> bytes:
    return f'{{"online":{"true" if online else "false"},"timestamp":{time_ms}}}'.encode()
