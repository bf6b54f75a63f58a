"""What the bindings of a master are called in its journal. Pure."""

from __future__ import annotations

from gateway.events import BindingName
from gateway.points import PointCatalogue
from protocols.iec104.elements import TYPES
from protocols.iec104.plan import BindingColumns


def binding_names(columns: BindingColumns, catalogue: PointCatalogue) -> list[BindingName]:
    """Point and address of every binding, in their order: by these the journal finds them again in another map."""
    entries = zip(
        columns.row.tolist(), columns.ca.tolist(), columns.ioa.tolist(), columns.event_type.tolist(), strict=True
    )
    return [(catalogue.names[row], f"ca {ca} ioa {ioa} {TYPES[type_id].name}") for row, ca, ioa, type_id in entries]
