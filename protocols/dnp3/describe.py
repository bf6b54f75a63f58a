"""The octets of a link in words, one line a link frame, for `gridgate trace`. Pure; never raises for what a peer sent.

    1 > 10 user data; segment 3 FIR FIN; 5 read: g60v2 class 1 data; g60v3 class 2 data
    10 > 1 user data; segment 8 FIR FIN; 5 response CON: g32v7 11 poi/frequency 49.982 Hz 2026-11-03 14:03:04.123
    10 > 1 request link status

Addresses are source and destination. A frame that ends a fragment carries the fragment's words; the ones before it say
which segment they are. Flags stand in brackets unless a value is plainly ONLINE. Times are UTC, as on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from gateway.contracts import DescribedFrame
from gateway.points import PointCatalogue
from protocols.dnp3 import function, objects
from protocols.dnp3.application import AppControl, Fragment, parse_fragment
from protocols.dnp3.crc import crc
from protocols.dnp3.errors import FragmentError
from protocols.dnp3.function import Function
from protocols.dnp3.headers import ATTRIBUTE_GROUP, ObjectHeader, read_headers
from protocols.dnp3.iin import NO_IIN
from protocols.dnp3.link import (
    DFC,
    HEADER_SIZE,
    MIN_LENGTH,
    START,
    LinkFrame,
    LinkReader,
    Primary,
    Secondary,
    frame_size,
)
from protocols.dnp3.objecttable import ObjectKind, ObjectRow
from protocols.dnp3.objectwords import PLAIN, Scaling, attribute_words, header_words, record_words
from protocols.dnp3.plan import MasterPlan, ServerPlan
from protocols.dnp3.pointtypes import (
    BY_COMMAND_EVENT,
    BY_EVENT_GROUP,
    BY_STATIC_GROUP,
    DEADBAND_GROUP,
    PointType,
)
from protocols.dnp3.transport import FIN, FIR, SEQUENCES, Reassembler
from protocols.dnp3.why import why

OBJECTS_SHOWN: Final = 4
"""Of a long header, unless everything is asked for."""
HEADERS_SHOWN: Final = 8
_EVERYTHING: Final = 65_536
_JUNK_SHOWN: Final = 16
_LARGEST_FRAGMENT: Final = 65_536

_PRIMARY: Final[Mapping[int, str]] = {
    Primary.RESET_LINK_STATES: "reset link states",
    Primary.TEST_LINK_STATES: "test link states",
    Primary.CONFIRMED_USER_DATA: "confirmed user data",
    Primary.UNCONFIRMED_USER_DATA: "user data",
    Primary.REQUEST_LINK_STATUS: "request link status",
}
_SECONDARY: Final[Mapping[int, str]] = {
    Secondary.ACK: "ack",
    Secondary.NACK: "nack",
    Secondary.LINK_STATUS: "link status",
    Secondary.NOT_SUPPORTED: "not supported",
}
TYPE_OF_GROUP: Final[Mapping[int, PointType]] = {
    **{group: row.type for group, row in BY_STATIC_GROUP.items()},
    **{group: row.type for group, row in BY_EVENT_GROUP.items()},
    **{group: row.type for group, row in BY_COMMAND_EVENT.items()},
    12: PointType.BO,
    41: PointType.AO,
    DEADBAND_GROUP: PointType.AI,
}
"""The type of point whose index stands in the objects of a group."""


class Describer:
    """One link of one master. Implements `gateway.contracts.FrameDescriber`."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, master: str, full: bool = False) -> None:
        """Raises `KeyError` when the plan has no such master."""
        found = next((candidate for candidate in plan.masters if candidate.name == master), None)
        if found is None:
            raise KeyError(master)
        self._master, self._catalogue = found, catalogue
        self._names = _Names(found, catalogue)
        self._most = (_EVERYTHING, _EVERYTHING) if full else (OBJECTS_SHOWN, HEADERS_SHOWN)
        self._sides = {True: _Side(), False: _Side()}

    def feed(self, outgoing: bool, data: bytes) -> list[DescribedFrame]:
        """Complete frames in these octets and what was left of earlier ones."""
        side = self._sides[outgoing]
        return [DescribedFrame(octets, self._words(side, octets, frame)) for octets, frame in side.cut(data)]

    def why(self, outgoing: bool, data: bytes) -> list[str]:
        """See `FrameDescriber`."""
        frames = LinkReader().feed(data)
        return why(self._master, self._catalogue, self._names.find, outgoing, frames[0] if frames else None)

    def _words(self, side: _Side, octets: bytes, frame: LinkFrame | None) -> str:
        if frame is None:
            more = "..." if len(octets) > _JUNK_SHOWN else ""
            return f"malformed: {len(octets)} octets that are no frame: {octets[:_JUNK_SHOWN].hex()}{more}"
        link = f"{frame.source} > {frame.dest} {_link_words(frame)}"
        if not frame.data:
            return link
        words = [link, side.segment_words(frame)]
        fragment = side.fragment(frame)
        if fragment is not None:
            words.append(self._fragment(fragment))
        return "; ".join(words)

    def _fragment(self, octets: bytes) -> str:
        try:
            fragment = parse_fragment(octets)
        except FragmentError as error:
            return f"malformed: {error}"
        head = _head_words(fragment)
        if not fragment.payload:
            return head
        headers, _, mistake = read_headers(fragment.payload, fragment.function)
        said = self._headers(headers, fragment.response)
        if mistake is not None:
            said.append(f"malformed: {mistake}")
        return f"{head}: {'; '.join(said)}"

    def _headers(self, headers: list[ObjectHeader], answered: bool) -> list[str]:
        words = []
        base_ms = 0
        most_objects, most_headers = self._most
        for header in headers[:most_headers]:
            if header.group == 51 and len(header.data) >= 6:
                base_ms = int.from_bytes(header.data[:6], "little")
            words.append(self._header(header, base_ms, most_objects, answered))
        if len(headers) > most_headers:
            words.append(f"and {len(headers) - most_headers} more headers")
        return words

    def _header(self, header: ObjectHeader, base_ms: int, most: int, answered: bool) -> str:
        if header.group == ATTRIBUTE_GROUP and len(header.data) >= 2:
            return f"{header.label} device attribute {attribute_words(header.data)}"
        row = header.row
        if row is None or not header.data:
            named = self._indexed(header, most)
            return f"{header_words(header)} {named}".rstrip()
        records = objects.decode(row, header.data, header.count)
        count = min(most, header.count)
        indices = header.indices[:count].tolist() or [None] * count
        said = [self._object(row, index, records[at : at + 1], base_ms, answered) for at, index in enumerate(indices)]
        if header.count > count:
            said.append(f"and {header.count - count} more")
        return f"{header.label} {', '.join(said)}"

    def _indexed(self, header: ObjectHeader, most: int) -> str:
        """Points that a request names one by one."""
        if not header.indexed:
            return ""
        words = [self._names.name(header.group, index) for index in header.indices[:most].tolist()]
        if header.count > most:
            words.append(f"and {header.count - most} more")
        return ", ".join(words)

    def _object(self, row: ObjectRow, index: int | None, record: objects.Records, base_ms: int, answered: bool) -> str:
        said = record_words(row, record, self._names.scaling(row.group, index), base_ms, answered)
        if index is None or row.kind is ObjectKind.TIME:
            return said
        return f"{self._names.name(row.group, index)} {said}".rstrip()


