"""Requests to operate that are with the broker: the one whose answer waits, the others, and pulse trains. Pure."""

from __future__ import annotations

import math
from itertools import count
from typing import Final

from gateway.contracts import Outcome
from protocols.dnp3 import control
from protocols.dnp3.control import Item, Order, Pending
from protocols.dnp3.effects import Submit
from protocols.dnp3.outputs import CommandStatus
from protocols.dnp3.trains import Trains

_GRACE_S: Final = 0.5
"""How much longer than the command's own deadline the broker's last word is waited for."""


class Commanding:
    """Of one master. `allowed`: it may command at all."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self._answering: Pending | None = None
        self._silent: list[Pending] = []
        self._trains = Trains()
        self._tickets = count(1)

    @property
    def answering(self) -> bool:
        """An answer waits for the broker."""
        return self._answering is not None

    def begin(self, pending: Pending) -> list[Submit]:
        """Hand a request's orders over; the answer follows when all have their final word."""
        handed = [self._hand(pending, item, item.order) for item in pending.items if item.order is not None]
        if pending.answered:
            self._answering = pending
        elif not pending.done:
            self._silent.append(pending)
        return [submit for submit in handed if submit is not None]

    def _hand(self, pending: Pending, item: Item, order: Order) -> Submit | None:
        operates = pending.select is None
        if not self._allowed:
            item.refuse(control.NOT_AUTHORISED)
        elif item.refusal is None and operates:
            self._regard_train(item, order)
        if item.refusal is None and order.idle:
            item.status = CommandStatus.SUCCESS
            return None
        ticket = next(self._tickets)
        if item.refusal is None:
            pending.tickets[ticket] = item
            if operates:
                self._trains.begin(ticket, order)
        return Submit(ticket, order, not operates, item.refusal)

    def _regard_train(self, item: Item, order: Order) -> None:
        """Pulses of this output that are still to come forbid another operation, unless it clears them."""
        if not order.clear and self._trains.busy(order.position):
            item.refuse(control.TRAIN_UNDER_WAY)
        for ticket in self._trains.cancel(order.position) if order.clear else ():
            for pending in self._all():
                pending.settle(ticket, CommandStatus.CANCELLED)

    def outcome(self, ticket: int, outcome: Outcome, now: float) -> tuple[Item, bool] | None:
        """A step of a command; the object that has its last word by it, and whether it was to operate."""
        if not outcome.stage.final or self._trains.goes_on(ticket, outcome, now):
            return None
        for pending in self._all():
            item = pending.settle(ticket, control.status_of(outcome))
            if item is not None:
                self._silent = [other for other in self._silent if not other.done]
                return item, pending.select is None
        return None

    def _all(self) -> list[Pending]:
        return self._silent if self._answering is None else [self._answering, *self._silent]

    def due(self, now: float) -> list[Submit]:
        """Further pulses that are to be handed over now."""
        return [Submit(ticket, order, select=False) for ticket, order in self._trains.due(now)]

    def answered(self, now: float) -> Pending | None:
        """What is to be answered now: everything has its last word, or waited for long enough."""
        pending = self._answering
        if pending is None or not (pending.done or now >= pending.deadline + _GRACE_S):
            return None
        self._answering = None
        return pending

    def drop_answer(self) -> None:
        """The answer is not wanted any more; the commands go on."""
        pending, self._answering = self._answering, None
        if pending is not None and not pending.done:
            self._silent.append(pending)

    def deadline(self) -> float:
        """When `due` or `answered` is next to be asked, monotonic s; infinity for never."""
        answer = math.inf if self._answering is None else self._answering.deadline + _GRACE_S
        return min(answer, self._trains.next_due())
