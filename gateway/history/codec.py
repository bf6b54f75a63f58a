"""One series' samples as a few bytes each: exact, self-describing, checked.

::

    0         1         5          13          14         15           16        17 ...
    | version | count   | first ns | time unit | time     | value kind | value   | quality ... then the compressed
    |   u1    |  u4     |   i8     | width     | width    |            | width   | columns, zstd

Times are second differences in the coarsest unit that loses nothing. Values are differences of whole numbers after
scaling by a power of ten where that gives back every bit, else floats of 4 or 8 bytes, each combined by exclusive or
with the one before. Bytes of equal weight lie together (shuffled) before zstd sees them.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.history.compression import BlockError, compress, decompress
from gateway.history.samples import Samples

MAX_SAMPLES: Final = 1 << 22
"""Of one block; more in a header is damage."""
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BIqBBBBqIB")
_UNITS: Final = (1_000_000_000, 1_000_000, 1_000, 1)
_SCALES: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0)
_FLOAT4, _FLOAT8 = 0x40, 0x41
_EXACT: Final = 2.0**53
_SIGNED: Final[dict[int, np.dtype[Any]]] = {
    1: np.dtype("<i1"),
    2: np.dtype("<i2"),
    4: np.dtype("<i4"),
    8: np.dtype("<i8"),
}
_LEVEL: Final = 3

Integers = NDArray[np.int64]


def encode(samples: Samples) -> bytes:
    """Pack at least one sample."""
    unit, times = _time_steps(samples.time_ns)
    time_width, time_bytes = _narrow(times)
    kind, value_width, first, value_bytes = _values(samples.value)
    quality_kind, quality_bytes = _qualities(samples.quality)
    header = _HEADER.pack(
        *(_VERSION, len(samples), int(samples.time_ns[0]), unit, time_width, kind, value_width, first),
        *(len(quality_bytes), quality_kind),
    )
    return header + compress(time_bytes + value_bytes + quality_bytes, _LEVEL)


def decode(data: bytes) -> Samples:
    """Unpack. Raises `BlockError`."""
    if len(data) < _HEADER.size:
        raise BlockError(f"{len(data)} bytes are no block")
    version, count, first_ns, unit, time_width, kind, value_width, first, quality_size, quality_kind = (
        _HEADER.unpack_from(data)
    )
    known = (
        unit < len(_UNITS) and time_width in (0, *_SIGNED) and value_width in (0, *_SIGNED) and quality_kind in (0, 1)
    )
    if version != _VERSION or not 0 < count <= MAX_SAMPLES or not known or quality_size > 8 * count + 4:
        raise BlockError("the header of the block is damaged")
    time_size, value_size = count * time_width, count * value_width
    raw = decompress(data[_HEADER.size :], time_size + value_size + quality_size)
    steps = _widen(raw[:time_size], time_width, count)
    values = raw[time_size : time_size + value_size]
    with np.errstate(over="ignore"):
        time_ns = first_ns + np.cumsum(np.cumsum(steps)) * _UNITS[unit]
    return Samples(
        time_ns,
        _unpacked_values(values, kind, value_width, first, count),
        _unpacked_qualities(raw[time_size + value_size :], quality_kind, count),
    )


def _time_steps(time_ns: Integers) -> tuple[int, Integers]:
    since = time_ns - time_ns[0]
    last, middle = int(since[-1]), int(since[len(since) // 2])
    unit = next(i for i, size in enumerate(_UNITS) if not (last % size or middle % size or (since % size).any()))
    return unit, _steps(_steps(since // _UNITS[unit]))


def _steps(numbers: Integers) -> Integers:
    """Differences, the first from 0."""
    out = numbers.copy()
    out[1:] -= numbers[:-1]
    return out


def _narrow(numbers: Integers) -> tuple[int, bytes]:
    """The narrowest width that holds all of them (0 when all are zero), and their shuffled bytes."""
    low, high = int(numbers.min()), int(numbers.max())
    if low == high == 0:
        return 0, b""
    width = next(width for width in _SIGNED if -(1 << (8 * width - 1)) <= low and high < 1 << (8 * width - 1))
    return width, _shuffled(numbers.astype(_SIGNED[width]))


def _widen(data: bytes, width: int, count: int) -> Integers:
    return np.zeros(count, np.int64) if not width else _unshuffled(data, _SIGNED[width]).astype(np.int64)


def _shuffled(numbers: NDArray[np.generic]) -> bytes:
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, numbers.dtype.itemsize).T.tobytes()


def _unshuffled(data: bytes, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    columns = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(columns.T).view(dtype).ravel()


def _values(values: NDArray[np.float64]) -> tuple[int, int, int, bytes]:
    """(kind, width, first whole number, bytes)."""
    for kind in range(_least_scale(values), len(_SCALES)):
        whole = _whole(values, _SCALES[kind])
        if whole is not None:
            width, data = _narrow(_steps(whole - whole[0]))
            return kind, width, int(whole[0]), data
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = values.astype(np.float32)
    if np.array_equal(single.astype(np.float64).view(np.int64), values.view(np.int64)):
        return _FLOAT4, 4, 0, _shuffled(_mixed(single.view(np.uint32)))
    return _FLOAT8, 8, 0, _shuffled(_mixed(values.view(np.uint64)))


def _least_scale(values: NDArray[np.float64]) -> int:
    """No lower scale than this gives back a few of the values: not worth trying with all."""
    few = (float(values[0]), float(values[len(values) // 2]), float(values[-1]))
    for kind, scale in enumerate(_SCALES):
        if all(abs(value * scale) < _EXACT and round(value * scale) / scale == value for value in few):
            return kind
    return len(_SCALES)


def _whole(values: NDArray[np.float64], scale: float) -> Integers | None:
    """The values times `scale` as whole numbers, if that gives back every bit of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * scale)
        if not (np.abs(scaled) < _EXACT).all():  # false for NaN too
            return None
        whole = scaled.astype(np.int64)
    same = np.array_equal((whole / scale).view(np.int64), values.view(np.int64))
    return whole if same else None


