"""The Subscription service set (OPC 10000-4, 5.14)."""

from __future__ import annotations

import math
import time
from typing import Any, Final

from protocols.opcua.bodies import NO_DIAGNOSTICS
from protocols.opcua.errors import ServiceFault
from protocols.opcua.notifications import numbers
from protocols.opcua.services import EncodedResponse, ServiceTable
from protocols.opcua.subscription import Cycle
from protocols.opcua.subscriptions import Subscriptions
from protocols.opcua.uastack import Codes, Ids, ua

MIN_PUBLISHING_MS: Final = 50.0
MAX_PUBLISHING_MS: Final = 3_600_000.0
DEFAULT_PUBLISHING_MS: Final = 1_000.0
MAX_KEEP_ALIVE: Final = 10_000
DEFAULT_KEEP_ALIVE: Final = 10
MAX_LIFETIME_MS: Final = 3_600_000.0
"""Nobody's subscription outlives its reader by more; a keep-alive of its own cycle always fits in."""
_TRANSFER: Final = int(Ids.TransferSubscriptionsResponse_Encoding_DefaultBinary)
_REPUBLISH: Final = int(Ids.RepublishResponse_Encoding_DefaultBinary)


class SubscriptionService:
    """Handlers over `Subscriptions`."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._all = subscriptions

    def install(self, table: ServiceTable) -> None:
        table.add(ua.CreateSubscriptionRequest, self.create)
        table.add(ua.ModifySubscriptionRequest, self.modify)
        table.add(ua.SetPublishingModeRequest, self.set_mode)
        table.add(ua.DeleteSubscriptionsRequest, self.delete)
        table.add(ua.PublishRequest, self.publish, waits=True)
        table.add(ua.RepublishRequest, self.republish)
        table.add(ua.TransferSubscriptionsRequest, self.transfer)

    def create(self, session: Any, request: Any) -> Any:
        asked = request.Parameters
        cycle = revised(asked, bool(asked.PublishingEnabled))
        subscription = self._all.create(session, cycle)
        response = ua.CreateSubscriptionResponse()
        response.Parameters.SubscriptionId = subscription.id
        _tell(response.Parameters, cycle)
        return response

    def modify(self, session: Any, request: Any) -> Any:
        subscription = self._all.find(session, int(request.Parameters.SubscriptionId))
        cycle = revised(request.Parameters, subscription.cycle.enabled)
        subscription.change_cycle(cycle, time.monotonic_ns())
        self._all.changed(subscription)
        response = ua.ModifySubscriptionResponse()
        _tell(response.Parameters, cycle)
        return response

    def set_mode(self, session: Any, request: Any) -> Any:
        results = []
        for number in _several(request.Parameters.SubscriptionIds):
            try:
                self._all.find(session, number).cycle.enabled = bool(request.Parameters.PublishingEnabled)
                results.append(ua.StatusCode())
            except ServiceFault as fault:
                results.append(ua.StatusCode(fault.code))
        response = ua.SetPublishingModeResponse()
        response.Parameters.Results = results
        return response

    def delete(self, session: Any, request: Any) -> Any:
        results = []
        for number in _several(request.Parameters.SubscriptionIds):
            try:
                self._all.delete(session, number)
                results.append(ua.StatusCode())
            except ServiceFault as fault:
                results.append(ua.StatusCode(fault.code))
        return ua.DeleteSubscriptionsResponse(Results=results)

    async def publish(self, session: Any, request: Any) -> EncodedResponse:
        """Held until there is something to tell."""
        holder = self._all.holder(session)
        results = [self._acknowledged(session, ack) for ack in request.Parameters.SubscriptionAcknowledgements or ()]
        hint_ms = int(request.RequestHeader.TimeoutHint)
        until_ns = time.monotonic_ns() + hint_ms * 1_000_000 if hint_ms else 0
        future = holder.hold(results, until_ns)
        for subscription in holder.subscriptions.values():
            subscription.asked()
        self._all.pump(holder)
        return await future

    def republish(self, session: Any, request: Any) -> EncodedResponse:
        subscription = self._all.find(session, int(request.Parameters.SubscriptionId))
        message = subscription.republish(int(request.Parameters.RetransmitSequenceNumber))
        if message is None:
            raise ServiceFault(Codes.BadMessageNotAvailable)
        return EncodedResponse(_REPUBLISH, message.encoded())

    def transfer(self, session: Any, request: Any) -> EncodedResponse:
        parts = []
        for number in _several(request.Parameters.SubscriptionIds):
            try:
                available = self._all.transfer(session, number, bool(request.Parameters.SendInitialValues))
                parts.append((0).to_bytes(4, "little") + numbers(available))
            except ServiceFault as fault:
                parts.append(fault.code.to_bytes(4, "little") + numbers(()))
        body = len(parts).to_bytes(4, "little") + b"".join(parts) + NO_DIAGNOSTICS
        return EncodedResponse(_TRANSFER, body)

    def _acknowledged(self, session: Any, acknowledgement: Any) -> int:
        try:
            subscription = self._all.find(session, int(acknowledgement.SubscriptionId))
        except ServiceFault as fault:
            return fault.code
        known = subscription.acknowledge(int(acknowledgement.SequenceNumber))
        return 0 if known else int(Codes.BadSequenceNumberUnknown)


def revised(asked: Any, enabled: bool) -> Cycle:
    """The cycle that is granted (OPC 10000-4, 5.14.2): lifetime at least three times the keep-alive."""
    interval_ms = float(asked.RequestedPublishingInterval)
    if math.isnan(interval_ms) or interval_ms <= 0:
        interval_ms = MIN_PUBLISHING_MS if interval_ms == 0 else DEFAULT_PUBLISHING_MS
    interval_ms = min(max(interval_ms, MIN_PUBLISHING_MS), MAX_PUBLISHING_MS)
    keep_alive = min(int(asked.RequestedMaxKeepAliveCount) or DEFAULT_KEEP_ALIVE, MAX_KEEP_ALIVE)
    longest = max(int(MAX_LIFETIME_MS / interval_ms), 3)
    keep_alive = min(keep_alive, longest // 3)
    lifetime = min(max(int(asked.RequestedLifetimeCount), 3 * keep_alive), longest)
    return Cycle(
        interval_ns=int(interval_ms * 1e6),
        lifetime=lifetime,
        keep_alive=keep_alive,
        most=int(asked.MaxNotificationsPerPublish),
        priority=int(asked.Priority),
        enabled=enabled,
    )


def _tell(parameters: Any, cycle: Cycle) -> None:
    parameters.RevisedPublishingInterval = cycle.interval_ns / 1e6
    parameters.RevisedLifetimeCount = cycle.lifetime
    parameters.RevisedMaxKeepAliveCount = cycle.keep_alive


def _several(numbers_asked: Any) -> list[int]:
    if not numbers_asked:
        raise ServiceFault(Codes.BadNothingToDo)
    return [int(number) for number in numbers_asked]
