"""What the station tells by itself and when read: types, causes, packing, return information, order."""

from __future__ import annotations

import pytest

from gateway.points import Quality
from protocols.iec104.elements import BY_NAME, TYPES, TypeRow
from tests.conformance.iec104.conversation import NOON, At, Conversation, Kind, causes, values
from tests.peers.raw104 import asdu

KINDS = {1: Kind.BINARY, 3: Kind.DOUBLE, 15: Kind.COUNTER}
MONITORED = [row for row in TYPES.values() if row.element.encode is not None]


@pytest.mark.parametrize("row", MONITORED, ids=lambda row: row.name)
def test_every_type_is_told_as_event_and_interrogated_untimed(row: TypeRow) -> None:
    talk = Conversation(lines=[At(ioa=7, type=row.name, kind=KINDS.get(row.untimed, Kind.ANALOG))])
    link = talk.started()
    talk.change((0, 1.0))
    [event] = link.told()
    assert (event.type_id, event.cause, event.ca, event.count) == (row.id, 3, 1, 1)
    [(ioa, element)] = event.objects(row.size)
    assert (ioa, element[row.size - int(row.tag) :].hex()) == (7, NOON[: 2 * int(row.tag)])
    question = asdu(101, 6, 1, 0, "05") if row.untimed == 15 else asdu(100, 6, 1, 0, "14")
    frames = link.asks(question)
    assert list(values(frames)) == [(row.untimed, 1, 7)]


@pytest.mark.parametrize(
    ("type_name", "fits"), [("M_SP_TB_1", 22), ("M_ME_TF_1", 16), ("M_SP_NA_1", 60), ("M_IT_TB_1", 16)]
)
def test_packing_of_events(type_name: str, fits: int) -> None:
    kind = KINDS.get(BY_NAME[type_name].untimed, Kind.ANALOG)
    talk = Conversation(lines=[At(ioa=1 + i, type=type_name, kind=kind) for i in range(70)])
    link = talk.link()
    talk.change(*[(i, 1.0) for i in range(70)])
    link.says("680407000000")
    assert link.session.connection.outstanding == -(-70 // fits)


def test_events_keep_the_order_of_the_changes_across_types() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0), (4, 10.0), (0, 0.0), (1, 2.0), (4, 20.0))
    assert [frame.type_id for frame in link.told()] == [30, 36, 30, 31, 36]


def test_a_change_of_quality_alone_is_an_event() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 0.0, int(Quality.NOT_TOPICAL)))
    assert values(link.told()) == {(30, 1, 1001): "40" + NOON}


def test_a_test_value_carries_the_test_bit() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0, int(Quality.TEST)))
    assert [frame.test for frame in link.told()] == [True]


def test_cyclic_values_come_with_cause_1_and_without_time() -> None:
    talk = Conversation(lines=[At(ioa=1, type="M_ME_TF_1", kind=Kind.ANALOG, cyclic_s=5.0)])
    link = talk.started()
    assert link.waits(4.9) == []
    [apdu] = link.waits(0.1)
    assert apdu[12:] == "0d01" + "01000100" + "010000" + "0000000000"


def test_background_scan_comes_with_cause_2() -> None:
    talk = Conversation(
        lines=[
            At(ioa=1, type="M_SP_TB_1", kind=Kind.BINARY, background_s=8.0),
            At(ioa=2, type="M_ME_TF_1", kind=Kind.ANALOG),
        ]
    )
    link = talk.started()
    [apdu] = link.waits(8.0)
    assert apdu[12:] == "0101" + "02000100" + "010000" + "00"
    assert link.waits(7.9) == []
    assert len(link.waits(0.1)) == 1


def test_nothing_cyclic_comes_while_stopped() -> None:
    talk = Conversation(lines=[At(ioa=1, type="M_ME_TF_1", kind=Kind.ANALOG, cyclic_s=5.0)])
    assert talk.link().waits(6.0) == []


