"""Objects to octets and back, whole arrays at once; never a wrong value that says ONLINE.

    flags, values, times  --encode-->  (n, size) octets  --decode-->  records  --values, flags, times-->

A value that the object cannot say is held at the nearest one it can: OVER_RANGE for analogs, DISCONTINUITY without
ONLINE for counters, no ONLINE for binaries. NaN becomes 0 (double-bit: indeterminate) without ONLINE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Times, Values
from protocols.dnp3 import time48
from protocols.dnp3.errors import ParameterError
from protocols.dnp3.objecttable import (
    CROB,
    GROUPS,
    OBJECTS,
    Coding,
    ObjectKind,
    ObjectRow,
    find,
    string_row,
)
from protocols.dnp3.quality import DISCONTINUITY, ONLINE, OVER_RANGE, STATE, Family

__all__ = [
    "CROB",
    "GROUPS",
    "OBJECTS",
    "Coding",
    "ObjectKind",
    "ObjectRow",
    "Records",
    "decode",
    "encode",
    "encode_cto",
    "find",
    "flags",
    "pack",
    "relative_runs",
    "string_row",
    "times_ms",
    "values",
    "wire_flags",
]

Octets = NDArray[np.uint8]
Records = NDArray[np.void]
"""Structured array of a row's dtype, one record per object."""

_NOT_ONLINE: Final = 0xFF ^ ONLINE
_STATE_SHIFT: Final[Mapping[Coding, int]] = {Coding.STATE: 7, Coding.DOUBLE_STATE: 6, Coding.STATUS: 7}
_FLOAT32_LIMIT: Final = 1e39
"""Above every single precision number, below most double precision ones."""
_LOOK_AHEAD: Final = 1_024
"""Events looked at for one common time: more than a fragment holds."""
MAX_DELAY_MS: Final = 0xFFFF
"""Furthest behind its common time that an event with relative time can lie."""


def wire_flags(row: ObjectRow, values: Values, flags: Octets) -> Octets:
    """Flag octets after the doubts that the value itself brings in this variation; state bits untouched.

    For a variation without flags: what its twin `row.flagged` would say. Where that is not ONLINE alone the twin must
    be sent instead.
    """
    unknown = np.isnan(values)
    with np.errstate(invalid="ignore", over="ignore"):
        outside = _outside(row, values)
    if not (unknown.any() or outside.any()):
        return flags
    marked = np.where(outside, _MARK_OUTSIDE[_family(row)](flags), flags)
    octets: Octets = np.where(unknown, _mark_unknown(row, marked), marked).astype(np.uint8)
    return octets


def _outside(row: ObjectRow, values: Values) -> NDArray[np.bool_]:
    if row.coding is Coding.FLOAT:
        # Just above the largest single lies what still rounds to it: that is no overflow.
        return np.isinf(values if row.high > _FLOAT32_LIMIT else values.astype(np.float32))
    if _two_states(row):
        return np.isinf(values)
    rounded = np.rint(values)
    where: NDArray[np.bool_] = (rounded < row.low) | (rounded > row.high)
    return where


def _two_states(row: ObjectRow) -> bool:
    return row.family in (Family.BINARY, Family.OUTPUT) or row.coding is Coding.STATUS


def _family(row: ObjectRow) -> Family:
    """Of the row or, for an object without flags, of its group."""
    return row.family or (Family.COUNTER if row.group in (20, 21) else Family.ANALOG)


_MARK_OUTSIDE: Final[Mapping[Family, Callable[[Octets], NDArray[np.integer]]]] = {
    Family.ANALOG: lambda flags: flags | OVER_RANGE,
    Family.COUNTER: lambda flags: (flags & _NOT_ONLINE) | DISCONTINUITY,
    Family.BINARY: lambda flags: flags & _NOT_ONLINE,
    Family.DOUBLE: lambda flags: flags & _NOT_ONLINE,
    Family.OUTPUT: lambda flags: flags & _NOT_ONLINE,
}


def _mark_unknown(row: ObjectRow, flags: NDArray[np.integer]) -> NDArray[np.integer]:
    """No number at all. A point that has other doubts keeps to them; one that claimed to be good is over range."""
    over = np.where(flags & ONLINE, OVER_RANGE, 0) if _family(row) is Family.ANALOG else 0
    marked: NDArray[np.integer] = (flags & _NOT_ONLINE) | over
    return marked


def encode(row: ObjectRow, values: Values, flags: Octets, times_ms: Times | None = None, base_ms: int = 0) -> Octets:
    """Objects of one variation: shape (n, size).

    `values` are in engineering units, `flags` octets of the row's family (ignored by variations without them; the
    status code for command events), `times_ms` since 1970 UTC (needed by variations with time), `base_ms` the common
    time in front of objects with relative time. Packed variations give one state per octet, shape (n, 1): `pack`
    brings them together.
    """
    out = np.zeros(len(values), row.dtype)
    with np.errstate(invalid="ignore"):
        _WRITERS[row.coding](row, out, values, flags)
    if row.relative_time and times_ms is not None:
        out["delay"] = np.clip(times_ms - base_ms, 0, MAX_DELAY_MS)
    elif row.has_time and times_ms is not None:
        out["time"] = time48.encode(times_ms)
    return out.view(np.uint8).reshape(len(values), row.dtype.itemsize)


