"""Sparkplug B payloads: metrics by name or alias, types, times, properties (Eclipse Sparkplug 3.0, chapter 6). Pure.

    Payload   1 timestamp  2 metrics*  3 seq  4 uuid  5 body
    Metric    1 name  2 alias  3 timestamp  4 datatype  5 is_historical  6 is_transient  7 is_null  9 properties
              10 int  11 long  12 float  13 double  14 boolean  15 string  16 bytes
    Properties 1 keys*  2 values*          Value  1 type  2 is_null  3 int 4 long 5 float 6 double 7 boolean 8 string

Times are ms since 1970 UTC. Data sets, templates and metadata are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeVar

from protocols.mqtt.errors import MqttError
from protocols.mqtt.wire import FIXED32, FIXED64, OCTETS, VARINT, Value, key, number_field, octets_field, records


class DataType(IntEnum):
    """Those of single values."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15


Scalar = bool | int | float | str | None

QUALITY: Final = "Quality"
"""The property of that name: 0 bad, 192 good, 500 stale (Sparkplug 3.0, 6.4.17)."""
FLAGS: Final = "gridgate_quality"
"""Our property: the quality flags as they are, so that a gateway behind the broker loses none of them."""
ANSWER: Final = "gridgate_answer"
"""Our property: what became of a command to this metric."""
REBIRTH: Final = "Node Control/Rebirth"
BD_SEQ: Final = "bdSeq"

Properties = Mapping[str, Scalar]


@dataclass(slots=True, kw_only=True)
class Metric:
    """One metric. `raw` is the value as it came, to be read by a type that a data message may leave out."""

    name: str = ""
    alias: int | None = None
    time_ms: int | None = None
    datatype: int = 0
    historical: bool = False
    transient: bool = False
    null: bool = False
    value: Scalar = None
    properties: Properties = field(default_factory=dict)

    def typed(self, datatype: int) -> Scalar:
        """The value as this type; a signed number comes as its two's complement."""
        value = self.value
        bits = _SIGNED.get(datatype)
        if bits is not None and isinstance(value, int) and not isinstance(value, bool):
            value &= (1 << bits) - 1
            return value - (1 << bits) if value >> (bits - 1) else value
        if datatype == DataType.BOOLEAN and isinstance(value, int):
            return bool(value)
        return value


_SIGNED: Final[Mapping[int, int]] = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}


@dataclass(slots=True, kw_only=True)
class Payload:
    """One message."""

    time_ms: int | None = None
    metrics: list[Metric] = field(default_factory=list)
    seq: int | None = None


# -- reading ------------------------------------------------------------------------------------------------------


def _text(value: Value) -> str:
    if not isinstance(value, bytes):
        raise MqttError("a number where text was expected")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MqttError("text that is not UTF-8") from None


def _float(value: Value) -> float:
    if not isinstance(value, bytes):
        raise MqttError("a number of the wrong width")
    return float(struct.unpack("<f", value)[0])


def _double(value: Value) -> float:
    if not isinstance(value, bytes):
        raise MqttError("a number of the wrong width")
    return float(struct.unpack("<d", value)[0])


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise MqttError("octets where a number was expected")
    return value


def _flag(value: Value) -> bool:
    return bool(_number(value))


_Reader = tuple[int, str, Callable[[Value], Scalar]]
"""Wire type, attribute, conversion."""

_METRIC: Final[Mapping[int, _Reader]] = {
    1: (OCTETS, "name", _text),
    2: (VARINT, "alias", _number),
    3: (VARINT, "time_ms", _number),
    4: (VARINT, "datatype", _number),
    5: (VARINT, "historical", _flag),
    6: (VARINT, "transient", _flag),
    7: (VARINT, "null", _flag),
    10: (VARINT, "value", _number),
    11: (VARINT, "value", _number),
    12: (FIXED32, "value", _float),
    13: (FIXED64, "value", _double),
    14: (VARINT, "value", _flag),
    15: (OCTETS, "value", _text),
}
_PROPERTY: Final[Mapping[int, _Reader]] = {
    3: (VARINT, "value", _number),
    4: (VARINT, "value", _number),
    5: (FIXED32, "value", _float),
    6: (FIXED64, "value", _double),
    7: (VARINT, "value", _flag),
    8: (OCTETS, "value", _text),
}


AT_ONCE: Final = 64
"""Metrics that are read without a pause: well below a millisecond."""

Result = TypeVar("Result")
Steps = Generator[None, None, Result]
"""Work in small steps, for a loop that has other things to do; the result comes with the last."""


