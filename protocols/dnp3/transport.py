"""Transport function (IEEE 1815-2012, transport function): fragments to segments of link frames and back.

    transport octet   FIN | FIR | sequence (6)      in front of 1 to 249 octets of the fragment

A segment that is not the one expected ends the series; what was gathered is given up, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.dnp3.crc import BLOCK, block_crcs
from protocols.dnp3.link import HEADER_SIZE, MAX_DATA, MAX_FRAME, PRM, Primary, encode_frame, encode_header

Octets = NDArray[np.uint8]

FIN: Final = 0x80
FIR: Final = 0x40
SEQUENCES: Final = 64
SEGMENT: Final = MAX_DATA - 1
"""Octets of a fragment in one segment."""
_TOGETHER: Final = 6
"""Short frames of one length that are built together; fewer are built sooner one by one."""

OUTSTATION_DATA: Final = PRM | Primary.UNCONFIRMED_USER_DATA
"""Link control octet of our user data: from an outstation, unconfirmed."""


def encode_fragment(
    fragment: bytes, dest: int, source: int, seq: int, control: int = OUTSTATION_DATA
) -> tuple[bytes, int]:
    """All link frames of one fragment, one behind the other, and the sequence number of the next segment.

    `seq` is the transport sequence number of the first segment, 0 to 63.
    """
    return encode_fragments([fragment], dest, source, seq, control)[0]


def encode_fragments(
    fragments: Sequence[bytes], dest: int, source: int, seq: int, control: int = OUTSTATION_DATA
) -> list[tuple[bytes, int]]:
    """`encode_fragment` of several that follow one another; the full frames of all are built together."""
    rows = [len(fragment) // SEGMENT for fragment in fragments]
    heads: list[bytes] = []
    tails: list[bytes] = []
    ends: list[int] = []
    for fragment, full in zip(fragments, rows, strict=True):
        rest = len(fragment) > full * SEGMENT or not full
        octets = _transport_octets(seq, full + rest)
        heads.append(octets[:full])
        tails.append(octets[full:] + fragment[full * SEGMENT :])
        seq = (seq + full + rest) % SEQUENCES
        ends.append(seq)
    frames = b""
    if any(rows):
        whole = b"".join(fragment[: full * SEGMENT] for fragment, full in zip(fragments, rows, strict=True))
        frames = _frames(whole, b"".join(heads), encode_header(control, dest, source, MAX_DATA))
    tails = _short_frames(tails, control, dest, source)
    starts = [MAX_FRAME * at for at in accumulate(rows, initial=0)]
    return [
        (frames[start:stop] + tail, end) for (start, stop), tail, end in zip(pairwise(starts), tails, ends, strict=True)
    ]


def _transport_octets(seq: int, count: int) -> bytes:
    """Of all segments of a fragment."""
    octets = bytearray((seq + number) % SEQUENCES for number in range(count))
    octets[0] |= FIR
    octets[-1] |= FIN
    return bytes(octets)


def _short_frames(segments: list[bytes], control: int, dest: int, source: int) -> list[bytes]:
    """One frame of each, none of an empty one; those of one length are built together."""
    lengths = Counter(map(len, segments))
    made: dict[int, Iterator[bytes]] = {}
    for length, number in lengths.items():
        if length > BLOCK and number >= _TOGETHER:
            mine = [segment for segment in segments if len(segment) == length]
            rest, first = b"".join(part[1:] for part in mine), bytes(part[0] for part in mine)
            frames = _frames(rest, first, encode_header(control, dest, source, length))
            size = len(frames) // number
            made[length] = (frames[at : at + size] for at in range(0, len(frames), size))
    return [
        next(made[len(segment)])
        if len(segment) in made
        else encode_frame(control, dest, source, segment)
        if segment
        else b""
        for segment in segments
    ]


def _frames(data: bytes, transport: bytes, header: bytes) -> bytes:
    """Frames of segments of one length, of more than a block, built together: one row each."""
    count = len(transport)
    segments = np.frombuffer(data, np.uint8).reshape(count, -1)
    size = segments.shape[1] + 1
    number = -(-size // BLOCK)
    whole = (number - 1) * BLOCK
    tail = size - whole
    # The short block of each frame stands at the end of its row, with zeros in front: they leave its CRC as it is.
    blocks = np.zeros((count, number * BLOCK), np.uint8)
    blocks[:, 0] = np.frombuffer(transport, np.uint8)
    blocks[:, 1:whole] = segments[:, : whole - 1]
    blocks[:, -tail:] = segments[:, whole - 1 :]
    crcs = block_crcs(blocks.reshape(-1, BLOCK)).astype("<u2").view(np.uint8).reshape(count, number, 2)
    out = np.empty((count, HEADER_SIZE + size + 2 * number), np.uint8)
    out[:, :HEADER_SIZE] = np.frombuffer(header, np.uint8)
    body = np.empty((count, number - 1, BLOCK + 2), np.uint8)
    body[:, :, :BLOCK] = blocks[:, :whole].reshape(count, number - 1, BLOCK)
    body[:, :, BLOCK:] = crcs[:, :-1]
    out[:, HEADER_SIZE : -tail - 2] = body.reshape(count, -1)
    out[:, -tail - 2 : -2] = blocks[:, -tail:]
    out[:, -2:] = crcs[:, -1]
    return out.tobytes()


class Reassembler:
    """Segments of one association to fragments of at most `max_size` octets.

    A first segment begins anew, whatever went before. Any other must carry the next sequence number; the one before,
    repeated octet by octet, is let pass. Everything else is discarded, with what was gathered.
    """

    def __init__(self, max_size: int = 2_048) -> None:
        self._max_size = max_size
        self._gathered = bytearray()
        self._last = b""
        self.discarded = 0
        """Segments that led to no fragment."""

    @property
    def waiting(self) -> bool:
        """Within a series: its last segment has not come."""
        return bool(self._last)

    def receive(self, segment: bytes) -> bytes | None:
        """The fragment that `segment` completes, or None."""
        if len(segment) < 2:
            self._discard()
            return None
        if segment[0] & FIR:
            self.clear()
        elif segment == self._last:
            return None
        elif not self._follows(segment):
            self._discard()
            return None
        return self._gather(segment)

    def clear(self) -> None:
        """Forget an unfinished series."""
        self._gathered.clear()
        self._last = b""

    def _follows(self, segment: bytes) -> bool:
        return self.waiting and (segment[0] - self._last[0]) % SEQUENCES == 1

    def _gather(self, segment: bytes) -> bytes | None:
        self._gathered += segment[1:]
        self._last = segment
        if len(self._gathered) > self._max_size:
            self._discard()
        elif segment[0] & FIN:
            fragment = bytes(self._gathered)
            self.clear()
            return fragment
        return None

    def _discard(self) -> None:
        self.discarded += 1
        self.clear()