def _mixed(bits: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    out = bits.copy()
    out[1:] ^= bits[:-1]
    return out


def _unpacked_values(data: bytes, kind: int, width: int, first: int, count: int) -> NDArray[np.float64]:
    if kind < len(_SCALES):
        return (first + np.cumsum(_widen(data, width, count))) / _SCALES[kind]
    if (kind, width) == (_FLOAT4, 4):
        bits = np.bitwise_xor.accumulate(_unshuffled(data, np.dtype("<u4")))
        return np.asarray(bits.view(np.float32).astype(np.float64))
    if (kind, width) == (_FLOAT8, 8):
        return np.asarray(np.bitwise_xor.accumulate(_unshuffled(data, np.dtype("<u8"))).view(np.float64))
    raise BlockError(f"values of kind {kind} with {width} bytes are not known")


def _qualities(qualities: NDArray[np.uint32]) -> tuple[int, bytes]:
    """Kind 0: one for all; kind 1: runs as (start, flags)."""
    starts = np.flatnonzero(np.diff(qualities, prepend=~qualities[:1]))
    if len(starts) == 1:
        return 0, qualities[:1].astype("<u4").tobytes()
    return 1, starts.astype("<u4").tobytes() + qualities[starts].astype("<u4").tobytes()


def _unpacked_qualities(data: bytes, kind: int, count: int) -> NDArray[np.uint32]:
    if kind == 0:
        if len(data) != 4:
            raise BlockError("the quality of the block is damaged")
        return np.full(count, np.frombuffer(data, "<u4")[0], np.uint32)
    if not data or len(data) % 8:
        raise BlockError("the qualities of the block are damaged")
    numbers, flags = np.frombuffer(data, "<u4").reshape(2, -1)
    starts: Integers = numbers.astype(np.int64)
    if starts[0] or starts[-1] >= count or (starts[1:] <= starts[:-1]).any():
        raise BlockError("the qualities of the block do not begin where they should")
    lengths = np.append(starts[1:], count) - starts
    return np.repeat(flags, lengths).astype(np.uint32)
