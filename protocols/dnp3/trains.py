"""Pulse trains: a control with a count is that many commands of one pulse each, one after the other. Pure.

The broker is asked for the next pulse when the device has acknowledged the one before and the off time has passed. A
pulse that fails ends its train: its word is the train's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.contracts import Outcome, Stage
from protocols.dnp3.control import Order


@dataclass(slots=True)
class Train:
    """Pulses of one object that are still to come. `due` is monotonic s; None while a pulse is with the broker."""

    order: Order
    left: int
    due: float | None = None


class Trains:
    """Trains under way, by the ticket of their command."""

    def __init__(self) -> None:
        self._trains: dict[int, Train] = {}

    def begin(self, ticket: int, order: Order) -> None:
        """The first pulse is handed over; the others wait."""
        if order.count > 1:
            self._trains[ticket] = Train(order, order.count - 1)

    def busy(self, position: int) -> bool:
        """Whether pulses of this output are still to come."""
        return any(train.order.position == position for train in self._trains.values())

    def cancel(self, position: int) -> list[int]:
        """Give up what is still to come for an output; tickets of trains that wait between two pulses.

        Where a pulse is with the broker, its outcome is the last of its train.
        """
        mine = {ticket: train for ticket, train in self._trains.items() if train.order.position == position}
        for ticket in mine:
            del self._trains[ticket]
        return [ticket for ticket, train in mine.items() if train.due is not None]

    def goes_on(self, ticket: int, outcome: Outcome, now: float) -> bool:
        """Whether this final outcome of a pulse is followed by another pulse."""
        train = self._trains.get(ticket)
        if train is None:
            return False
        if outcome.stage is not Stage.COMPLETED or not train.left:
            del self._trains[ticket]
            return False
        train.due = now + train.order.off_s
        return True

    def due(self, now: float) -> list[tuple[int, Order]]:
        """Pulses to be handed over now."""
        ready = [
            (ticket, train) for ticket, train in self._trains.items() if train.due is not None and now >= train.due
        ]
        for _, train in ready:
            train.left, train.due = train.left - 1, None
        return [(ticket, train.order) for ticket, train in ready]

    def next_due(self) -> float:
        """Monotonic s, infinity for never."""
        return min((train.due for train in self._trains.values() if train.due is not None), default=math.inf)
