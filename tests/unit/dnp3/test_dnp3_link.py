"""The link layer between a master at address 1 and our outstation at 10, frame by frame."""

from __future__ import annotations

import math

import pytest

from protocols.dnp3 import link
from protocols.dnp3.link import LinkFrame, LinkLayer, LinkParameters, LinkReader, Received

MASTER, OUTSTATION = 1, 10
RESET, TEST, CONFIRMED, UNCONFIRMED, STATUS = 0xC0, 0xD2, 0xD3, 0xC4, 0xC9
FCB = 0x20
SEGMENT = bytes.fromhex("c0c0013c0206")


def layer(**options: float) -> LinkLayer:
    return LinkLayer(LinkParameters(local=OUTSTATION, remote=MASTER, **options), 0.0)  # type: ignore[arg-type]


def says(control: int, data: bytes = b"", dest: int = OUTSTATION) -> LinkFrame:
    return LinkFrame(control, dest, MASTER, data)


def answer(received: Received) -> int | None:
    """Control octet of what the outstation replied."""
    if not received.reply:
        return None
    [frame] = LinkReader().feed(received.reply)
    assert (frame.dest, frame.source, frame.data) == (MASTER, OUTSTATION, b"")
    return frame.control


def test_unconfirmed_user_data_are_taken_and_not_answered() -> None:
    assert layer().receive(says(UNCONFIRMED, SEGMENT), 0.0) == Received(segment=SEGMENT)


def test_the_master_resets_tests_and_asks_for_the_status() -> None:
    ours = layer()
    assert answer(ours.receive(says(RESET), 0.0)) == 0x00
    assert answer(ours.receive(says(TEST | FCB), 0.0)) == 0x00
    assert answer(ours.receive(says(STATUS), 0.0)) == 0x0B


def test_counted_frames_wait_for_a_reset() -> None:
    ours = layer()
    assert not ours.reset
    for control in (CONFIRMED | FCB, CONFIRMED, TEST | FCB):
        data = SEGMENT if control != TEST | FCB else b""
        assert ours.receive(says(control, data), 0.0) == link.NOTHING
    assert ours.ignored == 3


def test_confirmed_user_data_are_delivered_once() -> None:
    ours = layer()
    ours.receive(says(RESET), 0.0)
    first = ours.receive(says(CONFIRMED | FCB, SEGMENT), 0.0)
    assert (answer(first), first.segment) == (0x00, SEGMENT)
    # the acknowledgement was lost: the master repeats with the same frame count bit
    again = ours.receive(says(CONFIRMED | FCB, SEGMENT), 0.0)
    assert (answer(again), again.segment) == (0x00, b"")
    third = ours.receive(says(CONFIRMED, SEGMENT), 0.0)
    assert (answer(third), third.segment) == (0x00, SEGMENT)
    # after a reset the first frame carries FCB 1 again
    ours.receive(says(RESET), 0.0)
    assert ours.receive(says(CONFIRMED, SEGMENT), 0.0).segment == b""
    assert ours.receive(says(CONFIRMED | FCB, SEGMENT), 0.0).segment == SEGMENT


@pytest.mark.parametrize(
    ("control", "data"),
    [
        (0x44, SEGMENT),  # DIR says outstation
        (0x00, b""),  # an outstation's acknowledgement
        (0xC5, SEGMENT),  # a function that does not exist
        (0xCA, SEGMENT),
        (0xD4, SEGMENT),  # FCV where there is none
        (0xC3, SEGMENT),  # no FCV where it must be
        (0xD9, b""),
        (0xC0, SEGMENT),  # data where there are none
        (0xC4, b""),  # none where they must be
    ],
)
def test_what_is_not_understood_is_not_answered(control: int, data: bytes) -> None:
    ours = layer()
    assert ours.receive(says(control, data), 0.0) == link.NOTHING
    assert ours.ignored == 1


