"""Control relay output blocks (g12v1) and analog outputs (g41), as a master sends them and as they are echoed.

control code   bits 0-3 operation | bit 4 queue (obsolete) | bit 5 clear | bits 6-7 trip or close
g12v1          code | count | on time, 4 octets ms | off time, 4 octets ms | status
g41            value | status
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.dnp3.errors import ParameterError
from protocols.dnp3.objecttable import OBJECTS


class CommandStatus(IntEnum):
    """Status code of a control (IEEE 1815-2012, table of control status codes)."""

    SUCCESS = 0
    TIMEOUT = 1
    NO_SELECT = 2
    FORMAT_ERROR = 3
    NOT_SUPPORTED = 4
    ALREADY_ACTIVE = 5
    HARDWARE_ERROR = 6
    LOCAL = 7
    TOO_MANY_OBJS = 8
    NOT_AUTHORIZED = 9
    AUTOMATION_INHIBIT = 10
    PROCESSING_LIMITED = 11
    OUT_OF_RANGE = 12
    DOWNSTREAM_LOCAL = 13
    ALREADY_COMPLETE = 14
    BLOCKED = 15
    CANCELLED = 16
    BLOCKED_OTHER_MASTER = 17
    DOWNSTREAM_FAIL = 18
    NON_PARTICIPATING = 126
    UNDEFINED = 127


class Operation(IntEnum):
    """Operation type of a control code; 5 to 15 are reserved."""

    NUL = 0
    PULSE_ON = 1
    PULSE_OFF = 2
    LATCH_ON = 3
    LATCH_OFF = 4


class TripClose(IntEnum):
    """Trip or close field of a control code."""

    NUL = 0
    CLOSE = 1
    TRIP = 2
    RESERVED = 3


_CROB: Final = struct.Struct("<BBIIB")
_QUEUE: Final = 0x10
_CLEAR: Final = 0x20
CROB_SIZE: Final = _CROB.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Crob:
    """One control relay output block. `operation` is a plain number: 5 to 15 are reserved, yet may come."""

    operation: int
    trip_close: TripClose = TripClose.NUL
    queue: bool = False
    clear: bool = False
    count: int = 1
    on_ms: int = 0
    off_ms: int = 0
    status: int = 0

    @classmethod
    def decode(cls, octets: bytes) -> Crob:
        """Eleven octets; `ParameterError` for another number of them."""
        if len(octets) != CROB_SIZE:
            raise ParameterError(f"control block of {len(octets)} octets: {CROB_SIZE} expected")
        code, count, on_ms, off_ms, status = _CROB.unpack(octets)
        return cls(
            operation=code & 0x0F,
            trip_close=TripClose(code >> 6),
            queue=bool(code & _QUEUE),
            clear=bool(code & _CLEAR),
            count=count,
            on_ms=on_ms,
            off_ms=off_ms,
            status=status,
        )

    @property
    def code(self) -> int:
        """The control code octet."""
        return self.operation | (self.queue * _QUEUE) | (self.clear * _CLEAR) | (self.trip_close << 6)

    def encode(self) -> bytes:
        return _CROB.pack(self.code, self.count, self.on_ms, self.off_ms, self.status)

    def same_request(self, other: Crob) -> bool:
        """Whether both ask for the same: everything but the status."""
        return replace(self, status=0) == replace(other, status=0)


_NUMBERS: Final = {1: struct.Struct("<iB"), 2: struct.Struct("<hB"), 3: struct.Struct("<fB"), 4: struct.Struct("<dB")}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalogOutput:
    """One analog output block, g41v1 to v4. `value` may be NaN or infinite in variations 3 and 4."""

    variation: int
    value: float
    status: int = 0

    @classmethod
    def decode(cls, variation: int, octets: bytes) -> AnalogOutput:
        """Raises `ParameterError` for a variation that does not exist or another length than its own."""
        form = _NUMBERS.get(variation)
        if form is None or len(octets) != form.size:
            raise ParameterError(f"g41v{variation} of {len(octets)} octets")
        value, status = form.unpack(octets)
        return cls(variation=variation, value=float(value), status=status)

    def encode(self) -> bytes:
        """Raises `ValueError` for a value that the variation cannot carry."""
        try:
            value = round(self.value) if self.variation < 3 else self.value
            return _NUMBERS[self.variation].pack(value, self.status)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{self.value} does not fit g41v{self.variation}") from error


Output = Crob | AnalogOutput


def decode_output(group: int, variation: int, octets: bytes) -> Output:
    """One object of g12v1 or g41 without its index. Raises `ParameterError`."""
    return Crob.decode(octets) if group == 12 else AnalogOutput.decode(variation, octets)


def with_statuses(raw: bytes, group: int, variation: int, statuses: NDArray[np.uint8]) -> bytes:
    """The echo of one object header as it came (qualifier 17 or 28), each object with its own status code.

    The status is the last octet of g12v1 and of every g41; `raw` is `ObjectHeader.raw`.
    """
    octets = np.frombuffer(raw, np.uint8).copy()
    prefix = 1 if raw[2] == 0x17 else 2
    size = OBJECTS[group, variation].size + prefix
    objects = octets[3 + prefix :].reshape(len(statuses), size)
    objects[:, -1] = statuses
    return octets.tobytes()
