"""Object headers: group, variation, qualifier, range, and what stands behind them; read and written.

    qualifier   range                           objects
    0x00 0x01   start and stop, 1 or 2 octets   one behind the other, or none in a read
    0x06        none: all                       none
    0x07 0x08   count, 1 or 2 octets            one behind the other, or none in a read
    0x17 0x28   count, 1 or 2 octets            each behind its index of 1 or 2 octets; in a read the indices alone

Other qualifiers (virtual addresses, 4-octet ranges, free format) are refused: nothing that this outstation has needs
them. Nothing is allocated for a range before its octets are known to be there.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.dnp3 import objecttable
from protocols.dnp3.errors import ObjectUnknown, ParameterError, RequestError
from protocols.dnp3.function import Function
from protocols.dnp3.objecttable import ObjectKind, ObjectRow

Octets = NDArray[np.uint8]

_NO_INDICES: Final = np.empty(0, np.int64)
ALL: Final = 0x06
PREFIX_1: Final = 0x17
PREFIX_2: Final = 0x28

BARE_FUNCTIONS: Final = frozenset(
    {
        Function.READ,
        Function.IMMEDIATE_FREEZE,
        Function.IMMEDIATE_FREEZE_NO_ACK,
        Function.FREEZE_CLEAR,
        Function.FREEZE_CLEAR_NO_ACK,
        Function.FREEZE_AT_TIME,
        Function.FREEZE_AT_TIME_NO_ACK,
        Function.ENABLE_UNSOLICITED,
        Function.DISABLE_UNSOLICITED,
        Function.ASSIGN_CLASS,
    }
)
"""Functions whose headers name objects without carrying them; a freeze at a time carries its time (g50) alone."""
_FREEZE_AT_TIME: Final = frozenset({Function.FREEZE_AT_TIME, Function.FREEZE_AT_TIME_NO_ACK})
ATTRIBUTE_GROUP: Final = 0


@dataclass(frozen=True, kw_only=True)
class ObjectHeader:
    """One object header. `start` and `stop` (inclusive) are 0 where the qualifier has no range, `count` 0 for "all".

    `data` are the objects without index prefixes; `raw` is the header with all that belongs to it, as it came.
    """

    group: int
    variation: int
    qualifier: int
    start: int = 0
    stop: int = 0
    count: int = 0
    prefixes: NDArray[np.int64] = field(default_factory=lambda: _NO_INDICES, repr=False)
    data: bytes = field(default=b"", repr=False)
    raw: bytes = b""

    @property
    def all(self) -> bool:
        """Every point of the group (qualifier 06)."""
        return self.qualifier == ALL

    @property
    def ranged(self) -> bool:
        """Says start and stop."""
        return self.qualifier in (0x00, 0x01)

    @property
    def counted(self) -> bool:
        """Says how many, not which."""
        return self.qualifier in (0x07, 0x08)

    @property
    def indexed(self) -> bool:
        """Says the index of each."""
        return self.qualifier in (PREFIX_1, PREFIX_2)

    @property
    def row(self) -> ObjectRow | None:
        """The table's row; None for variation 0, attributes and what does not exist."""
        return objecttable.find(self.group, self.variation)

    @property
    def label(self) -> str:
        return f"g{self.group}v{self.variation}"

    @cached_property
    def indices(self) -> NDArray[np.int64]:
        """Index of each object: shape (count,); empty where the qualifier names none."""
        return np.arange(self.start, self.stop + 1) if self.ranged else self.prefixes

    def objects(self) -> Octets:
        """The objects of a fixed size: shape (count, size)."""
        size = len(self.data) // self.count if self.count else 0
        return np.frombuffer(self.data, np.uint8).reshape(self.count, size)


class _Reader:
    """Octets of one fragment and how far they are read."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0

    def take(self, count: int, what: str) -> bytes:
        octets = self.payload[self.at : self.at + count]
        if len(octets) < count:
            raise ParameterError(f"{what}: {count} octets expected, {len(octets)} left in the fragment")
        self.at += count
        return octets


@dataclass(frozen=True, slots=True)
class _Span:
    """What a qualifier's range field says."""

    start: int = 0
    stop: int = 0
    count: int = 0
    prefix: int = 0


def _range(form: struct.Struct) -> Callable[[_Reader, str], _Span]:
    def read(reader: _Reader, label: str) -> _Span:
        start, stop = form.unpack(reader.take(form.size, f"range of {label}"))
        if stop < start:
            raise ParameterError(f"range of {label} from {start} to {stop}: the end lies before the start")
        return _Span(start, stop, stop - start + 1)

    return read


def _count(width: int, prefix: int) -> Callable[[_Reader, str], _Span]:
    def read(reader: _Reader, label: str) -> _Span:
        count = int.from_bytes(reader.take(width, f"count of {label}"), "little")
        if not count:
            raise ParameterError(f"count of {label} is 0")
        return _Span(count=count, prefix=prefix)

    return read


_RANGES: Final[Mapping[int, Callable[[_Reader, str], _Span]]] = {
    0x00: _range(struct.Struct("<BB")),
    0x01: _range(struct.Struct("<HH")),
    ALL: lambda _reader, _label: _Span(),
    0x07: _count(1, 0),
    0x08: _count(2, 0),
    PREFIX_1: _count(1, 1),
    PREFIX_2: _count(2, 2),
}
QUALIFIERS: Final = frozenset(_RANGES)


def parse_headers(payload: bytes, function: int) -> list[ObjectHeader]:
    """Every object header of a fragment, in order.

    Raises `ObjectUnknown` for an object that carries data of an unknown size, `ParameterError` for a qualifier that is
    not supported and for ranges and data that do not fit the fragment. Groups without data are not checked against the
    table: whoever answers knows what it has.
    """
    headers, _, error = read_headers(payload, function)
    if error is not None:
        raise error
    return headers


