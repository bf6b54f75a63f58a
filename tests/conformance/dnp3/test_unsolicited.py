"""Certification groups "unsolicited" and "collision": what goes by itself, and how it and a request keep apart."""

from __future__ import annotations

import pytest

from protocols.dnp3.plan import UnsolicitedPlan
from tests.conformance.dnp3.conversation import (
    CLASS_1,
    NO_FUNCTION,
    NO_OBJECT,
    RESTART,
    RESTART_OFF,
    Conversation,
)
from tests.kit.dnp3kit import NOON_TAG, master
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0, CLASSES, Response

FAULT_OFF = "02021701" + "00" + "01" + NOON_TAG
TIMEOUT_S = 5.0


def conversation(**keys: object) -> Conversation:
    """The null response is confirmed, the restart bit cleared, every class enabled."""
    talk = fresh(**keys)
    talk.confirms(talk.heard[0])
    talk.is_ready()
    assert talk.ask(raw.ENABLE, CLASSES).iin == 0
    return talk


def fresh(**keys: object) -> Conversation:
    return Conversation((master(unsolicited=UnsolicitedPlan(**keys)),))  # type: ignore[arg-type]


def told(talk: Conversation) -> Response:
    return talk.heard[-1]


def test_the_null_response_comes_first_and_until_it_is_confirmed() -> None:
    talk = fresh()
    assert [answer.octets.hex() for answer in talk.heard] == ["f0828000"]
    assert talk.waits(TIMEOUT_S + 0.1)[0].octets == talk.heard[0].octets
    assert talk.request(raw.READ, CLASS_0) == []
    [answer] = talk.confirms(talk.heard[0])  # a read that came meanwhile
    assert answer.objects and talk.waits(60.0) == []


def test_nothing_is_sent_before_a_class_is_enabled() -> None:
    talk = fresh()
    talk.confirms(talk.heard[0])
    talk.change((2, 0.0))
    assert talk.waits(60.0) == [] and len(talk.heard) == 1
    seq = talk.seq
    answer, event = talk.request(raw.ENABLE, "3c0206")
    assert (answer.seq, answer.iin) == (seq, RESTART | CLASS_1)
    assert (event.unsolicited, event.con, event.objects) == (True, True, FAULT_OFF)


def test_only_enabled_classes_are_sent_and_disabled_ones_no_more() -> None:
    talk = conversation()
    talk.ask(raw.DISABLE, "3c0306")
    talk.change((0, 99.0))
    assert not told(talk).unsolicited
    talk.change((2, 0.0))
    assert told(talk).objects == FAULT_OFF
    assert talk.ask(raw.ENABLE, "3c0106").iin & NO_OBJECT


@pytest.mark.parametrize("function", [raw.ENABLE, raw.DISABLE])
def test_where_it_is_not_configured_it_is_refused(function: int) -> None:
    talk = Conversation().is_ready()
    assert talk.heard[0].octets[1] == 129  # no null response either
    assert talk.ask(function, CLASSES).iin == NO_FUNCTION


def test_a_response_is_sent_again_so_often_and_later_begun_anew() -> None:
    talk = conversation(retries=2, retry_pause_s=10.0)
    talk.change((2, 0.0))
    first = told(talk)
    again = talk.waits(2 * TIMEOUT_S + 0.5)
    assert [answer.octets for answer in again] == [first.octets] * 2
    assert talk.waits(TIMEOUT_S) == []  # given up for now
    [anew] = talk.waits(11.0)
    assert (anew.objects, anew.seq) == (first.objects, (first.seq + 1) & 15)
    assert talk.confirms(anew) == []
    assert talk.waits(60.0) == []
    assert len(talk.station.store) == 0


def test_a_confirmation_that_came_while_the_outstation_stood_still_counts() -> None:
    talk = conversation()
    talk.change((2, 0.0))
    event = told(talk)
    talk.now += TIMEOUT_S + 1.0
    talk.change((0, 99.0))
    assert talk.heard[-1] is event  # nothing is sent again before what came was read
    talk.confirms(event)
    assert told(talk).objects != FAULT_OFF


