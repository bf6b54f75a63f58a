"""Certification groups "binary output" and "analog output": select before operate, direct, no ack, many objects."""

from __future__ import annotations

import struct

import pytest

from gateway.contracts import Reason, Stage
from protocols.dnp3.pointtypes import PointType as T
from tests.conformance.dnp3.conversation import (
    BAD_PARAMETER,
    NO_FUNCTION,
    NO_OBJECT,
    Conversation,
    says_nothing,
)
from tests.kit.dnp3kit import BOTH, Row, columns, master
from tests.peers import rawdnp3 as raw

SUCCESS, TIMEOUT, NO_SELECT, FORMAT, NOT_SUPPORTED, TOO_MANY = 0, 1, 2, 3, 4, 8
LATCH_ON = 0x03


def relay(*indices: int, code: int = LATCH_ON, on_ms: int = 100, wide: bool = False) -> str:
    """g12v1 with one-octet or two-octet indices."""
    body = b"".join(
        index.to_bytes(1 + wide, "little") + struct.pack("<BBIIB", code, 1, on_ms, 200, 0) for index in indices
    )
    count = len(indices).to_bytes(1 + wide, "little")
    return "0c01" + ("28" if wide else "17") + count.hex() + body.hex()


def setpoint(*indices: int, value: float = 20.0, variation: int = 3, wide: bool = False) -> str:
    """g41 in any variation."""
    form = {1: "<iB", 2: "<hB", 3: "<fB", 4: "<dB"}[variation]
    coded = struct.pack(form, int(value) if variation < 3 else value, 0)
    body = b"".join(index.to_bytes(1 + wide, "little") + coded for index in indices)
    return (
        f"29{variation:02x}" + ("28" if wide else "17") + len(indices).to_bytes(1 + wide, "little").hex() + body.hex()
    )


BIG = master(
    bindings=columns(
        [Row(row=at, type=T.BO, index=at, mode=BOTH) for at in range(8)]
        + [Row(row=8 + at, type=T.AO, index=at, mode=BOTH) for at in range(8)]
    ),
    parameters={"max_controls": 6},
)
ORDERS = [relay(1), relay(1, wide=True), *(setpoint(1, variation=v) for v in (1, 2, 3, 4)), setpoint(1, wide=True)]


def conversation() -> Conversation:
    return Conversation((BIG,)).is_ready()


def status(talk: Conversation, function: int, objects: str) -> int:
    """Of the last object of the answer, which echoes the request but for the statuses."""
    answer = talk.ask(function, objects)
    assert len(answer.objects) == len(objects) and answer.objects[:10] == objects[:10]
    return bytes.fromhex(answer.objects)[-1]


def executed(talk: Conversation) -> int:
    return sum(not order.select for order in talk.orders)


@pytest.mark.parametrize("order", ORDERS)
def test_select_and_operate(order: str) -> None:
    talk = conversation()
    assert status(talk, raw.SELECT, order) == SUCCESS
    assert executed(talk) == 0
    assert status(talk, raw.OPERATE, order) == SUCCESS
    assert executed(talk) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_direct_operate_with_and_without_an_answer(order: str) -> None:
    talk = conversation()
    assert status(talk, raw.DIRECT, order) == SUCCESS
    assert talk.request(raw.DIRECT_NO_ACK, order) == []
    assert executed(talk) == 2


@pytest.mark.parametrize("order", ORDERS)
def test_operate_without_a_select_does_nothing(order: str) -> None:
    talk = conversation()
    assert status(talk, raw.OPERATE, order) == NO_SELECT
    assert executed(talk) == 0 and len(talk.refused) == 1


OTHERS = {
    "another point": (relay(1), relay(2)),
    "another operation": (relay(1), relay(1, code=0x04)),
    "another time": (relay(1), relay(1, on_ms=101)),
    "another qualifier": (relay(1), relay(1, wide=True)),
    "another object": (relay(1), setpoint(1)),
    "one object more": (relay(1), relay(1, 2)),
    "another value": (setpoint(1), setpoint(1, value=21.0)),
    "another variation": (setpoint(1), setpoint(1, variation=4)),
}


@pytest.mark.parametrize(("selected", "operated"), OTHERS.values(), ids=OTHERS.keys())
def test_operate_of_something_else_does_nothing_and_uses_the_select_up(selected: str, operated: str) -> None:
    talk = conversation()
    assert status(talk, raw.SELECT, selected) == SUCCESS
    assert status(talk, raw.OPERATE, operated) == NO_SELECT
    assert status(talk, raw.OPERATE, selected) == NO_SELECT
    assert executed(talk) == 0


def test_operate_needs_the_next_sequence_number() -> None:
    talk = conversation()
    talk.ask(raw.SELECT, relay(1))
    talk.seq += 1
    assert status(talk, raw.OPERATE, relay(1)) == NO_SELECT
    assert executed(talk) == 0


def test_a_select_expires() -> None:
    talk = conversation()
    talk.ask(raw.SELECT, relay(1))
    talk.waits(9.9)
    assert status(talk, raw.OPERATE, relay(1)) == SUCCESS
    talk.ask(raw.SELECT, relay(1))
    talk.waits(10.1)
    assert status(talk, raw.OPERATE, relay(1)) == TIMEOUT
    assert executed(talk) == 1