class _Names:
    """Points of one master by group and index."""

    def __init__(self, master: MasterPlan, catalogue: PointCatalogue) -> None:
        columns = master.bindings
        keys = columns.type.astype(np.int64) << 16 | columns.index
        self._at = dict(zip(keys.tolist(), range(len(columns)), strict=True))
        self._columns, self._catalogue = columns, catalogue

    def find(self, group: int, index: int | None) -> int | None:
        """Index of the binding."""
        kind = TYPE_OF_GROUP.get(group)
        return None if kind is None or index is None else self._at.get(kind << 16 | index)

    def name(self, group: int, index: int) -> str:
        """Index and point."""
        at = self.find(group, index)
        if at is not None:
            return f"{index} {self._catalogue.names[int(self._columns.row[at])]}"
        return f"{index} (not in the map)" if group in TYPE_OF_GROUP else str(index)

    def scaling(self, group: int, index: int | None) -> Scaling:
        """How a number of this point is read."""
        at = self.find(group, index)
        if at is None:
            return PLAIN
        columns = self._columns
        unit = self._catalogue.units[int(columns.row[at])]
        return Scaling(unit, float(columns.scale[at]), float(columns.offset[at]))


def _link_words(frame: LinkFrame) -> str:
    names = _PRIMARY if frame.primary else _SECONDARY
    words = names.get(frame.function, f"link function {frame.function}")
    if frame.primary and frame.fcv:
        return f"{words} FCB={int(frame.fcb)}"
    return f"{words} DFC" if not frame.primary and frame.control & DFC else words


