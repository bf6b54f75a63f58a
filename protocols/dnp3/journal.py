"""What the bindings of a master are called in its journal. Pure."""

from __future__ import annotations

from gateway.events import BindingName
from gateway.points import PointCatalogue
from protocols.dnp3.plan import BindingColumns
from protocols.dnp3.pointtypes import PointType


def binding_names(columns: BindingColumns, catalogue: PointCatalogue) -> list[BindingName]:
    """Point and index of every binding, then the same for the events of commands to it."""
    entries = zip(columns.row.tolist(), columns.type.tolist(), columns.index.tolist(), strict=True)
    names = [(catalogue.names[row], f"{PointType(kind).name} {index}") for row, kind, index in entries]
    return [*names, *((point, f"command {address}") for point, address in names)]
