"""Whatever comes over a broker: topics, JSON, Sparkplug, commands, states. Nothing but the package's own errors."""

from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import Reason
from gateway.points import Kind, Point, PointCatalogue
from protocols.mqtt.batch import Batch
from protocols.mqtt.describe import Describer
from protocols.mqtt.edge import EdgeForm
from protocols.mqtt.errors import MqttError
from protocols.mqtt.gridplan import CommandRules, SparkplugPlan
from protocols.mqtt.jsoncommand import parse_command
from protocols.mqtt.jsonpath import lookup, parse_path
from protocols.mqtt.jsonview import JsonView
from protocols.mqtt.order import read_reply
from protocols.mqtt.sparkplug import at_once, decode
from protocols.mqtt.sparkplugview import SparkplugView
from protocols.mqtt.trace import packet
from tests.contract.server_suite import Table
from tests.kit.mqttkit import device_plan, server_plan
from tests.peers.sparkplug_peer import SparkplugPeer

NOW = 1_764_072_000_000_000_000
MAP = """
point,kind,topic,json,metric,time,reply_topic
a,analog,t,x.y[1],,when,
b,binary,t,z,,,
m,analog,g/e/d,,M,,
s,setpoint,g/e/d,,S,,
c,setpoint,cmd,,,,r
"""
PLAN = device_plan(MAP.replace("c,setpoint", "c,setpoint"))
POINTS = PointCatalogue.of([Point(row=0, name="a", kind=Kind.ANALOG), Point(row=1, name="s", kind=Kind.SETPOINT)])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "z", "when", "id"]), inner),
    max_leaves=8,
)
PAYLOADS = st.binary(max_size=60) | JSON.map(lambda each: json.dumps(each).encode())


def quiet(*_: object) -> None:
    """Nobody listens."""


def view() -> SparkplugView:
    return SparkplugView(PLAN.metrics, Counter())


def batch() -> tuple[Batch, list[np.ndarray]]:
    told: list[np.ndarray] = []
    return Batch(lambda rows, values, qualities, times: told.append(values)), told


@settings(max_examples=120, deadline=None)
@given(PAYLOADS, st.booleans())
def test_json_of_any_kind_gives_numbers_or_nothing(payload: bytes, retained: bool) -> None:
    into, told = batch()
    JsonView(PLAN.topics, [Counter()]).message("t", payload, retained, NOW, into)
    into.flush()
    assert all(np.isfinite(values).all() for values in told)
    for plan in PLAN.commands.values():
        if plan.reply is not None:
            read_reply(plan.reply, payload)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), JSON)
def test_paths_of_any_kind(text: str, document: object) -> None:
    try:
        path = parse_path(text)
    except ValueError:
        return
    lookup(document, path)


@settings(max_examples=120, deadline=None)
@given(st.text(max_size=30), PAYLOADS, st.booleans())
def test_commands_of_any_kind_are_requests(below: str, payload: bytes, repeated: bool) -> None:
    rules = CommandRules(allowed=True)
    request = parse_command(payload, below, {"a": 0, "x": 1}, repeated, rules, NOW)
    assert (request.refusal is Reason.OK) <= (request.binding >= 0 and not request.text)


def node_messages() -> list[tuple[str, bytes]]:
    node = SparkplugPeer("g", "e")
    first = [node.birth({"N": 1.0}), node.birth({"M": 2.0, "S": 3.0}, "d")]
    return [*first, *(node.data({"M": 4.0}, "d") for _ in range(3)), node.death("d"), node.will()]


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_sparkplug_that_was_changed_on_its_way(seed: int, changes: int) -> None:
    chance, into = random.Random(seed), batch()[0]
    seen = view()
    for topic, payload in node_messages():
        data = bytearray(payload)
        for _ in range(changes):
            if data:
                kind = chance.randrange(3)
                at = chance.randrange(len(data))
                if kind == 0:
                    data[at] = chance.randrange(256)
                elif kind == 1:
                    del data[at : at + chance.randrange(4)]
                else:
                    data[at:at] = chance.randbytes(2)
        try:
            heard = at_once(seen.message(topic, bytes(data), False, 1.0, NOW, into))
        except MqttError:
            continue
        assert all(np.isfinite(answer.value) for answer in heard.answers)
    into.flush()


@settings(max_examples=120, deadline=None)
@given(
    st.binary(max_size=80),
    st.lists(st.sampled_from(["spBv1.0", "g", "NDATA", "DBIRTH", "NDEATH", "e", "d", "", "+"]), max_size=6),
)
def test_octets_of_any_kind(data: bytes, parts: list[str]) -> None:
    try:
        decode(data)
    except MqttError as error:
        assert str(error)
    try:
        at_once(view().message("/".join(parts), data, False, 1.0, NOW, batch()[0]))
    except MqttError as error:
        assert str(error)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60),
    st.sampled_from(["spBv1.0/g/NCMD/e", "spBv1.0/g/DCMD/e/d", "spBv1.0/STATE/h", "STATE/h", "x/y"]),
)
def test_what_an_edge_node_is_sent(data: bytes, topic: str) -> None:
    plan = server_plan("point\na\ns\n", POINTS, form="sparkplug", group="g", edge="e", primary_host="h", commands=True)
    assert isinstance(plan.masters[0].form, SparkplugPlan)
    form = EdgeForm(plan.masters[0], plan.masters[0].form, POINTS, Table(2))
    form.will(NOW)
    form.opened(NOW, 0)
    try:
        form.message(topic, data, False, False, NOW, 0)
    except MqttError as error:
        assert str(error)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_the_trace_is_read_in_any_chunks(chunk: int) -> None:
    plan = server_plan("point\na\ns\n", POINTS, form="sparkplug", group="g", edge="e")
    packets = b"".join(packet(topic, payload, False) for topic, payload in node_messages())
    packets += packet("vpp/status/x", b'{"online":true}', True) + packet("a", b"", False)
    describer = Describer(plan, POINTS, "broker")
    told = [frame for at in range(0, len(packets), chunk) for frame in describer.feed(True, packets[at : at + chunk])]
    assert len(told) == len(node_messages()) + 2
    assert "seq 0: bdSeq 0; N 1.0" in told[0].text and "(retained)" in told[-2].text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_the_describer_never_raises(chunks: list[bytes]) -> None:
    describer = Describer(server_plan("point\na\n", POINTS), POINTS, "broker", full=True)
    for data in chunks:
        describer.feed(False, data)
