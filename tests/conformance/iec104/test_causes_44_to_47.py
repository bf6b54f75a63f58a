"""Unknown type, cause, common address and object address: mirrored with P/N set, in this order of checks."""

from __future__ import annotations

import pytest

from protocols.iec104.elements import TYPES
from protocols.iec104.requests import SERVICES
from tests.conformance.iec104.conversation import Conversation, causes
from tests.peers.raw104 import asdu

NOT_SERVED = [type_id for type_id in range(1, 128) if type_id not in SERVICES]


@pytest.mark.parametrize("type_id", NOT_SERVED)
def test_a_type_that_is_not_served_is_unknown(type_id: int) -> None:
    link = Conversation().started()
    [frame] = link.asks(asdu(type_id, 6, 1, 0, "00000000"))
    assert causes([frame]) == "-44"
    assert frame.asdu == bytes([type_id, 1, 44 | 0x40]) + asdu(type_id, 6, 1, 0, "00000000")[3:]
    assert not link.closed


@pytest.mark.parametrize("type_id", [0, 128, 200, 255])
def test_a_type_outside_the_standard_is_unknown(type_id: int) -> None:
    assert causes(Conversation().started().asks(asdu(type_id, 6, 1, 0))) == "-44"


def body(type_id: int) -> str:
    return bytes(TYPES[type_id].size).hex()


@pytest.mark.parametrize("type_id", sorted(SERVICES))
def test_a_cause_that_is_not_for_the_type_is_unknown(type_id: int) -> None:
    wrong = [cause for cause in (0, 3, 4, 7, 9, 10, 13, 20, 44, 63) if cause not in SERVICES[type_id].causes]
    link = Conversation().started()
    for cause in wrong:
        [frame] = link.asks(asdu(type_id, cause, 1, 0, body(type_id), oa=6))
        assert (causes([frame]), frame.originator) == ("-45", 6)


@pytest.mark.parametrize("type_id", sorted(SERVICES))
def test_a_common_address_that_is_not_ours_is_unknown(type_id: int) -> None:
    cause = min(SERVICES[type_id].causes)
    link = Conversation().started()
    for address in (0, 9, 0xFFFE, *([] if SERVICES[type_id].broadcast else [0xFFFF])):
        [frame] = link.asks(asdu(type_id, cause, address, 0, body(type_id)))
        assert (causes([frame]), frame.ca) == ("-46", address)


@pytest.mark.parametrize("type_id", sorted(SERVICES))
def test_an_object_that_is_not_there_is_unknown(type_id: int) -> None:
    cause = min(SERVICES[type_id].causes)
    [frame] = Conversation().started().asks(asdu(type_id, cause, 1, 9_999_999, body(type_id)))
    assert (causes([frame]), frame.ioa) == ("-47", 9_999_999)


def test_cause_is_looked_at_before_address_and_address_before_object() -> None:
    link = Conversation().started()
    assert causes(link.asks(asdu(45, 3, 9, 9999, "01"))) == "-45"
    assert causes(link.asks(asdu(45, 6, 9, 9999, "01"))) == "-46"


def test_the_test_bit_is_mirrored() -> None:
    for request in (asdu(126, 0x86, 1, 0), asdu(45, 0x83, 1, 6001, "01"), asdu(45, 0x86, 9, 6001, "01")):
        [frame] = Conversation().started().asks(request)
        assert (frame.test, frame.negative) == (True, True)


def test_a_negative_request_is_answered_like_a_positive_one() -> None:
    talk = Conversation()
    assert causes(talk.started().asks(asdu(104, 0x46, 1, 0, "aa55"))) == "7"
