"""OPC UA Binary (Part 6, 5.2) from octets that nobody vouches for, into asyncua's structures. Pure.

asyncua's own reader takes an announced length at its word: a Variant of two thousand million Nulls fits in nine octets.
Here every array is checked against what is left of the message and against a budget, nesting has a floor, and only the
extension objects that a service asks for are opened; any other stays octets.
"""

from __future__ import annotations

import datetime
import struct
import types
import typing
import uuid
from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from functools import cache
from typing import Any, Final

from protocols.opcua.uastack import type_hints, ua

MAX_DEPTH: Final = 16
STRUCTURE_COST: Final = 16
"""What one array element that is no number takes from the budget; a number takes 1."""

_EPOCH: Final = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
_LAST_TICK: Final = 2_650_467_743_990_000_000
"""The end of 9999, in 100 ns since 1601."""
_LATEST: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


class DecodeError(Exception):
    """The octets are no structure of this type, or too much of one. The text is for the log."""


class Reader:
    """A place in a message. `budget`: what its arrays may hold, counted in `STRUCTURE_COST` and 1."""

    __slots__ = ("at", "budget", "data", "depth")

    def __init__(self, data: bytes, budget: int, at: int = 0) -> None:
        self.data, self.budget, self.at, self.depth = data, budget, at, 0

    def take(self, size: int) -> bytes:
        """The next octets."""
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise DecodeError("cut off")
        data = self.data[self.at : end]
        self.at = end
        return data

    def number(self, form: struct.Struct) -> Any:
        """One number."""
        try:
            (value,) = form.unpack_from(self.data, self.at)
        except struct.error:
            raise DecodeError("cut off") from None
        self.at += form.size
        return value

    def count(self, least: int, cost: int) -> int:
        """The length of an array of elements of at least `least` octets each; -1: there is none."""
        count: int = self.number(_INT32)
        if count < 0:
            return -1
        if count * least > len(self.data) - self.at:
            raise DecodeError(f"an array of {count:,} announced, more than the message holds")
        self.budget -= count * cost
        if self.budget < 0:
            raise DecodeError("more array elements than a message may have")
        return count

    def descend(self) -> None:
        """One level down."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DecodeError("nested too deeply")


Read = Callable[[Reader], Any]

_INT32, _UINT32, _UINT16 = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<H")
_INT64 = struct.Struct("<q")
_NUMBERS: Final = {
    "Boolean": struct.Struct("<?"),
    "SByte": struct.Struct("<b"),
    "Byte": struct.Struct("<B"),
    "Int16": struct.Struct("<h"),
    "UInt16": _UINT16,
    "Int32": _INT32,
    "UInt32": _UINT32,
    "Int64": _INT64,
    "UInt64": struct.Struct("<Q"),
    "Float": struct.Struct("<f"),
    "Double": struct.Struct("<d"),
}


def decode(structure: Any, data: bytes, budget: int, behind_id: bool = False) -> Any:
    """A structure from a message body; what follows it is ignored. Raises `DecodeError`.

    `behind_id`: a node id stands in front of it, as the type id in front of a RequestHeader.
    """
    reader = Reader(data, budget)
    try:
        if behind_id:
            _node_id(reader)
        return _structure(structure)(reader)
    except (ValueError, OverflowError, TypeError, RecursionError, ua.UaError) as error:
        raise DecodeError(f"{structure.__name__}: {type(error).__name__}") from None


def reader_of(structure: Any) -> Read:
    """Reads one structure at a Reader's place, for whoever reads a long list in steps; raises what `decode` catches."""
    return _structure(structure)


def field_reader(hint: Any) -> Read:
    """The same of a field's type."""
    return _reader(hint)[0]


BROKEN: Final = (DecodeError, ValueError, OverflowError, TypeError, RecursionError, ua.UaError)
"""What reading step by step raises for octets that are wrong."""


# Built-in types, Part 6, 5.2.2.


def _bytes(reader: Reader) -> bytes | None:
    length: int = reader.number(_INT32)
    return None if length < 0 else reader.take(length)


def _string(reader: Reader) -> str | None:
    data = _bytes(reader)
    return None if data is None else data.decode("utf-8", "replace")


