"""What the SOE buffer test excuses and what it does not."""

from __future__ import annotations

import pytest

from gateway.contracts.soeledger import Ledger
from protocols.iec104.errors import Iec104Error
from protocols.iec104.master import ControllingLink

K = 2
LOOKS = [bytes([n]) for n in range(10)]


def ledger(made: int = 10) -> Ledger:
    book = Ledger()
    book.made(LOOKS[:made])
    book.connected()
    return book


def faults(book: Ledger) -> tuple[int, int, int, int]:
    tally = book.tally
    return tally.lost, tally.doubled, tally.out_of_order, tally.unexpected


def test_all_in_order_is_a_pass() -> None:
    book = ledger()
    book.frame(LOOKS[:6], K)
    assert not book.complete and not book.tally.passed
    book.frame(LOOKS[6:], K)
    assert book.complete and book.tally.passed


def test_one_that_is_missing_is_lost() -> None:
    book = ledger()
    book.frame([*LOOKS[:4], *LOOKS[5:]], K)
    assert faults(book) == (1, 0, 0, 0)


def test_one_that_comes_late_is_out_of_order() -> None:
    book = ledger()
    book.frame([*LOOKS[:4], *LOOKS[5:], LOOKS[4]], K)
    assert faults(book) == (0, 0, 1, 0)


def test_what_nobody_made_is_not_explained() -> None:
    book = ledger()
    book.frame([*LOOKS, b"x"], K)
    assert faults(book) == (0, 0, 0, 1)


def test_twice_on_one_link_is_doubled_whatever_was_acknowledged() -> None:
    book = ledger()
    book.frame([*LOOKS, LOOKS[9]], K)
    assert faults(book) == (0, 1, 0, 0)


def test_what_was_not_acknowledged_may_come_again_on_the_next_link() -> None:
    book = ledger()
    book.frame(LOOKS[:3], K)
    book.acknowledged()
    book.frame(LOOKS[3:6], K)
    book.connected()
    book.frame(LOOKS[3:], K)
    assert book.tally.passed
    assert (book.tally.repeated_unacknowledged, book.tally.repeated_acknowledgement_cut) == (3, 0)


def test_an_acknowledgement_may_be_cut_off_but_not_once_the_server_has_shown_that_it_has_it() -> None:
    book = ledger()
    for start in (0, 2, 4):
        book.frame(LOOKS[start : start + 2], K)
        book.acknowledged()
    book.connected()
    book.frame(LOOKS[2:], K)
    assert book.tally.repeated_acknowledgement_cut == 4 and book.tally.passed
    book.connected()
    book.frame(LOOKS[1:2], K)
    assert book.tally.doubled == 1, "frame 3 came with k = 2, so the server knew that frame 1 had arrived"


def test_after_a_kill_only_what_its_disk_held_may_come_again() -> None:
    book = ledger()
    for start in (0, 2, 4, 6):
        book.frame(LOOKS[start : start + 2], K)
        book.acknowledged()
    book.killed(held_from=3)
    book.connected()
    book.frame(LOOKS[3:], K)
    assert book.tally.repeated_after_kill == 5 and book.tally.passed
    book.connected()
    book.frame(LOOKS[2:3], K)
    assert book.tally.doubled == 1


def test_events_that_look_alike_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="look alike"):
        Ledger().made([b"a", b"a"])


def test_a_controlling_link_speaks_as_a_master_does() -> None:
    link = ControllingLink(w=2)
    link.start()
    assert link.data_to_send().hex() == "680407000000"
    assert link.receive(bytes.fromhex("68040b000000")) == [] and link.started
    octets = bytes.fromhex("680e0000000064010600010000000014")
    assert link.receive(octets[:5]) == []
    assert [len(asdu) for asdu in link.receive(octets[5:])] == [10]
    assert not link.acknowledgement_due
    link.receive(bytes.fromhex("680e0200000064010600010000000014"))
    assert link.acknowledgement_due
    link.acknowledge()
    assert link.data_to_send().hex() == "680401000400"
    link.receive(bytes.fromhex("680443000000"))
    link.test()
    assert link.data_to_send().hex() == "680483000000680443000000"
    link.receive(bytes.fromhex("680483000000"))
    assert link.tested


@pytest.mark.parametrize(
    ("octets", "cause"),
    [
        ("680e0000000064010600010000000014", "before STARTDT"),
        ("68040b000000680e0200000064010600010000000014", "0 expected"),
        ("680407000000", "STARTDT ACT from a controlled station"),
        ("6904", "0x68 expected"),
    ],
)
def test_a_station_that_breaks_the_protocol_is_told_so(octets: str, cause: str) -> None:
    with pytest.raises(Iec104Error, match=cause):
        ControllingLink().receive(bytes.fromhex(octets))