@pytest.mark.parametrize("function", [raw.READ, raw.SELECT, raw.WRITE])
def test_a_select_does_not_survive_another_request(function: int) -> None:
    talk = conversation()
    talk.ask(raw.SELECT, relay(1))
    objects = {raw.READ: "0a0006", raw.SELECT: relay(2), raw.WRITE: "500100070700"}[function]
    talk.ask(function, objects)
    assert status(talk, raw.OPERATE, relay(1)) == NO_SELECT
    assert executed(talk) == 0


def test_a_select_does_not_survive_the_connection() -> None:
    talk = conversation()
    talk.ask(raw.SELECT, relay(1))
    talk.cuts()
    talk.connects()
    assert status(talk, raw.OPERATE, relay(1)) == NO_SELECT


def test_a_repeated_request_is_answered_again_and_not_carried_out_again() -> None:
    talk = conversation()
    for function, orders in ((raw.SELECT, 1), (raw.OPERATE, 2), (raw.DIRECT, 3)):
        first = talk.ask(function, relay(1))
        talk.seq -= 1
        assert talk.ask(function, relay(1)).octets == first.octets
        assert len(talk.orders) == orders


def test_many_objects_are_selected_and_operated_together() -> None:
    talk = conversation()
    order = relay(0, 3, 5) + setpoint(2, 4)
    assert talk.ask(raw.SELECT, order).objects == order
    assert talk.ask(raw.OPERATE, order).objects == order
    assert executed(talk) == 5


def test_one_bad_object_keeps_the_others_from_being_selected() -> None:
    talk = conversation()
    order = relay(0, 99)
    answer = talk.ask(raw.SELECT, order)
    assert (answer.iin, bytes.fromhex(answer.objects)[-1]) == (BAD_PARAMETER, NOT_SUPPORTED)
    assert status(talk, raw.OPERATE, order) == NO_SELECT
    assert executed(talk) == 0


def test_objects_beyond_the_limit_are_not_taken() -> None:
    talk = conversation()
    answer = talk.ask(raw.DIRECT, relay(*range(7)))
    assert [bytes.fromhex(answer.objects)[4 + 12 * at + 11] for at in range(7)] == [SUCCESS] * 6 + [TOO_MANY]
    assert executed(talk) == 6


@pytest.mark.parametrize("order", [relay(8), relay(65_535, wide=True), setpoint(8), setpoint(65_535, wide=True)])
@pytest.mark.parametrize("function", [raw.SELECT, raw.DIRECT])
def test_a_point_that_does_not_exist(function: int, order: str) -> None:
    talk = conversation()
    answer = talk.ask(function, order)
    assert (answer.iin, bytes.fromhex(answer.objects)[-1]) == (BAD_PARAMETER, NOT_SUPPORTED)
    assert talk.request(raw.DIRECT_NO_ACK, order) == []
    assert talk.orders == []


@pytest.mark.parametrize(
    ("objects", "iin"),
    [
        ("0c0106", BAD_PARAMETER),  # no objects
        ("0c011700", BAD_PARAMETER),  # none, counted
        ("0c0117" + "02" + relay(1)[8:], BAD_PARAMETER),  # two announced, one there
        ("0c0100" + "0101" + relay(1)[10:], BAD_PARAMETER),  # a range
        ("0c041701" + relay(1)[8:], NO_OBJECT),
        ("29051701" + "01" + "00" * 9, NO_OBJECT),
        ("010106", NO_OBJECT),
        ("", BAD_PARAMETER),
    ],
)
@pytest.mark.parametrize("function", [raw.SELECT, raw.OPERATE, raw.DIRECT])
def test_what_is_no_control_is_refused(function: int, objects: str, iin: int) -> None:
    talk = conversation()
    answer = talk.ask(function, objects)
    assert (answer.iin, answer.objects) == (iin, "")
    assert talk.orders == []


def test_a_status_in_the_request_is_a_format_error() -> None:
    talk = conversation()
    answer = talk.ask(raw.DIRECT, relay(1)[:-2] + "01")
    assert bytes.fromhex(answer.objects)[-1] == FORMAT
    assert talk.orders == []


def test_the_answer_waits_for_the_device_and_nothing_else_does() -> None:
    talk = conversation()
    talk.broker = says_nothing
    assert talk.request(raw.DIRECT, relay(1)) == []
    talk.change((0, 1.0))
    [answer] = talk.finishes(talk.orders[-1].ticket, Stage.FAILED, Reason.DEVICE_LOST)
    assert bytes.fromhex(answer.objects)[-1] == 18  # DOWNSTREAM_FAIL
    talk.request(raw.DIRECT, relay(1))
    talk.ask(raw.READ, "0a0106")  # the newer request has the answer, the command goes on
    assert talk.finishes(talk.orders[-1].ticket) == []


def test_the_status_object_shows_what_the_device_does() -> None:
    talk = conversation()
    talk.change((1, 1.0), (9, 20.0))
    assert talk.values("0a000001" + "01") == "0a0200010181"
    assert talk.values("28000001" + "01") == "2803000101" + "01" + struct.pack("<f", 20.0).hex()


def test_a_master_without_the_right_to_command_commands_nothing() -> None:
    talk = Conversation((master(commands=False),))
    for function in (raw.SELECT, raw.DIRECT):
        assert bytes.fromhex(talk.ask(function, relay(0)).objects)[-1] == 9  # NOT_AUTHORIZED
    assert talk.orders == []


def test_functions_that_do_not_exist_are_told() -> None:
    talk = conversation()
    for function in (15, 16, 17, 18, 19, 25, 30, 33, 70, 127):
        assert talk.ask(function).iin == NO_FUNCTION
