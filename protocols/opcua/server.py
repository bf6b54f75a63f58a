"""The shell: one OPC UA server over the point table."""

from __future__ import annotations

import dataclasses

from gateway.alarms import AlarmRecord
from gateway.contracts import ServerPort
from gateway.points import Changes
from protocols.opcua.certificates import CertificateError
from protocols.opcua.host import Host
from protocols.opcua.nodeservices import NodeServices
from protocols.opcua.owncertificate import application_uri, pki_folder
from protocols.opcua.plan import ServerPlan
from protocols.opcua.services import Services, ServiceTable


class OpcUaServer:
    """Implements `gateway.contracts.OutputServer`. Clients are no masters: nothing is confirmed, nothing replayed."""

    def __init__(self, plan: ServerPlan, port: ServerPort) -> None:
        uri = application_uri(plan, pki_folder(plan, port.state_dir))
        plan = dataclasses.replace(plan, application_uri=uri)
        self.plan = plan
        self.port = port
        self.log = port.log.bind(server=plan.name)
        self.table = ServiceTable()
        self.services: Services = NodeServices(plan, port)
        self.services.install(self.table)
        self.host: Host | None = None

    def resume(self, confirmed: dict[str, int]) -> None:
        """No client confirms feed records."""

    def changes(self, batch: Changes, seq: int) -> None:
        """Tell whoever subscribed."""
        self.services.changes(batch, seq)

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A command was written to the field."""
        self.services.commanded(row, feedback, remote)

    def alarms(self, records: list[AlarmRecord]) -> None:
        """Tell whoever monitors events."""
        self.services.alarms(records)

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address is taken or the certificate cannot be had."""
        try:
            self.host = Host(self.plan, self.table, self.port.state_dir, self.log)
        except CertificateError as error:
            raise OSError(str(error)) from None
        await self.services.start()
        await self.host.start()

    async def stop(self) -> None:
        """Close in order."""
        if self.host is not None:
            await self.host.stop()
        await self.services.stop()

    @property
    def bound_port(self) -> int:
        """The TCP port listened on; 0 before `start`."""
        return self.host.bound_port if self.host is not None else 0

    @property
    def refused(self) -> int:
        """Connections for which there was no room, since start."""
        return self.host.refusals.count if self.host is not None else 0

    @property
    def malformed(self) -> int:
        """Connections closed for what came on them, since start."""
        return self.host.malformed if self.host is not None else 0
