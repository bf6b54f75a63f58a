"""A redundancy group: several links of one master, one of them started."""

from __future__ import annotations

import pytest

from tests.conformance.iec104.conversation import STARTDT, STARTDT_CON, STOPDT, STOPDT_CON, TESTFR, Conversation, Link
from tests.peers.raw104 import Frame, asdu


def group(**keys: int) -> Conversation:
    return Conversation(master={"links": 3, "objects_per_asdu": 1, **keys})


def numbers(frames: list[Frame]) -> list[int]:
    """Ms of the time tags: which event it is."""
    return [int.from_bytes(element[1:3], "little") for frame in frames for _, element in frame.objects(8)]


def events(talk: Conversation, count: int) -> None:
    """So many, each a ms after the other, counted from 20,124."""
    for _ in range(count):
        talk.passes(0.001)
        talk.change((0, 1.0 - talk.table.value[0]))


def acknowledge(link: Link, rsn: int) -> list[str]:
    return link.says("68040100" + (rsn << 1).to_bytes(2, "little").hex())


def test_only_the_started_link_hears_events() -> None:
    talk = group()
    first, second = talk.started(), talk.link()
    events(talk, 2)
    assert numbers(first.told()) == [20_124, 20_125]
    assert second.hears() == []


def test_startdt_on_another_link_moves_the_events_there() -> None:
    talk = group()
    first, second = talk.started(), talk.link()
    events(talk, 3)
    first.told()
    acknowledge(first, 1)
    said = second.says(STARTDT)
    assert said[0] == STARTDT_CON
    assert numbers([Frame(bytes.fromhex(apdu)) for apdu in said[1:]]) == [20_125, 20_126]  # in order, not the first
    events(talk, 1)
    assert numbers(second.told()) == [20_127]
    assert first.hears() == []


def test_an_acknowledgement_on_the_old_link_comes_too_late() -> None:
    talk = group()
    first, second = talk.started(), talk.link()
    events(talk, 2)
    first.told()
    second.says(STARTDT)
    assert acknowledge(first, 2) == []
    assert not first.closed
    assert talk.station.queue.in_flight == 2
    acknowledge(second, 2)
    assert talk.station.queue.in_flight == 0


def test_the_old_link_is_stopped_without_being_told_and_may_start_again() -> None:
    talk = group()
    first, second = talk.started(), talk.link()
    second.says(STARTDT)
    first.says(asdu_in_stopped())
    assert first.closed == "I frame while stopped"
    third = talk.link()
    events(talk, 1)
    assert len(second.hears()) == 1
    said = third.says(STARTDT)
    assert len(said) == 2


def asdu_in_stopped() -> str:
    return "680e" + "00000000" + asdu(100, 6, 1, 0, "14").hex()


def test_switching_back_and_forth_loses_and_doubles_nothing() -> None:
    talk = group()
    links = [talk.link(), talk.link()]
    heard: list[int] = []
    sent = [0, 0]
    for turn in range(40):
        link = links[turn % 2]
        events(talk, 3)
        frames = [Frame(bytes.fromhex(apdu)) for apdu in link.says(STARTDT)[1:]]
        sent[turn % 2] += len(frames)
        heard += numbers(frames)
        acknowledge(link, sent[turn % 2])
        assert not link.closed
    assert heard == list(range(20_124, 20_124 + 120))


def test_stopdt_then_startdt_elsewhere_is_the_orderly_way() -> None:
    talk = group()
    first, second = talk.started(), talk.link()
    events(talk, 2)
    first.told()
    assert first.says(STOPDT) == []
    assert acknowledge(first, 2) == [STOPDT_CON]
    events(talk, 1)
    said = second.says(STARTDT)
    assert numbers([Frame(bytes.fromhex(said[1]))]) == [20_126]


def test_a_cut_link_leaves_its_unacknowledged_events_to_the_next() -> None:
    talk = group()
    first = talk.started()
    events(talk, 5)
    first.told()
    acknowledge(first, 3)
    first.ends()
    said = talk.link().says(STARTDT)
    assert numbers([Frame(bytes.fromhex(apdu)) for apdu in said[1:]]) == [20_127, 20_128]


def test_a_standby_link_is_tested_and_answers_tests() -> None:
    talk = group()
    talk.started()
    standby = talk.link()
    assert standby.waits(20.0) == [TESTFR]
    assert standby.says("680483000000") == []


def test_closing_the_standby_link_does_not_disturb_the_started_one() -> None:
    talk = group()
    first, second = talk.started(), talk.link()
    events(talk, 1)
    first.told()
    second.ends()
    assert talk.station.queue.in_flight == 1
    events(talk, 1)
    assert numbers(first.told()) == [20_125]


@pytest.mark.parametrize("type_id", [100, 101])
def test_an_interrogation_does_not_move_with_the_events(type_id: int) -> None:
    talk = group()
    first, second = talk.started(), talk.link()
    first.asks(asdu(type_id, 6, 1, 0, {100: "14", 101: "05"}[type_id]))
    assert second.says(STARTDT) == [STARTDT_CON]


def test_a_group_knows_how_many_links_it_may_have() -> None:
    talk = group()
    for _ in range(2):
        talk.link()
    assert not talk.group.full
    talk.link()
    assert talk.group.full
