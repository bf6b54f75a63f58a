"""Data link layer (IEEE 1815-2012): FT3 frames out of a stream of octets, and the two stations of one association.

    0x05 0x64 | length (5 to 255) | control | destination, 2 | source, 2 | CRC, 2 | 16 octets, CRC | ... | rest, CRC

    control   DIR | PRM | FCB | FCV (primary) or DFC (secondary) | function (4)

`length` counts from the control octet on, without CRCs. DIR is 1 in frames from a master.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from protocols.dnp3.crc import BLOCK, crc, with_crcs, without_crcs

START: Final = b"\x05\x64"
HEADER_SIZE: Final = 10
MIN_LENGTH: Final = 5
MAX_DATA: Final = 250
MAX_FRAME: Final = 292

DIR: Final = 0x80
PRM: Final = 0x40
FCB: Final = 0x20
FCV: Final = 0x10
DFC: Final = 0x10

BROADCAST_OPTIONAL_CONFIRM: Final = 0xFFFF
BROADCAST_MUST_CONFIRM: Final = 0xFFFE
BROADCAST_DO_NOT_CONFIRM: Final = 0xFFFD
SELF_ADDRESS: Final = 0xFFFC
BROADCASTS: Final = frozenset({BROADCAST_DO_NOT_CONFIRM, BROADCAST_MUST_CONFIRM, BROADCAST_OPTIONAL_CONFIRM})
MAX_ADDRESS: Final = 0xFFEF
"""Highest address of a device; those above are reserved."""

_HEADER: Final = struct.Struct("<2sBBHH")
_ADDRESSES: Final = struct.Struct("<BHH")


class Primary(IntEnum):
    """Function codes of frames with PRM."""

    RESET_LINK_STATES = 0
    TEST_LINK_STATES = 2
    CONFIRMED_USER_DATA = 3
    UNCONFIRMED_USER_DATA = 4
    REQUEST_LINK_STATUS = 9


class Secondary(IntEnum):
    """Function codes of frames without PRM."""

    ACK = 0
    NACK = 1
    LINK_STATUS = 11
    NOT_SUPPORTED = 15


_FCV_OF: Final = {
    Primary.RESET_LINK_STATES: False,
    Primary.TEST_LINK_STATES: True,
    Primary.CONFIRMED_USER_DATA: True,
    Primary.UNCONFIRMED_USER_DATA: False,
    Primary.REQUEST_LINK_STATUS: False,
}
_CARRIES_DATA: Final = frozenset({Primary.CONFIRMED_USER_DATA, Primary.UNCONFIRMED_USER_DATA})
_PRIMARY: Final = {int(function): function for function in Primary}


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """One frame whose CRCs are right. `data` is a transport segment, or empty."""

    control: int
    dest: int
    source: int
    data: bytes = b""

    @property
    def from_master(self) -> bool:
        return bool(self.control & DIR)

    @property
    def primary(self) -> bool:
        return bool(self.control & PRM)

    @property
    def fcb(self) -> bool:
        return bool(self.control & FCB)

    @property
    def fcv(self) -> bool:
        return bool(self.control & FCV)

    @property
    def function(self) -> int:
        return self.control & 0x0F

    @property
    def broadcast(self) -> bool:
        return self.dest in BROADCASTS

    def encode(self) -> bytes:
        """Whole, with CRCs; `ValueError` for more than 250 octets of data."""
        return encode_frame(self.control, self.dest, self.source, self.data)


@lru_cache(maxsize=4_096)
def encode_header(control: int, dest: int, source: int, size: int) -> bytes:
    """The first ten octets of a frame with `size` octets of data."""
    head = _HEADER.pack(START, MIN_LENGTH + size, control, dest, source)
    return head + crc(head).to_bytes(2, "little")


def encode_frame(control: int, dest: int, source: int, data: bytes = b"") -> bytes:
    """One frame. `ValueError` for more than 250 octets of data."""
    if len(data) > MAX_DATA:
        raise ValueError(f"link frame with {len(data)} octets of data: at most {MAX_DATA}")
    return encode_header(control, dest, source, len(data)) + with_crcs(data)


def frame_size(length: int) -> int:
    """Octets of a frame on the wire whose length octet says `length`."""
    data = length - MIN_LENGTH
    return HEADER_SIZE + data + 2 * -(-data // BLOCK)


class LinkReader:
    """Finds frames in a stream, however it was cut; what is no frame is skipped and counted, never an error.

    After a wrong CRC the search goes on right behind the start octets: a frame that lies where lost octets of the
    one before were expected is still found. The buffer never holds more than one incomplete frame.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.frames = 0
        """Frames read."""
        self.bad = 0
        """Start octets behind which there was no frame: wrong CRC or length."""
        self.skipped = 0
        """Octets that belonged to no frame."""

    def feed(self, data: bytes) -> list[LinkFrame]:
        """Frames that `data` completes, in order."""
        buffer = self._buffer
        buffer += data
        found: list[LinkFrame] = []
        at = 0
        while True:
            at = self._seek(at)
            size = self._size(at)
            if size > len(buffer) - at:
                break
            frame = self._frame(at, size) if size else None
            if frame is None:
                self.bad += 1
                self.skipped += len(START)
                at += len(START)
                continue
            found.append(frame)
            at += size
        del buffer[:at]
        self.frames += len(found)
        return found

    def _seek(self, at: int) -> int:
        """Where the next frame may begin; octets before it are skipped."""
        begin = self._buffer.find(START, at)
        if begin < 0:
            # The last octet may be the first of a pair of start octets.
            begin = len(self._buffer) - self._buffer.endswith(START[:1])
            begin = max(begin, at)
        self.skipped += begin - at
        return begin

    def _size(self, at: int) -> int:
        """Octets to wait for, 0 when the header is wrong."""
        head = bytes(self._buffer[at : at + HEADER_SIZE])
        if len(head) < HEADER_SIZE:
            return HEADER_SIZE
        if head[2] < MIN_LENGTH or crc(head[:8]) != int.from_bytes(head[8:], "little"):
            return 0
        return frame_size(head[2])

    def _frame(self, at: int, size: int) -> LinkFrame | None:
        data = without_crcs(bytes(self._buffer[at + HEADER_SIZE : at + size]))
        if data is None:
            return None
        control, dest, source = _ADDRESSES.unpack_from(self._buffer, at + 3)
        return LinkFrame(control, dest, source, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkParameters:
    """Our address, the master's, and how often a silent link is asked whether it is still there (0: never). In s."""

    local: int
    remote: int
    self_address: bool = False
    keep_alive_s: float = 60.0
    answer_timeout_s: float = 5.0
    retries: int = 1


@dataclass(frozen=True, slots=True)
class Received:
    """What one frame brings: octets to send at once, a transport segment for us, and whether it was a broadcast.

    `broadcast` is the destination address of a broadcast, else None.
    """

    reply: bytes = b""
    segment: bytes = b""
    broadcast: int | None = None


NOTHING: Final = Received()


class LinkLayer:
    """One association, seen from the outstation: secondary station for the master's frames, primary for keep-alive.

    User data go out unconfirmed: over TCP a confirmation of the link would confirm what TCP confirms, and the
    application confirms what must not be lost. Frames that are not acted on are not answered either: counted frames
    before a reset, functions that do not exist, FCV or data where the function has none.
    """

    def __init__(self, parameters: LinkParameters, now: float) -> None:
        self.parameters = parameters
        self.ignored = 0
        """Frames that were for us and yet not acted on: wrong direction, function or frame count."""
        self._expected_fcb: bool | None = None
        self._heard = now
        self._asked: float | None = None
        self._tries = 0

    @property
    def reset(self) -> bool:
        """Whether the master has reset the link states: only then are confirmed user data taken."""
        return self._expected_fcb is not None

    def accepts(self, frame: LinkFrame) -> bool:
        """Whether a frame belongs to this association."""
        parameters = self.parameters
        ours = frame.dest == parameters.local or frame.broadcast
        ours = ours or (parameters.self_address and frame.dest == SELF_ADDRESS)
        return ours and frame.source == parameters.remote

    def receive(self, frame: LinkFrame, now: float) -> Received:
        """Act on a frame that `accepts` let in."""
        if not frame.from_master:
            return self._ignore()
        self._heard, self._asked, self._tries = now, None, 0
        if not frame.primary:
            return NOTHING
        function = _PRIMARY.get(frame.function)
        if function is None or frame.fcv is not _FCV_OF[function]:
            return self._ignore()
        if bool(frame.data) is not (function in _CARRIES_DATA):
            return self._ignore()
        if frame.broadcast:
            return self._broadcast(frame, function)
        return self._act(frame, function)

    def _broadcast(self, frame: LinkFrame, function: Primary) -> Received:
        """Nobody answers a broadcast, so only data that ask for no answer are taken."""
        if function is not Primary.UNCONFIRMED_USER_DATA:
            return self._ignore()
        return Received(segment=frame.data, broadcast=frame.dest)

    def _act(self, frame: LinkFrame, function: Primary) -> Received:
        if function is Primary.UNCONFIRMED_USER_DATA:
            return Received(segment=frame.data)
        if function is Primary.REQUEST_LINK_STATUS:
            return self._answer(Secondary.LINK_STATUS)
        if function is Primary.RESET_LINK_STATES:
            self._expected_fcb = True
            return self._answer(Secondary.ACK)
        return self._counted(frame)

    def _counted(self, frame: LinkFrame) -> Received:
        """Test and confirmed user data: a frame count bit that is not the expected one marks a repetition."""
        if self._expected_fcb is None:
            return self._ignore()
        fresh = frame.fcb is self._expected_fcb
        if fresh:
            self._expected_fcb = not self._expected_fcb
        ack = self._answer(Secondary.ACK)
        return Received(reply=ack.reply, segment=frame.data) if fresh else ack

    def _answer(self, function: Secondary) -> Received:
        return Received(reply=encode_frame(function, self.parameters.remote, self.parameters.local))

    def _ignore(self) -> Received:
        self.ignored += 1
        return NOTHING

    @property
    def deadline(self) -> float:
        """When `poll` wants to be called next, infinity for never. Monotonic s."""
        if not self.parameters.keep_alive_s:
            return math.inf
        if self._asked is not None:
            return self._asked + self.parameters.answer_timeout_s
        return self._heard + self.parameters.keep_alive_s

    @property
    def lost(self) -> bool:
        """The link status was asked for and, after every retry, not given."""
        return self._tries > self.parameters.retries

    def poll(self, now: float) -> bytes:
        """Past the deadline: a request for the link status, or nothing once the link is `lost`."""
        if now < self.deadline:
            return b""
        if self._asked is not None:
            self._tries += 1
            if self.lost:
                return b""
        self._asked = now
        control = PRM | Primary.REQUEST_LINK_STATUS
        return encode_frame(control, self.parameters.remote, self.parameters.local)
