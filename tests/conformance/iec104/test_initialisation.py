"""End of initialisation (M_EI) and reset of process (C_RP)."""

from __future__ import annotations

from protocols.iec104.plan import ResetProcess
from tests.conformance.iec104.conversation import (
    BOTH,
    STARTDT,
    STARTDT_CON,
    STOPDT,
    At,
    Conversation,
    Kind,
    causes,
)
from tests.peers.raw104 import asdu

TOLD = {"end_of_initialisation": True}
# M_EI_NA_1, one object, cause 4, ca 1 or 2, ioa 0, local power on
POWER_ON = [bytes.fromhex(f"46010400{ca:02x}00" + "000000" + "00") for ca in (1, 2)]


def test_the_end_of_initialisation_is_told_once_per_common_address_before_all_else() -> None:
    talk = Conversation(options=TOLD)
    talk.change((0, 1.0))
    link = talk.link()
    apdus = link.says(STARTDT)
    assert [bytes.fromhex(apdu)[6:] for apdu in apdus[1:3]] == POWER_ON
    assert bytes.fromhex(apdus[3])[6] == 30
    link.acknowledges()
    link.says(STOPDT)
    assert link.says(STARTDT) == [STARTDT_CON]


def test_it_is_told_again_when_nobody_acknowledged_it() -> None:
    talk = Conversation(options=TOLD)
    talk.started().ends()
    apdus = talk.link().says(STARTDT)
    assert [bytes.fromhex(apdu)[6:] for apdu in apdus[1:]] == POWER_ON


def test_it_moves_with_the_started_link() -> None:
    talk = Conversation(options=TOLD, master={"links": 2})
    first, second = talk.link(), talk.link()
    first.says(STARTDT)
    assert len(second.says(STARTDT)) == 3
    first.acknowledges()
    second.acknowledges()
    assert first.says(STARTDT) == [STARTDT_CON]


def test_nothing_is_told_where_the_configuration_says_so() -> None:
    assert Conversation().link().says(STARTDT) == [STARTDT_CON]


def test_reset_of_process_is_refused_unless_configured() -> None:
    link = Conversation().started()
    assert causes(link.asks(asdu(105, 6, 1, 0, "01"))) == "-7"


def test_reset_of_process_is_confirmed_and_the_station_begins_anew() -> None:
    talk = Conversation(
        lines=[At(ioa=6001, type="C_SC_NA_1", kind=Kind.CONTROL, mode=BOTH)],
        options={"reset_process": ResetProcess.CONFIRM},
    )
    link = talk.started()
    assert causes(link.asks(asdu(45, 6, 1, 6001, "81"))) == "7"
    confirmed, begun = link.asks(asdu(105, 6, 1, 0, "01", oa=9))
    assert (causes([confirmed]), confirmed.originator) == ("7", 9)
    assert begun.asdu.hex() == "460104000100" + "000000" + "02"  # initialised by remote reset
    link.asks(asdu(45, 6, 1, 6001, "01"))
    assert [order.value for order in talk.field] == [1.0]  # mode direct: not by the select, which is gone
    assert talk.field[0].refusal == "ok"


def test_reset_ends_selects_where_only_they_allow_the_command() -> None:
    talk = Conversation(options={"reset_process": ResetProcess.CONFIRM})
    link = talk.started()
    link.asks(asdu(50, 6, 1, 7005, "0000c04280"))
    link.asks(asdu(105, 6, 1, 0, "01"))
    assert causes(link.asks(asdu(50, 6, 1, 7005, "0000c04200"))) == "-7"
    assert talk.field == []


def test_a_reset_of_event_buffers_is_refused_for_no_event_is_lost() -> None:
    talk = Conversation(options={"reset_process": ResetProcess.CONFIRM})
    assert causes(talk.started().asks(asdu(105, 6, 1, 0, "02"))) == "-7"


def test_broadcast_reset_is_answered_by_every_station() -> None:
    talk = Conversation(options={"reset_process": ResetProcess.CONFIRM})
    frames = talk.started().asks(asdu(105, 6, 0xFFFF, 0, "01"))
    assert [(frame.type_id, frame.ca) for frame in frames] == [(105, 1), (70, 1), (105, 2), (70, 2)]


def test_reset_keeps_events() -> None:
    talk = Conversation(options={"reset_process": ResetProcess.CONFIRM})
    link = talk.started()
    link.asks(asdu(105, 6, 1, 0, "01"))
    talk.change((0, 1.0))
    assert causes(link.told()) == "3"
