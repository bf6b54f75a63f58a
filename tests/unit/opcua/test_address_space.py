"""The address space as a whole: references both ways, definitions that exist, nobody's folder too wide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gateway.points import Kind, Point, PointCatalogue
from protocols.opcua.addressspace import AddressSpace, node_id
from protocols.opcua.errors import ServiceFault
from protocols.opcua.nodes import Attribute, Node
from protocols.opcua.standardnodes import standard_nodes
from protocols.opcua.uastack import Codes, Ids, ua
from protocols.opcua.view import View
from tests.kit.opcuapoints import POINTS

MANY = PointCatalogue.of(
    [
        Point(row=2 * n + k, name=f"system/device/bms{n}/{what}", kind=kind, device=f"bms{n}")
        for n in range(150)
        for k, (what, kind) in enumerate((("online", Kind.BINARY), ("errors", Kind.COUNTER)))
    ]
)
ONE_WAY = {Ids.HasTypeDefinition}


def ours(space: AddressSpace) -> dict[str, Node]:
    """Every node of ours that can be reached from Objects."""
    out: dict[str, Node] = {}
    todo = [ua.NodeId(Ids.ObjectsFolder)]
    while todo:
        node = space.get(todo.pop())
        assert node is not None
        for link in node.references:
            if link.forward and link.target.NamespaceIndex == 2 and link.target.Identifier not in out:
                target = space.get(link.target)
                assert target is not None, f"{node.id} refers to {link.target}, which does not exist"
                assert target.id == link.target
                out[link.target.Identifier] = target
                todo.append(link.target)
    return out


@pytest.mark.parametrize("points", [POINTS, MANY], ids=["plant", "many devices"])
def test_every_reference_has_its_way_back(points: PointCatalogue) -> None:
    space = AddressSpace(standard_nodes(), points)
    nodes = ours(space)
    assert set(points.names) <= set(nodes)
    for node in nodes.values():
        down = 0
        for link in node.references:
            target = space.get(link.target)
            assert target is not None
            back = (link.type, not link.forward, node.id)
            assert link.type in ONE_WAY or back in target.references, f"{target.id} does not know {node.id}"
            down += link.forward and link.type == Ids.Organizes
        assert down <= 100
        assert len(node.references) == len(set(map(str, node.references)))
        kinds = [link.target for link in node.references if link.type == Ids.HasTypeDefinition]
        assert kinds == ([node.type_definition] if node.type_definition is not None else [])


@pytest.mark.parametrize(
    ("name", "definition", "data_type"),
    [
        ("bess1/pcs/power", "AnalogUnitRangeType", 11),
        ("bess1/energy", "AnalogUnitType", 11),
        ("bess1/alarm", "TwoStateDiscreteType", 1),
        ("bess1/breaker", "MultiStateValueDiscreteType", 7),
        ("system/device/pcs1/errors", "BaseDataVariableType", 11),
    ],
)
def test_points_have_the_type_that_fits(name: str, definition: str, data_type: int) -> None:
    space = AddressSpace(standard_nodes(), POINTS)
    node = space.get(node_id(name))
    assert node is not None and node.type_definition is not None
    kind = space.get(node.type_definition)
    assert kind is not None and kind.browse_name.Name == definition
    assert node.attributes[Attribute.DataType].Value == ua.NodeId(data_type)


def browse(space: AddressSpace, start: Any, **how: Any) -> list[str]:
    wanted = ua.BrowseDescription(NodeId=start, ResultMask=63, **how)
    return [found.BrowseName.Name for found in View(space).references(wanted, lambda row: True)]


def test_browse_filters() -> None:
    space = AddressSpace(standard_nodes(), POINTS)
    power = node_id("bess1/pcs/power")
    forward, inverse, both = ua.BrowseDirection.Forward, ua.BrowseDirection.Inverse, ua.BrowseDirection.Both
    properties = {"ReferenceTypeId": ua.NodeId(Ids.HasProperty), "IncludeSubtypes": False}
    assert browse(space, power, BrowseDirection=forward, **properties) == ["EURange", "EngineeringUnits"]
    hierarchy = {"ReferenceTypeId": ua.NodeId(Ids.HierarchicalReferences)}
    assert browse(space, power, BrowseDirection=inverse, IncludeSubtypes=True, **hierarchy) == ["pcs"]
    assert browse(space, power, BrowseDirection=both, IncludeSubtypes=False, **hierarchy) == []
    types = {"NodeClassMask": int(ua.NodeClass.VariableType)}
    assert browse(space, power, BrowseDirection=both, **types) == ["AnalogUnitRangeType"]
    with pytest.raises(ServiceFault) as refused:
        browse(space, power, ReferenceTypeId=ua.NodeId(Ids.FolderType))
    assert refused.value.code == Codes.BadReferenceTypeIdInvalid


def test_the_mask_says_what_is_told() -> None:
    space = AddressSpace(standard_nodes(), POINTS)
    wanted = ua.BrowseDescription(NodeId=node_id("bess1/pcs/"), ResultMask=8)
    found = next(iter(View(space).references(wanted, lambda row: True)))
    assert (found.BrowseName.Name, found.DisplayName.Text, found.NodeClass) == ("FolderType", None, 0)


def test_what_is_narrowed_by_a_map_is_not_there() -> None:
    rows = np.array([0, 1, 2], np.uint32)
    space = AddressSpace(standard_nodes(), POINTS, rows=rows, writable=np.array([2], np.uint32))
    nodes = ours(space)
    assert {name for name in nodes if name in POINTS.rows} == {POINTS.names[row] for row in rows}
    assert "bess1/pcs/setpoint|Control" in nodes and "bess1/pcs/run|Control" not in nodes
    assert space.get(node_id("bess1/alarm")) is None
