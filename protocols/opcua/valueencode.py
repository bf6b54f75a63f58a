"""DataValues of many points in OPC UA Binary at once (OPC 10000-6, 5.2.2.17), and MonitoredItemNotifications of them.

    [client handle u4]  mask u1  type u1  value 1, 4 or 8  [status u4]  [source time i8]  [server time i8]

Every record is laid out at its full width in one numpy array; a table says by mask which octets of it are sent.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Kind, Qualities, Times, Values
from protocols.opcua.quality import StatusCodes, is_bad, no_time

VALUE, STATUS, SOURCE_TIME, SERVER_TIME = 0x01, 0x02, 0x04, 0x08
"""Bits of the encoding mask."""

BOOLEAN, UINT32, DOUBLE = 1, 7, 11
"""Built-in type ids (OPC 10000-6, 5.1.2)."""

SOURCE, SERVER, BOTH, NEITHER = 0, 1, 2, 3
"""TimestampsToReturn (OPC 10000-4, 7.40)."""

TYPE_BY_KIND: Final = {
    Kind.ANALOG: DOUBLE,
    Kind.BINARY: BOOLEAN,
    Kind.DOUBLE: UINT32,
    Kind.COUNTER: DOUBLE,
    Kind.SETPOINT: DOUBLE,
    Kind.CONTROL: BOOLEAN,
}
_TIMES: Final = np.array([SOURCE_TIME, SERVER_TIME, SOURCE_TIME | SERVER_TIME, 0], np.uint8)
_TYPES: Final = np.array([TYPE_BY_KIND[kind] for kind in Kind], np.uint8)
_WIDTHS: Final = {BOOLEAN: 1, UINT32: 4, DOUBLE: 8}

EPOCH: Final = 116_444_736_000_000_000
"""1970-01-01 in units of 100 ns since 1601-01-01 UTC."""

_RECORD: Final = np.dtype(
    [
        ("handle", "<u4"),
        ("mask", "u1"),
        ("type", "u1"),
        ("value", "<u8"),
        ("status", "<u4"),
        ("source", "<i8"),
        ("server", "<i8"),
    ]
)
_HANDLE_OCTETS: Final = 4


def types_of(kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Built-in type id of each kind of point."""
    return _TYPES[kinds]


def file_times(times_ns: Times) -> Times:
    """DateTime of ns since 1970; 0 (no time) stays 0."""
    out: Times = np.where(times_ns > 0, times_ns // 100 + EPOCH, 0)
    return out


def sent_times(times_ns: Times, qualities: Qualities) -> Times:
    """Source times in ns; 0 where they cannot be trusted."""
    doubtful = no_time(qualities)
    return np.where(doubtful, 0, times_ns) if doubtful.any() else times_ns


def data_values(
    types: NDArray[np.uint8],
    values: Values,
    status: StatusCodes,
    source_ns: Times,
    server_ns: Times | int,
    timestamps: NDArray[np.uint8] | int,
    handles: NDArray[np.uint32] | None = None,
) -> bytes:
    """Arrays of one length, records one after the other; with `handles` each is a MonitoredItemNotification.

    `types` are built-in type ids, `timestamps` TimestampsToReturn. A bad status is sent without a value, and a source
    time of 0 not at all.
    """
    record = np.empty(len(values), _RECORD)
    record["handle"] = 0 if handles is None else handles
    record["type"] = types
    record["value"] = _bits(types, values)
    record["status"] = status
    record["source"] = file_times(source_ns)
    record["server"] = file_times(np.asarray(server_ns, np.int64))
    mask = np.where(is_bad(status), 0, VALUE).astype(np.uint8)
    mask |= np.where(status != 0, STATUS, 0).astype(np.uint8)
    mask |= np.where(source_ns > 0, _TIMES[timestamps], _TIMES[timestamps] & SERVER_TIME).astype(np.uint8)
    record["mask"] = mask
    return _packed(record, types, mask, 0 if handles is not None else _HANDLE_OCTETS)


def _bits(types: NDArray[np.uint8], values: Values) -> NDArray[np.uint64]:
    bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
    small = types != DOUBLE
    if not small.any():
        return bits
    with np.errstate(invalid="ignore"):
        whole = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.int64).astype(np.uint64)
    return np.where(small, np.where(types == BOOLEAN, (whole != 0).astype(np.uint64), whole), bits)


def _packed(record: NDArray[np.void], types: NDArray[np.uint8], mask: NDArray[np.uint8], skip: int) -> bytes:
    """The octets that the masks let through, in order."""
    if not len(record):
        return b""
    octets = record.view(np.uint8).reshape(len(record), _RECORD.itemsize)[:, skip:]
    layout = mask.astype(np.intp) << 4 | types
    first = layout[0]
    if (layout == first).all():
        return octets[:, _LAYOUTS[first, skip:]].tobytes()
    return octets[_LAYOUTS[layout, skip:]].tobytes()


def _layouts() -> NDArray[np.bool_]:
    """By mask and type: which octets of a record are sent."""
    out = np.zeros((16 << 4, _RECORD.itemsize), np.bool_)
    for mask in range(16):
        for kind, width in _WIDTHS.items():
            row = out[mask << 4 | kind]
            row[:5] = True
            row[5 : 6 + width] = bool(mask & VALUE)
            row[14:18] = bool(mask & STATUS)
            row[18:26] = bool(mask & SOURCE_TIME)
            row[26:34] = bool(mask & SERVER_TIME)
    return out


_LAYOUTS: Final = _layouts()
