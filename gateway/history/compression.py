"""zstd with the size known beforehand: a damaged frame neither takes memory nor passes."""

from __future__ import annotations

import threading

import zstandard

_OWN = threading.local()
"""Contexts are costly to make and not to be shared between threads."""


class BlockError(ValueError):
    """The bytes are no block, or a damaged one. The text says what is wrong."""


def compress(data: bytes, level: int) -> bytes:
    """One frame, which says its size."""
    contexts: dict[int, zstandard.ZstdCompressor] = _OWN.__dict__.setdefault("compressors", {})
    context = contexts.get(level)
    if context is None:
        context = contexts[level] = zstandard.ZstdCompressor(level=level)
    packed: bytes = context.compress(data)
    return packed


def decompress(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes, or `BlockError`."""
    try:
        announced = zstandard.frame_content_size(data)
        if announced != size:
            raise BlockError(f"{announced} bytes are announced where {size} belong")
        context = _OWN.__dict__.setdefault("decompressor", None) or zstandard.ZstdDecompressor()
        _OWN.decompressor = context
        raw: bytes = context.decompress(data)
    except zstandard.ZstdError as error:
        raise BlockError(f"damaged: {error}") from None
    if len(raw) != size:
        raise BlockError(f"{len(raw)} bytes are there where {size} belong")
    return raw
