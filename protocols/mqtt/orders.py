"""Commands under way: what each waits for, and when it is done.

    with a reply      the reply with its id says done or failed
    of a metric       the node tells the metric: with our answer property, or with the commanded value
    with a feedback   the broker's PUBACK; the core then watches the measured point

A PUBACK alone means that the broker has it, never that the device acted.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
from collections.abc import Mapping
from typing import Final

from gateway.contracts import WriteLost, WriteRefused
from protocols.mqtt.fieldplan import CommandPlan
from protocols.mqtt.order import Reply, raw_value, read_reply, render
from protocols.mqtt.sparkplug import DataType, Metric, Payload, encode
from protocols.mqtt.sparkplugtopic import Source
from protocols.mqtt.sparkplugview import command_type

TOLERANCE: Final = 1e-6
"""Of the value: what is left of it in a float of four octets."""
_INTEGERS: Final = range(DataType.INT8, DataType.UINT64 + 1)


class Order:
    """One command; `result` ends as it ended."""

    def __init__(self, plan: CommandPlan, value: float, order_id: str, topic: str, payload: bytes) -> None:
        self.plan, self.value, self.id, self.topic, self.payload = plan, value, order_id, topic, payload
        self.mid = -1
        self.acked = False
        self.shown: float | None = None
        """What the node said of the metric before the command."""
        self.answering = False
        """The node said that it answers: the value alone may be there before the device has followed."""
        self.result: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(self) -> None:
        """The device did it."""
        if not self.result.done():
            self.result.set_result(None)

    def failed(self, error: Exception) -> None:
        """It did not, or that is not known."""
        if not self.result.done():
            self.result.set_exception(error)
            self.result.exception()  # whoever waits hears it; when nobody does any more, it is no fault

    def close_to(self, value: float) -> bool:
        """Whether this is the commanded value."""
        return math.isclose(value, self.value, rel_tol=TOLERANCE, abs_tol=1e-9)

    @property
    def stands_already(self) -> bool:
        """The node said before that a set-point has this value: it need not tell it again. A control acts anew."""
        if self.plan.control or self.answering or self.shown is None:
            return False
        return self.close_to(self.shown)

    def overdue(self, wait_s: float) -> str:
        """What can be said when nothing came in time."""
        if not self.acked:
            return f"the broker did not take the command within {wait_s:g} s"
        what = "no reply" if self.plan.reply is not None else "no word of the metric"
        return f"{what} within {wait_s:g} s: whether the device acted is not known"


class Orders:
    """All commands of one connection; one per point at a time, as the core has it."""

    def __init__(self, plans: Mapping[int, CommandPlan]) -> None:
        self._by_row: dict[int, Order] = {}
        self._prefix, self._numbers = secrets.token_hex(4), itertools.count(1)
        self.reply_topics: dict[str, list[CommandPlan]] = {}
        for plan in plans.values():
            if plan.reply is not None:
                self.reply_topics.setdefault(plan.reply.topic, []).append(plan)

    def begin(
        self,
        plan: CommandPlan,
        value: float,
        now_ns: int,
        types: Mapping[tuple[Source, str], int],
        shown: float | None,
        answering: bool,
    ) -> Order:
        """A command to be published: its `topic` and `payload`. Raises `WriteRefused` for a value that has no form."""
        order_id = f"{self._prefix}-{next(self._numbers)}"
        if plan.source is None:
            topic, payload = plan.topic, render(plan, value, order_id, now_ns)
        else:
            kind = types.get((plan.source, plan.metric))
            topic, payload = plan.source.topic("CMD"), _command(plan, value, command_type(kind, plan.control), now_ns)
        order = self._by_row[plan.row] = Order(plan, value, order_id, topic, payload)
        order.shown, order.answering = shown, answering
        return order

    def end(self, order: Order) -> None:
        """Whatever comes now is not for it."""
        if self._by_row.get(order.plan.row) is order:
            del self._by_row[order.plan.row]

    def acked(self, mid: int, refusal: str) -> None:
        """The broker has a message of ours, or refuses it."""
        for order in self._by_row.values():
            if order.mid != mid:
                continue
            order.acked = not refusal
            plan = order.plan
            if refusal:
                order.failed(WriteRefused(f"the broker refuses the command: {refusal}"))
            elif (plan.reply is None and (plan.source is None or plan.feedback)) or order.stands_already:
                order.done()

    def reply(self, topic: str, payload: bytes) -> None:
        """A message on a reply topic."""
        for plan in self.reply_topics.get(topic, ()):
            order = self._by_row.get(plan.row)
            reply = read_reply(plan.reply, payload) if order is not None and plan.reply is not None else None
            if order is not None and reply is not None and reply.id == order.id:
                _conclude(order, reply)

    def echoed(self, row: int, value: float, answer: str) -> None:
        """The node told a commanded metric."""
        order = self._by_row.get(row)
        if order is None:
            return
        if answer and not answer.startswith("completed"):
            order.failed(WriteRefused(answer))
        elif (answer or not (order.plan.feedback or order.answering)) and order.close_to(value):
            order.done()

    def lost(self, why: str) -> None:
        """The connection is gone: no word will come."""
        for order in self._by_row.values():
            order.failed(WriteLost(f"{why}; whether the device acted is not known"))


def _conclude(order: Order, reply: Reply) -> None:
    if reply.done:
        order.done()
    else:
        order.failed(WriteRefused(reply.text))


def _command(plan: CommandPlan, value: float, datatype: int, now_ns: int) -> bytes:
    raw = raw_value(plan, value)
    if datatype in _INTEGERS and not raw.is_integer():
        raise WriteRefused(f"{plan.metric} takes whole numbers, not {raw:g}")
    if datatype not in (*_INTEGERS, DataType.FLOAT, DataType.DOUBLE, DataType.BOOLEAN):
        raise WriteRefused(f"{plan.metric} is no number (type {datatype})")
    now_ms = now_ns // 1_000_000
    metric = Metric(name=plan.metric, time_ms=now_ms, datatype=datatype, value=raw)
    return encode(Payload(time_ms=now_ms, metrics=[metric]))
