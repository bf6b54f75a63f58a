"""The table of object groups and variations (IEEE 1815-2012, DNP3 object library): one row each.

A row says what an object consists of, as numpy fields in the order and byte order of the wire. Fields have one name
everywhere: `flags` (with the state bits of binaries), `status` (of commands and their events), `value`, `time`
(six octets), `delay` (16-bit ms after a common time). Which bits the flags have is the `family` of the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from protocols.dnp3.quality import Family


class ObjectKind(StrEnum):
    """What an object is for."""

    STATIC = "static"
    EVENT = "event"
    COMMAND = "command"
    COMMAND_EVENT = "command event"
    DEADBAND = "deadband"
    TIME = "time"
    CLASS = "class"
    INTERNAL = "internal indications"
    STRING = "octet string"
    STRING_EVENT = "octet string event"
    ATTRIBUTE = "device attribute"


class Coding(StrEnum):
    """How a value lies in the object."""

    NONE = "none"
    PACKED = "packed"
    """`bits` of a value, several to an octet, the lowest index in the lowest bits."""
    STATE = "state"
    """Bit 7 of the flags."""
    DOUBLE_STATE = "double state"
    """Bits 6 and 7 of the flags."""
    INTEGER = "integer"
    FLOAT = "float"
    STATUS = "status"
    """Status code in bits 0 to 6, commanded state in bit 7."""
    RECORD = "record"
    """Fields of its own: times, control blocks, strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRow:
    """One group and variation.

    `bits` is the width of a packed value, 0 otherwise. `flagged` is, for an object without flags, the variation to send
    in its place when a point's flags are anything but ONLINE (0: none). `low` and `high` bound an integer or float.
    """

    group: int
    variation: int
    name: str
    kind: ObjectKind
    coding: Coding
    dtype: np.dtype[np.void]
    family: Family | None = None
    bits: int = 0
    flagged: int = 0
    low: float = 0.0
    high: float = 0.0
    has_time: bool = False
    relative_time: bool = False

    @property
    def size(self) -> int:
        """Octets of one object; 0 for objects without data and for packed ones."""
        return 0 if self.bits else self.dtype.itemsize

    @property
    def has_flags(self) -> bool:
        return self.family is not None and not self.bits

    @property
    def key(self) -> tuple[int, int]:
        return self.group, self.variation

    @property
    def label(self) -> str:
        """As people write it: ``g30v5``."""
        return f"g{self.group}v{self.variation}"

    @property
    def event(self) -> bool:
        """An object of a class poll, confirmed by the master."""
        return self.kind in _EVENT_KINDS

    def octets(self, count: int) -> int:
        """Octets of `count` objects in one header, without index prefixes."""
        return (count * self.bits + 7) // 8 if self.bits else count * self.dtype.itemsize


_EVENT_KINDS: Final = frozenset({ObjectKind.EVENT, ObjectKind.COMMAND_EVENT, ObjectKind.STRING_EVENT})
_TIME: Final[Any] = ("time", "u1", (6,))
_DELAY: Final[Any] = ("delay", "<u2")
_STATE: Final[Any] = ("flags", "u1")


def _dtype(*fields: Any) -> np.dtype[np.void]:
    return np.dtype(list(fields))


EMPTY: Final = _dtype()
PACKED: Final = _dtype(("value", "u1"))
_CROB_FIELDS: Final[Any] = (("code", "u1"), ("count", "u1"), ("on_ms", "<u4"), ("off_ms", "<u4"), ("status", "u1"))
CROB: Final = _dtype(*_CROB_FIELDS)
"""Control relay output block, g12v1 ."""


@dataclass(frozen=True, slots=True)
class _Binaries:
    """Binary objects of one group."""

    group: int
    name: str
    kind: ObjectKind
    family: Family
    variations: tuple[tuple[int, str], ...]

    def rows(self) -> Iterator[ObjectRow]:
        double = self.family is Family.DOUBLE
        coding = Coding.DOUBLE_STATE if double else Coding.STATE
        for variation, form in self.variations:
            packed = form == "packed"
            yield ObjectRow(
                group=self.group,
                variation=variation,
                name=f"{self.name}, {form}",
                kind=self.kind,
                coding=Coding.PACKED if packed else coding,
                dtype=_BINARY_FORMS[form],
                family=self.family,
                bits=(2 if double else 1) if packed else 0,
                flagged=2 if packed else 0,
                high=3.0 if double else 1.0,
                has_time=form in ("with time", "with relative time"),
                relative_time=form == "with relative time",
            )


