"""Reading a range of addresses whatever the device refuses of it: by division, down to the single address. Pure."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from protocols.modbus.frame import ILLEGAL_ADDRESS, ILLEGAL_VALUE
from protocols.modbus.plan import Table

Wanted = tuple[int, int]
"""First address and count."""

RangeWalk = Generator[Wanted, bytes | int, "Contents"]
"""Yields what to read; is sent the data, or the exception code it was answered with."""

_DIVIDED = frozenset({ILLEGAL_ADDRESS, ILLEGAL_VALUE})


@dataclass(slots=True)
class Contents:
    """What stands in a range. `words`: registers or bits by address; `refused`: exception codes by address."""

    table: Table
    words: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)

    def take(self, address: int, count: int, data: bytes) -> None:
        """The data of an answer."""
        for number in range(count):
            if self.table.of_bits:
                word = data[number >> 3] >> (number & 7) & 1
            else:
                word = int.from_bytes(data[2 * number : 2 * number + 2], "big")
            self.words[address + number] = word

    def octets(self, address: int, registers: int) -> bytes | None:
        """The bytes of so many registers, or None where one of them was not read."""
        found = [self.words.get(address + number) for number in range(registers)]
        if any(word is None for word in found):
            return None
        return b"".join((word or 0).to_bytes(2, "big") for word in found)


def read_range(table: Table, address: int, count: int, most: int | None = None) -> RangeWalk:
    """Read `count` addresses, at most `most` at a time (125 registers or 2000 bits)."""
    size = most or (2000 if table.of_bits else 125)
    out = Contents(table)
    for first in range(address, address + count, size):
        yield from _read(out, first, min(size, address + count - first))
    return out


def _read(out: Contents, address: int, count: int) -> Generator[Wanted, bytes | int, None]:
    answer = yield address, count
    if isinstance(answer, bytes):
        out.take(address, count, answer)
    elif count == 1 or answer not in _DIVIDED:
        out.refused |= dict.fromkeys(range(address, address + count), answer)
    else:
        half = count // 2
        yield from _read(out, address, half)
        yield from _read(out, address + half, count - half)
