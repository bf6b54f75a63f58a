"""Every node that a client can see: the standard ones, and those of the points, which exist while they are looked at.

Objects
  bess1 ...                folders by the paths of point names, points in them
  Devices                  one object for each device: whether it answers, its errors, where its points are
  Gateway                  one object for each master: its link, its journal
  Server                   as the standard has it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Protocol

from gateway.points import Kind, PointCatalogue, Rows
from protocols.opcua.names import BAR, ROOT, Child, Entry, Group, NameTree, grouped
from protocols.opcua.nodes import Node, NodeId, Reference, object_attributes, standard
from protocols.opcua.pointnodes import PointNodes
from protocols.opcua.uastack import Ids, ua

INDEX: Final = 2
"""Of our namespace. 0 is the standard's, 1 the server's own (its application URI)."""
DEVICES: Final = f"{BAR}Devices"
GATEWAY: Final = f"{BAR}Gateway"
_SYSTEM: Final = "system"
_DEVICE_POINTS: Final = "system/device"
_MASTER_POINTS: Final = "system/master"


class Extension(Protocol):
    """More nodes in our namespace, and more references of nodes that exist: alarms, history, whatever comes."""

    def node(self, identifier: str) -> Node | None:
        """The node of this string, or None."""
        ...

    def references(self, node: Node) -> Iterable[Reference]:
        """To be added to those that `node` has."""
        ...


class AddressSpace:
    """`nodes` are the standard ones; they are changed here only to link the points in."""

    def __init__(
        self,
        nodes: dict[NodeId, Node],
        catalogue: PointCatalogue,
        rows: Rows | None = None,
        writable: Rows | None = None,
    ) -> None:
        """`rows`: points that are served, None: all; `writable`: those that may be commanded, None: all such."""
        self._standard = nodes
        self._catalogue = catalogue
        commanded = [bool(kind in (Kind.SETPOINT, Kind.CONTROL)) for kind in catalogue.kinds.tolist()]
        served = range(len(catalogue)) if rows is None else rows.tolist()
        self._served = None if rows is None else frozenset(served)
        self._writable = None if writable is None else frozenset(writable.tolist())
        shown = (
            [flag and self.writable(row) for row, flag in enumerate(commanded)] if writable is not None else commanded
        )
        self.tree = NameTree(catalogue.names, served, shown)
        self.points = PointNodes(catalogue, node_id, self.tree.parent, self.writable, INDEX)
        self._extensions: list[Extension] = []
        self._subtypes: dict[int, frozenset[int]] = {}
        self._device_groups: dict[str, Group] = {}
        self._link_objects()

    def extend(self, extension: Extension) -> None:
        """Serve these nodes and references too."""
        self._extensions.append(extension)

    def writable(self, row: int) -> bool:
        """Whether a commanded point is served for writing."""
        return self._writable is None or row in self._writable

    def row(self, identifier: NodeId) -> int:
        """The table row of a point's variable; -1 for every other node."""
        if identifier.NamespaceIndex != INDEX or not isinstance(identifier.Identifier, str):
            return -1
        row = self._catalogue.rows.get(identifier.Identifier, -1)
        return row if self._served is None or row in self._served else -1

    def owner(self, identifier: NodeId) -> int:
        """The row of the point that a node is or belongs to; -1 when it belongs to none."""
        text = identifier.Identifier
        if identifier.NamespaceIndex != INDEX or not isinstance(text, str):
            return -1
        return self.row(node_id(text.partition(BAR)[0]))

    def get(self, identifier: NodeId) -> Node | None:
        """The node of this id, or None."""
        node = self._find(identifier)
        if node is None:
            return None
        for extension in self._extensions:
            more = list(extension.references(node))
            if more:
                node.references = [*node.references, *(link for link in more if link not in node.references)]
        return node

    def _find(self, identifier: NodeId) -> Node | None:
        if identifier.NamespaceIndex != INDEX:
            return self._standard.get(identifier)
        text = identifier.Identifier
        if not isinstance(text, str):
            return None
        node = self._ours(text)
        if node is not None:
            return node
        return next((found for extension in self._extensions if (found := extension.node(text)) is not None), None)

    def _ours(self, text: str) -> Node | None:
        row = self.row(node_id(text))
        if row >= 0:
            return self._held(self.points.variable(row), text)
        base, bar, what = text.partition(BAR)
        if not bar:
            return self._folder(text.removesuffix("/")) if text.endswith("/") else None
        if not base and what in _OBJECTS:
            return _OBJECTS[what](self)
        if not base and (made := self._object(text)) is not None:
            return made
        if not base or base.endswith("/"):
            group = self.tree.group(base.removesuffix("/"), what)
            return self._group(base.removesuffix("/"), group) if group is not None else None
        row = self.row(node_id(base))
        return self.points.belonging(row, what) if row >= 0 else None

    def reference_types(self, identifier: int, subtypes: bool) -> frozenset[int]:
        """A reference type and, if wanted, all below it; empty when there is no such type."""
        node = self._standard.get(standard(identifier))
        if node is None or node.node_class != ua.NodeClass.ReferenceType:
            return frozenset()
        return self.subtypes(identifier) if subtypes else frozenset((identifier,))

    def subtypes(self, identifier: int) -> frozenset[int]:
        """A standard type and all below it."""
        found = self._subtypes.get(identifier)
        if found is None:
            below = {identifier}
            node = self._standard.get(standard(identifier))
            for link in node.references if node is not None else ():
                if link.type == Ids.HasSubtype and link.forward:
                    below |= self.subtypes(link.target.Identifier)
            found = self._subtypes[identifier] = frozenset(below)
        return found

    def set_values(self, values: Mapping[int, Any]) -> None:
        """Values of standard variables: a Variant, or what makes a DataValue."""
        for identifier, value in values.items():
            node = self._standard.get(standard(identifier))
            if node is not None:
                node.value = value

    def _link_objects(self) -> None:
        """Into the Objects folder; what nobody serves here is taken out of it."""
        objects = self._standard[standard(Ids.ObjectsFolder)]
        objects.references += [Reference(Ids.Organizes, True, node_id(child.id)) for child in self.tree.children(ROOT)]
        objects.references += [Reference(Ids.Organizes, True, node_id(text)) for text in (DEVICES, GATEWAY)]

    def _folder(self, path: str) -> Node | None:
        folder = self.tree.folders.get(path)
        if folder is None or not path:
            return None
        above, _, name = path.rpartition("/")
        node = _holder(f"{path}/", name, self.tree.parent(above, f"{path}/"), self.tree.children(path))
        devices = self._devices_below.get(path, ())
        node.references += [Reference(Ids.Organizes, False, node_id(f"{DEVICES}/{device}")) for device in devices]
        return node

    def _held(self, node: Node, name: str) -> Node:
        """The same, with the object of a device or master that it is a component of."""
        for top, path in ((DEVICES, _DEVICE_POINTS), (GATEWAY, _MASTER_POINTS)):
            holder = name.removeprefix(f"{path}/").rpartition("/")[0]
            if name.startswith(f"{path}/") and self._object(f"{top}/{holder}") is not None:
                node.references.append(Reference(Ids.HasComponent, False, node_id(f"{top}/{holder}")))
        if name.rpartition("/")[0] == _SYSTEM:
            node.references.append(Reference(Ids.HasComponent, False, node_id(GATEWAY)))
        return node

    def _group(self, path: str, group: Group) -> Node:
        return _holder(group.id, group.name, self.tree.parent(path, group.id), group.children)

    def _devices(self) -> Node:
        return _object(DEVICES, "Devices", "", [child.id for child in self._device_children], Ids.FolderType)

    @cached_property
    def _device_children(self) -> list[Child]:
        """Devices, or groups of them when they are many."""
        return grouped(
            [Entry(f"{DEVICES}/{name}") for name in self._catalogue.devices], f"{DEVICES}/", self._device_groups
        )

    @cached_property
    def _devices_below(self) -> dict[str, list[str]]:
        """By folder: the devices whose points are all in it."""
        out: dict[str, list[str]] = {}
        for name in self._catalogue.devices:
            for folder in self._device_folder(name):
                out.setdefault(folder.removesuffix("/"), []).append(name)
        return out

    def _device_parent(self, text: str) -> str:
        """The id of what holds a device's object: the folder of all, or a group in it."""
        groups = self._device_groups.values() if len(self._device_children) != len(self._catalogue.devices) else ()
        holds = (group.id for group in groups if any(child.id == text for child in group.children))
        return next(holds, DEVICES)

    def _gateway(self) -> Node:
        servers = self.tree.folders.get(_MASTER_POINTS)
        masters = [
            f"{GATEWAY}/{path.removeprefix(f'{_MASTER_POINTS}/')}"
            for server in (servers.folders if servers else [])
            for path in self.tree.folders[server].folders
        ]
        points = [self._catalogue.names[row] for row in self._rows(_SYSTEM)]
        return _object(GATEWAY, "Gateway", "", masters, Ids.BaseObjectType, points)

    def _rows(self, path: str) -> list[int]:
        folder = self.tree.folders.get(path)
        return folder.rows if folder is not None else []

    def _object(self, text: str) -> Node | None:
        """The object of a device or of a master: its points are its components, a device's folder is organised."""
        kind, _, name = text.partition("/")
        if kind == DEVICES and name.startswith(BAR):
            self._device_children  # noqa: B018 - makes the groups
            group = self._device_groups.get(name.removeprefix(BAR))
            return _holder(group.id, group.name, self._device_parent(group.id), group.children) if group else None
        if kind == DEVICES and name in self._catalogue.devices:
            path, parent = f"{_DEVICE_POINTS}/{name}", self._device_parent(text)
        elif kind == GATEWAY and f"{_MASTER_POINTS}/{name}" in self.tree.folders:
            path, parent = f"{_MASTER_POINTS}/{name}", GATEWAY
        else:
            return None
        points = [self._catalogue.names[row] for row in self._rows(path)]
        folders = self._device_folder(name) if kind == DEVICES else []
        return _object(text, name, parent, folders, Ids.BaseObjectType, points)

    def _device_folder(self, name: str) -> list[str]:
        """The deepest folder that holds all of a device's points."""
        number = self._catalogue.devices.index(name)
        rows = (self._catalogue.device == number).nonzero()[0]
        if not len(rows):
            return []
        first, last = (self._catalogue.names[row].split("/")[:-1] for row in (rows[0], rows[-1]))
        common = 0
        while common < min(len(first), len(last)) and first[common] == last[common]:
            common += 1
        path = "/".join(first[:common])
        return [f"{path}/"] if path in self.tree.folders and path else []


_OBJECTS: Final[Mapping[str, Callable[[AddressSpace], Node]]] = {
    "Devices": AddressSpace._devices,
    "Gateway": AddressSpace._gateway,
}


def node_id(text: str) -> NodeId:
    """The node id of a string of ours; of an empty one the Objects folder."""
    return ua.NodeId(text, INDEX, ua.NodeIdType.String) if text else standard(Ids.ObjectsFolder)


def _holder(text: str, name: str, parent: str, children: Iterable[Child]) -> Node:
    return _object(text, name, parent, [child.id for child in children], Ids.FolderType)


def _object(
    text: str, name: str, parent: str, organised: Iterable[str], type_id: int, components: Iterable[str] = ()
) -> Node:
    kind = standard(type_id)
    references = [
        Reference(Ids.HasTypeDefinition, True, kind),
        Reference(Ids.Organizes, False, node_id(parent)),
    ]
    references += [Reference(Ids.HasComponent, True, node_id(child)) for child in components]
    references += [Reference(Ids.Organizes, True, node_id(child)) for child in organised]
    return Node(
        node_id(text),
        ua.NodeClass.Object,
        ua.QualifiedName(name, INDEX),
        ua.LocalizedText(name),
        kind,
        object_attributes(),
        references,
    )