_BINARY_FORMS: Final[Mapping[str, np.dtype[np.void]]] = {
    "packed": PACKED,
    "with flags": _dtype(_STATE),
    "with time": _dtype(_STATE, _TIME),
    "with relative time": _dtype(_STATE, _DELAY),
}
_INPUT_STATIC: Final = ((1, "packed"), (2, "with flags"))
_INPUT_EVENT: Final = ((1, "with flags"), (2, "with time"), (3, "with relative time"))
_OUTPUT_EVENT: Final = ((1, "with flags"), (2, "with time"))

_BINARIES: Final = (
    _Binaries(1, "binary input", ObjectKind.STATIC, Family.BINARY, _INPUT_STATIC),
    _Binaries(2, "binary input event", ObjectKind.EVENT, Family.BINARY, _INPUT_EVENT),
    _Binaries(3, "double-bit binary input", ObjectKind.STATIC, Family.DOUBLE, _INPUT_STATIC),
    _Binaries(4, "double-bit binary input event", ObjectKind.EVENT, Family.DOUBLE, _INPUT_EVENT),
    _Binaries(10, "binary output status", ObjectKind.STATIC, Family.OUTPUT, _INPUT_STATIC),
    _Binaries(11, "binary output event", ObjectKind.EVENT, Family.OUTPUT, _OUTPUT_EVENT),
)

_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_FLOAT64_MAX: Final = float(np.finfo(np.float64).max)
_NUMBERS: Final[Mapping[str, tuple[str, str, Coding, float, float]]] = {
    # numpy type -> words, field type, coding, lowest, highest
    "u4": ("32-bit", "<u4", Coding.INTEGER, 0.0, 2.0**32 - 1),
    "u2": ("16-bit", "<u2", Coding.INTEGER, 0.0, 2.0**16 - 1),
    "i4": ("32-bit", "<i4", Coding.INTEGER, -(2.0**31), 2.0**31 - 1),
    "i2": ("16-bit", "<i2", Coding.INTEGER, -(2.0**15), 2.0**15 - 1),
    "f4": ("single precision", "<f4", Coding.FLOAT, -_FLOAT32_MAX, _FLOAT32_MAX),
    "f8": ("double precision", "<f8", Coding.FLOAT, -_FLOAT64_MAX, _FLOAT64_MAX),
}

_Variation = tuple[int, str, str, int]
"""Variation, number, form (``flags``, ``bare``, ``time``), variation with flags in its place."""


@dataclass(frozen=True, slots=True)
class _Numerics:
    """Counters or analogs of one group."""

    group: int
    name: str
    kind: ObjectKind
    family: Family | None
    variations: tuple[_Variation, ...]

    def rows(self) -> Iterator[ObjectRow]:
        for variation, number, form, flagged in self.variations:
            words, field, coding, low, high = _NUMBERS[number]
            yield ObjectRow(
                group=self.group,
                variation=variation,
                name=f"{self.name}, {words}{_FORM_WORDS[form]}",
                kind=self.kind,
                coding=coding,
                dtype=_numeric_dtype(form, field),
                family=None if form == "bare" else self.family,
                flagged=flagged,
                low=low,
                high=high,
                has_time=form in ("time", "status time"),
            )


_FORM_WORDS: Final[Mapping[str, str]] = {
    "flags": " with flag",
    "bare": "",
    "time": " with flag and time",
    "command": "",
    "status": "",
    "status time": " with time",
}


