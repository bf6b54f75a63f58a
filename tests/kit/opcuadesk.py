"""The services of an OPC UA server asked without a wire: sessions, requests, and what is heard from them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np

from protocols.opcua.decoder import Reader, reader_of
from protocols.opcua.nodeservices import NodeServices
from protocols.opcua.plan import ServerPlan
from protocols.opcua.services import EncodedResponse, ServiceTable
from protocols.opcua.uastack import Ids, encode, ua
from tests.contract.server_suite import FakePort
from tests.kit.opcuapoints import ENERGY, POINTS, RUN, SETPOINT, TIME_NS

PLAN = ServerPlan(
    name="ua",
    host="127.0.0.1",
    port=0,
    application_uri="urn:test",
    policies=(),
    modes=(),
    commands={"operator": np.array([RUN, SETPOINT], np.uint32)},
    row_roles={ENERGY: ("engineer",)},
)


class Session:
    """One activated session."""

    def __init__(self, user: str = "operator", uri: str = "urn:client") -> None:
        self.user, self.application_uri = user, uri
        self.roles, self.role = frozenset(("viewer", user)), user
        self.read_only = self.congested = False
        self.policy = "Basic256Sha256"
        self.origin_peer = f"{user}@test"
        self._hooks: list[Callable[[bool], None]] = []

    def on_close(self, hook: Callable[[bool], None]) -> None:
        self._hooks.append(hook)

    def close(self, delete: bool = True) -> None:
        for hook in self._hooks:
            hook(delete)


class Desk:
    """The services of a server, and what is heard from them."""

    def __init__(self) -> None:
        self.port = FakePort(POINTS)
        for row in range(len(POINTS)):
            self.port.set(row, float(row), TIME_NS)
        self.services = NodeServices(PLAN, self.port)
        self.port.server = self.services
        self.table = ServiceTable()
        self.services.install(self.table)

    async def ask(self, session: Session, request: Any, **fields: Any) -> Any:
        """The response: a structure, or the octets of its body."""
        carrier = getattr(request, "Parameters", request)
        for name, value in fields.items():
            setattr(carrier, name, value)
        service = self.table.rows[int(request.TypeId.Identifier)]
        out = service.handler(session, encode(request) if service.raw else request)
        out = await out if asyncio.iscoroutine(out) else out
        return out.body if isinstance(out, EncodedResponse) else out

    async def subscribe(self, session: Session, interval: float = 50.0, keep_alive: int = 100, **fields: Any) -> int:
        asked = {"RequestedPublishingInterval": interval, "RequestedMaxKeepAliveCount": keep_alive, **fields}
        response = await self.ask(session, ua.CreateSubscriptionRequest(), **asked)
        return int(response.Parameters.SubscriptionId)

    async def monitor(self, session: Session, subscription: int, *items: Any) -> list[tuple[int, int]]:
        """(status, item id) of each."""
        body = await self.ask(
            session,
            ua.CreateMonitoredItemsRequest(),
            SubscriptionId=subscription,
            TimestampsToReturn=2,
            ItemsToCreate=list(items),
        )
        return [struct.unpack_from("<II", body, 4 + 23 * at) for at in range(len(items))]

    async def publish(self, session: Session, *acks: tuple[int, int]) -> Published:
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=number, SequenceNumber=sequence) for number, sequence in acks
        ]
        return Published(await asyncio.wait_for(self.ask(session, request), 5))


class Published:
    """A PublishResponse, read."""

    def __init__(self, body: bytes) -> None:
        read = reader_of(type(ua.PublishResponse().Parameters))(Reader(body, 1 << 24))
        self.subscription, self.more = int(read.SubscriptionId), bool(read.MoreNotifications)
        self.available = [int(number) for number in read.AvailableSequenceNumbers]
        self.sequence = int(read.NotificationMessage.SequenceNumber)
        self.results = [result.value for result in read.Results]
        self.values: list[tuple[int, Any]] = []
        self.events: list[list[Any]] = []
        self.status = 0
        for data in read.NotificationMessage.NotificationData:
            kind, inner = int(data.TypeId.Identifier), Reader(data.Body, 1 << 24)
            if kind == Ids.DataChangeNotification_Encoding_DefaultBinary:
                items = reader_of(ua.DataChangeNotification)(inner).MonitoredItems
                self.values += [(item.ClientHandle, item.Value.Value.Value) for item in items]
            elif kind == Ids.EventNotificationList_Encoding_DefaultBinary:
                for event in reader_of(ua.EventNotificationList)(inner).Events:
                    self.events.append([field.Value for field in event.EventFields])
            else:
                self.status = reader_of(ua.StatusChangeNotification)(inner).Status.value


def item(name: str, handle: int = 1, mode: int = 2, attribute: int = 13, node_id: Any = None, **keys: Any) -> Any:
    out = ua.MonitoredItemCreateRequest()
    out.ItemToMonitor.NodeId = node_id or ua.NodeId(name, 2)
    out.ItemToMonitor.AttributeId = attribute
    out.MonitoringMode = ua.MonitoringMode(mode)
    out.RequestedParameters.ClientHandle = handle
    out.RequestedParameters.QueueSize = keys.pop("queue", 100)
    out.RequestedParameters.SamplingInterval = keys.pop("sampling", 0.0)
    out.RequestedParameters.Filter = keys.pop("filter", None)
    return out


def played(scenario: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        desk = Desk()
        await desk.services.start()
        try:
            await scenario(desk)
        finally:
            await desk.services.stop()

    asyncio.run(run())