def _date_time(reader: Reader) -> datetime.datetime:
    ticks: int = reader.number(_INT64)
    if ticks >= _LAST_TICK:
        return _LATEST
    return _EPOCH + datetime.timedelta(microseconds=max(ticks, 0) // 10)


def _guid(reader: Reader) -> uuid.UUID:
    return uuid.UUID(bytes_le=reader.take(16))


_NODE_TYPES: Final = ua.NodeIdType


def _two_byte(reader: Reader) -> tuple[int, Any]:
    return 0, reader.take(1)[0]


def _four_byte(reader: Reader) -> tuple[int, Any]:
    data = reader.take(3)
    return data[0], data[1] | data[2] << 8


def _wide(identifier: Read) -> Callable[[Reader], tuple[int, Any]]:
    return lambda reader: (reader.number(_UINT16), identifier(reader))


_NODE_IDS: Final = (
    (_NODE_TYPES.TwoByte, _two_byte),
    (_NODE_TYPES.FourByte, _four_byte),
    (_NODE_TYPES.Numeric, _wide(lambda reader: reader.number(_UINT32))),
    (_NODE_TYPES.String, _wide(_string)),
    (_NODE_TYPES.Guid, _wide(_guid)),
    (_NODE_TYPES.ByteString, _wide(_bytes)),
)


def _node_id(reader: Reader) -> Any:
    encoding = reader.take(1)[0]
    if encoding & 0x3F >= len(_NODE_IDS):
        raise DecodeError("a node id of an unknown form")
    kind, read = _NODE_IDS[encoding & 0x3F]
    namespace, identifier = read(reader)
    if identifier is None:
        identifier = "" if kind == _NODE_TYPES.String else b""
    if not encoding & 0xC0:
        return ua.NodeId(identifier, namespace, kind)
    uri = _string(reader) if encoding & 0x80 else None
    server = reader.number(_UINT32) if encoding & 0x40 else 0
    return ua.ExpandedNodeId(identifier, namespace, kind, uri, server)


def _status(reader: Reader) -> Any:
    return ua.StatusCode(reader.number(_UINT32))


def _qualified_name(reader: Reader) -> Any:
    namespace = reader.number(_UINT16)
    return ua.QualifiedName(_string(reader), namespace)


def _localized_text(reader: Reader) -> Any:
    mask = reader.take(1)[0]
    locale = _string(reader) if mask & 1 else None
    return ua.LocalizedText(_string(reader) if mask & 2 else None, locale)


def _extension_object(reader: Reader) -> Any:
    type_id = _node_id(reader)
    encoding = reader.take(1)[0]
    if encoding > 2:
        raise DecodeError("an extension object of an unknown form")
    body = _bytes(reader) if encoding else None
    opened = _OPENED.get(type_id.Identifier) if encoding == 1 and type_id.NamespaceIndex == 0 else None
    if opened is None:
        return ua.ExtensionObject(TypeId=type_id, Body=body)
    inner = Reader(body or b"", reader.budget)
    inner.depth = reader.depth
    inner.descend()
    value = _structure(opened)(inner)
    reader.budget = inner.budget
    return value


def _variant(reader: Reader) -> Any:
    reader.descend()
    mask = reader.take(1)[0]
    kind = mask & 0x3F
    if kind >= len(_VARIANTS):
        raise DecodeError("a variant of an unknown type")
    variant_type, read, least, cost = _VARIANTS[kind]
    if not mask & 0x80:
        value = read(reader)
        reader.depth -= 1
        return ua.Variant(value, variant_type, is_array=False)
    if kind == 0:
        raise DecodeError("an array of nothing")
    count = reader.count(least, cost)
    values = None if count < 0 else [read(reader) for _ in range(count)]
    dimensions = _dimensions(reader, count) if mask & 0x40 else None
    reader.depth -= 1
    if dimensions is not None and values is not None:
        values = _shaped(values, dimensions)
    return ua.Variant(values, variant_type, dimensions, is_array=True)


def _dimensions(reader: Reader, count: int) -> list[int]:
    sizes = [reader.number(_INT32) for _ in range(max(0, reader.count(4, 1)))]
    product = 1
    for size in sizes:
        product *= size
    if not 1 <= len(sizes) <= MAX_DEPTH or min(sizes) < 1 or product != count:
        raise DecodeError("dimensions that do not fit the array")
    return sizes


def _shaped(values: list[Any], sizes: list[int]) -> list[Any]:
    for size in reversed(sizes[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)]
    return values


def _data_value(reader: Reader) -> Any:
    reader.descend()
    mask = reader.take(1)[0]
    value = ua.DataValue(Value=_variant(reader) if mask & 0x01 else None, StatusCode=None)
    if mask & 0x02:
        value.StatusCode = _status(reader)
    for bit, name, read in _TIMES:
        if mask & bit:
            setattr(value, name, read(reader))
    reader.depth -= 1
    return value


_TIMES: Final[tuple[tuple[int, str, Read], ...]] = (
    (0x04, "SourceTimestamp", _date_time),
    (0x10, "SourcePicoseconds", lambda reader: reader.number(_UINT16)),
    (0x08, "ServerTimestamp", _date_time),
    (0x20, "ServerPicoseconds", lambda reader: reader.number(_UINT16)),
)


def _diagnostic_info(reader: Reader) -> Any:
    """Read over: no service of ours takes one."""
    reader.descend()
    mask = reader.take(1)[0]
    reader.take(4 * (mask & 0x0F).bit_count())
    if mask & 0x10:
        _string(reader)
    if mask & 0x20:
        _status(reader)
    if mask & 0x40:
        _diagnostic_info(reader)
    reader.depth -= 1
    return ua.DiagnosticInfo()


def _numbers(form: struct.Struct) -> Read:
    return lambda reader: reader.number(form)


_BUILT_IN: Final[dict[Any, tuple[Read, int, int]]] = {
    **{getattr(ua, name): (_numbers(form), form.size, 1) for name, form in _NUMBERS.items()},
    ua.String: (_string, 4, STRUCTURE_COST),
    ua.CharArray: (_string, 4, STRUCTURE_COST),
    ua.ByteString: (_bytes, 4, STRUCTURE_COST),
    ua.DateTime: (_date_time, 8, STRUCTURE_COST),
    ua.Guid: (_guid, 16, STRUCTURE_COST),
    ua.NodeId: (_node_id, 2, STRUCTURE_COST),
    ua.ExpandedNodeId: (_node_id, 2, STRUCTURE_COST),
    ua.StatusCode: (_status, 4, STRUCTURE_COST),
    ua.QualifiedName: (_qualified_name, 6, STRUCTURE_COST),
    ua.LocalizedText: (_localized_text, 1, STRUCTURE_COST),
    ua.ExtensionObject: (_extension_object, 3, STRUCTURE_COST),
    ua.Variant: (_variant, 1, STRUCTURE_COST),
    ua.DataValue: (_data_value, 1, STRUCTURE_COST),
    ua.DiagnosticInfo: (_diagnostic_info, 1, STRUCTURE_COST),
}
"""Type -> (reader, least octets, cost as an array element)."""

_XML: Final[tuple[Read, int, int]] = (_string, 4, STRUCTURE_COST)
_VARIANTS: Final[tuple[tuple[Any, Read, int, int], ...]] = (
    (ua.VariantType.Null, lambda _: None, 0, STRUCTURE_COST),
    *(
        (kind, *(_XML if kind.name == "XmlElement" else _BUILT_IN[getattr(ua, kind.name)]))
        for kind in sorted(ua.VariantType)
        if kind.value
    ),
)

_OPENED: Final = {
    int(getattr(ua.ObjectIds, f"{structure.__name__}_Encoding_DefaultBinary")): structure
    for structure in (
        ua.AnonymousIdentityToken,
        ua.UserNameIdentityToken,
        ua.X509IdentityToken,
        ua.DataChangeFilter,
        ua.EventFilter,
        ua.AggregateFilter,
        ua.ElementOperand,
        ua.LiteralOperand,
        ua.AttributeOperand,
        ua.SimpleAttributeOperand,
        ua.ReadRawModifiedDetails,
        ua.ReadAtTimeDetails,
        ua.ReadProcessedDetails,
        ua.ReadEventDetails,
        ua.Range,
        ua.EUInformation,
        ua.Argument,
    )
}
"""Extension objects that services of ours take; any other is not looked into."""


@cache
def _structure(structure: Any) -> Read:
    """The reader of a structure: one step a field, compiled once."""
    hints = type_hints(structure)
    named = [(field.name, _reader(hints[field.name])[0]) for field in fields(structure)]

    def read(reader: Reader) -> Any:
        return structure(**{name: read_field(reader) for name, read_field in named})

    return read


@cache
def _reader(hint: Any) -> tuple[Read, int, int]:
    """(reader, least octets, cost as an array element) of a field's type."""
    if hint in _BUILT_IN:
        return _BUILT_IN[hint]
    origin = typing.get_origin(hint)
    if origin is list:
        return _array(*_reader(typing.get_args(hint)[0])), 4, STRUCTURE_COST
    if origin in (types.UnionType, typing.Union):
        return _reader(next(one for one in typing.get_args(hint) if one is not type(None)))
    if issubclass(hint, Enum):
        return lambda reader: hint(reader.number(_INT32)), 4, STRUCTURE_COST
    return _nested(_structure(hint)), 1, STRUCTURE_COST


def _nested(read: Read) -> Read:
    def descend(reader: Reader) -> Any:
        reader.descend()
        value = read(reader)
        reader.depth -= 1
        return value

    return descend


def _array(read: Read, least: int, cost: int) -> Read:
    def array(reader: Reader) -> list[Any]:
        return [read(reader) for _ in range(max(0, reader.count(least, cost)))]

    return array
