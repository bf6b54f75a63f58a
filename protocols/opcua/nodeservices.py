"""The services of a server, put together."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

from gateway.alarms import AlarmRecord
from gateway.contracts import ServerPort
from gateway.points import Changes
from protocols.opcua.addressspace import AddressSpace
from protocols.opcua.attributeservice import AttributeService
from protocols.opcua.commanding import Commander
from protocols.opcua.commandservice import CommandService
from protocols.opcua.conditionservice import ConditionService
from protocols.opcua.events import Event
from protocols.opcua.historyservice import HistoryService, extend_history
from protocols.opcua.itemservice import ItemService
from protocols.opcua.plan import ServerPlan
from protocols.opcua.reading import Reader
from protocols.opcua.rights import Rights
from protocols.opcua.serverobject import server_methods, server_values
from protocols.opcua.services import ServiceTable
from protocols.opcua.standardnodes import standard_nodes
from protocols.opcua.subscriptions import Subscriptions
from protocols.opcua.subscriptionservice import SubscriptionService
from protocols.opcua.view import View
from protocols.opcua.viewservice import ViewService


class NodeServices:
    """Implements `protocols.opcua.services.Services`.

    Alarms and history come in by `space.extend` (nodes and references), `commands.add` (methods), `report` (events)
    and rows of the service table.
    """

    def __init__(self, plan: ServerPlan, port: ServerPort) -> None:
        born = datetime.now(UTC)
        catalogue = port.catalogue
        self.rights = Rights(plan, catalogue)
        self.space = AddressSpace(standard_nodes(), catalogue, plan.rows, plan.writable)
        self.reader = Reader(self.space, catalogue, port.table, self.rights, born)
        self.space.points.text_of = self.reader.text_of
        self.subscriptions = Subscriptions(self.reader, port.log)
        self.commander = Commander(plan.name, port.commands)
        self.commands = CommandService(self.space, self.reader, self.rights, self.commander)
        self.commands.add(server_methods(self.subscriptions))
        self.conditions = ConditionService(
            plan.name, self.space, port.alarms, self.subscriptions, port.commands, self.report
        )
        self.commands.add(self.conditions.find)
        self.history = HistoryService(self.reader, catalogue, port.history, port.log)
        extend_history(self.space, port.history)
        self.space.set_values(server_values(plan, born, self.subscriptions))
        self._parts = (
            AttributeService(self.reader, self.rights),
            ViewService(View(self.space), self.rights),
            SubscriptionService(self.subscriptions),
            ItemService(self.subscriptions, self.space, catalogue, self.reader, self.rights),
            self.commands,
            self.history,
        )

    def install(self, table: ServiceTable) -> None:
        for part in self._parts:
            part.install(table)

    def changes(self, batch: Changes, seq: int) -> None:
        self.subscriptions.changes(batch)

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """What changes in the field comes as a change."""

    def alarms(self, records: list[AlarmRecord]) -> None:
        """Alarm events, in order."""
        self.conditions.alarms(records)

    def report(self, event: Event) -> None:
        """An event has happened: whoever monitors its source, or what stands above it, is told."""
        for subscription in self.subscriptions.all():
            for item in subscription.events():
                item.offer(event)

    async def start(self) -> None:
        gc.collect()
        gc.freeze()  # a hundred thousand objects that stay: nobody waits while they are looked at again and again
        await self.subscriptions.start()

    async def stop(self) -> None:
        await self.subscriptions.stop()
        self.history.stop()
