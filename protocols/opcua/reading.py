"""Attributes of nodes as DataValues, and of many points as octets (OPC 10000-4, 5.11.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import TableView
from gateway.points import PointCatalogue
from protocols.opcua.addressspace import AddressSpace
from protocols.opcua.errors import ServiceFault
from protocols.opcua.itemtable import Samples, samples_of
from protocols.opcua.nodes import READABLE, WRITABLE, Attribute, Node
from protocols.opcua.pointnodes import DOUBLE_TEXTS
from protocols.opcua.quality import status_codes
from protocols.opcua.rights import Rights
from protocols.opcua.uastack import Codes, ua
from protocols.opcua.valueencode import BOOLEAN, BOTH, SERVER, SOURCE, UINT32, data_values, sent_times, types_of

VALUE: Final = int(Attribute.Value)
_BINARY: Final = "Default Binary"
_RANGE: Final = re.compile(r"\d{1,9}(:\d{1,9})?(,\d{1,9}(:\d{1,9})?)*")


class Reader:
    """What nodes say now. `born`: source time of what never changes."""

    def __init__(
        self, space: AddressSpace, catalogue: PointCatalogue, table: TableView, rights: Rights, born: datetime
    ) -> None:
        self._space, self._catalogue, self._table = space, catalogue, table
        self._rights, self._born = rights, born
        self.types = types_of(catalogue.kinds)

    def point_row(self, wanted: Any) -> int:
        """The row of a ReadValueId that asks for a point's plain value; -1 otherwise."""
        if wanted.AttributeId != VALUE or wanted.IndexRange or (wanted.DataEncoding and wanted.DataEncoding.Name):
            return -1
        return self._space.row(wanted.NodeId)

    def points(self, rows: NDArray[np.intp], timestamps: int, now_ns: int) -> bytes:
        """Encoded DataValues of points, one after the other."""
        quality = self._table.quality[rows]
        return data_values(
            self.types[rows],
            self._table.value[rows],
            status_codes(quality),
            sent_times(self._table.time_ns[rows], quality),
            now_ns,
            timestamps,
        )

    def samples(self, rows: NDArray[np.intp], now_ns: int, at_ns: int) -> Samples:
        """What the points say now, for monitored items."""
        quality = self._table.quality[rows]
        source = sent_times(self._table.time_ns[rows], quality)
        return samples_of(rows, self._table.value[rows], status_codes(quality), source, now_ns, at_ns)

    def value(self, session: Any, wanted: Any, timestamps: int = BOTH) -> Any:
        """A ua.DataValue for a ReadValueId; an error is its status code."""
        try:
            node = self.node(session, wanted.NodeId)
            out = self._attribute(session, node, int(wanted.AttributeId))
            _check_encoding(wanted, out)
            if wanted.IndexRange:
                out = _ranged(out, wanted.IndexRange)
        except ServiceFault as fault:
            out = ua.DataValue(None, ua.StatusCode(fault.code))
            out.ServerTimestamp = datetime.now(UTC)
        return _stamped(out, timestamps)

    def node(self, session: Any, identifier: Any) -> Node:
        """The node. Raises `ServiceFault` when there is none, or none that the session sees."""
        node = self._space.get(identifier)
        owner = self._space.owner(identifier)
        if node is None or (owner >= 0 and not self._rights.visible(session, owner)):
            raise ServiceFault(Codes.BadNodeIdUnknown)
        return node

    def reader(self, session: Any, wanted: Any) -> Callable[[], Any]:
        """Reads this again and again, as of a monitored item. Raises `ServiceFault` when it can never be read."""
        node = self.node(session, wanted.NodeId)
        _check_encoding(wanted, self._attribute(session, node, int(wanted.AttributeId)))
        return lambda: self.value(session, wanted)

    def point_value(self, row: int) -> Any:
        """A point's value as ua.DataValue."""
        quality = self._table.quality[row : row + 1]
        code = int(status_codes(quality)[0])
        source_ns = int(sent_times(self._table.time_ns[row : row + 1], quality)[0])
        value = None if code & 0x8000_0000 else self._variant(row)
        source = datetime.fromtimestamp(source_ns / 1e9, UTC) if source_ns > 0 else None
        return ua.DataValue(value, ua.StatusCode(code), source, datetime.now(UTC))

    def text_of(self, row: int) -> Any:
        """ValueAsText of a double point."""
        out = self.point_value(row)
        if out.Value is not None and out.Value.Value is not None:
            text = DOUBLE_TEXTS[int(out.Value.Value) & 3]
            out.Value = ua.Variant(ua.LocalizedText(text), ua.VariantType.LocalizedText)
        return out

    def _variant(self, row: int) -> Any:
        kind, value = int(self.types[row]), float(self._table.value[row])
        if kind == BOOLEAN:
            return ua.Variant(bool(value), ua.VariantType.Boolean)
        if kind == UINT32:
            return ua.Variant(int(value), ua.VariantType.UInt32)
        return ua.Variant(value, ua.VariantType.Double)

    def _attribute(self, session: Any, node: Node, attribute: int) -> Any:
        if attribute == VALUE:
            return self._value(node)
        found = self._of_user(session, node, attribute) or node.attribute(attribute)
        if found is None:
            raise ServiceFault(Codes.BadAttributeIdInvalid)
        return ua.DataValue(found, ua.StatusCode(), None, datetime.now(UTC))

    def _value(self, node: Node) -> Any:
        if node.row >= 0:
            return self.point_value(node.row)
        if node.node_class not in (ua.NodeClass.Variable, ua.NodeClass.VariableType):
            raise ServiceFault(Codes.BadAttributeIdInvalid)
        if callable(node.value):
            return node.value()
        value = node.value
        return ua.DataValue(value, ua.StatusCode(), self._born, datetime.now(UTC))

    def _of_user(self, session: Any, node: Node, attribute: int) -> Any:
        """What depends on who asks."""
        owner = self._space.owner(node.id)
        if owner < 0:
            return None
        may = self._rights.commands(session, owner)
        if attribute == Attribute.UserAccessLevel and node.row >= 0:
            stated = node.attributes[Attribute.AccessLevel].Value
            level = stated if may else stated & ~WRITABLE
            return ua.Variant(level | READABLE, ua.VariantType.Byte)
        if attribute == Attribute.UserExecutable and node.node_class == ua.NodeClass.Method:
            return ua.Variant(may, ua.VariantType.Boolean)
        return None


