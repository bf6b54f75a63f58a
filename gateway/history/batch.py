"""Samples of many series as they are recorded: packed quickly, column by column, so that one can be read alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.history.compression import BlockError, compress, decompress
from gateway.history.samples import Samples

RECORD: Final = np.dtype(
    [("series", "<u4"), ("quality", "<u4"), ("value", "<f8"), ("time_ns", "<i8"), ("late_ns", "<i8")]
)
"""One sample on its way to the store.

`late_ns`: by how much its time lies behind that of its source, where that was another sample's already; mostly 0.
"""

Batch = NDArray[np.void]
"""A one-dimensional array of dtype `RECORD`, in the order of recording."""

NO_SAMPLES: Final[Batch] = np.empty(0, RECORD)
MAX_BATCH: Final = 1 << 24
_COLUMNS: Final = ("series", "quality", "value", "time_ns", "late_ns")
_HEADERS: Final = {1: struct.Struct("<BI4I"), 2: struct.Struct("<BI5I")}
"""By version; the first one had no lateness."""
_VERSION: Final = 2
_LEVEL: Final = 1


def pack(batch: Batch) -> bytes:
    """Each column with its bytes shuffled, zstd at its quickest; lateness only where there is any."""
    columns = [np.ascontiguousarray(batch[name]) for name in _COLUMNS]
    packed = [
        compress(column.view(np.uint8).reshape(-1, column.itemsize).T.tobytes(), _LEVEL) if len(column) else b""
        for column in (*columns[:-1], columns[-1] if columns[-1].any() else columns[-1][:0])
    ]
    return _HEADERS[_VERSION].pack(_VERSION, len(batch), *map(len, packed)) + b"".join(packed)


def unpack(data: bytes) -> Batch:
    """Raises `BlockError`."""
    count, parts = _parts(data)
    out = np.zeros(count, RECORD)
    for name, part in parts.items():
        out[name] = _column(name, part, count)
    return out


def unpack_series(data: bytes, series: int) -> Samples | None:
    """The samples of one series, None when there are none. Raises `BlockError`."""
    count, parts = _parts(data)
    at = np.flatnonzero(_column("series", parts["series"], count) == series)
    if not len(at):
        return None
    return Samples(*(_column(name, parts[name], count)[at] for name in ("time_ns", "value", "quality")))


def newest(batch: Batch) -> Batch:
    """Of each series what was recorded last, in order of series."""
    _, first = np.unique(batch["series"][::-1], return_index=True)
    return batch[len(batch) - 1 - first]


def by_series(batch: Batch) -> Iterator[tuple[int, Samples]]:
    """Each series of the batch with its samples in order of time."""
    order = np.lexsort((batch["time_ns"], batch["series"]))
    series = batch["series"][order]
    time_ns, value, quality = (np.ascontiguousarray(batch[name][order]) for name in ("time_ns", "value", "quality"))
    starts = np.flatnonzero(np.diff(series, prepend=-1 - series[:1].astype(np.int64)))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(batch)], strict=True):
        part = slice(start, end)
        yield int(series[start]), Samples(time_ns[part], value[part], quality[part])


def _parts(data: bytes) -> tuple[int, dict[str, bytes]]:
    header = _HEADERS.get(data[0]) if data else None
    if header is None or len(data) < header.size:
        raise BlockError(f"{len(data)} bytes are no batch")
    _, count, *sizes = header.unpack_from(data)
    if count > MAX_BATCH or header.size + sum(sizes) != len(data):
        raise BlockError("the header of the batch is damaged")
    ends = np.cumsum([header.size, *sizes]).tolist()
    return count, {name: data[start:end] for name, start, end in zip(_COLUMNS, ends, ends[1:], strict=False)}


def _column(name: str, packed: bytes, count: int) -> NDArray[Any]:
    dtype = RECORD[name]
    if not packed and (not count or name == _COLUMNS[-1]):
        return np.zeros(count, dtype)
    raw = decompress(packed, count * dtype.itemsize)
    column = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, count)
    return np.ascontiguousarray(column.T).view(dtype).ravel()