def at_once(steps: Steps[Result]) -> Result:
    """All of it without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def decode(data: bytes) -> Payload:
    """A payload. Raises `MqttError` for what is none."""
    return at_once(decode_in_steps(data))


def decode_in_steps(data: bytes) -> Steps[Payload]:
    """A payload, `AT_ONCE` metrics at a time. Raises `MqttError` for what is none."""
    payload = Payload()
    for number, wire_type, value in records(data):
        if number == 1 and wire_type == VARINT:
            payload.time_ms = _number(value)
        elif number == 2 and isinstance(value, bytes) and wire_type == OCTETS:
            payload.metrics.append(_metric(value))
            if not len(payload.metrics) % AT_ONCE:
                yield
        elif number == 3 and wire_type == VARINT:
            payload.seq = _number(value)
        elif number in (1, 2, 3):
            raise MqttError(f"field {number} of a payload has wire type {wire_type}")
    return payload


def _metric(data: bytes) -> Metric:
    metric = Metric()
    for number, wire_type, value in records(data):
        reader = _METRIC.get(number)
        if reader is not None:
            if reader[0] != wire_type:
                raise MqttError(f"field {number} of a metric has wire type {wire_type}")
            setattr(metric, reader[1], reader[2](value))
        elif number == 9:
            if not isinstance(value, bytes) or wire_type != OCTETS:
                raise MqttError("properties that are none")
            metric.properties = _properties(value)
    return metric


def _properties(data: bytes) -> Properties:
    keys: list[str] = []
    values: list[Scalar] = []
    for number, wire_type, value in records(data):
        if number == 1 and wire_type == OCTETS:
            keys.append(_text(value))
        elif number == 2 and isinstance(value, bytes) and wire_type == OCTETS:
            values.append(_property(value))
    if len(keys) != len(values):
        raise MqttError(f"{len(keys)} property names, {len(values)} values")
    return dict(zip(keys, values, strict=True))


def _property(data: bytes) -> Scalar:
    found: Scalar = None
    for number, wire_type, value in records(data):
        reader = _PROPERTY.get(number)
        if reader is not None:
            if reader[0] != wire_type:
                raise MqttError(f"field {number} of a property has wire type {wire_type}")
            found = reader[2](value)
    return found


# -- writing ------------------------------------------------------------------------------------------------------


def _encode_double(value: Scalar) -> bytes:
    return _KEY_DOUBLE + struct.pack("<d", float(value or 0.0))


def _encode_float(value: Scalar) -> bytes:
    return _KEY_FLOAT + struct.pack("<f", float(value or 0.0))


def _encode_text(value: Scalar) -> bytes:
    return octets_field(15, str(value).encode())


def _encode_int(value: Scalar) -> bytes:
    return number_field(10, int(value or 0) & 0xFFFFFFFF)


def _encode_long(value: Scalar) -> bytes:
    return number_field(11, int(value or 0))


def _encode_flag(value: Scalar) -> bytes:
    return number_field(14, int(bool(value)))


_KEY_FLOAT: Final = key(12, FIXED32)
_KEY_DOUBLE: Final = key(13, FIXED64)

_WRITERS: Final[Mapping[int, Callable[[Scalar], bytes]]] = {
    **dict.fromkeys((1, 2, 3, 5, 6, 7), _encode_int),
    **dict.fromkeys((DataType.INT64, DataType.UINT64, DataType.DATETIME), _encode_long),
    DataType.FLOAT: _encode_float,
    DataType.DOUBLE: _encode_double,
    DataType.BOOLEAN: _encode_flag,
    **dict.fromkeys((DataType.STRING, DataType.TEXT, DataType.UUID), _encode_text),
}


def encode_value(datatype: int, value: Scalar) -> bytes:
    """The value record of a metric."""
    return _WRITERS[datatype](value)


def encode_metric(metric: Metric) -> bytes:
    """One metric, without its key in the payload. Fields in the order of their numbers."""
    out = bytearray()
    if metric.name:
        out += octets_field(1, metric.name.encode())
    if metric.alias is not None:
        out += number_field(2, metric.alias)
    if metric.time_ms is not None:
        out += number_field(3, metric.time_ms)
    if metric.datatype:
        out += number_field(4, metric.datatype)
    for number, told in ((5, metric.historical), (6, metric.transient), (7, metric.null)):
        if told:
            out += number_field(number, 1)
    if metric.properties:
        out += octets_field(9, encode_properties(metric.properties))
    if not metric.null:
        out += encode_value(metric.datatype, metric.value)
    return bytes(out)


def encode_properties(properties: Properties) -> bytes:
    """Whole numbers as Int32, text as String."""
    keys = b"".join(octets_field(1, name.encode()) for name in properties)
    return keys + b"".join(octets_field(2, _encode_property(value)) for value in properties.values())


def _encode_property(value: Scalar) -> bytes:
    if isinstance(value, str):
        return number_field(1, DataType.STRING) + octets_field(8, value.encode())
    return number_field(1, DataType.INT32) + number_field(3, int(value or 0) & 0xFFFFFFFF)


def encode(payload: Payload) -> bytes:
    """A payload from its parts."""
    return encode_payload(payload.time_ms, [encode_metric(metric) for metric in payload.metrics], payload.seq)


def encode_payload(time_ms: int | None, metrics: list[bytes], seq: int | None) -> bytes:
    """A payload of metrics that are encoded already."""
    out = bytearray()
    if time_ms is not None:
        out += number_field(1, time_ms)
    for metric in metrics:
        out += octets_field(2, metric)
    if seq is not None:
        out += number_field(3, seq)
    return bytes(out)
