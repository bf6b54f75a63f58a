"""Browsing and paths over the address space (OPC 10000-4, 5.9). What a session may not see is not there for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from protocols.opcua.addressspace import AddressSpace
from protocols.opcua.errors import ServiceFault
from protocols.opcua.nodes import Node, NodeId, Reference
from protocols.opcua.uastack import Codes, Ids, ua

Visible = Callable[[int], bool]
"""Whether a session sees the point of a table row."""

_REFERENCE_TYPE, _IS_FORWARD, _NODE_CLASS, _BROWSE_NAME, _DISPLAY_NAME, _TYPE_DEFINITION = 1, 2, 4, 8, 16, 32
"""Bits of BrowseResultMask."""

_DIRECTIONS: Final = {
    int(ua.BrowseDirection.Forward): (True,),
    int(ua.BrowseDirection.Inverse): (False,),
    int(ua.BrowseDirection.Both): (True, False),
}
_ALL: Final = 0xFFFF_FFFF


class View:
    """Answers single operations; raises `ServiceFault` with the status code of the operation."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space

    def references(self, wanted: Any, visible: Visible) -> Iterator[Any]:
        """ReferenceDescriptions for a BrowseDescription, one by one."""
        node = self.node(wanted.NodeId, visible)
        directions = _DIRECTIONS.get(int(wanted.BrowseDirection))
        if directions is None:
            raise ServiceFault(Codes.BadBrowseDirectionInvalid)
        types = self._types(wanted.ReferenceTypeId, bool(wanted.IncludeSubtypes))
        return self._described(node, directions, types, wanted, visible)

    def node(self, identifier: NodeId, visible: Visible) -> Node:
        """The node. Raises `ServiceFault` when there is none, or none that this session sees."""
        node = self._space.get(identifier)
        if node is None or not self.seen(identifier, visible):
            raise ServiceFault(Codes.BadNodeIdUnknown)
        return node

    def seen(self, identifier: NodeId, visible: Visible) -> bool:
        """Whether the point to which a node belongs is one that the session sees."""
        row = self._space.owner(identifier)
        return row < 0 or visible(row)

    def translate(self, path: Any, visible: Visible) -> list[NodeId]:
        """Targets of a BrowsePath."""
        elements = path.RelativePath.Elements or []
        if not elements:
            raise ServiceFault(Codes.BadNothingToDo)
        if any(element.TargetName is None or not element.TargetName.Name for element in elements[-1:]):
            raise ServiceFault(Codes.BadBrowseNameInvalid)
        here = [self.node(path.StartingNode, visible)]
        for element in elements:
            here = [target for node in here for target in self._step(node, element, visible)]
        if not here:
            raise ServiceFault(Codes.BadNoMatch)
        return list({node.id: None for node in here})

    def _types(self, identifier: NodeId, subtypes: bool) -> frozenset[int] | None:
        """Reference types wanted; None: every one."""
        if identifier.Identifier == 0 and identifier.NamespaceIndex == 0:
            return None
        types = frozenset[int]()
        if identifier.NamespaceIndex == 0 and isinstance(identifier.Identifier, int):
            types = self._space.reference_types(identifier.Identifier, subtypes)
        if not types:
            raise ServiceFault(Codes.BadReferenceTypeIdInvalid)
        return types

    def _described(
        self, node: Node, directions: tuple[bool, ...], types: frozenset[int] | None, wanted: Any, visible: Visible
    ) -> Iterator[Any]:
        classes, mask = int(wanted.NodeClassMask) or _ALL, int(wanted.ResultMask)
        for link in node.references:
            if link.forward not in directions or (types is not None and link.type not in types):
                continue
            target = self._space.get(link.target)
            if target is None or not target.node_class & classes or not self.seen(link.target, visible):
                continue
            yield _description(link, target, mask)

    def _step(self, node: Node, element: Any, visible: Visible) -> Iterator[Node]:
        types = self._types(element.ReferenceTypeId, bool(element.IncludeSubtypes))
        name = element.TargetName
        for link in node.references:
            if link.forward == bool(element.IsInverse) or (types is not None and link.type not in types):
                continue
            if not _may_be(link, name):
                continue
            target = self._space.get(link.target)
            if target is not None and target.browse_name == name and self.seen(link.target, visible):
                yield target


def _may_be(link: Reference, name: Any) -> bool:
    """Whether it is worth making the node of a point: the end of its id says its name already."""
    text = link.target.Identifier
    return not isinstance(text, str) or "|" in text or text.rstrip("/").endswith(name.Name or "")


def _description(link: Reference, target: Node, mask: int) -> Any:
    out = ua.ReferenceDescription()
    out.NodeId = _expanded(link.target)
    if mask & _REFERENCE_TYPE:
        out.ReferenceTypeId = ua.NodeId(link.type)
    out.IsForward = link.forward if mask & _IS_FORWARD else False
    if mask & _NODE_CLASS:
        out.NodeClass = target.node_class
    if mask & _BROWSE_NAME:
        out.BrowseName = target.browse_name
    if mask & _DISPLAY_NAME:
        out.DisplayName = target.display_name
    if mask & _TYPE_DEFINITION and target.type_definition is not None:
        out.TypeDefinition = _expanded(target.type_definition)
    return out


def _expanded(identifier: NodeId) -> Any:
    return ua.ExpandedNodeId(identifier.Identifier, identifier.NamespaceIndex, identifier.NodeIdType)


ROOT_FOLDER: Final = Ids.RootFolder
