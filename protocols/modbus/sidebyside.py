"""Registers as every type in every byte order, side by side. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from protocols.modbus.codec import PERMUTATIONS
from protocols.modbus.frame import exception_words
from protocols.modbus.plan import ORDERS, WIRE_TYPES, WireType
from protocols.modbus.ranges import Contents

ORDERS_OF: Final = {1: ("ABCD", "BADC"), 2: ORDERS, 4: ORDERS}
"""By registers, the orders that differ."""

_TWINS: Final = {"uint16": "int16", "uint32": "int32", "uint64": "int64"}
_WIDTH: Final = 21


def number(data: bytes, wire: WireType, order: str) -> float | int:
    """The number of one type in one byte order."""
    octets = np.frombuffer(data, np.uint8)[PERMUTATIONS[2 * wire.registers][ORDERS.index(order)]]
    return np.frombuffer(octets.tobytes(), wire.dtype)[0].item()  # type: ignore[no-any-return]


def values(contents: Contents, address: int) -> dict[str, dict[str, float | int]]:
    """By type and byte order what begins at this register; types whose registers were not all read are left out."""
    out: dict[str, dict[str, float | int]] = {}
    for wire in WIRE_TYPES:
        data = contents.octets(address, wire.registers)
        if data is not None:
            out[wire.word] = {order: number(data, wire, order) for order in ORDERS_OF[wire.registers]}
    return out


def objects(contents: Contents, shown: range) -> Iterator[dict[str, Any]]:
    """One object an address that is shown, for JSON: NaN and infinity as null."""
    for address in _there(contents, shown):
        if address in contents.refused:
            code = contents.refused[address]
            yield {"address": address, "exception": code, "text": exception_words(code)}
        elif contents.table.of_bits:
            yield {"address": address, "bit": contents.words[address]}
        else:
            found = values(contents, address)
            yield {
                "address": address,
                "hex": f"{contents.words[address]:04x}",
                "values": {
                    word: {order: value if math.isfinite(value) else None for order, value in by.items()}
                    for word, by in found.items()
                },
            }


def _there(contents: Contents, shown: range) -> list[int]:
    return [address for address in shown if address in contents.words or address in contents.refused]


def lines(contents: Contents, shown: range) -> Iterator[str]:
    """The table for a person: each address with what begins there, exceptions in words."""
    if contents.table.of_bits:
        yield from _bit_lines(contents, shown)
        return
    yield f"{'address':>7}  {'hex':<4}  {'text':<4}  {'type':<7}" + "".join(f" {order:>{_WIDTH}}" for order in ORDERS)
    for address in _there(contents, shown):
        if address in contents.refused:
            yield f"{address:>7}  {exception_words(contents.refused[address])}"
        else:
            yield from _register_lines(contents, address)


def _bit_lines(contents: Contents, shown: range) -> Iterator[str]:
    for address in _there(contents, shown):
        code = contents.refused.get(address)
        yield f"{address:>7}  {exception_words(code) if code is not None else contents.words[address]}"


def _register_lines(contents: Contents, address: int) -> Iterator[str]:
    found = values(contents, address)
    word = contents.words[address]
    head = f"{address:>7}  {word:04x}  {_text(word):<4}"
    for name, by_order in found.items():
        twin = found.get(_TWINS.get(name, ""))
        if twin == by_order:
            continue
        cells = "".join(f" {_short(by_order[order]) if order in by_order else '':>{_WIDTH}}" for order in ORDERS)
        yield f"{head}  {name:<7}{cells}".rstrip()
        head = " " * len(head)


def _text(word: int) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in word.to_bytes(2, "big"))


def _short(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.7g}"
