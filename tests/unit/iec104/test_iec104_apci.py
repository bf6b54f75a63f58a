"""Frames out of a stream: whole, octet by octet, with a tail; and frames that are none."""

from __future__ import annotations

import pytest

from protocols.iec104.apci import Frame, FrameReader, IFrame, SFrame, U, UFrame, encode_i, encode_s, encode_u
from protocols.iec104.errors import Iec104Error

# name: octets, frame. N(S) 2 and N(R) 3 are doubled on the wire; the ASDU is a station interrogation.
FRAMES: dict[str, tuple[str, Frame]] = {
    "STARTDT act": ("680407000000", UFrame(U.STARTDT_ACT)),
    "STARTDT con": ("68040b000000", UFrame(U.STARTDT_CON)),
    "STOPDT act": ("680413000000", UFrame(U.STOPDT_ACT)),
    "STOPDT con": ("680423000000", UFrame(U.STOPDT_CON)),
    "TESTFR act": ("680443000000", UFrame(U.TESTFR_ACT)),
    "TESTFR con": ("680483000000", UFrame(U.TESTFR_CON)),
    "S 3": ("680401000600", SFrame(3)),
    "S 32767": ("68040100feff", SFrame(32767)),
    "I 2 3": ("680e04000600 64010600010000000014", IFrame(2, 3, bytes.fromhex("64010600010000000014"))),
}


def read(*pieces: bytes) -> list[Frame]:
    reader = FrameReader()
    return [frame for piece in pieces for frame in reader.feed(piece)]


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_read_however_it_is_cut(name: str) -> None:
    octets, frame = bytes.fromhex(FRAMES[name][0]), FRAMES[name][1]
    assert read(octets) == [frame]
    assert read(*(octets[i : i + 1] for i in range(len(octets)))) == [frame]
    assert read(octets + octets[:3]) == [frame]
    assert read(octets + octets[:3], octets[3:]) == [frame, frame]


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_written_as_it_is_read(name: str) -> None:
    octets, frame = bytes.fromhex(FRAMES[name][0]), FRAMES[name][1]
    if isinstance(frame, IFrame):
        assert encode_i(frame.ssn, frame.rsn, frame.asdu) == octets
    elif isinstance(frame, SFrame):
        assert encode_s(frame.rsn) == octets
    else:
        assert encode_u(frame.function) == octets


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("69", "0x69"),
        ("6803", "3 octets"),
        ("68fe", "254 octets"),
        ("6804ff000000", "U frame"),
        ("680407000100", "U frame"),
        ("680547000000 00", "5"),
        ("680501000000 00", "5"),
        ("680405000000", "S frame"),
        ("680401000100", "S frame"),
        ("680400000000", "without an ASDU"),
        ("680500000100 00", "even N"),
    ],
)
def test_what_is_no_frame_is_refused(octets: str, why: str) -> None:
    with pytest.raises(Iec104Error, match=why):
        read(bytes.fromhex(octets))


def test_frames_before_the_wrong_octet_are_read() -> None:
    heard: list[Frame] = []
    with pytest.raises(Iec104Error):
        for frame in FrameReader().feed(bytes.fromhex("680443000000 00")):
            heard.append(frame)
    assert heard == [UFrame(U.TESTFR_ACT)]


def test_an_asdu_too_long_for_a_frame_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="250"):
        encode_i(0, 0, bytes(250))
