"""A node as the View and Attribute services see it, and the references between nodes (OPC 10000-3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from protocols.opcua.uastack import Ids, ua

NodeId = Any
"""`ua.NodeId`."""

Attribute = ua.AttributeIds


class Reference(NamedTuple):
    """From the node that holds it to `target`; `type` is the numeric id of a standard reference type."""

    type: int
    forward: bool
    target: NodeId


@dataclass(slots=True)
class Node:
    """`attributes` are Variants by attribute id, without Value. `value`: a Variant, or what makes a DataValue.

    `row` is that of the point whose value this node is; -1: another value, or none.
    """

    id: NodeId
    node_class: int
    browse_name: Any
    display_name: Any
    type_definition: NodeId | None = None
    attributes: Mapping[int, Any] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    value: Any | Callable[[], Any] | None = None
    row: int = -1

    def attribute(self, identifier: int) -> Any | None:
        """The Variant of an attribute other than Value; None when this node has no such attribute."""
        common = _COMMON.get(identifier)
        return common(self) if common is not None else self.attributes.get(identifier)


def _variant(value: object, kind: Any) -> Any:
    return ua.Variant(value, kind)


_COMMON: Final[Mapping[int, Callable[[Node], Any]]] = {
    Attribute.NodeId: lambda node: _variant(node.id, ua.VariantType.NodeId),
    Attribute.NodeClass: lambda node: _variant(int(node.node_class), ua.VariantType.Int32),
    Attribute.BrowseName: lambda node: _variant(node.browse_name, ua.VariantType.QualifiedName),
    Attribute.DisplayName: lambda node: _variant(node.display_name, ua.VariantType.LocalizedText),
    Attribute.WriteMask: lambda node: _variant(0, ua.VariantType.UInt32),
    Attribute.UserWriteMask: lambda node: _variant(0, ua.VariantType.UInt32),
}

READABLE: Final = 0x01
WRITABLE: Final = 0x02
HISTORY_READABLE: Final = 0x04


def variable_attributes(
    data_type: int, rank: int = -1, access: int = READABLE, description: str = ""
) -> dict[int, Any]:
    """Attributes of a Variable. `data_type`: numeric id of a standard type; `rank` -1 scalar, 1 one dimension."""
    out = {
        Attribute.DataType: _variant(ua.NodeId(data_type), ua.VariantType.NodeId),
        Attribute.ValueRank: _variant(rank, ua.VariantType.Int32),
        Attribute.AccessLevel: _variant(access, ua.VariantType.Byte),
        Attribute.UserAccessLevel: _variant(access, ua.VariantType.Byte),
        Attribute.MinimumSamplingInterval: _variant(0.0, ua.VariantType.Double),
        Attribute.Historizing: _variant(False, ua.VariantType.Boolean),
    }
    if rank > 0:
        out[Attribute.ArrayDimensions] = ua.Variant([0], ua.VariantType.UInt32, is_array=True)
    if description:
        out[Attribute.Description] = _variant(ua.LocalizedText(description), ua.VariantType.LocalizedText)
    return out


def object_attributes(notifier: int = 0, description: str = "") -> dict[int, Any]:
    """Attributes of an Object. `notifier` 1: events can be subscribed to."""
    out = {Attribute.EventNotifier: _variant(notifier, ua.VariantType.Byte)}
    if description:
        out[Attribute.Description] = _variant(ua.LocalizedText(description), ua.VariantType.LocalizedText)
    return out


def method_attributes(description: str = "") -> dict[int, Any]:
    """Attributes of a Method."""
    out = {
        Attribute.Executable: _variant(True, ua.VariantType.Boolean),
        Attribute.UserExecutable: _variant(True, ua.VariantType.Boolean),
    }
    if description:
        out[Attribute.Description] = _variant(ua.LocalizedText(description), ua.VariantType.LocalizedText)
    return out


def standard(identifier: int) -> NodeId:
    """The node id of a standard node."""
    return ua.NodeId(identifier)


def property_node(node_id: NodeId, owner: NodeId, name: str, value: Any, data_type: int, rank: int = -1) -> Node:
    """A property (OPC 10000-3, 5.6.2) of `owner`; its name is in the standard namespace."""
    return Node(
        node_id,
        ua.NodeClass.Variable,
        ua.QualifiedName(name, 0),
        ua.LocalizedText(name),
        standard(Ids.PropertyType),
        variable_attributes(data_type, rank),
        [
            Reference(Ids.HasTypeDefinition, True, standard(Ids.PropertyType)),
            Reference(Ids.HasProperty, False, owner),
        ],
        value,
    )
