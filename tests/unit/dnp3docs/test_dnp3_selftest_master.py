"""The self-test's master: what it takes from an outstation, what it does not, and which points it can test."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.points import Kind
from protocols.dnp3.errors import Dnp3Error
from protocols.dnp3.function import Function
from protocols.dnp3.master import Master, class_objects
from protocols.dnp3.pointtypes import PointType
from protocols.dnp3.selftest import Dnp3SoeSelftest
from tests.contract.server_suite import catalogue
from tests.kit.dnp3kit import Row, columns, master, plan
from tests.peers.rawdnp3 import frame

OURS = 0x44


def response(octets: str, transport: int = 0xC0) -> bytes:
    return frame(OURS, 1, 10, bytes([transport]) + bytes.fromhex(octets))


def asked() -> Master:
    """A master that has sent its first request, number 1."""
    made = Master(1, 10, 2_048)
    made.request(Function.READ, class_objects((1, 2)))
    assert made.data_to_send() == frame(0xC4, 10, 1, bytes.fromhex("c0c1013c02063c0306"))
    return made


def test_an_answer_of_two_fragments_is_waited_for_to_its_end() -> None:
    main = asked()
    (first,) = main.receive(response("a1810000"))
    assert main.waiting and first.control.con
    main.confirm(first)
    assert main.data_to_send() == frame(0xC4, 10, 1, bytes.fromhex("c1c100"))
    (last,) = main.receive(response("42810000", 0xC1))
    assert not main.waiting and not last.control.con


def test_an_unsolicited_response_in_between_is_confirmed_as_one() -> None:
    main = asked()
    (told,) = main.receive(response("f7820000"))
    main.confirm(told)
    assert main.waiting
    assert main.data_to_send() == frame(0xC4, 10, 1, bytes.fromhex("c1d700"))


def test_a_request_for_the_link_status_is_answered() -> None:
    main = Master(1, 10, 2_048)
    main.receive(frame(0x49, 1, 10))
    assert main.data_to_send() == frame(0x8B, 10, 1)
    main.ask_link()
    main.receive(frame(0x0B, 1, 10))
    assert main.alive


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"hello hello", "belong to no frame"),
        (response("c2810000"), "sequence number 2: 1 expected"),
        (response("c101"), "function 1 from an outstation"),
        (response("c1810000", 0x81), "segment out of place"),
    ],
)
def test_what_breaks_the_protocol_is_said(octets: bytes, words: str) -> None:
    with pytest.raises(Dnp3Error, match=words):
        asked().receive(octets)


POINTS = catalogue(
    ("power", Kind.ANALOG, -100.0, 100.0),
    ("frequency", Kind.ANALOG),
    ("fault", Kind.BINARY),
    ("energy", Kind.COUNTER),
    ("twice", Kind.ANALOG),
    ("still", Kind.ANALOG, 0.0, 1.0),
)


def selftest(*rows: Row) -> Dnp3SoeSelftest:
    return Dnp3SoeSelftest(plan(master(bindings=columns(list(rows)))), POINTS, "main", 1)


def test_every_change_is_one_event_within_the_range_and_beyond_the_deadband() -> None:
    test = selftest(
        Row(row=0, type=PointType.AI, index=0, event_class=2, event_var=7, limit=50.0),
        Row(row=2, type=PointType.BI, index=5, event_class=1, event_var=3),
        Row(row=3, type=PointType.CTR, index=1, event_class=3, event_var=5),
    )
    start = test.start_values()
    values = dict(zip(start["row"].tolist(), start["value"].tolist(), strict=True))
    batch = test.changes(500, 1_700_000_000_000_000_000)
    for row, value in zip(batch["row"].tolist(), batch["value"].tolist(), strict=True):
        assert abs(value - values[row]) > (50.0 if row == 0 else 0.5)
        values[row] = value
    assert test.tally.made == 500
    assert np.all(np.diff(batch["time_ns"]) == 1_000_000)


@pytest.mark.parametrize(
    "row",
    [
        Row(row=0, type=PointType.AI, index=0, event_class=0, event_var=7),  # no events
        Row(row=0, type=PointType.AI, index=0, event_class=1, event_var=5),  # no time
        Row(row=0, type=PointType.AI, index=0, event_class=1, event_var=7, newest_only=True),
        Row(row=5, type=PointType.AI, index=0, event_class=1, event_var=7, limit=2.0),  # wider than the range
        Row(row=3, type=PointType.FCTR, index=0, event_class=1, event_var=5),  # not of itself
    ],
)
def test_a_point_that_cannot_be_tested_is_left_out(row: Row) -> None:
    with pytest.raises(ValueError, match="no point that can be tested"):
        selftest(row)


def test_the_private_plan_is_for_this_master_on_loopback_alone() -> None:
    test = selftest(Row(row=0, type=PointType.AI, index=0, event_class=1, event_var=7))
    private = test.private_plan(4_711)
    assert private.listen == ("127.0.0.1", 4_711)
    assert [made.addresses for made in private.masters] == [("127.0.0.1",)]
    assert not private.masters[0].commands and not private.system
