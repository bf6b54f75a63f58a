"""Conditions in the address space, made when somebody looks. Pure.

Server ── HasNotifier ──► Devices/pcs1 ── HasEventSource ──► bess1/pcs/temp ── HasCondition ──► bess1/pcs/temp|hh
       ── HasNotifier ──► Gateway      ── HasEventSource ──► points without a device
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from gateway.alarms import AlarmCatalogue
from gateway.alarms.model import CONDITION_BY_WORD
from gateway.contracts import AlarmsView
from protocols.opcua.addressspace import DEVICES, GATEWAY, INDEX, AddressSpace, node_id
from protocols.opcua.conditionfields import Field, Fields, Shown, fields_of, type_of
from protocols.opcua.names import BAR
from protocols.opcua.nodes import (
    Attribute,
    Node,
    NodeId,
    Reference,
    method_attributes,
    object_attributes,
    standard,
    variable_attributes,
)
from protocols.opcua.uastack import Ids, ua

OBJECTS: Final[Mapping[str, int]] = {
    "ShelvingState": int(Ids.ShelvedStateMachineType),
    "LimitState": int(Ids.ExclusiveLimitStateMachineType),
}
METHODS: Final[Mapping[str, tuple[int, int | None]]] = {
    "Enable": (Ids.ConditionType_Enable, None),
    "Disable": (Ids.ConditionType_Disable, None),
    "AddComment": (Ids.ConditionType_AddComment, Ids.ConditionType_AddComment_InputArguments),
    "Acknowledge": (
        Ids.AcknowledgeableConditionType_Acknowledge,
        Ids.AcknowledgeableConditionType_Acknowledge_InputArguments,
    ),
    "Confirm": (Ids.AcknowledgeableConditionType_Confirm, Ids.AcknowledgeableConditionType_Confirm_InputArguments),
    "ShelvingState.TimedShelve": (
        Ids.ShelvedStateMachineType_TimedShelve,
        Ids.ShelvedStateMachineType_TimedShelve_InputArguments,
    ),
    "ShelvingState.OneShotShelve": (Ids.ShelvedStateMachineType_OneShotShelve, None),
    "ShelvingState.Unshelve": (Ids.ShelvedStateMachineType_Unshelve, None),
}
"""By what stands behind a condition's id: the type's method, and its input arguments."""


class ConditionNodes:
    """An `Extension` of the address space. `now_ns` reads the clock."""

    def __init__(self, space: AddressSpace, view: AlarmsView, now_ns: Any) -> None:
        self._space, self._view, self._now_ns = space, view, now_ns
        self._alarms: AlarmCatalogue = view.catalogue

    @cached_property
    def _sources(self) -> dict[int, list[int]]:
        """By device (-1: none): rows of served points that have alarms. Made when somebody browses for them."""
        points, out = self._alarms.points, dict[int, list[int]]()
        for row in dict.fromkeys(self._alarms.row.tolist()):
            if self._space.row(node_id(points.names[row])) >= 0:
                out.setdefault(int(points.device[row]), []).append(row)
        return out

    def shown(self, index: int) -> Shown:
        """The alarm as it is now."""
        return Shown(self._view.record(index), self._alarms, self.source(index), self.condition(index), self._now_ns())

    def served(self, index: int) -> bool:
        """Whether its point is served here."""
        return self._space.row(self.source(index)) >= 0

    def source(self, index: int) -> NodeId:
        """The node of the alarm's point."""
        return node_id(self._alarms.points.names[int(self._alarms.row[index])])

    def condition(self, index: int) -> NodeId:
        """The node of the alarm's condition."""
        row = int(self._alarms.row[index])
        return node_id(f"{self._alarms.points.names[row]}{BAR}{self._alarms.condition_of(index).word}")

    def notifier(self, index: int) -> NodeId:
        """The object whose events the alarm's are, beside the Server's."""
        points = self._alarms.points
        return self._notifier(int(points.device[int(self._alarms.row[index])]))

    def _notifier(self, device: int) -> NodeId:
        return node_id(GATEWAY if device < 0 else f"{DEVICES}/{self._alarms.points.devices[device]}")

    def find(self, identifier: NodeId) -> tuple[int, str] | None:
        """(alarm, what of its condition, empty for itself) of a node id; None when it is none of ours."""
        text = identifier.Identifier
        if identifier.NamespaceIndex != INDEX or not isinstance(text, str):
            return None
        name, bar, what = text.partition(BAR)
        word, _, part = what.partition(".")
        condition, row = CONDITION_BY_WORD.get(word), self._space.row(node_id(name)) if bar and name else -1
        if condition is None or row < 0:
            return None
        for index in self._alarms.of_row(row):
            if self._alarms.condition[index] == condition:
                return index, part
        return None

    # Extension

    def node(self, identifier: str) -> Node | None:
        found = self.find(node_id(identifier))
        if found is None:
            return None
        index, part = found
        if not part:
            return self._condition_node(index)
        if part in OBJECTS and any(path[0] == part for path in self._fields(index)):
            return self._object_node(index, part)
        if part in METHODS and (part != "Confirm" or self._alarms.rules.confirm):
            return self._method_node(index, part)
        path = tuple(part.split("."))
        field = self._fields(index).get(path)
        return None if field is None else self._variable_node(index, path, field)

    def references(self, node: Node) -> Iterable[Reference]:
        if node.row >= 0:
            return [Reference(Ids.HasCondition, True, self.condition(index)) for index in self._alarms.of_row(node.row)]
        text = node.id.Identifier
        if node.id == standard(Ids.Server):
            return [Reference(Ids.HasNotifier, True, self._notifier(device)) for device in sorted(self._sources)]
        if not isinstance(text, str) or not text.startswith((DEVICES, GATEWAY)):
            return []
        return self._notifies(node, text)

    def _notifies(self, node: Node, text: str) -> list[Reference]:
        device = next((at for at in self._sources if self._notifier(at).Identifier == text), None)
        if device is None:
            return []
        node.attributes = {**node.attributes, Attribute.EventNotifier: ua.Variant(1, ua.VariantType.Byte)}
        names = self._alarms.points.names
        sources = [Reference(Ids.HasEventSource, True, node_id(names[row])) for row in self._sources[device]]
        return [Reference(Ids.HasNotifier, False, standard(Ids.Server)), *sources]

    def _fields(self, index: int) -> Mapping[tuple[str, ...], Field]:
        return fields_of(self._alarms.condition_of(index), self._alarms.rules.confirm)

    def _id(self, index: int, part: str) -> NodeId:
        whole = self.condition(index)
        return node_id(f"{whole.Identifier}.{part}") if part else whole

    def _condition_node(self, index: int) -> Node:
        kind = standard(type_of(self._alarms.condition_of(index)))
        word = self._alarms.condition_of(index).word
        references = [
            Reference(Ids.HasTypeDefinition, True, kind),
            Reference(Ids.HasCondition, False, self.source(index)),
        ]
        references += self._children(index, "")
        text = self._alarms.message(index)
        return _made(self.condition(index), word, INDEX, kind, object_attributes(description=text), references)

    def _children(self, index: int, above: str) -> list[Reference]:
        """References to what stands directly below a condition, or below a part of it."""
        prefix = tuple(above.split(".")) if above else ()
        depth, out, table = len(prefix), list[Reference](), self._fields(index)
        for path, field in table.items():
            if path[:depth] == prefix and len(path) == depth + 1:
                out.append(Reference(field.reference, True, self._id(index, ".".join(path))))
        for name in OBJECTS if not above else ():
            if any(path[0] == name for path in table):
                out.append(Reference(Ids.HasComponent, True, self._id(index, name)))
        for name in METHODS:
            if name.rpartition(".")[0] == above and (name != "Confirm" or self._alarms.rules.confirm):
                out.append(Reference(Ids.HasComponent, True, self._id(index, name)))
        return out

    def _object_node(self, index: int, part: str) -> Node:
        kind = standard(OBJECTS[part])
        references = [
            Reference(Ids.HasTypeDefinition, True, kind),
            Reference(Ids.HasComponent, False, self.condition(index)),
            *self._children(index, part),
        ]
        return _made(self._id(index, part), part, 0, kind, object_attributes(), references)

    def _method_node(self, index: int, part: str) -> Node:
        above, _, name = part.rpartition(".")
        references = [Reference(Ids.HasComponent, False, self._id(index, above))]
        arguments = METHODS[part][1]
        if arguments is not None:
            references.append(Reference(Ids.HasProperty, True, standard(arguments)))
        node = _made(self._id(index, part), name, 0, None, method_attributes(), references)
        node.node_class = ua.NodeClass.Method
        return node

    def _variable_node(self, index: int, path: tuple[str, ...], field: Field) -> Node:
        kind, part = standard(field.type_definition), ".".join(path)
        references = [
            Reference(Ids.HasTypeDefinition, True, kind),
            Reference(field.reference, False, self._id(index, ".".join(path[:-1]))),
            *self._children(index, part),
        ]
        node = _made(self._id(index, part), path[-1], 0, kind, variable_attributes(field.data_type), references)
        node.node_class = ua.NodeClass.Variable
        node.value = lambda: ua.DataValue(Fields(self.shown(index))[path])
        return node


def _made(
    identifier: NodeId, name: str, namespace: int, kind: NodeId | None, attributes: Any, references: list[Reference]
) -> Node:
    return Node(
        identifier,
        ua.NodeClass.Object,
        ua.QualifiedName(name, namespace),
        ua.LocalizedText(name),
        kind,
        attributes,
        references,
    )
