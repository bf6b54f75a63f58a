"""Read and Browse over asyncua's standard nodes alone, until the point table is served."""

from __future__ import annotations

import importlib
from typing import Any

from gateway.contracts import ServerPort
from gateway.points import Changes
from protocols.opcua.plan import ServerPlan
from protocols.opcua.services import ServiceTable, Session
from protocols.opcua.uastack import ua


class SimpleServices:
    """Implements `protocols.opcua.services.Services`."""

    def __init__(self, plan: ServerPlan, port: ServerPort) -> None:
        space = importlib.import_module("asyncua.server.address_space")
        standard = importlib.import_module("asyncua.server.standard_address_space")
        self._space = space.AddressSpace()
        standard.fill_address_space(space.NodeManagementService(self._space))
        self._attributes, self._views = space.AttributeService(self._space), space.ViewService(self._space)

    def install(self, table: ServiceTable) -> None:
        table.add(ua.ReadRequest, self.read)
        table.add(ua.BrowseRequest, self.browse)

    def read(self, session: Session, request: Any) -> Any:
        return ua.ReadResponse(Results=self._attributes.read(request.Parameters))

    def browse(self, session: Session, request: Any) -> Any:
        return ua.BrowseResponse(Results=self._views.browse(request.Parameters))

    def changes(self, batch: Changes, seq: int) -> None: ...

    def commanded(self, row: int, feedback: int, remote: bool) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...