def _stamped(value: Any, timestamps: int) -> Any:
    out = ua.DataValue(value.Value, value.StatusCode)
    if value.Value is None or value.Value.VariantType == ua.VariantType.Null:
        out.Value = None
    if timestamps in (SOURCE, BOTH):
        out.SourceTimestamp = value.SourceTimestamp
    if timestamps in (SERVER, BOTH):
        out.ServerTimestamp = value.ServerTimestamp or datetime.now(UTC)
    return out


def _check_encoding(wanted: Any, value: Any) -> None:
    """Only a structure has encodings, and we have one."""
    name = wanted.DataEncoding.Name if wanted.DataEncoding else None
    if not name:
        return
    structured = value.Value is not None and value.Value.VariantType == ua.VariantType.ExtensionObject
    if wanted.AttributeId != VALUE or not structured:
        raise ServiceFault(Codes.BadDataEncodingInvalid)
    if name != _BINARY or wanted.DataEncoding.NamespaceIndex:
        raise ServiceFault(Codes.BadDataEncodingUnsupported)


def _ranged(value: Any, text: str) -> Any:
    """The part of an array or a string that a NumericRange names (OPC 10000-4, 7.27)."""
    if not _RANGE.fullmatch(text):
        raise ServiceFault(Codes.BadIndexRangeInvalid)
    low, colon, high = text.partition(":")
    whole = value.Value.Value if value.Value is not None else None
    if "," in text or not isinstance(whole, list | str | bytes):
        raise ServiceFault(Codes.BadIndexRangeNoData)
    first, last = int(low), int(high) if colon else int(low)
    if colon and last <= first:
        raise ServiceFault(Codes.BadIndexRangeInvalid)
    if first >= len(whole):
        raise ServiceFault(Codes.BadIndexRangeNoData)
    part = ua.Variant(whole[first : last + 1], value.Value.VariantType, is_array=isinstance(whole, list))
    return ua.DataValue(part, value.StatusCode, value.SourceTimestamp, value.ServerTimestamp)
