"""Who commands: which command is due, and the book of what became of each. The same for every protocol."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.soak.plan import Peer, SoakPlan

CONFIRMED, REFUSED, UNKNOWN = "confirmed", "refused", "unknown"
ANSWER_S: Final = 20.0
"""After so long without a word the answer is unknown."""
GOOD, OUT_OF_RANGE, FOREIGN, UNSELECTED = "good", "out of range", "not its own", "not selected"
WEIGHTS: Final = {GOOD: 70, OUT_OF_RANGE: 10, FOREIGN: 10, UNSELECTED: 10}
"""How often what is asked, in percent. All but the good must be refused."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command that was sent."""

    id: int
    point: int
    """The set-point's number."""
    value: int
    sort: str
    select: bool
    """To be selected first."""
    sent_ns: int
    due_s: float
    """When its answer is unknown (monotonic)."""


class Commander:
    """Draws commands at the peer's share of the plan's rate. May be told answers from any thread."""

    def __init__(self, plan: SoakPlan, peer: Peer, sorts: Collection[str] = tuple(WEIGHTS)) -> None:
        """`sorts`: what it gives; where none can be refused for want of a select, it is not asked to select."""
        self._plan, self._peer, self._selects = plan, peer, UNSELECTED in sorts
        self._sorts = {sort: weight for sort, weight in WEIGHTS.items() if sort in sorts}
        self._random = random.Random(f"{plan.seed} {peer.name}")
        commanders = sum(each.commander > 0 for each in plan.peers)
        self._period_s = commanders / plan.commands_per_s if peer.commander and plan.commands_per_s else 0.0
        self._next_s = time.monotonic() + self._random.random() * self._period_s
        self._number = 0
        self._lock = threading.Lock()
        self._own = plan.allowed(peer)
        self._foreign = sorted(set(range(plan.setpoints)) - set(self._own))
        self.pending: dict[int, Order] = {}
        """By set-point: one at a time to each."""
        self._book = (plan.ledgers / f"{peer.name}.commands.jsonl").open("a") if self._period_s else None

    def next_s(self) -> float:
        """Seconds until something is due; never more than 1."""
        return min(1.0, max(0.0, self._next_s - time.monotonic())) if self._period_s else 1.0

    def due(self) -> Iterator[Order]:
        """Commands to be sent now: none or one. What is overdue is not made up for."""
        self._expire()
        now = time.monotonic()
        if not self._period_s or now < self._next_s:
            return
        self._next_s = max(self._next_s + self._period_s, now)
        sort = self._random.choices(list(self._sorts), list(self._sorts.values()))[0]
        points = [point for point in self._candidates(sort) if point not in self.pending]
        if not points:
            return
        self._number += 1
        point, value = self._random.choice(points), self._plan.value(self._peer, self._number)
        select = self._selects and self._plan.selected(point) and sort != UNSELECTED
        value = -value if sort == OUT_OF_RANGE else value
        order = Order(self._number, point, value, sort, select, time.time_ns(), now + ANSWER_S)
        self.pending[point] = order
        yield order

    def _candidates(self, sort: str) -> list[int]:
        if sort == FOREIGN:
            return self._foreign
        if sort == UNSELECTED:
            return [point for point in self._own if self._plan.selected(point)]
        return self._own

    def settle(self, order: Order, answer: str, why: str = "") -> None:
        """Its answer is known; what comes later does not count."""
        with self._lock:
            if self.pending.get(order.point) is not order:
                return
            del self.pending[order.point]
            self._write(order, answer, why)

    def _write(self, order: Order, answer: str, why: str) -> None:
        assert self._book is not None
        line: dict[str, Any] = {"id": order.id, "point": order.point, "value": order.value, "sort": order.sort}
        line |= {"sent_ns": order.sent_ns, "answer": answer, "why": why, "answered_ns": time.time_ns()}
        self._book.write(json.dumps(line) + "\n")
        self._book.flush()

    def _expire(self) -> None:
        now = time.monotonic()
        for order in [order for order in list(self.pending.values()) if now >= order.due_s]:
            self.settle(order, UNKNOWN, "no answer")

    def link_lost(self) -> None:
        """What was asked is unknown."""
        for order in list(self.pending.values()):
            self.settle(order, UNKNOWN, "link lost")

    def close(self) -> None:
        """No more; what was asked is unknown."""
        self.link_lost()
        if self._book is not None:
            self._book.close()
