"""Certification groups "class 0 to 3", "IIN", "fragmentation" and "multi-drop"."""

from __future__ import annotations

import pytest

from gateway.points import Quality
from protocols.dnp3.pointtypes import PointType as T
from tests.conformance.dnp3.conversation import (
    BAD_PARAMETER,
    BROADCAST,
    CLASS_1,
    CLASS_2,
    CLASS_3,
    NO_OBJECT,
    OVERFLOW,
    RESTART,
    RESTART_OFF,
    Conversation,
)
from tests.kit.dnp3kit import NOON_TAG, ROWS, Row, columns, master
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0, CLASSES, INTEGRITY

FAULT_OFF = "02021701" + "00" + "01" + NOON_TAG
CLASS_OBJECTS = {1: "3c02", 2: "3c03", 3: "3c04"}
FIVE = {  # five events of one class, each told by its index and value
    1: [(2, float(at % 2)) for at in range(5)],
    2: [(0, 100.0 + 10 * at) for at in range(5)],
    3: [(4, 50.0 + at) for at in range(5)],
}
GROUP = {1: 2, 2: 32, 3: 22}


def conversation(**keys: object) -> Conversation:
    return Conversation((master(**keys),)).is_ready()


def counts(objects: str) -> int:
    """How many events an answer with one header holds; 0 for an empty one."""
    return bytes.fromhex(objects)[3] if objects else 0


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(("qualifier", "got"), [("06", 5), ("0702", 2), ("07ff", 5), ("080300", 3), ("08ffff", 5)])
def test_events_of_a_class_by_every_qualifier(number: int, qualifier: str, got: int) -> None:
    talk = conversation()
    talk.change(*FIVE[number])
    objects = talk.values(CLASS_OBJECTS[number] + qualifier)
    assert (bytes.fromhex(objects)[0], counts(objects)) == (GROUP[number], got)
    assert counts(talk.values(CLASS_OBJECTS[number] + "06")) == 5 - got


