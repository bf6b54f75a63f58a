"""zstd with the size known beforehand: a damaged frame neither takes memory nor passes."""

from __future__ import annotations

import zstandard


class BlockError(ValueError):
    """The bytes are no block, or a damaged one. The text says what is wrong."""


def compress(data: bytes, level: int) -> bytes:
    """One frame, which says its size."""
    packed: bytes = zstandard.ZstdCompressor(level=level).compress(data)
    return packed


def decompress(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes, or `BlockError`."""
    try:
        announced = zstandard.frame_content_size(data)
        if announced != size:
            raise BlockError(f"{announced} bytes are announced where {size} belong")
        raw: bytes = zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise BlockError(f"damaged: {error}") from None
    if len(raw) != size:
        raise BlockError(f"{len(raw)} bytes are there where {size} belong")
    return raw
