"""The host's side of Sparkplug as a conversation with one edge node."""

from __future__ import annotations

from collections import Counter

import pytest

from protocols.mqtt.errors import MqttError
from protocols.mqtt.host import AskRebirth, Died, EdgeNode, Told
from protocols.mqtt.sparkplug import BD_SEQ, DataType, Metric, Payload
from protocols.mqtt.sparkplugtopic import Source, host_online, parse_source, parse_topic

NODE, DEVICE = Source("g", "e"), Source("g", "e", "d")


def birth(seq: int, name: str = "a", alias: int = 1, bd_seq: int | None = None) -> Payload:
    metrics = [Metric(name=name, alias=alias, datatype=DataType.DOUBLE, value=1.0)]
    if bd_seq is not None:
        metrics.append(Metric(name=BD_SEQ, datatype=DataType.INT64, value=bd_seq))
    return Payload(time_ms=1, seq=seq, metrics=metrics)


def data(seq: int, alias: int = 1) -> Payload:
    return Payload(time_ms=2, seq=seq, metrics=[Metric(alias=alias, value=2.0)])


def death(bd_seq: int) -> Payload:
    return Payload(metrics=[Metric(name=BD_SEQ, datatype=DataType.INT64, value=bd_seq)])


@pytest.fixture
def node() -> EdgeNode:
    made = EdgeNode(NODE, Counter())
    made.message("NBIRTH", NODE, birth(0, bd_seq=7), 0.0)
    made.message("DBIRTH", DEVICE, birth(1, "x", 2), 0.0)
    return made


def test_names_come_from_the_birth_and_types_too(node: EdgeNode) -> None:
    (told,) = node.message("DDATA", DEVICE, data(2, 2), 1.0)
    assert isinstance(told, Told) and (told.name, told.datatype, told.metric.time_ms) == ("x", DataType.DOUBLE, 2)


def test_a_gap_puts_all_in_doubt_and_asks_for_a_rebirth_once_in_a_while(node: EdgeNode) -> None:
    died, ask = node.message("NDATA", NODE, data(3), 1.0)
    assert died == Died(NODE, "messages are missing", doubt=True) and isinstance(ask, AskRebirth)
    assert node.message("NDATA", NODE, data(4), 2.0) == [], "not stormed"
    assert len(node.message("NDATA", NODE, data(5), 6.5)) == 1, "asked again"
    assert len(node.message("NBIRTH", NODE, birth(0, bd_seq=7), 7.0)) == 1
    assert len(node.message("NDATA", NODE, data(1), 7.0)) == 1


def test_an_unknown_alias_asks_for_a_rebirth(node: EdgeNode) -> None:
    events = node.message("NDATA", NODE, data(2, 99), 1.0)
    assert [type(event) for event in events] == [Died, AskRebirth]
    assert "alias 99" in events[1].why  # type: ignore[union-attr]


def test_data_of_a_device_without_a_birth_asks_too(node: EdgeNode) -> None:
    assert isinstance(node.message("DDATA", Source("g", "e", "other"), data(2), 1.0)[-1], AskRebirth)


def test_the_sequence_runs_over_at_256(node: EdgeNode) -> None:
    for seq in [*range(2, 256), 0, 1]:
        assert len(node.message("NDATA", NODE, data(seq), 1.0)) == 1


def test_the_will_of_an_older_connection_is_no_news(node: EdgeNode) -> None:
    assert node.message("NDEATH", NODE, death(6), 1.0) == []
    assert node.born
    (died,) = node.message("NDEATH", NODE, death(7), 1.0)
    assert isinstance(died, Died) and not died.doubt and not node.born


def test_a_device_dies_alone(node: EdgeNode) -> None:
    (died,) = node.message("DDEATH", DEVICE, Payload(seq=2), 1.0)
    assert isinstance(died, Died) and died.source == DEVICE and node.born


def test_a_device_that_is_not_born_again_after_its_node_is_gone(node: EdgeNode) -> None:
    node.message("NBIRTH", NODE, birth(0, bd_seq=7), 1.0)
    assert node.overdue(2.0) == []
    (died,) = node.overdue(7.0)
    assert isinstance(died, Died) and died.source == DEVICE


def test_a_node_of_which_nothing_came_is_asked() -> None:
    node = EdgeNode(NODE, Counter())
    assert [type(event) for event in node.overdue(1.0)] == [AskRebirth]
    assert node.overdue(2.0) == []


@pytest.mark.parametrize(
    "topic", ["spBv1.0/g/NDATA", "spBv1.0/g/WHAT/e", "spBv1.0/g/DDATA/e", "spBv1.0/g/DDATA/e/d/x", "x"]
)
def test_what_is_no_topic(topic: str) -> None:
    with pytest.raises(MqttError):
        parse_topic(topic)


@pytest.mark.parametrize("text", ["g", "g/e/d/x", "g//d", "g/+", "STATE/e", "/e"])
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no id|no group"):
        parse_source(text)


def test_states_of_hosts_of_both_kinds() -> None:
    assert host_online(b"ONLINE") == (True, 0) and host_online(b"OFFLINE") == (False, 0)
    assert host_online(b'{"online":true,"timestamp":5}') == (True, 5)
    for wrong in (b"", b"{}", b'{"online":1}', b"[]", b'{"online":true,"timestamp":"x"}', b"\xff", b"[" * 300):
        with pytest.raises(MqttError):
            host_online(wrong)