def _numeric_dtype(form: str, field: str) -> np.dtype[np.void]:
    value = ("value", field)
    return {
        "flags": lambda: _dtype(_STATE, value),
        "bare": lambda: _dtype(value),
        "time": lambda: _dtype(_STATE, value, _TIME),
        "command": lambda: _dtype(value, ("status", "u1")),
        "status": lambda: _dtype(("status", "u1"), value),
        "status time": lambda: _dtype(("status", "u1"), value, _TIME),
    }[form]()


_COUNTER_STATIC: Final[tuple[_Variation, ...]] = (
    (1, "u4", "flags", 0),
    (2, "u2", "flags", 0),
    (5, "u4", "bare", 1),
    (6, "u2", "bare", 2),
)
_FROZEN_COUNTER: Final[tuple[_Variation, ...]] = (
    (1, "u4", "flags", 0),
    (2, "u2", "flags", 0),
    (5, "u4", "time", 0),
    (6, "u2", "time", 0),
    (9, "u4", "bare", 1),
    (10, "u2", "bare", 2),
)
_COUNTER_EVENT: Final[tuple[_Variation, ...]] = _FROZEN_COUNTER[:4]
_ANALOG_STATIC: Final[tuple[_Variation, ...]] = (
    (1, "i4", "flags", 0),
    (2, "i2", "flags", 0),
    (3, "i4", "bare", 1),
    (4, "i2", "bare", 2),
    (5, "f4", "flags", 0),
    (6, "f8", "flags", 0),
)
_FROZEN_ANALOG: Final[tuple[_Variation, ...]] = (
    (1, "i4", "flags", 0),
    (2, "i2", "flags", 0),
    (3, "i4", "time", 0),
    (4, "i2", "time", 0),
    (5, "i4", "bare", 1),
    (6, "i2", "bare", 2),
    (7, "f4", "flags", 0),
    (8, "f8", "flags", 0),
)
_ANALOG_EVENT: Final[tuple[_Variation, ...]] = (
    (1, "i4", "flags", 0),
    (2, "i2", "flags", 0),
    (3, "i4", "time", 0),
    (4, "i2", "time", 0),
    (5, "f4", "flags", 0),
    (6, "f8", "flags", 0),
    (7, "f4", "time", 0),
    (8, "f8", "time", 0),
)
_OUTPUT_STATUS: Final[tuple[_Variation, ...]] = tuple(
    (variation, number, "flags", 0) for variation, number in enumerate(("i4", "i2", "f4", "f8"), 1)
)
_OUTPUT_COMMAND: Final[tuple[_Variation, ...]] = tuple(
    (variation, number, "command", 0) for variation, number in enumerate(("i4", "i2", "f4", "f8"), 1)
)
_COMMAND_EVENT: Final[tuple[_Variation, ...]] = tuple(
    (variation, number, "status time" if form == "time" else "status", 0)
    for variation, number, form, _ in _ANALOG_EVENT
)
_DEADBAND: Final[tuple[_Variation, ...]] = ((1, "u2", "bare", 0), (2, "u4", "bare", 0), (3, "f4", "bare", 0))

_NUMERICS: Final = (
    _Numerics(20, "counter", ObjectKind.STATIC, Family.COUNTER, _COUNTER_STATIC),
    _Numerics(21, "frozen counter", ObjectKind.STATIC, Family.COUNTER, _FROZEN_COUNTER),
    _Numerics(22, "counter event", ObjectKind.EVENT, Family.COUNTER, _COUNTER_EVENT),
    _Numerics(23, "frozen counter event", ObjectKind.EVENT, Family.COUNTER, _COUNTER_EVENT),
    _Numerics(30, "analog input", ObjectKind.STATIC, Family.ANALOG, _ANALOG_STATIC),
    _Numerics(31, "frozen analog input", ObjectKind.STATIC, Family.ANALOG, _FROZEN_ANALOG),
    _Numerics(32, "analog input event", ObjectKind.EVENT, Family.ANALOG, _ANALOG_EVENT),
    _Numerics(33, "frozen analog input event", ObjectKind.EVENT, Family.ANALOG, _ANALOG_EVENT),
    _Numerics(34, "analog input reporting deadband", ObjectKind.DEADBAND, None, _DEADBAND),
    _Numerics(40, "analog output status", ObjectKind.STATIC, Family.ANALOG, _OUTPUT_STATUS),
    _Numerics(41, "analog output", ObjectKind.COMMAND, None, _OUTPUT_COMMAND),
    _Numerics(42, "analog output event", ObjectKind.EVENT, Family.ANALOG, _ANALOG_EVENT),
    _Numerics(43, "analog output command event", ObjectKind.COMMAND_EVENT, None, _COMMAND_EVENT),
)


