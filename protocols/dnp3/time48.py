"""DNP3 time (DNP3TIME of IEEE 1815-2012): ms since 1970 UTC in 48 bits, little endian, whole arrays at once.

It has no bit for doubt: a source time that cannot be trusted is told by an unsynchronised common time (g51v2) or not at
all, and leap seconds are not counted.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Times

Octets = NDArray[np.uint8]

NS_PER_MS: Final = 1_000_000
MAX_MS: Final = (1 << 48) - 1
SIZE: Final = 6


def ms_of_ns(times_ns: Times) -> Times:
    """Cut to whole ms; nothing before 1970."""
    return np.maximum(times_ns // NS_PER_MS, 0)


def encode(times_ms: Times) -> Octets:
    """Shape (n, 6); instants outside 1970 to 10889 are held at the nearest one that 48 bits can say."""
    octets = np.clip(times_ms, 0, MAX_MS).astype("<i8").view(np.uint8).reshape(-1, 8)
    return octets[:, :SIZE]


def decode(octets: Octets) -> Times:
    """ms since 1970 UTC of octets of shape (n, 6)."""
    wide = np.zeros((len(octets), 8), np.uint8)
    wide[:, :SIZE] = octets
    times: Times = wide.view("<i8").reshape(-1).astype(np.int64)
    return times


def encode_one(time_ms: int) -> bytes:
    """One instant, held inside 48 bits."""
    return min(max(time_ms, 0), MAX_MS).to_bytes(SIZE, "little")


def decode_one(octets: bytes) -> int:
    """ms since 1970 UTC of the first six octets."""
    return int.from_bytes(octets[:SIZE], "little")