def test_a_wrong_confirmation_is_none() -> None:
    talk = conversation()
    talk.change((2, 0.0))
    event = told(talk)
    talk.confirms(event, seq=(event.seq + 1) & 15)
    talk.fragment(bytes([0xC0 | event.seq, 0]))  # of a solicited response
    assert len(talk.station.store) == 1
    talk.confirms(event)
    assert len(talk.station.store) == 0


def test_events_wait_for_company() -> None:
    talk = conversation(hold_off_events=3, hold_off_s=5.0)
    talk.change((2, 0.0))
    assert not told(talk).unsolicited
    [event] = talk.waits(5.1)
    talk.confirms(event)
    talk.change((2, 1.0), (2, 0.0), (2, 1.0))
    assert told(talk).objects.startswith("02021703")


def test_a_restart_begins_with_a_null_response() -> None:
    talk = Conversation((master(unsolicited=UnsolicitedPlan(), parameters={"restart": True}),))
    talk.confirms(talk.heard[0])
    talk.ask(raw.ENABLE, CLASSES)
    answer, null = talk.request(raw.WARM_RESTART)
    assert answer.objects.startswith("3402")
    assert (null.unsolicited, null.objects, null.iin) == (True, "", RESTART)
    assert len(talk.fragment(bytes.fromhex("c502" + RESTART_OFF))) == 1


# Collision


def test_a_read_that_meets_an_unsolicited_response_waits_for_its_confirmation() -> None:
    talk = conversation()
    talk.change((2, 0.0))
    event = told(talk)
    assert talk.request(raw.READ, CLASSES + CLASS_0) == []
    [answer] = talk.confirms(event)
    assert not answer.con and FAULT_OFF not in answer.objects and answer.objects.startswith("0102")


def test_a_read_that_waits_is_answered_with_the_events_when_no_confirmation_comes() -> None:
    talk = conversation()
    talk.change((2, 0.0))
    assert talk.request(raw.READ, CLASSES) == []
    [answer] = talk.waits(TIMEOUT_S + 0.1)
    assert (answer.octets[1], answer.con, answer.objects) == (129, True, FAULT_OFF)
    talk.confirms(answer)
    assert len(talk.station.store) == 0


@pytest.mark.parametrize("function", [raw.DELAY, raw.WRITE, raw.DISABLE])
def test_other_requests_are_answered_at_once(function: int) -> None:
    talk = conversation()
    talk.change((2, 0.0))
    objects = {raw.WRITE: RESTART_OFF, raw.DISABLE: CLASSES}.get(function, "")
    assert talk.ask(function, objects).octets[1] == 129


def test_no_unsolicited_response_while_an_answer_waits_for_its_confirmation() -> None:
    talk = conversation(hold_off_events=99, hold_off_s=99.0)
    talk.change((2, 0.0))
    answer = talk.ask(raw.READ, CLASSES)
    for at in range(120):
        talk.change((2, float(at % 2)))
    assert told(talk).octets == answer.octets
    [event] = talk.confirms(answer)
    assert event.unsolicited and event.objects.startswith("020217" + "77")  # the 119 that came since


def test_a_newer_read_takes_the_place_of_the_one_that_waits() -> None:
    talk = conversation()
    talk.change((2, 0.0))
    event = told(talk)
    assert talk.request(raw.READ, CLASS_0) == []
    seq = talk.seq
    assert talk.request(raw.READ, "010206") == []
    [answer] = talk.confirms(event)
    assert (answer.seq, answer.objects) == (seq, "01020000" + "00" + "01")


def test_unconfirmed_events_survive_the_connection() -> None:
    talk = conversation()
    talk.change((2, 0.0))
    talk.cuts()
    talk.change((2, 1.0))
    talk.connects()
    assert told(talk).objects.startswith("02021702" + "00" + "01" + NOON_TAG + "0081")