def _record(group: int, variation: int, kind: ObjectKind, name: str, *fields: Any) -> ObjectRow:
    return ObjectRow(
        group=group, variation=variation, kind=kind, name=name, coding=Coding.RECORD, dtype=_dtype(*fields)
    )


def _status(variation: int, name: str, *fields: Any) -> ObjectRow:
    return ObjectRow(
        group=13,
        variation=variation,
        kind=ObjectKind.COMMAND_EVENT,
        name=name,
        coding=Coding.STATUS,
        dtype=_dtype(("status", "u1"), *fields),
        high=1.0,
        has_time=bool(fields),
    )


def _class(variation: int) -> ObjectRow:
    name = f"class {variation - 1} data"
    return ObjectRow(group=60, variation=variation, kind=ObjectKind.CLASS, name=name, coding=Coding.NONE, dtype=EMPTY)


_INTERNAL: Final = ObjectRow(
    group=80,
    variation=1,
    kind=ObjectKind.INTERNAL,
    name="internal indications, packed",
    coding=Coding.PACKED,
    dtype=PACKED,
    bits=1,
    high=1.0,
)
_RECORDS: Final = (
    _record(12, 1, ObjectKind.COMMAND, "control relay output block", *_CROB_FIELDS),
    _status(1, "binary output command event"),
    _status(2, "binary output command event, with time", _TIME),
    _record(50, 1, ObjectKind.TIME, "time and date, absolute", _TIME),
    _record(50, 2, ObjectKind.TIME, "time and date, absolute with interval", _TIME, ("interval_ms", "<u4")),
    _record(50, 3, ObjectKind.TIME, "time and date, absolute at last recorded time", _TIME),
    _record(
        50, 4, ObjectKind.TIME, "time and date, indexed with interval", _TIME, ("interval", "<u4"), ("units", "u1")
    ),
    _record(51, 1, ObjectKind.TIME, "common time of occurrence, synchronised", _TIME),
    _record(51, 2, ObjectKind.TIME, "common time of occurrence, unsynchronised", _TIME),
    _record(52, 1, ObjectKind.TIME, "time delay, coarse", ("delay_s", "<u2")),
    _record(52, 2, ObjectKind.TIME, "time delay, fine", ("delay_ms", "<u2")),
    *(_class(variation) for variation in (1, 2, 3, 4)),
    _INTERNAL,
)


def _every_row() -> Iterator[ObjectRow]:
    for family in (*_BINARIES, *_NUMERICS):
        yield from family.rows()
    yield from _RECORDS


OBJECTS: Final[Mapping[tuple[int, int], ObjectRow]] = MappingProxyType({row.key: row for row in _every_row()})
"""Every object of a fixed size, by group and variation."""

GROUPS: Final = frozenset(group for group, _ in OBJECTS) | {0, 110, 111}
"""Groups this outstation knows. Variations of g110 and g111 are lengths, those of g0 attributes."""


@cache
def string_row(group: int, length: int) -> ObjectRow:
    """g110 (static) or g111 (event) of `length` octets, 1 to 255: the variation is the length."""
    kind, words = (ObjectKind.STRING, "") if group == 110 else (ObjectKind.STRING_EVENT, " event")
    return ObjectRow(
        group=group,
        variation=length,
        kind=kind,
        name=f"octet string{words} of {length}",
        coding=Coding.RECORD,
        dtype=_dtype(("octets", "u1", (length,))),
    )


def find(group: int, variation: int) -> ObjectRow | None:
    """The row of an object with data of a fixed size, octet strings included; None if there is no such object."""
    if group in (110, 111) and 0 < variation < 256:
        return string_row(group, variation)
    return OBJECTS.get((group, variation))
