"""All subscriptions of a server: their cycles, owners, caps; changes of points on their way to them.

Changes are kept until the first subscription's cycle comes, and then sampled by all at once: a publishing interval's
worth of them costs a few numpy calls for each subscription, however they came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.contracts import Log
from gateway.points import Changes
from protocols.opcua.errors import ServiceFault
from protocols.opcua.itemtable import NO_SAMPLES, Samples, samples_of
from protocols.opcua.publishing import Holder
from protocols.opcua.quality import status_codes
from protocols.opcua.reading import Reader
from protocols.opcua.subscription import Cycle, Subscription
from protocols.opcua.uastack import Codes
from protocols.opcua.valueencode import sent_times

MAX_PENDING: Final = 50_000
"""Changes kept for the next cycle; more are sampled at once."""
_MAX_SLEEP_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Of subscriptions and monitored items."""

    subscriptions: int = 500
    subscriptions_per_session: int = 50
    items: int = 500_000
    items_per_subscription: int = 100_000
    queue_per_subscription: int = 1_000_000
    queue: int = 4_000_000
    """Queue places of all items; a place is 32 octets. An item has one place whatever is left."""


_Pending = tuple[Changes, int, int]
"""Changes, and when they came: by the wall clock and by the monotonic one."""


class Subscriptions:
    """Runs the cycles. `start` before the first session; every method belongs to the loop."""

    def __init__(self, reader: Reader, log: Log, caps: Caps | None = None) -> None:
        self.reader = reader
        self.caps = caps or Caps()
        self._log = log
        self._holders: dict[int, Holder] = {}
        self._orphans: dict[int, Subscription] = {}
        self._home: dict[int, Holder] = {}
        self._pending: list[_Pending] = []
        self._pending_count = 0
        self._last_number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_ns = 0
        self.items = 0
        """Monitored items of all subscriptions."""
        self.places = 0
        """Queue places of all items that watch points."""

    def changes(self, batch: Changes) -> None:
        """Points have changed."""
        if not self._home and not self._orphans:
            return
        self._pending.append((batch, time.time_ns(), time.monotonic_ns()))
        self._pending_count += len(batch)
        if self._pending_count >= MAX_PENDING:
            self.flush()

    def flush(self) -> None:
        """Give what has come to every subscription."""
        if not self._pending:
            return
        samples = _samples(self._pending)
        self._pending, self._pending_count = [], 0
        now_ns = time.monotonic_ns()
        for subscription in self.all():
            if len(subscription.points):
                subscription.points.sample(samples, now_ns)

    def all(self) -> Iterator[Subscription]:
        """Held and orphaned ones."""
        for holder in list(self._holders.values()):
            yield from list(holder.subscriptions.values())
        yield from list(self._orphans.values())

    def holder(self, session: Any) -> Holder:
        """What this session has."""
        found = self._holders.get(id(session))
        if found is None:
            found = self._holders[id(session)] = Holder(session)
            session.on_close(lambda delete: self._closed(found, delete))
        return found

    def find(self, session: Any, number: int) -> Subscription:
        """A subscription of this session. Raises `ServiceFault`: another one's does not exist for it."""
        holder = self._holders.get(id(session))
        found = holder.subscriptions.get(number) if holder is not None else None
        if found is None:
            raise ServiceFault(Codes.BadSubscriptionIdInvalid)
        found.asked()
        return found

    def create(self, session: Any, cycle: Cycle) -> Subscription:
        """A new one. Raises `ServiceFault` when there are too many."""
        holder = self.holder(session)
        if len(holder.subscriptions) >= self.caps.subscriptions_per_session:
            raise ServiceFault(Codes.BadTooManySubscriptions)
        if len(self._home) + len(self._orphans) >= self.caps.subscriptions:
            raise ServiceFault(Codes.BadTooManySubscriptions)
        self.flush()
        self._last_number += 1
        subscription = Subscription(self._last_number, owner_of(session), cycle, time.monotonic_ns())
        self._put(holder, subscription)
        self._plan(subscription.due_ns)
        return subscription

    def changed(self, subscription: Subscription) -> None:
        """Its cycle is another one now."""
        self._plan(subscription.due_ns)

    def delete(self, session: Any, number: int) -> None:
        """End one of this session's. Raises `ServiceFault`."""
        subscription = self.find(session, number)
        self._remove(self._home[number], subscription)
        self._home_pump(self._holders[id(session)])

    def transfer(self, session: Any, number: int, initial: bool) -> list[int]:
        """Move one here from another session of the same user and client; the sequence numbers it still keeps."""
        subscription = self._orphans.get(number)
        before = self._home.get(number)
        if before is not None:
            subscription = before.subscriptions[number]
        if subscription is None:
            raise ServiceFault(Codes.BadSubscriptionIdInvalid)
        if subscription.owner != owner_of(session):
            raise ServiceFault(Codes.BadUserAccessDenied)
        holder = self.holder(session)
        if before is holder:
            return subscription.available
        if len(holder.subscriptions) >= self.caps.subscriptions_per_session:
            raise ServiceFault(Codes.BadTooManySubscriptions)
        self._orphans.pop(number, None)
        if before is not None:
            del before.subscriptions[number]
            before.ended.append((number, subscription.farewell(Codes.GoodSubscriptionTransferred, time.time_ns())))
            self._home_pump(before)
        self._put(holder, subscription)
        subscription.asked()
        if initial:
            self.resend(subscription)
        return subscription.available

    def resend(self, subscription: Subscription) -> None:
        """Every item that reports tells its present value again, unless it has something to tell already."""
        self.flush()
        points = subscription.points
        slots = points.idle()
        points.forget(slots)
        if slots:
            rows = np.array([points.row(slot) for slot in slots], np.intp)
            now_ns = time.monotonic_ns()
            points.initial(np.array(slots, np.int32), self.reader.samples(rows, time.time_ns(), now_ns))
        subscription.forget_others()

    def pump(self, holder: Holder) -> None:
        """A publish request came, or the client reads again: send what is late."""
        holder.pump(time.time_ns())

    async def start(self) -> None:
        self._plan(time.monotonic_ns() + int(_MAX_SLEEP_S * 1e9))

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for holder in self._holders.values():
            holder.close(Codes.BadShutdown)
        self._holders.clear()
        self._home.clear()
        self._orphans.clear()

    def _put(self, holder: Holder, subscription: Subscription) -> None:
        holder.subscriptions[subscription.id] = subscription
        self._home[subscription.id] = holder

    def _remove(self, holder: Holder | None, subscription: Subscription) -> None:
        if holder is not None:
            del holder.subscriptions[subscription.id]
        self._home.pop(subscription.id, None)
        self._orphans.pop(subscription.id, None)
        self.items -= len(subscription.items)
        self.places -= subscription.queued_places

    def _home_pump(self, holder: Holder) -> None:
        holder.pump(time.time_ns())

    def _closed(self, holder: Holder, delete: bool) -> None:
        """A session has ended: its subscriptions end too, or wait to be transferred until their lifetime is over."""
        holder.close(Codes.BadSessionClosed)
        self._holders.pop(id(holder.session), None)
        for subscription in list(holder.subscriptions.values()):
            self._remove(holder, subscription)
            if not delete:
                self.items += len(subscription.items)
                self.places += subscription.queued_places
                self._orphans[subscription.id] = subscription

    def _plan(self, due_ns: int) -> None:
        """Wake up no later than this."""
        if self._timer is not None:
            if self._wakes_ns <= due_ns:
                return
            self._timer.cancel()
        self._wakes_ns = due_ns
        delay_s = max((due_ns - time.monotonic_ns()) / 1e9, 0.0)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _wake(self) -> None:
        now_ns = time.monotonic_ns()
        self._timer = None
        next_ns = now_ns + int(_MAX_SLEEP_S * 1e9)
        try:
            due = [subscription for subscription in self.all() if subscription.due_ns <= now_ns]
            if due:
                self.flush()
            for subscription in due:
                self._turn(subscription, now_ns)
            for holder in list(self._holders.values()):
                holder.expire(now_ns)
                holder.pump(time.time_ns())
            next_ns = min((subscription.due_ns for subscription in self.all()), default=next_ns)
        finally:
            self._plan(min(next_ns, now_ns + int(_MAX_SLEEP_S * 1e9)))

    def _turn(self, subscription: Subscription, now_ns: int) -> None:
        if len(subscription.points):
            subscription.points.sample(NO_SAMPLES, now_ns)
        subscription.turn(now_ns)
        if not subscription.expired:
            return
        holder = self._home.get(subscription.id)
        self._remove(holder, subscription)
        if holder is not None:
            holder.ended.append((subscription.id, subscription.end(Codes.BadTimeout, time.time_ns())))
        self._log.info("subscription ended", subscription=subscription.id, cause="nobody asked for its notifications")


def _samples(pending: list[_Pending]) -> Samples:
    """What has come, as samples."""
    batches = [batch for batch, _, _ in pending]
    changes = batches[0] if len(batches) == 1 else np.concatenate(batches)
    sizes = [len(batch) for batch in batches]
    quality = changes["quality"]
    return samples_of(
        changes["row"],
        changes["value"],
        status_codes(quality),
        sent_times(changes["time_ns"], quality),
        np.repeat([server_ns for _, server_ns, _ in pending], sizes),
        np.repeat([at_ns for _, _, at_ns in pending], sizes),
    )


def owner_of(session: Any) -> tuple[object, str]:
    """Who may take a subscription over: the same user with the same client application.

    Without security nobody has proven to be anybody: such a subscription stays with its session.
    """
    return session.user if session.policy != "None" else object(), session.application_uri
