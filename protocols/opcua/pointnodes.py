"""Nodes of points, made when somebody looks: the variable, its properties, its control object with methods.

    kind                with range and unit      unit only         range only        neither
    analog, setpoint    AnalogUnitRangeType      AnalogUnitType    AnalogItemType    BaseAnalogType
    counter             AnalogUnitRangeType      AnalogUnitType    AnalogItemType    BaseDataVariableType
    binary, control     TwoStateDiscreteType with TrueState and FalseState
    double              MultiStateValueDiscreteType with EnumValues and ValueAsText

(OPC 10000-8, 5.3). A range is that of the point's `low` and `high`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from gateway.points import Kind, PointCatalogue
from protocols.opcua.names import BAR, CONTROL, folder_id
from protocols.opcua.nodes import (
    READABLE,
    WRITABLE,
    Node,
    NodeId,
    Reference,
    method_attributes,
    object_attributes,
    property_node,
    standard,
    variable_attributes,
)
from protocols.opcua.uastack import Ids, ua
from protocols.opcua.units import unit
from protocols.opcua.valueencode import TYPE_BY_KIND

DOUBLE_TEXTS: Final = ("intermediate", "off", "on", "bad")
"""By value of a double point."""
TRUE_TEXT, FALSE_TEXT = "on", "off"

_T: Final = ua.VariantType
_DISCRETE: Final = {
    Kind.BINARY: Ids.TwoStateDiscreteType,
    Kind.CONTROL: Ids.TwoStateDiscreteType,
    Kind.DOUBLE: Ids.MultiStateValueDiscreteType,
}
_ANALOG: Final = {
    (True, True): Ids.AnalogUnitRangeType,
    (False, True): Ids.AnalogUnitType,
    (True, False): Ids.AnalogItemType,
    (False, False): Ids.BaseAnalogType,
}
"""By (range, unit)."""


@dataclass(frozen=True, slots=True)
class Method:
    """One of a control object's methods."""

    description: str
    takes_value: bool


METHODS: Final[Mapping[str, Method]] = {
    "Select": Method("Reserve the point for an Operate with the same value, by this session.", True),
    "Operate": Method("Carry out what was selected; returns when the device has acknowledged.", True),
    "Cancel": Method("Give a selection up.", False),
}