def _states(row: ObjectRow, values: Values) -> Octets:
    if _two_states(row) or row.bits == 1:
        known: Octets = ((values != 0) & ~np.isnan(values)).astype(np.uint8)
        return known
    rounded = np.rint(values)
    # 3 is indeterminate: what no state is known of.
    states: Octets = np.where((rounded >= 0) & (rounded <= 3), rounded, 3).astype(np.uint8)
    return states


def _write_packed(row: ObjectRow, out: Records, values: Values, _flags: Octets) -> None:
    out["value"] = _states(row, values)


def _write_state(row: ObjectRow, out: Records, values: Values, flags: Octets) -> None:
    shift = _STATE_SHIFT[row.coding]
    out["flags"] = (wire_flags(row, values, flags) & ((1 << shift) - 1)) | (_states(row, values) << shift)


def _write_status(row: ObjectRow, out: Records, values: Values, status: Octets) -> None:
    out["status"] = (status & (STATE - 1)) | (_states(row, values) << 7)


def _within(row: ObjectRow, values: Values) -> bool:
    """Numbers all, and none beyond the row's: what nearly every batch is, told by two looks. NaN is within nothing."""
    return bool(len(values)) and bool(values.min() >= row.low) and bool(values.max() <= row.high)


def _write_number(row: ObjectRow, out: Records, values: Values, flags: Octets) -> None:
    if row.family is not None and _within(row, values):
        out["value"] = np.rint(values) if row.coding is Coding.INTEGER else values
        out["flags"] = flags
        return
    whole = np.rint(values) if row.coding is Coding.INTEGER else values
    out["value"] = np.nan_to_num(np.clip(whole, row.low, row.high), nan=0.0)
    names = row.dtype.names or ()
    if "flags" in names:
        out["flags"] = wire_flags(row, values, flags)
    elif "status" in names:
        out["status"] = flags


def _no_writer(row: ObjectRow, _out: Records, _values: Values, _flags: Octets) -> None:
    raise ValueError(f"{row.label} carries no point's value")


_WRITERS: Final[Mapping[Coding, Callable[[ObjectRow, Records, Values, Octets], None]]] = {
    Coding.PACKED: _write_packed,
    Coding.STATE: _write_state,
    Coding.DOUBLE_STATE: _write_state,
    Coding.STATUS: _write_status,
    Coding.INTEGER: _write_number,
    Coding.FLOAT: _write_number,
    Coding.NONE: _no_writer,
    Coding.RECORD: _no_writer,
}


def pack(row: ObjectRow, states: Octets) -> bytes:
    """States of a packed variation (any shape, one per octet) as they lie in one header."""
    flat = states.reshape(-1)
    bits = flat if row.bits == 1 else np.stack([flat & 1, flat >> 1], axis=1)
    return np.packbits(bits, bitorder="little").tobytes()


def _unpack(row: ObjectRow, data: bytes, count: int) -> Records:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little", count=count * row.bits)
    out = np.empty(count, row.dtype)
    out["value"] = bits if row.bits == 1 else bits[0::2] | (bits[1::2] << 1)
    return out


def decode(row: ObjectRow, data: bytes, count: int) -> Records:
    """`count` objects without index prefixes. Raises `ParameterError` when `data` is not as long as they are."""
    if len(data) != row.octets(count):
        raise ParameterError(f"{count} of {row.label} in {len(data)} octets: {row.octets(count)} expected")
    return _unpack(row, data, count) if row.bits else np.frombuffer(data, row.dtype, count)


def values(row: ObjectRow, records: Records) -> Values:
    """What the objects say, as floats; `ValueError` for objects that carry no value."""
    if row.coding in _STATE_SHIFT:
        field = "status" if row.coding is Coding.STATUS else "flags"
        return (records[field] >> _STATE_SHIFT[row.coding]).astype(np.float64)
    if "value" not in (row.dtype.names or ()):
        raise ValueError(f"{row.label} carries no value")
    # A signalling NaN is a NaN like any other, not a warning.
    with np.errstate(invalid="ignore"):
        return records["value"].astype(np.float64)


def flags(row: ObjectRow, records: Records) -> Octets:
    """Flag octets without state bits; ONLINE for variations without flags."""
    if not row.has_flags:
        return np.full(len(records), ONLINE, np.uint8)
    mask = np.uint8((1 << _STATE_SHIFT.get(row.coding, 8)) - 1)
    octets: Octets = records["flags"] & mask
    return octets


def times_ms(row: ObjectRow, records: Records, base_ms: int = 0) -> Times | None:
    """ms since 1970 UTC, or None for objects without time."""
    if row.relative_time:
        behind: Times = records["delay"].astype(np.int64) + base_ms
        return behind
    return time48.decode(records["time"]) if row.has_time else None


def encode_cto(time_ms: int, synchronised: bool) -> bytes:
    """Header and object of a common time of occurrence, which goes in front of events with relative time."""
    return bytes((51, 1 if synchronised else 2, 0x07, 1)) + time48.encode_one(time_ms)


def relative_runs(times_ms: Times) -> list[tuple[int, int, int]]:
    """Cuts events, in their order, into runs that share a common time: (start, stop, base in ms).

    Within a run no event lies before its base or more than 65,535 ms behind it.
    """
    runs = []
    start = 0
    while start < len(times_ms):
        base = int(times_ms[start])
        ahead = times_ms[start : start + _LOOK_AHEAD] - base
        beyond = np.flatnonzero((ahead < 0) | (ahead > MAX_DELAY_MS))
        stop = start + (int(beyond[0]) if len(beyond) else len(ahead))
        runs.append((start, stop, base))
        start = stop
    return runs
