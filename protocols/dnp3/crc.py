"""CRC-16/DNP (IEEE 1815-2012, data link layer): polynomial x16+x13+x12+x11+x10+x8+x6+x5+x2+1, reflected, complemented.

The register starts at 0, so the code is linear: the CRC of a block is the exclusive or of what each octet
contributes at its place, and octets of 0 in front of a block change nothing. Both are used for many blocks at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Octets = NDArray[np.uint8]

_REFLECTED: Final = 0xA6BC
BLOCK: Final = 16
"""Octets of user data in front of each CRC."""


def _shift(octet: int) -> int:
    for _ in range(8):
        octet = (octet >> 1) ^ _REFLECTED if octet & 1 else octet >> 1
    return octet


_TABLE: Final = tuple(_shift(octet) for octet in range(256))


def crc(data: bytes | bytearray | memoryview) -> int:
    """CRC of a few octets."""
    register = 0
    for octet in data:
        register = _TABLE[(register ^ octet) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFF


def _pair_tables() -> NDArray[np.uint16]:
    """Contribution of every little-endian pair of octets at each of the 8 places of a block, flat: 8 x 65536."""
    table = np.array(_TABLE, np.uint16)
    places = [table]
    for _ in range(BLOCK - 1):
        before = places[-1]
        places.append(table[before & 0xFF] ^ (before >> 8))
    pair = np.arange(1 << 16)
    low, high = pair & 0xFF, pair >> 8
    return np.concatenate([places[15 - 2 * k][low] ^ places[14 - 2 * k][high] for k in range(8)])


_PAIRS: Final = _pair_tables()
_PLACE: Final = np.arange(8, dtype=np.intp) << 16


def block_crcs(blocks: Octets) -> NDArray[np.uint16]:
    """CRCs of blocks of shape (n, 16), C-contiguous. A shorter block stands at the end of its row, zeros in front."""
    pairs = blocks.view("<u2").astype(np.intp)
    pairs += _PLACE
    contributions = _PAIRS.take(pairs.T)
    crcs: NDArray[np.uint16] = ~np.bitwise_xor.reduce(contributions, axis=0)
    return crcs


def with_crcs(data: bytes) -> bytes:
    """User data with a CRC behind each 16 octets and behind the rest: the body of one link frame."""
    blocks = (data[at : at + BLOCK] for at in range(0, len(data), BLOCK))
    return b"".join(block + crc(block).to_bytes(2, "little") for block in blocks)


def without_crcs(body: bytes) -> bytes | None:
    """User data of a frame's body, or None when one of its CRCs is wrong."""
    data = bytearray()
    for at in range(0, len(body), BLOCK + 2):
        block, check = body[at : at + BLOCK + 2][:-2], body[at : at + BLOCK + 2][-2:]
        if crc(block) != int.from_bytes(check, "little"):
            return None
        data += block
    return bytes(data)
