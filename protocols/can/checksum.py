"""Checksums over the data of a frame, as battery systems and inverters want them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import xor
from typing import Final


def _table(polynomial: int) -> bytes:
    out = bytearray()
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1 ^ (polynomial if crc & 0x80 else 0)) & 0xFF
        out.append(crc)
    return bytes(out)


def _crc8(polynomial: int, start: int, final: int) -> Callable[[bytes], int]:
    table = _table(polynomial)

    def crc(data: bytes) -> int:
        value = start
        for byte in data:
            value = table[value ^ byte]
        return value ^ final

    return crc


METHODS: Final[Mapping[str, Callable[[bytes], int]]] = {
    "xor8": lambda data: reduce(xor, data, 0),
    "sum8": lambda data: sum(data) & 0xFF,
    "sum8_twos_complement": lambda data: -sum(data) & 0xFF,
    "sum8_inverted": lambda data: ~sum(data) & 0xFF,
    "crc8_sae_j1850": _crc8(0x1D, 0xFF, 0xFF),
    "crc8_autosar": _crc8(0x2F, 0xFF, 0xFF),
}
"""Method -> 8-bit checksum of octets. The two CRCs are those of AUTOSAR's CRC library (0x1D and 0x2F)."""