@pytest.mark.parametrize("dest", sorted(link.BROADCASTS))
def test_a_broadcast_is_heard_and_never_answered(dest: int) -> None:
    ours = layer()
    frame = says(UNCONFIRMED, SEGMENT, dest)
    assert ours.accepts(frame)
    assert ours.receive(frame, 0.0) == Received(segment=SEGMENT, broadcast=dest)
    for control, data in ((RESET, b""), (STATUS, b""), (CONFIRMED | FCB, SEGMENT)):
        assert ours.receive(says(control, data, dest), 0.0) == link.NOTHING


def test_frames_of_others_are_not_ours() -> None:
    ours = layer()
    assert not ours.accepts(LinkFrame(UNCONFIRMED, 11, MASTER, SEGMENT))
    assert not ours.accepts(LinkFrame(UNCONFIRMED, OUTSTATION, 2, SEGMENT))
    assert not ours.accepts(says(STATUS, dest=link.SELF_ADDRESS))


def test_the_self_address_is_answered_with_our_own() -> None:
    ours = LinkLayer(LinkParameters(local=OUTSTATION, remote=MASTER, self_address=True), 0.0)
    frame = says(STATUS, dest=link.SELF_ADDRESS)
    assert ours.accepts(frame)
    assert answer(ours.receive(frame, 0.0)) == 0x0B


def test_a_silent_link_is_asked_and_in_the_end_lost() -> None:
    ours = layer(keep_alive_s=60.0, answer_timeout_s=5.0, retries=1)
    assert ours.poll(59.9) == b""
    [question] = LinkReader().feed(ours.poll(60.0))
    assert (question.control, question.dest, question.source) == (0x49, MASTER, OUTSTATION)
    assert ours.deadline == 65.0
    assert ours.poll(65.0) != b""
    assert not ours.lost
    assert ours.poll(70.0) == b""
    assert ours.lost


def test_any_frame_keeps_the_link_alive() -> None:
    ours = layer(keep_alive_s=60.0)
    ours.poll(60.0)
    ours.receive(says(0x8B), 61.0)
    assert (ours.deadline, ours.lost) == (121.0, False)


def test_a_keep_alive_may_be_off() -> None:
    ours = layer(keep_alive_s=0.0)
    assert ours.deadline == math.inf
    assert ours.poll(1e9) == b""


GOOD = LinkFrame(UNCONFIRMED, OUTSTATION, MASTER, SEGMENT)


def broken(at: int) -> bytes:
    octets = bytearray(GOOD.encode())
    octets[at] ^= 0x01
    return bytes(octets)


@pytest.mark.parametrize("at", range(len(GOOD.encode())))
def test_a_frame_with_a_wrong_bit_is_skipped_and_the_next_is_read(at: int) -> None:
    # A length that grew would make the reader wait for more octets, were it not under the header's CRC.
    reader = LinkReader()
    assert reader.feed(broken(at) + GOOD.encode()) == [GOOD]
    assert reader.skipped == len(GOOD.encode())


def test_a_frame_that_lost_octets_does_not_take_the_next_one_with_it() -> None:
    reader = LinkReader()
    assert reader.feed(GOOD.encode()[:-3] + GOOD.encode()) == [GOOD]
    assert reader.bad == 1


def test_noise_before_and_between_frames() -> None:
    reader = LinkReader()
    assert reader.feed(b"\x05\x05\x64" + b"noise" + GOOD.encode() + b"\x05" + GOOD.encode()) == [GOOD, GOOD]


def test_a_length_below_five_is_no_frame() -> None:
    head = b"\x05\x64\x04\xc0\x01\x00\x00\x04"
    octets = head + link.crc(head).to_bytes(2, "little")
    assert LinkReader().feed(octets + GOOD.encode()) == [GOOD]


def test_a_frame_carries_250_octets_and_no_more() -> None:
    largest = LinkFrame(0x44, 1, 10, bytes(250)).encode()
    assert len(largest) == link.MAX_FRAME == link.frame_size(255)
    with pytest.raises(ValueError, match="at most 250"):
        LinkFrame(0x44, 1, 10, bytes(251)).encode()