@pytest.mark.parametrize("qualifier", ["000001", "0100000100", "170100", "2801000000", "0700", "5b01"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_class_is_not_read_by_range_or_index(number: int, qualifier: str) -> None:
    talk = conversation()
    talk.change(*FIVE[number])
    answer = talk.ask(raw.READ, CLASS_OBJECTS[number] + qualifier)
    assert (answer.iin & BAD_PARAMETER, answer.objects) == (BAD_PARAMETER, "")
    assert counts(talk.values(CLASS_OBJECTS[number] + "06")) == 5


def test_class_0_holds_every_point_that_belongs_to_it_and_no_event() -> None:
    rows = [Row(row=0, type=T.AI, index=7), Row(row=1, type=T.AI, index=8, class_0=False)]
    talk = conversation(bindings=columns(rows))
    assert talk.values(CLASS_0) == "1e05000707" + "01" + "00000000"
    assert talk.values("1e0006").startswith("1e05000708")


@pytest.mark.parametrize("objects", ["3c0107" + "01", "3c0100" + "0001"])
def test_class_0_is_read_with_qualifier_06_alone(objects: str) -> None:
    talk = conversation()
    answer = talk.ask(raw.READ, objects)
    assert (answer.iin, answer.objects) == (BAD_PARAMETER, "")


def test_a_class_without_events_is_empty_and_unknown_classes_are_told() -> None:
    talk = conversation()
    assert talk.values(CLASSES) == ""
    for objects in ("3c0006", "3c0506"):
        assert talk.ask(raw.READ, objects).iin == NO_OBJECT


def test_an_integrity_poll_tells_events_first_and_asks_for_a_confirmation() -> None:
    talk = conversation()
    assert not talk.ask(raw.READ, INTEGRITY).con
    talk.change((2, 0.0))
    answer = talk.ask(raw.READ, INTEGRITY)
    assert answer.con and answer.objects.startswith(FAULT_OFF + "0102")


def test_unconfirmed_events_come_again_in_their_place() -> None:
    talk = conversation()
    talk.change(*FIVE[2][:2])
    first = talk.ask(raw.READ, CLASSES)
    talk.change(*FIVE[2][2:])
    second = talk.ask(raw.READ, CLASSES)
    assert (counts(first.objects), counts(second.objects)) == (2, 5)
    assert second.objects[8:].startswith(first.objects[8:])
    talk.confirms(first)  # too late, and of the wrong sequence number
    assert counts(talk.values(CLASSES)) == 5
    assert talk.values(CLASSES) == ""


def test_a_confirmation_that_does_not_come_is_given_up_in_time() -> None:
    talk = conversation(parameters={"confirm_timeout_s": 5.0})
    talk.change((2, 0.0))
    answer = talk.ask(raw.READ, CLASSES)
    talk.waits(5.1)
    talk.confirms(answer)
    assert talk.ask(raw.DELAY).iin == CLASS_1


def test_a_confirmation_that_came_while_the_outstation_stood_still_counts() -> None:
    """Its process was held up for longer than a confirmation may take, and the plant's changes are read first."""
    talk = conversation(parameters={"confirm_timeout_s": 5.0})
    talk.change((2, 0.0))
    answer = talk.ask(raw.READ, CLASSES)
    talk.now += 9.0
    talk.change((3, 0.0))
    talk.confirms(answer)
    assert counts(talk.values(CLASSES)) == 1


# IIN


def test_class_bits_speak_of_what_still_waits() -> None:
    talk = conversation()
    assert talk.ask(raw.DELAY).iin == 0
    talk.change((2, 0.0), (0, 99.0), (4, 9.0))
    assert talk.ask(raw.DELAY).iin == CLASS_1 | CLASS_2 | CLASS_3
    assert talk.ask(raw.READ, CLASSES).iin == 0
    assert talk.ask(raw.DELAY).iin == CLASS_1 | CLASS_2 | CLASS_3  # they were not confirmed
    talk.read("3c0306")
    assert talk.ask(raw.DELAY).iin == CLASS_1 | CLASS_3


def test_the_restart_bit_is_cleared_by_a_write_and_by_nothing_else() -> None:
    talk = Conversation()
    for function, objects in ((raw.READ, CLASS_0), (raw.WRITE, "500100070701"), (raw.WRITE, "500100060600")):
        assert talk.ask(function, objects).iin & RESTART
    assert not talk.ask(raw.WRITE, RESTART_OFF).iin & RESTART
    assert not talk.ask(raw.DELAY).iin


def test_an_overflow_is_told_until_there_is_room() -> None:
    talk = conversation(capacity=(3, 3, 3))
    talk.change(*FIVE[2])
    assert talk.ask(raw.DELAY).iin == CLASS_2 | OVERFLOW
    [answer] = talk.read("3c0306")
    assert (counts(answer.objects), answer.iin) == (3, OVERFLOW)
    assert talk.ask(raw.DELAY).iin == 0


def test_an_overflow_while_everything_is_in_an_answer_drops_the_oldest_too() -> None:
    talk = conversation(capacity=(3, 3, 3))
    talk.change(*FIVE[2][:3])
    answer = talk.ask(raw.READ, CLASSES)
    talk.change(FIVE[2][3])
    talk.confirms(answer)  # what was dropped had been told: nothing is lost
    [rest] = talk.read(CLASSES)
    assert counts(rest.objects) == 1
    talk.change(*FIVE[2][:3])
    talk.ask(raw.READ, CLASSES)
    talk.change(FIVE[2][3], FIVE[2][4])
    [rest] = talk.read(CLASSES)  # the answer was not confirmed: two of its three events are gone
    assert counts(rest.objects) == 3 and talk.station.store.lost == 3


@pytest.mark.parametrize(("to", "asks"), [(0xFFFF, False), (0xFFFE, True), (0xFFFD, False)])
def test_a_broadcast_is_told_once(to: int, asks: bool) -> None:
    talk = conversation()
    assert talk.request(raw.RECORD, to=to) == []
    answer = talk.ask(raw.DELAY)
    assert (answer.iin, answer.con) == (BROADCAST, asks)
    if asks:
        talk.confirms(answer)
    assert talk.ask(raw.DELAY).iin == 0


@pytest.mark.parametrize("function", [raw.READ, raw.SELECT, raw.OPERATE, raw.DIRECT, raw.COLD_RESTART, raw.DELAY])
def test_a_broadcast_that_asks_for_an_answer_is_not_carried_out(function: int) -> None:
    talk = conversation(parameters={"restart": True})
    assert talk.request(function, INTEGRITY if function == raw.READ else "", to=0xFFFF) == []
    assert talk.ask(raw.DELAY).iin == BROADCAST and talk.orders == []


# Fragmentation


@pytest.mark.parametrize("size", [249, 512, 2048])
def test_an_answer_is_cut_between_objects_and_every_fragment_but_the_last_is_confirmed(size: int) -> None:
    points = columns([Row(row=at % 16, type=T.AI, index=at) for at in range(1_000)])
    talk = Conversation((master(bindings=points, parameters={"fragment_size": size}),))
    answers = talk.read(CLASS_0)
    assert all(len(answer.octets) <= size for answer in answers) and len(answers) > 2
    assert [answer.con for answer in answers] == [True] * (len(answers) - 1) + [False]
    assert [answer.fir for answer in answers] == [True] + [False] * (len(answers) - 1)
    assert [answer.seq for answer in answers] == [at % 16 for at in range(len(answers))]
    assert sum((len(answer.octets) - 4 - 7) // 5 for answer in answers) >= 990


def test_the_next_fragment_waits_for_the_right_confirmation() -> None:
    talk = Conversation((master(bindings=columns([Row(row=0, type=T.AI, index=at) for at in range(1_000)])),))
    first = talk.ask(raw.READ, CLASS_0)
    assert talk.confirms(first, seq=(first.seq + 1) & 15) == []
    [second] = talk.confirms(first)
    assert (second.fir, second.seq) == (False, (first.seq + 1) & 15)
    assert talk.confirms(first) == []  # the same confirmation again
    talk.ask(raw.DELAY)  # a newer request ends the answer
    assert talk.confirms(second) == []


def test_a_read_asked_again_is_answered_with_the_same_fragment() -> None:
    talk = Conversation((master(bindings=columns([Row(row=0, type=T.AI, index=at) for at in range(1_000)])),))
    first = talk.ask(raw.READ, CLASS_0)
    talk.seq -= 1
    assert talk.ask(raw.READ, CLASS_0).octets == first.octets


def test_a_request_in_several_fragments_is_not_taken() -> None:
    talk = conversation()
    for head in (0x80, 0x40, 0x00):
        assert talk.fragment(bytes([head | 1, raw.READ]) + bytes.fromhex(CLASS_0)) == []
    assert talk.ask(raw.DELAY).iin == 0


# Multi-drop


def test_several_outstations_on_one_connection_keep_apart() -> None:
    plans = (
        master(bindings=columns([Row(row=2, type=T.BI, index=0, event_class=1)])),
        master(outstation=11, bindings=columns([Row(row=2, type=T.BI, index=5, event_class=1)])),
    )
    talk = Conversation(plans)
    talk.change((2, 0.0))
    for outstation, index in ((10, "00"), (11, "05")):
        [answer] = talk.fragment(bytes.fromhex("c001" + CLASSES), to=outstation)
        assert answer.objects == "02021701" + index + "01" + NOON_TAG
        assert talk.frames[-1].source == outstation
        talk.fragment(bytes.fromhex("c000"), to=outstation)
    talk.fragment(bytes.fromhex("c102" + RESTART_OFF), to=11)
    assert (talk.stations[0].restarted, talk.stations[1].restarted) == (True, False)
    assert talk.fragment(bytes.fromhex("c001" + CLASS_0), to=12) == []


def test_a_broadcast_reaches_every_outstation() -> None:
    talk = Conversation((master(), master(outstation=11)))
    talk.request(raw.WRITE, RESTART_OFF, to=0xFFFF)
    assert [station.restarted for station in talk.stations] == [False, False]
    assert talk.ask(raw.DELAY).iin == BROADCAST


def test_quality_is_no_reason_to_stay_silent() -> None:
    talk = conversation()
    talk.change((0, 0.0, int(Quality.COMM_LOST)))
    assert talk.values("3c0306").startswith("20071701" + "00" + "04")
    assert len(ROWS) == len(talk.station.database)
