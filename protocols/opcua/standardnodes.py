"""The standard address space (namespace 0): the node set that asyncua carries as generated code, kept as our nodes.

Its modules are run once against a collector, without asyncua's server, and forgotten.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from protocols.opcua.nodes import READABLE, Attribute, Node, Reference
from protocols.opcua.uastack import Ids, bare_packages, ua

_MODULE: Final = "asyncua.server.standard_address_space.standard_address_space_services"
_PACKAGES: Final = ("asyncua", "asyncua.common", "asyncua.server")

_ONE_WAY: Final = frozenset((Ids.HasTypeDefinition, Ids.HasModellingRule))
"""A type definition does not list all that is of its type."""

_T: Final = ua.VariantType
_FIELDS: Final[Mapping[int, tuple[tuple[int, str, Any], ...]]] = {
    ua.NodeClass.Object: ((Attribute.EventNotifier, "EventNotifier", _T.Byte),),
    ua.NodeClass.Variable: (
        (Attribute.DataType, "DataType", _T.NodeId),
        (Attribute.ValueRank, "ValueRank", _T.Int32),
        (Attribute.MinimumSamplingInterval, "MinimumSamplingInterval", _T.Double),
        (Attribute.Historizing, "Historizing", _T.Boolean),
    ),
    ua.NodeClass.Method: (
        (Attribute.Executable, "Executable", _T.Boolean),
        (Attribute.UserExecutable, "UserExecutable", _T.Boolean),
    ),
    ua.NodeClass.ObjectType: ((Attribute.IsAbstract, "IsAbstract", _T.Boolean),),
    ua.NodeClass.VariableType: (
        (Attribute.DataType, "DataType", _T.NodeId),
        (Attribute.ValueRank, "ValueRank", _T.Int32),
        (Attribute.IsAbstract, "IsAbstract", _T.Boolean),
    ),
    ua.NodeClass.ReferenceType: (
        (Attribute.IsAbstract, "IsAbstract", _T.Boolean),
        (Attribute.Symmetric, "Symmetric", _T.Boolean),
    ),
    ua.NodeClass.DataType: ((Attribute.IsAbstract, "IsAbstract", _T.Boolean),),
}


class _Collector:
    """Stands where the generated code expects asyncua's server."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.references: list[Any] = []

    def add_nodes(self, nodes: Iterable[Any]) -> None:
        self.nodes.extend(nodes)

    def add_references(self, references: Iterable[Any]) -> None:
        self.references.extend(references)


def standard_nodes() -> dict[Any, Node]:
    """Every standard node by its id, with references both ways. Takes a quarter of a second."""
    collected = _Collector()
    was_on = gc.isenabled()
    gc.disable()  # a hundred thousand new objects, none of them garbage
    try:
        with bare_packages(_PACKAGES):
            module = importlib.import_module(_MODULE)
            fill: Callable[[Any], None] = module.create_standard_address_space_Services
            fill(collected)
        out = _linked(collected)
    finally:
        if was_on:
            gc.enable()
    for name in [name for name in sys.modules if name.startswith(_MODULE)]:
        del sys.modules[name]
    return out


def _linked(collected: _Collector) -> dict[Any, Node]:
    nodes = {item.RequestedNewNodeId: _node(item) for item in collected.nodes}
    seen: set[tuple[Any, int, bool, Any]] = set()

    def link(source: Any, kind: int, forward: bool, target: Any) -> None:
        node, key = nodes.get(source), (source.Identifier, kind, forward, target.Identifier)
        if node is not None and key not in seen:
            seen.add(key)
            node.references.append(Reference(kind, forward, target))

    def both(source: Any, kind: int, forward: bool, target: Any) -> None:
        link(source, kind, forward, target)
        if kind not in _ONE_WAY:
            link(target, kind, not forward, source)

    for item in collected.nodes:
        if item.ParentNodeId.Identifier:
            both(item.ParentNodeId, item.ReferenceTypeId.Identifier, True, item.RequestedNewNodeId)
    for item in collected.references:
        both(item.SourceNodeId, item.ReferenceTypeId.Identifier, item.IsForward, item.TargetNodeId)
    for node in nodes.values():
        if node.type_definition is not None:
            link(node.id, Ids.HasTypeDefinition, True, node.type_definition)
    return nodes


def _node(item: Any) -> Node:
    given = item.NodeAttributes
    kind = item.NodeClass
    attributes = {identifier: ua.Variant(getattr(given, name), vtype) for identifier, name, vtype in _FIELDS[kind]}
    if given.Description.Text:
        attributes[Attribute.Description] = ua.Variant(given.Description, _T.LocalizedText)
    value = None
    if kind == ua.NodeClass.Variable:
        attributes[Attribute.AccessLevel] = attributes[Attribute.UserAccessLevel] = ua.Variant(READABLE, _T.Byte)
        value = given.Value
        if given.ArrayDimensions:
            dimensions = ua.Variant(given.ArrayDimensions, _T.UInt32, is_array=True)
            attributes[Attribute.ArrayDimensions] = dimensions
    elif kind == ua.NodeClass.ReferenceType and given.InverseName.Text:
        attributes[Attribute.InverseName] = ua.Variant(given.InverseName, _T.LocalizedText)
    elif kind == ua.NodeClass.DataType:
        definition = getattr(given, "DataTypeDefinition", None)
        if definition is not None and not isinstance(definition, ua.ExtensionObject):
            attributes[Attribute.DataTypeDefinition] = ua.Variant(definition, _T.ExtensionObject)
    type_definition = item.TypeDefinition if item.TypeDefinition.Identifier else None
    return Node(
        item.RequestedNewNodeId, kind, item.BrowseName, given.DisplayName, type_definition, attributes, [], value
    )
