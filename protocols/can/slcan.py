"""Frames as a serial adapter says them (slcan, Lawicel's ASCII protocol), for the simulator. Pure."""

from __future__ import annotations

from protocols.can.plan import EXTENDED


def frame_text(key: int, data: bytes) -> bytes:
    """A classic frame as an adapter says it: ``t1232AABB`` and a carriage return."""
    head = f"T{key & ~EXTENDED:08X}" if key & EXTENDED else f"t{key:03X}"
    return f"{head}{len(data)}{data.hex().upper()}\r".encode()


def parse_line(line: bytes) -> tuple[int, bytes] | None:
    """(key, data) of a frame to be sent; None for anything else (open, close, bit rate, ...)."""
    sizes = {ord("t"): 3, ord("T"): 8}
    size = sizes.get(line[0]) if line else None
    if size is None:
        return None
    try:
        key, length = int(line[1 : 1 + size], 16), int(line[1 + size : 2 + size])
        data = bytes.fromhex(line[2 + size : 2 + size + 2 * length].decode("ascii"))
    except ValueError:
        return None
    return (key | EXTENDED if size == 8 else key, data) if len(data) == length else None
