"""The application service data unit: its head, reading one, and packing many objects into few.

    octet 0     type identification
    octet 1     SQ | number of objects (7)
    octet 2     T | P/N | cause (6)
    octet 3     originator address
    octet 4-5   common address, little endian
    octet 6-    SQ=0: n times (ioa, element)      SQ=1: ioa of the first, n elements

Lengths of cause (2), common address (2) and ioa (3) are fixed by IEC 60870-5-104 clause 7 (system parameters).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.iec104.elements import TYPES, Elements, Octets, TypeRow
from protocols.iec104.errors import Iec104Error

HEAD: Final = struct.Struct("<BBBBH")
IOA_SIZE: Final = 3
MAX_ASDU: Final = 249
"""APDU of at most 253 octets behind the length octet, less four control octets."""
BROADCAST: Final = 0xFFFF
MAX_OBJECTS: Final = 127

TEST_BIT: Final = 0x80
NEGATIVE_BIT: Final = 0x40


class Cause(IntEnum):
    """Cause of transmission (IEC 60870-5-101 7.2.3)."""

    PERIODIC = 1
    BACKGROUND = 2
    SPONTANEOUS = 3
    INITIALISED = 4
    REQUEST = 5
    ACTIVATION = 6
    ACTIVATION_CON = 7
    DEACTIVATION = 8
    DEACTIVATION_CON = 9
    ACTIVATION_TERM = 10
    RETURN_REMOTE = 11
    RETURN_LOCAL = 12
    INTERROGATED = 20
    """By station interrogation; 21 to 36 by group 1 to 16."""
    COUNTERS_REQUESTED = 37
    """By general counter interrogation; 38 to 41 by group 1 to 4."""
    UNKNOWN_TYPE = 44
    UNKNOWN_CAUSE = 45
    UNKNOWN_ADDRESS = 46
    UNKNOWN_IOA = 47


@dataclass(frozen=True, slots=True)
class Asdu:
    """A received ASDU. `raw` is the whole of it, for answers that mirror it."""

    raw: bytes
    type_id: int
    count: int
    sequence: bool
    cause: int
    negative: bool
    test: bool
    originator: int
    common_address: int

    @classmethod
    def parse(cls, raw: bytes) -> Asdu:
        """Read the head and check that there is an object. Raises `Iec104Error`."""
        if len(raw) < HEAD.size + IOA_SIZE:
            raise Iec104Error(f"ASDU of {len(raw)} octets: at least 9 expected")
        type_id, vsq, cause, originator, address = HEAD.unpack_from(raw)
        if not vsq & 0x7F:
            raise Iec104Error("ASDU that announces no object")
        return cls(
            raw, type_id, vsq & 0x7F, vsq > 0x7F, cause & 0x3F, bool(cause & 0x40), cause > 0x7F, originator, address
        )

    @property
    def ioa(self) -> int:
        """Address of the first object."""
        return int.from_bytes(self.raw[HEAD.size : HEAD.size + IOA_SIZE], "little")

    def objects(self, types: Mapping[int, TypeRow] = TYPES) -> tuple[NDArray[np.uint32], Elements]:
        """Addresses and elements of all objects. Raises `Iec104Error` for an unknown type or a wrong length."""
        row = types.get(self.type_id)
        if row is None:
            raise Iec104Error(f"type identification {self.type_id} is not known")
        body = self.raw[HEAD.size :]
        expected = object_octets(row, self.count, self.sequence)
        if len(body) != expected:
            raise Iec104Error(f"{row.name} with {self.count} objects has {len(body)} octets: {expected} expected")
        return _sequence(row, body, self.count) if self.sequence else _singles(row, body, self.count)

    def mirror(self, cause: int, *, negative: bool = False, address: int | None = None) -> bytes:
        """The same ASDU as an answer: test bit and originator kept, another cause, perhaps P/N set."""
        octet = cause | (NEGATIVE_BIT if negative else 0) | (TEST_BIT if self.test else 0)
        common = self.common_address if address is None else address
        return HEAD.pack(self.type_id, self.raw[1], octet, self.originator, common) + self.raw[HEAD.size :]


def object_octets(row: TypeRow, count: int, sequence: bool) -> int:
    """Octets of all objects of one ASDU."""
    return IOA_SIZE + count * row.size if sequence else count * (IOA_SIZE + row.size)


def _sequence(row: TypeRow, body: bytes, count: int) -> tuple[NDArray[np.uint32], Elements]:
    first = int.from_bytes(body[:IOA_SIZE], "little")
    if first + count - 1 > 0xFFFFFF:
        raise Iec104Error(f"{row.name} sequence of {count} from ioa {first} runs beyond 16777215")
    ioas = np.arange(first, first + count, dtype=np.uint32)
    return ioas, _records(row, body[IOA_SIZE:], count)


def _singles(row: TypeRow, body: bytes, count: int) -> tuple[NDArray[np.uint32], Elements]:
    table = np.frombuffer(body, np.uint8).reshape(count, IOA_SIZE + row.size)
    low, mid, high = (table[:, i].astype(np.uint32) for i in range(IOA_SIZE))
    ioas: NDArray[np.uint32] = (low | mid << np.uint32(8) | high << np.uint32(16)).astype(np.uint32)
    return ioas, _records(row, table[:, IOA_SIZE:].tobytes(), count)


def _records(row: TypeRow, octets: bytes, count: int) -> Elements:
    return np.frombuffer(octets, row.dtype) if row.size else np.empty(count, row.dtype)


def head(type_id: int, vsq: int, cause: int, address: int, originator: int = 0) -> bytes:
    """Six octets; `cause` already carries its T and P/N bits."""
    return HEAD.pack(type_id, vsq, cause, originator, address)


def single(type_id: int, cause: int, address: int, ioa: int, element: bytes = b"", originator: int = 0) -> bytes:
    """An ASDU of one object."""
    return head(type_id, 1, cause, address, originator) + ioa.to_bytes(IOA_SIZE, "little") + element


def capacity(row: TypeRow, sequence: bool) -> int:
    """How many objects of a type fit one ASDU."""
    room = MAX_ASDU - HEAD.size - (IOA_SIZE if sequence else 0)
    return min(MAX_OBJECTS, room // (row.size if sequence else row.size + IOA_SIZE))


def with_addresses(ioas: NDArray[np.uint32], elements: Octets) -> Octets:
    """Objects for SQ=0: shape (n, 3 + size)."""
    out = np.empty((len(ioas), IOA_SIZE + elements.shape[1]), np.uint8)
    out[:, :IOA_SIZE] = ioas.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :IOA_SIZE]
    out[:, IOA_SIZE:] = elements
    return out


@dataclass(frozen=True, slots=True)
class Run:
    """Objects `start` to `stop` of one type that share type, common address and cause."""

    row: TypeRow
    cause: int
    address: int
    start: int
    stop: int
    originator: int = 0


def pack_singles(run: Run, blob: bytes, limit: int = MAX_OBJECTS) -> Iterator[tuple[bytes, int]]:
    """ASDUs with SQ=0 and their number of objects; `blob` is `with_addresses` as bytes, indexed by object."""
    size = IOA_SIZE + run.row.size
    step = min(capacity(run.row, False), limit)
    for start in range(run.start, run.stop, step):
        count = min(step, run.stop - start)
        yield (
            head(run.row.id, count, run.cause, run.address, run.originator)
            + blob[start * size : (start + count) * size],
            count,
        )


def pack_sequence(run: Run, first_ioa: int, blob: bytes) -> Iterator[tuple[bytes, int]]:
    """ASDUs with SQ=1 and their number of objects; `blob` holds the elements alone, indexed by object."""
    size = run.row.size
    step = capacity(run.row, True)
    for start in range(run.start, run.stop, step):
        count = min(step, run.stop - start)
        ioa = first_ioa + start - run.start
        yield (
            head(run.row.id, 0x80 | count, run.cause, run.address, run.originator)
            + ioa.to_bytes(IOA_SIZE, "little")
            + blob[start * size : (start + count) * size],
            count,
        )
