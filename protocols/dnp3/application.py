"""Application layer: fragments and their headers, and blocks of objects gathered into fragments.

request    control | function | objects
response   control | function | IIN1 | IIN2 | objects

control    FIR | FIN | CON | UNS | sequence (4)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.dnp3 import headers, objects
from protocols.dnp3.errors import FragmentError
from protocols.dnp3.function import Function
from protocols.dnp3.iin import Iin
from protocols.dnp3.objecttable import ObjectRow

__all__ = [
    "AppControl",
    "Fragment",
    "FragmentBuilder",
    "Function",
    "Payload",
    "parse_fragment",
    "response_control",
]

Octets = NDArray[np.uint8]

FIR: Final = 0x80
FIN: Final = 0x40
CON: Final = 0x20
UNS: Final = 0x10
SEQUENCES: Final = 16
REQUEST_HEADER: Final = 2
RESPONSE_HEADER: Final = 4
DEFAULT_FRAGMENT: Final = 2_048
MIN_FRAGMENT: Final = 249
_MOST_COUNTED: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class AppControl:
    """The application control octet."""

    seq: int
    fir: bool = True
    fin: bool = True
    con: bool = False
    uns: bool = False

    @classmethod
    def decode(cls, octet: int) -> AppControl:
        return cls(octet & 0x0F, bool(octet & FIR), bool(octet & FIN), bool(octet & CON), bool(octet & UNS))

    @property
    def octet(self) -> int:
        return self.fir * FIR | self.fin * FIN | self.con * CON | self.uns * UNS | (self.seq & 0x0F)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One application fragment. `iin` is None in requests; `function` may be a code that does not exist."""

    control: AppControl
    function: int
    iin: Iin | None = None
    payload: bytes = b""

    def encode(self) -> bytes:
        iin = b"" if self.iin is None else self.iin.encode()
        return bytes((self.control.octet, self.function)) + iin + self.payload

    @property
    def response(self) -> bool:
        return self.function >= Function.RESPONSE


def parse_fragment(octets: bytes) -> Fragment:
    """Raises `FragmentError` when there are too few octets for the header."""
    if len(octets) < REQUEST_HEADER:
        raise FragmentError(f"fragment of {len(octets)} octets: at least {REQUEST_HEADER} expected")
    control, function = AppControl.decode(octets[0]), octets[1]
    if function < Function.RESPONSE:
        return Fragment(control, function, None, octets[REQUEST_HEADER:])
    if len(octets) < RESPONSE_HEADER:
        raise FragmentError(f"response of {len(octets)} octets: at least {RESPONSE_HEADER} expected")
    return Fragment(control, function, Iin.decode(octets[2:4]), octets[RESPONSE_HEADER:])


def response_control(position: int, last: bool, first_seq: int, events: bool) -> AppControl:
    """Control octet of the fragment at `position` (0, 1, ...) of a solicited response.

    The first carries the sequence number of the request and each further one the next. Whatever must be known to have
    arrived before something else is sent or forgotten asks for a confirmation: events, and every fragment but the last.
    """
    return AppControl((first_seq + position) % SEQUENCES, fir=position == 0, fin=last, con=events or not last)


@dataclass(frozen=True, slots=True)
class Payload:
    """The objects of one fragment, and how many of them are events, in the order in which they were added."""

    octets: bytes
    events: int = 0


@dataclass(slots=True)
class _Open:
    """The fragment that is being filled."""

    blocks: list[bytes] = field(default_factory=list)
    size: int = 0
    events: int = 0


class FragmentBuilder:
    """Gathers objects into fragments of at most `max_size` octets, cut between objects, never within one.

    `header` octets are left free for the response's own header. Each cut repeats the object header for the rest.
    """

    def __init__(self, max_size: int = DEFAULT_FRAGMENT, header: int = RESPONSE_HEADER) -> None:
        self._room = max_size - header
        self._open = _Open()
        self._done: list[Payload] = []

    def add_range(self, row: ObjectRow, start: int, coded: Octets) -> None:
        """Objects of shape (n, size) with the indices from `start` on; packed ones as states of shape (n, 1)."""
        at, total = 0, len(coded)
        while at < total:
            head = len(headers.range_head(row.group, row.variation, start + at, start + total - 1))
            count = min(total - at, self._fit(head, row.bits or 8 * row.size))
            first, piece = start + at, coded[at : at + count]
            octets = objects.pack(row, piece) if row.bits else piece.tobytes()
            self._put(headers.range_head(row.group, row.variation, first, first + count - 1) + octets)
            at += count

    def add_sparse(self, row: ObjectRow, indices: NDArray[np.integer], coded: Octets) -> None:
        """Objects with rising indices: a range per stretch without a gap."""
        for begin, end in headers.runs(indices):
            self.add_range(row, int(indices[begin]), coded[begin:end])

    def add_indexed(self, row: ObjectRow, indices: NDArray[np.integer], coded: Octets, lead: bytes = b"") -> None:
        """Objects behind their indices, in the order given. `lead` (a common time) goes in front of every piece."""
        wide = len(indices) >= headers.SMALL or bool(np.any(indices >= headers.SMALL))
        prefixed = headers.with_prefixes(indices, coded, wide)
        group, variation = row.key
        self._add_counted(prefixed, lead, row.event, lambda n: headers.prefix_head(group, variation, n, wide))

    def add_counted(self, row: ObjectRow, coded: Octets) -> None:
        """Objects without indices: times, delays."""
        group, variation = row.key
        self._add_counted(coded, b"", row.event, lambda n: headers.count_head(group, variation, n))

    def add_block(self, block: bytes) -> None:
        """Octets that stay together, with their header. `ValueError` when no fragment holds them."""
        if len(block) > self._room:
            raise ValueError(f"block of {len(block)} octets for fragments of {self._room}")
        if len(block) > self.room:
            self._close()
        self._put(block)

    @property
    def room(self) -> int:
        """Octets left in the open fragment."""
        return self._room - self._open.size

    @property
    def complete(self) -> int:
        """Fragments that are full; the open one not counted."""
        return len(self._done)

    def payloads(self) -> list[Payload]:
        """Every fragment's objects, the last one too; at least one, empty when nothing was added. Begins anew."""
        if self._open.size or not self._done:
            self._close()
        done, self._done = self._done, []
        return done

    def _add_counted(self, coded: Octets, lead: bytes, event: bool, head: Callable[[int], bytes]) -> None:
        at, total = 0, len(coded)
        while at < total:
            rest = min(total - at, _MOST_COUNTED)
            count = min(rest, self._fit(len(lead) + len(head(rest)), 8 * coded.shape[1]))
            self._put(lead + head(count) + coded[at : at + count].tobytes(), count if event else 0)
            at += count

    def _fit(self, head: int, bits: int) -> int:
        """How many objects of `bits` behind `head` octets fit; opens a new fragment when none does."""
        fits = (self.room - head) * 8 // bits
        if fits > 0:
            return fits
        if not self._open.size:
            raise ValueError(f"object of {(bits + 7) // 8} octets for fragments of {self._room}")
        self._close()
        return self._fit(head, bits)

    def _put(self, block: bytes, events: int = 0) -> None:
        self._open.blocks.append(block)
        self._open.size += len(block)
        self._open.events += events

    def _close(self) -> None:
        self._done.append(Payload(b"".join(self._open.blocks), self._open.events))
        self._open = _Open()
