"""What the two forms of output, JSON and Sparkplug, have in common: messages out, requests in. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from gateway.contracts import Outcome, Reason
from gateway.events import Events
from protocols.mqtt.linkplan import Will


@dataclass(slots=True)
class Outgoing:
    """One message. When the broker has it, the next `events` of the queue are told."""

    topic: str
    payload: bytes
    events: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command that came from the broker. `refusal` other than OK: it is not to be carried out, `text` says why.

    `binding` -1: of no point of this map. `id` is the asker's, `key` what a repetition looks like (empty: unknown).
    """

    id: str
    binding: int
    name: str
    value: float
    refusal: Reason = Reason.OK
    text: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Leave:
    """The connection is to be ended, and made anew; `why` in words."""

    why: str


@dataclass(slots=True)
class Effects:
    """What a message leads to, in this order."""

    send: list[Outgoing] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    leave: Leave | None = None


class Form(Protocol):
    """One form of output on one connection after another."""

    def will(self, now_ns: int) -> Will | None:
        """A new connection is about to be made: what the broker says when it ends without a word."""
        ...

    def filters(self) -> list[str]:
        """Topics to subscribe to."""
        ...

    def opened(self, now_ns: int, waiting: int) -> list[Outgoing]:
        """The connection stands; `waiting` events are from before."""
        ...

    @property
    def ready(self) -> bool:
        """Whether events may be told now."""
        ...

    def before(self, now_ns: int, waiting: int) -> list[Outgoing]:
        """What is to be said before the next events."""
        ...

    def messages(self, events: Events, now_ns: int) -> list[Outgoing]:
        """Events that were taken from the queue, as messages in order; their `events` add up to all."""
        ...

    def dropped(self, count: int) -> None:
        """So many of the oldest waiting events are no more."""
        ...

    def message(self, topic: str, payload: bytes, retained: bool, repeated: bool, now_ns: int, waiting: int) -> Effects:
        """Something came."""
        ...

    def answer(self, request: Request, outcome: Outcome, now_ns: int) -> list[Outgoing]:
        """A step of a request's story, for whoever asked."""
        ...

    def closing(self, now_ns: int) -> list[Outgoing]:
        """The connection is ended in order: the last words."""
        ...