def read_headers(payload: bytes, function: int) -> tuple[list[ObjectHeader], int, RequestError | None]:
    """Like `parse_headers`, up to the first mistake: what was read, how many octets, and the mistake."""
    reader, headers, good = _Reader(payload), list[ObjectHeader](), 0
    try:
        while reader.at < len(payload):
            headers.append(_read(reader, function))
            good = reader.at
    except RequestError as error:
        return headers, good, error
    return headers, good, None


def _read(reader: _Reader, function: int) -> ObjectHeader:
    begin = reader.at
    group, variation, qualifier = reader.take(3, "object header")
    label = f"g{group}v{variation}"
    read_range = _RANGES.get(qualifier)
    if read_range is None:
        raise ParameterError(f"qualifier 0x{qualifier:02x} of {label} is not supported")
    span = read_range(reader, label)
    bare = function in BARE_FUNCTIONS and not (function in _FREEZE_AT_TIME and group == 50)
    if not bare and span.count:
        prefixes, data = _take_objects(reader, group, variation, span)
    else:
        prefixes, data = _take_indices(reader, label, span), b""
    return ObjectHeader(
        group=group,
        variation=variation,
        qualifier=qualifier,
        start=span.start,
        stop=span.stop,
        count=span.count,
        prefixes=prefixes,
        data=data,
        raw=reader.payload[begin : reader.at],
    )


_PREFIX_TYPES: Final[Mapping[int, str]] = {1: "u1", 2: "<u2"}


def _take_indices(reader: _Reader, label: str, span: _Span) -> NDArray[np.int64]:
    if not span.prefix:
        return _NO_INDICES
    octets = reader.take(span.count * span.prefix, f"{span.count} indices of {label}")
    return np.frombuffer(octets, _PREFIX_TYPES[span.prefix]).astype(np.int64)


def _take_objects(reader: _Reader, group: int, variation: int, span: _Span) -> tuple[NDArray[np.int64], bytes]:
    label = f"g{group}v{variation}"
    if group == ATTRIBUTE_GROUP:
        return _take_attributes(reader, label, span)
    row = objecttable.find(group, variation)
    if row is None:
        raise ObjectUnknown(f"{label} with data: no such object here")
    if row.kind is ObjectKind.CLASS:
        return _take_indices(reader, label, span), b""
    if not span.prefix:
        return _NO_INDICES, reader.take(row.octets(span.count), f"{span.count} objects of {label}")
    if row.bits:
        raise ParameterError(f"{label} with index prefixes: packed objects have none")
    size = span.prefix + row.size
    octets = reader.take(span.count * size, f"{span.count} objects of {label}")
    table = np.frombuffer(octets, np.uint8).reshape(span.count, size)
    prefixes = np.ascontiguousarray(table[:, : span.prefix]).view(_PREFIX_TYPES[span.prefix]).reshape(-1)
    return prefixes.astype(np.int64), table[:, span.prefix :].tobytes()


def _take_attributes(reader: _Reader, label: str, span: _Span) -> tuple[NDArray[np.int64], bytes]:
    """Device attributes say their own length: data type, length, octets."""
    indices, data = [], []
    for _ in range(span.count):
        indices.append(int.from_bytes(reader.take(span.prefix, f"index of {label}"), "little"))
        head = reader.take(2, f"attribute {label}")
        data.append(head + reader.take(head[1], f"attribute {label}"))
    return np.array(indices if span.prefix else [], np.int64), b"".join(data)


_HEADER: Final = struct.Struct("<BBB")
_RANGE_1: Final = struct.Struct("<BBBBB")
_RANGE_2: Final = struct.Struct("<BBBHH")
_COUNT_1: Final = struct.Struct("<BBBB")
_COUNT_2: Final = struct.Struct("<BBBH")
SMALL: Final = 256
"""Indices and counts below this fit one octet."""


def range_head(group: int, variation: int, start: int, stop: int) -> bytes:
    """Qualifier 00 where start and stop fit an octet, else 01; both inclusive."""
    if stop < SMALL:
        return _RANGE_1.pack(group, variation, 0x00, start, stop)
    return _RANGE_2.pack(group, variation, 0x01, start, stop)


def count_head(group: int, variation: int, count: int) -> bytes:
    """Qualifier 07 or 08."""
    if count < SMALL:
        return _COUNT_1.pack(group, variation, 0x07, count)
    return _COUNT_2.pack(group, variation, 0x08, count)


def prefix_head(group: int, variation: int, count: int, wide: bool) -> bytes:
    """Qualifier 17, or 28 when `wide`."""
    if wide:
        return _COUNT_2.pack(group, variation, PREFIX_2, count)
    return _COUNT_1.pack(group, variation, PREFIX_1, count)


def all_head(group: int, variation: int) -> bytes:
    """Qualifier 06."""
    return _HEADER.pack(group, variation, ALL)


def with_prefixes(indices: NDArray[np.integer], objects: Octets, wide: bool) -> Octets:
    """Objects of shape (n, size) behind their indices: shape (n, size + 1), or (n, size + 2) when `wide`."""
    width = 2 if wide else 1
    out = np.empty((len(indices), width + objects.shape[1]), np.uint8)
    out[:, :width] = indices.astype(_PREFIX_TYPES[width])[:, None].view(np.uint8)
    out[:, width:] = objects
    return out


def runs(indices: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Positions (start, stop) of the stretches of rising indices without a gap: one range header each."""
    if not len(indices):
        return []
    breaks = np.flatnonzero(np.diff(indices.astype(np.int64)) != 1) + 1
    edges = [0, *breaks.tolist(), len(indices)]
    return list(itertools.pairwise(edges))
