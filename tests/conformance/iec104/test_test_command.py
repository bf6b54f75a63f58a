"""Test command, without and with time."""

from __future__ import annotations

import pytest

from tests.conformance.iec104.conversation import NOON, Conversation, causes
from tests.peers.raw104 import asdu


def test_the_fixed_pattern_comes_back() -> None:
    [frame] = Conversation().started().asks(asdu(104, 6, 1, 0, "aa55", oa=1))
    assert frame.asdu.hex() == "680107010100" + "000000" + "aa55"


def test_the_pattern_of_a_widespread_library_comes_back_too() -> None:
    assert causes(Conversation().started().asks(asdu(104, 6, 1, 0, "cc55"))) == "7"


@pytest.mark.parametrize("pattern", ["0000", "55aa", "ffff"])
def test_another_pattern_is_confirmed_negative(pattern: str) -> None:
    assert causes(Conversation().started().asks(asdu(104, 6, 1, 0, pattern))) == "-7"


def test_with_time_everything_comes_back() -> None:
    [frame] = Conversation().started().asks(asdu(107, 6, 1, 0, "0700" + NOON))
    assert frame.asdu.hex() == "6b0107000100" + "000000" + "0700" + NOON


@pytest.mark.parametrize("type_id", [104, 107])
def test_wrong_cause_address_and_ioa(type_id: int) -> None:
    body = {104: "aa55", 107: "0700" + NOON}[type_id]
    link = Conversation().started()
    assert causes(link.asks(asdu(type_id, 8, 1, 0, body))) == "-45"
    assert causes(link.asks(asdu(type_id, 6, 9, 0, body))) == "-46"
    assert causes(link.asks(asdu(type_id, 6, 1, 1, body))) == "-47"


@pytest.mark.parametrize("body", ["", "aa", "aa5500"])
def test_a_pattern_of_another_length_closes(body: str) -> None:
    link = Conversation().started()
    link.asks(asdu(104, 6, 1, 0, body))
    assert link.closed.startswith("C_TS_NA_1 with 1 objects has")