def test_read_gives_the_present_value_with_cause_5() -> None:
    talk = Conversation()
    talk.show(4, 2.0)
    [frame] = talk.started().asks(asdu(102, 5, 1, 4001, oa=8))
    assert (frame.type_id, frame.cause, frame.originator) == (13, 5, 8)
    assert values([frame]) == {(13, 1, 4001): "0000004000"}


@pytest.mark.parametrize(
    ("cause", "ca", "ioa", "answer"),
    [(6, 1, 4001, "-45"), (5, 9, 4001, "-46"), (5, 1, 9999, "-47"), (5, 1, 6001, "-47")],
)
def test_read_of_what_is_not_there(cause: int, ca: int, ioa: int, answer: str) -> None:
    assert causes(Conversation().started().asks(asdu(102, cause, ca, ioa))) == answer


@pytest.mark.parametrize(("remote", "cause"), [(True, 11), (False, 12)])
@pytest.mark.parametrize("feedback", [0, 1])
def test_the_first_change_after_a_command_is_return_information(remote: bool, cause: int, feedback: int) -> None:
    talk = Conversation()
    link = talk.started()
    talk.commanded(10, feedback, remote=remote)
    talk.change((4, 50.0), (feedback, 2.0), (feedback, 1.0))
    assert [(frame.type_id, frame.cause) for frame in link.told()] == [
        (36, 3),
        (30 + feedback, cause),
        (30 + feedback, 3),
    ]


def test_a_change_that_comes_too_late_is_spontaneous() -> None:
    talk = Conversation()
    link = talk.started()
    talk.commanded(10, 0, remote=True, within_s=5.0)
    talk.passes(5.1)
    talk.change((0, 1.0))
    assert causes(link.told()) == "3"


def test_a_measured_feedback_stays_spontaneous() -> None:
    talk = Conversation()
    link = talk.started()
    talk.commanded(15, 4, remote=True)
    talk.change((4, 50.0))
    assert causes(link.told()) == "3"


def test_return_information_waits_for_the_link_like_any_event() -> None:
    talk = Conversation()
    talk.commanded(10, 0, remote=True)
    talk.change((0, 1.0))
    said = talk.link().says("680407000000")
    assert said[1][16:18] == "0b"


def test_answers_events_and_interrogations_share_the_link() -> None:
    """However many points are interrogated, an event is on the wire after the open window and one frame at most."""
    lines = [At(ioa=1 + 2 * i, type="M_ME_TF_1", kind=Kind.ANALOG) for i in range(2_000)]
    talk = Conversation(lines=[*lines, At(ioa=9_000_001, type="M_SP_TB_1", kind=Kind.BINARY)])
    link = talk.started()
    link.asks(asdu(100, 6, 1, 0, "14"))
    talk.change((2_000, 1.0))
    assert 30 in [frame.type_id for frame in link.acknowledges()[:2]]


def test_an_interrogation_is_not_starved_by_events() -> None:
    lines = [At(ioa=1 + 2 * i, type="M_ME_TF_1", kind=Kind.ANALOG) for i in range(500)]
    talk = Conversation(lines=lines, master={"objects_per_asdu": 1})
    link = talk.started()
    frames = link.asks(asdu(100, 6, 1, 0, "14"))
    for turn in range(40):
        talk.change(*[(i, float(turn + 1)) for i in range(12)])
        frames += link.acknowledges()
        if frames[-1].cause == 10 or any(frame.cause == 10 for frame in frames):
            break
    assert any(frame.cause == 10 for frame in frames)


def test_events_are_not_starved_by_answers() -> None:
    talk = Conversation()
    link = talk.started()
    question = asdu(104, 6, 1, 0, "aa55").hex()
    for number in range(40):  # asked without acknowledging anything: the window closes and answers gather
        link.says("680f" + (number << 1).to_bytes(4, "little").hex() + question)
    talk.change((0, 1.0))
    assert 30 in [frame.type_id for frame in link.acknowledges()]