class PointNodes:
    """`ids` makes a node id of a string, `writable` tells whether a commanded row is served for writing."""

    def __init__(
        self,
        catalogue: PointCatalogue,
        ids: Callable[[str], NodeId],
        parent: Callable[[str, str], str],
        writable: Callable[[int], bool],
        index: int,
    ) -> None:
        """`parent`: (folder path, id) -> id of what holds it; `index`: of the namespace."""
        self._catalogue, self._id, self._parent, self._writable = catalogue, ids, parent, writable
        self._index = index
        self.text_of: Callable[[int], Any] = lambda row: None
        """Row -> DataValue of ValueAsText."""

    def range_of(self, row: int) -> tuple[float, float] | None:
        """Low and high of a point that has both."""
        low, high = float(self._catalogue.low[row]), float(self._catalogue.high[row])
        return (low, high) if np.isfinite(low) and np.isfinite(high) and low < high else None

    def variable(self, row: int) -> Node:
        """The node of the point itself."""
        catalogue = self._catalogue
        name, kind = catalogue.names[row], catalogue.kind(row)
        type_id = standard(self._type(row, kind))
        me = self._id(name)
        path, _, last = name.rpartition("/")
        references = [
            Reference(Ids.HasTypeDefinition, True, type_id),
            Reference(Ids.Organizes, False, self._id(self._parent(path, name))),
        ]
        references += [
            Reference(Ids.HasProperty, True, self._id(f"{name}{BAR}{prop}")) for prop in self._properties(row, kind)
        ]
        access = READABLE
        if kind.commanded and self._writable(row):
            access |= WRITABLE
            references.append(Reference(Ids.HasComponent, False, self._id(f"{name}{BAR}{CONTROL}")))
        return Node(
            me,
            ua.NodeClass.Variable,
            ua.QualifiedName(last, self._index),
            ua.LocalizedText(last),
            type_id,
            variable_attributes(TYPE_BY_KIND[kind], access=access, description=catalogue.descriptions[row]),
            references,
            None,
            row,
        )

    def belonging(self, row: int, what: str) -> Node | None:
        """Something of a point, by what stands behind the bar of its id."""
        kind = self._catalogue.kind(row)
        if what in _PROPERTIES:
            return self._property(row, kind, what) if what in self._properties(row, kind) else None
        if not (kind.commanded and self._writable(row)):
            return None
        if what == CONTROL:
            return self._control(row)
        method, dot, argument = what.partition(".")
        if method not in METHODS:
            return None
        if not dot:
            return self._method(row, method)
        return self._arguments(row, kind, method) if argument == "InputArguments" else None

    def _type(self, row: int, kind: Kind) -> int:
        discrete: int | None = _DISCRETE.get(kind)
        if discrete is not None:
            return discrete
        key = (self.range_of(row) is not None, bool(self._catalogue.units[row]))
        if kind is Kind.COUNTER and key == (False, False):
            return int(Ids.BaseDataVariableType)
        return int(_ANALOG[key])

    def _properties(self, row: int, kind: Kind) -> list[str]:
        if kind is Kind.DOUBLE:
            return ["EnumValues", "ValueAsText"]
        if kind in _DISCRETE:
            return ["TrueState", "FalseState"]
        out = ["EURange"] if self.range_of(row) is not None else []
        return out + (["EngineeringUnits"] if self._catalogue.units[row] else [])

    def _property(self, row: int, kind: Kind, what: str) -> Node:
        name = self._catalogue.names[row]
        data_type, rank, make = _PROPERTIES[what]
        value = partial(self.text_of, row) if make is None else make(self, row)
        return property_node(self._id(f"{name}{BAR}{what}"), self._id(name), what, value, data_type, rank)

    def eu_range(self, row: int) -> Any:
        """The Variant of EURange."""
        low, high = self.range_of(row) or (0.0, 0.0)
        return ua.Variant(ua.Range(low, high), _T.ExtensionObject)

    def engineering_units(self, row: int) -> Any:
        """The Variant of EngineeringUnits."""
        found = unit(self._catalogue.units[row])
        info = ua.EUInformation(
            NamespaceUri=found.uri,
            UnitId=found.unit_id,
            DisplayName=ua.LocalizedText(found.text),
            Description=ua.LocalizedText(found.name),
        )
        return ua.Variant(info, _T.ExtensionObject)

    def _control(self, row: int) -> Node:
        name = self._catalogue.names[row]
        path, _, last = name.rpartition("/")
        me = f"{name}{BAR}{CONTROL}"
        base = standard(Ids.BaseObjectType)
        references = [
            Reference(Ids.HasTypeDefinition, True, base),
            Reference(Ids.Organizes, False, self._id(self._parent(path, me))),
            Reference(Ids.HasComponent, True, self._id(name)),
        ]
        references += [Reference(Ids.HasComponent, True, self._id(f"{name}{BAR}{method}")) for method in METHODS]
        text = f"{last}.{CONTROL}"
        return Node(
            self._id(me),
            ua.NodeClass.Object,
            ua.QualifiedName(text, self._index),
            ua.LocalizedText(text),
            base,
            object_attributes(description=f"Select and operate {name}"),
            references,
        )

    def _method(self, row: int, method: str) -> Node:
        name = self._catalogue.names[row]
        references = [Reference(Ids.HasComponent, False, self._id(f"{name}{BAR}{CONTROL}"))]
        if METHODS[method].takes_value:
            references.append(Reference(Ids.HasProperty, True, self._id(f"{name}{BAR}{method}.InputArguments")))
        return Node(
            self._id(f"{name}{BAR}{method}"),
            ua.NodeClass.Method,
            ua.QualifiedName(method, self._index),
            ua.LocalizedText(method),
            None,
            method_attributes(METHODS[method].description),
            references,
        )

    def _arguments(self, row: int, kind: Kind, method: str) -> Node | None:
        if not METHODS[method].takes_value:
            return None
        name = self._catalogue.names[row]
        argument = ua.Argument(
            Name="Value",
            DataType=ua.NodeId(TYPE_BY_KIND[kind]),
            ValueRank=-1,
            ArrayDimensions=[],
            Description=ua.LocalizedText(self._catalogue.units[row]),
        )
        value = ua.Variant([argument], _T.ExtensionObject, is_array=True)
        me, owner = self._id(f"{name}{BAR}{method}.InputArguments"), self._id(f"{name}{BAR}{method}")
        return property_node(me, owner, "InputArguments", value, Ids.Argument, 1)


def _text(text: str) -> Callable[[PointNodes, int], Any]:
    return lambda nodes, row: ua.Variant(ua.LocalizedText(text), _T.LocalizedText)


def _enum_values(nodes: PointNodes, row: int) -> Any:
    values = [
        ua.EnumValueType(Value=value, DisplayName=ua.LocalizedText(text), Description=ua.LocalizedText(text))
        for value, text in enumerate(DOUBLE_TEXTS)
    ]
    return ua.Variant(values, _T.ExtensionObject, is_array=True)


# Data type, value rank, what makes the Variant; None: it follows the point's value.
_PROPERTIES: Final[Mapping[str, tuple[int, int, Callable[[PointNodes, int], Any] | None]]] = {
    "EURange": (Ids.Range, -1, PointNodes.eu_range),
    "EngineeringUnits": (Ids.EUInformation, -1, PointNodes.engineering_units),
    "TrueState": (Ids.LocalizedText, -1, _text(TRUE_TEXT)),
    "FalseState": (Ids.LocalizedText, -1, _text(FALSE_TEXT)),
    "EnumValues": (Ids.EnumValueType, 1, _enum_values),
    "ValueAsText": (Ids.LocalizedText, -1, None),
}

__all__ = ["DOUBLE_TEXTS", "METHODS", "PointNodes", "folder_id"]
