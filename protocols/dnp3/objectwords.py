"""Objects of a fragment in words: value, flags, status, time. Pure."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocols.dnp3 import objects, time48
from protocols.dnp3.headers import ObjectHeader
from protocols.dnp3.objecttable import Coding, ObjectKind, ObjectRow
from protocols.dnp3.outputs import CommandStatus, Crob, Operation, TripClose
from protocols.dnp3.quality import Family

_COMMON: Final[Mapping[int, str]] = {
    0x01: "ONLINE",
    0x02: "RESTART",
    0x04: "COMM_LOST",
    0x08: "REMOTE_FORCED",
    0x10: "LOCAL_FORCED",
}
_STATES: Final[Mapping[int, str]] = {**_COMMON, 0x20: "CHATTER_FILTER"}
_FLAGS: Final[Mapping[Family, Mapping[int, str]]] = {
    Family.BINARY: _STATES,
    Family.DOUBLE: _STATES,
    Family.OUTPUT: _COMMON,
    Family.COUNTER: {**_COMMON, 0x20: "ROLLOVER", 0x40: "DISCONTINUITY"},
    Family.ANALOG: {**_COMMON, 0x20: "OVER_RANGE", 0x40: "REFERENCE_ERR"},
}
_ONLINE: Final = 0x01
_SWITCHED: Final = ("off", "on")
_DOUBLE: Final = ("intermediate", "off", "on", "indeterminate")
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - the time of the wire is UTC and shown as it is
_TEXT_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Scaling:
    """Engineering = number on the wire x scale + offset, in `unit`."""

    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0


PLAIN: Final = Scaling()


def time_words(time_ms: int) -> str:
    """ms since 1970 UTC as date and time."""
    try:
        moment = _EPOCH + datetime.timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"no date {time_ms} ms"
    return moment.isoformat(" ", "milliseconds")


def flag_words(family: Family, flags: int) -> str:
    """The flags in brackets; nothing for a value that is plainly online."""
    names = [name for bit, name in _FLAGS[family].items() if flags & bit]
    if names == ["ONLINE"]:
        return ""
    return f"[{' '.join(names if flags & _ONLINE else ['not ONLINE', *names])}]"


def status_words(code: int, answered: bool = True) -> str:
    """Status of a control; in a request (not `answered`) 0 says nothing."""
    if not code and not answered:
        return ""
    try:
        return CommandStatus(code).name
    except ValueError:
        return f"status {code}"


def record_words(
    row: ObjectRow, record: objects.Records, scaling: Scaling, base_ms: int = 0, answered: bool = True
) -> str:
    """One object (an array of one record) of a fixed size without its index; `answered`: in a response."""
    if row.kind is ObjectKind.TIME:
        return _time_record(record)
    if row.key == (12, 1):
        return _crob(record, answered)
    if row.kind in (ObjectKind.STRING, ObjectKind.STRING_EVENT):
        return repr(record["octets"][0].tobytes().decode("latin-1"))[: _TEXT_SHOWN + 2]
    if row.coding is Coding.NONE:
        return ""
    parts = [_value(row, record, scaling), _marks(row, record, answered)]
    times = objects.times_ms(row, record, base_ms)
    if times is not None:
        parts.append(time_words(int(times[0])))
    return " ".join(part for part in parts if part)


def _value(row: ObjectRow, record: objects.Records, scaling: Scaling) -> str:
    number = float(objects.values(row, record)[0])
    if row.kind is ObjectKind.DEADBAND:
        return f"{number * abs(scaling.scale):.7g} {scaling.unit}".rstrip()
    if row.bits == 2 or row.coding is Coding.DOUBLE_STATE:
        return _DOUBLE[int(number) & 3]
    if row.bits or row.coding in (Coding.STATE, Coding.STATUS):
        return _SWITCHED[int(number) & 1]
    value = number * scaling.scale + scaling.offset
    return f"{value:.7g} {scaling.unit}".rstrip() if math.isfinite(value) else str(value)


def _marks(row: ObjectRow, record: objects.Records, answered: bool) -> str:
    names = row.dtype.names or ()
    if "status" in names:
        return status_words(int(record["status"][0]) & 0x7F, answered)
    if row.family is None or "flags" not in names:
        return ""
    return flag_words(row.family, int(objects.flags(row, record)[0]))


def _time_record(record: objects.Records) -> str:
    words = []
    for name in record.dtype.names or ():
        field = record[name][0]
        words.append(_TIME_FIELDS[name](field))
    return " ".join(words)


_TIME_FIELDS: Final[Mapping[str, Callable[[np.ndarray], str]]] = {
    "time": lambda octets: time_words(time48.decode_one(octets.tobytes())),
    "interval_ms": lambda number: f"every {int(number)} ms",
    "interval": lambda number: f"interval {int(number)}",
    "units": lambda number: f"unit {int(number)}",
    "delay_s": lambda number: f"{int(number)} s",
    "delay_ms": lambda number: f"{int(number)} ms",
}


def _crob(record: objects.Records, answered: bool) -> str:
    crob = Crob.decode(record.tobytes())
    known = {int(operation): operation.name.lower().replace("_", " ") for operation in Operation}
    parts = [
        known.get(crob.operation, f"operation {crob.operation}"),
        "" if crob.trip_close is TripClose.NUL else crob.trip_close.name.lower(),
        "queue" if crob.queue else "",
        "clear" if crob.clear else "",
        "" if crob.count == 1 else f"{crob.count} times",
        f"on {crob.on_ms} ms" if crob.on_ms else "",
        f"off {crob.off_ms} ms" if crob.off_ms else "",
        status_words(crob.status, answered),
    ]
    return " ".join(part for part in parts if part)


def attribute_words(data: bytes) -> str:
    """A device attribute of g0: data type, length, octets."""
    kind, octets = data[0], data[2:]
    if kind == 1:
        return repr(octets.decode("latin-1"))[: _TEXT_SHOWN + 2]
    if kind in (2, 3) and len(octets) <= 8:
        return str(int.from_bytes(octets, "little", signed=kind == 3))
    return octets.hex()[:_TEXT_SHOWN]


def header_words(header: ObjectHeader) -> str:
    """What a header names: ``g30v5 analog input, single precision with flag 0 to 9``."""
    row = header.row
    name = row.name if row is not None else GROUP_WORDS.get(header.group, "")
    if header.all:
        which = "" if row is not None and row.kind is ObjectKind.CLASS else "all"
    elif header.ranged:
        which = str(header.start) if header.start == header.stop else f"{header.start} to {header.stop}"
    else:
        which = f"{header.count} of them" if header.counted else ""
    return " ".join(part for part in (header.label, name, which) if part)


GROUP_WORDS: Final[Mapping[int, str]] = {
    0: "device attribute",
    1: "binary input",
    2: "binary input event",
    3: "double-bit binary input",
    4: "double-bit binary input event",
    10: "binary output status",
    11: "binary output event",
    13: "binary output command event",
    20: "counter",
    21: "frozen counter",
    22: "counter event",
    23: "frozen counter event",
    30: "analog input",
    31: "frozen analog input",
    32: "analog input event",
    33: "frozen analog input event",
    34: "analog input reporting deadband",
    40: "analog output status",
    42: "analog output event",
    43: "analog output command event",
    60: "class data",
    110: "octet string",
    111: "octet string event",
}