def _head_words(fragment: Fragment) -> str:
    head = fragment.control
    name = function.words(fragment.function)
    if fragment.function == Function.CONFIRM:
        return f"{head.seq} confirm{' unsolicited' if head.uns else ''}"
    marks = "".join(mark for mark, holds in _marks(head) if holds)
    if fragment.iin is None or fragment.iin == NO_IIN:
        return f"{head.seq} {name}{marks}"
    return f"{head.seq} {name}{marks} [{fragment.iin.words}]"


def _marks(head: AppControl) -> tuple[tuple[str, bool], ...]:
    """Only what is not the rule: a fragment that is first and last."""
    return ((" not FIR", not head.fir), (" not FIN", not head.fin), (" CON", head.con))


class _Side:
    """One direction: octets cut into frames, frames into fragments per association."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._reassemblers: dict[tuple[int, int], Reassembler] = {}
        self._expected: dict[tuple[int, int], int] = {}

    def segment_words(self, frame: LinkFrame) -> str:
        """The transport octet, and a word when it does not follow the last one."""
        head = frame.data[0]
        key, seq = (frame.source, frame.dest), head % SEQUENCES
        expected = self._expected.get(key, seq)
        self._expected[key] = (seq + 1) % SEQUENCES
        gap = f" (expected {expected})" if expected != seq and not head & FIR else ""
        return f"segment {seq}{gap}{' FIR' if head & FIR else ''}{' FIN' if head & FIN else ''}"

    def fragment(self, frame: LinkFrame) -> bytes | None:
        """The fragment that this frame completes."""
        key = (frame.source, frame.dest)
        if frame.data[0] & FIR or key in self._reassemblers:
            reassembler = self._reassemblers.setdefault(key, Reassembler(_LARGEST_FRAGMENT))
            found = reassembler.receive(frame.data)
            if not reassembler.waiting:
                del self._reassemblers[key]
            return found
        return None

    def cut(self, data: bytes) -> Iterator[tuple[bytes, LinkFrame | None]]:
        """Frames, and octets between them with None."""
        buffer = self._buffer
        buffer += data
        done = at = 0
        while True:
            at = _start(buffer, at)
            size, frame = _look(buffer, at)
            if size is None:
                break
            if frame is None:
                at += len(START)
                continue
            if at > done:
                yield bytes(buffer[done:at]), None
            yield bytes(buffer[at : at + size]), frame
            done = at = at + size
        if at > done:
            yield bytes(buffer[done:at]), None
        del buffer[:at]


def _start(buffer: bytearray, at: int) -> int:
    """Where the next frame may begin."""
    begin = buffer.find(START, at)
    if begin >= 0:
        return begin
    return max(at, len(buffer) - buffer.endswith(START[:1]))


def _look(buffer: bytearray, at: int) -> tuple[int | None, LinkFrame | None]:
    """Size of the frame at `at` and the frame; size None while more must come, frame None where there is none."""
    head = bytes(buffer[at : at + HEADER_SIZE])
    if len(head) < HEADER_SIZE:
        return None, None
    if head[2] < MIN_LENGTH or crc(head[:8]) != int.from_bytes(head[8:], "little"):
        return 0, None
    size = frame_size(head[2])
    if len(buffer) < at + size:
        return None, None
    frames = LinkReader().feed(bytes(buffer[at : at + size]))
    return size, frames[0] if frames else None
