"""Who holds which subscription, and which publish request carries which message (OPC 10000-4, 5.14)."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from protocols.opcua.errors import ServiceFault
from protocols.opcua.notifications import publish_body
from protocols.opcua.services import EncodedResponse
from protocols.opcua.subscription import Subscription
from protocols.opcua.uastack import Codes, Ids

MAX_WAITING: Final = 100
"""Publish requests of one session."""
_PUBLISH: Final = int(Ids.PublishResponse_Encoding_DefaultBinary)


@dataclass(slots=True)
class Waiting:
    """A publish request that is held. `results`: of its acknowledgements; `until_ns`: its time-out, 0 for none."""

    future: asyncio.Future[EncodedResponse]
    results: list[int]
    until_ns: int


@dataclass(slots=True, eq=False)
class Holder:
    """What a session has: subscriptions by number, publish requests in the order in which they came."""

    session: Any
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    waiting: deque[Waiting] = field(default_factory=deque)
    ended: deque[tuple[int, Any]] = field(default_factory=deque)
    """(subscription, last message) of subscriptions that are no more and whose end is still to be told."""
    _turn: int = 0

    def hold(self, results: list[int], until_ns: int) -> asyncio.Future[EncodedResponse]:
        """Keep a publish request. The oldest gives way when there are too many."""
        if not self.subscriptions and not self.ended:
            raise ServiceFault(Codes.BadNoSubscription)
        if len(self.waiting) >= MAX_WAITING:
            self.refuse_oldest(Codes.BadTooManyPublishRequests)
        future: asyncio.Future[EncodedResponse] = asyncio.get_running_loop().create_future()
        self.waiting.append(Waiting(future, results, until_ns))
        return future

    def pump(self, time_ns: int) -> None:
        """Send what is late, as far as there are requests, the most important subscription first."""
        while self._has_request():
            if self.ended:
                number, message = self.ended.popleft()
                self._answer(number, (), False, message)
                continue
            late = [sub for sub in self.subscriptions.values() if sub.late]
            if not late or self.session.congested:
                break
            self._turn += 1
            top = max(sub.cycle.priority for sub in late)
            urgent = [sub for sub in late if sub.cycle.priority == top]
            chosen = urgent[self._turn % len(urgent)]
            message, more = chosen.message(time_ns)
            self._answer(chosen.id, chosen.available, more, message)
        if not self.subscriptions and not self.ended:
            while self._has_request():
                self.refuse_oldest(Codes.BadNoSubscription)

    def expire(self, now_ns: int) -> None:
        """Requests whose time-out has passed are answered so."""
        while self._has_request() and 0 < self.waiting[0].until_ns <= now_ns:
            self.refuse_oldest(Codes.BadTimeout)

    def refuse_oldest(self, code: int) -> None:
        """The oldest request is answered with a fault."""
        waiting = self.waiting.popleft()
        if not waiting.future.done():
            waiting.future.set_exception(ServiceFault(code))

    def close(self, code: int) -> None:
        """The session ends."""
        while self.waiting:
            self.refuse_oldest(code)

    def _has_request(self) -> bool:
        while self.waiting and self.waiting[0].future.done():
            self.waiting.popleft()  # its connection is gone
        return bool(self.waiting)

    def _answer(self, number: int, available: Any, more: bool, message: Any) -> None:
        waiting = self.waiting.popleft()
        body = publish_body(number, available, more, message, waiting.results)
        waiting.future.set_result(EncodedResponse(_PUBLISH, body))
