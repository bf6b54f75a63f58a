"""One subscription: its cycle, its messages, its end (OPC 10000-4, 5.14.1.2). `now_ns` is a monotonic clock.

each publishing interval:  something to report, or the first message? ─► wants to send (late while nobody asks)
                           nothing for `keep_alive` intervals          ─► a keep-alive
                           nobody asked for `lifetime` intervals       ─► it ends
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocols.opcua.itemtable import ItemTable
from protocols.opcua.notifications import Message, data_change, event_list, status_change
from protocols.opcua.otheritems import EventItem, OtherItem, ValueItem

MAX_RETAINED: Final = 100
MAX_RETAINED_OCTETS: Final = 16 << 20
MAX_NOTIFICATIONS: Final = 20_000
"""In one message, whatever the client allows: the rest follows in the next."""


@dataclass(slots=True, kw_only=True)
class Cycle:
    """What CreateSubscription and ModifySubscription settle; already revised."""

    interval_ns: int
    lifetime: int
    keep_alive: int
    most: int
    """Notifications in one message; 0: as many as there are."""
    priority: int = 0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class PointItem:
    """A monitored item that lives in the item table."""

    slot: int


Item = PointItem | OtherItem


class Subscription:
    """`owner` is whoever may transfer it: user and certificate as the wire proved them."""

    def __init__(self, number: int, owner: object, cycle: Cycle, now_ns: int) -> None:
        self.id, self.owner, self.cycle = number, owner, cycle
        self.points = ItemTable(now_ns)
        self.others: dict[int, OtherItem] = {}
        self.items: dict[int, Item] = {}
        self.links: dict[int, set[int]] = {}
        """By triggering item: the items it triggers."""
        self.due_ns = now_ns + cycle.interval_ns
        self.late = False
        """A message should have been sent, and nobody asked."""
        self.queued_places = 0
        """Sum of the queue sizes of the items that watch points."""
        self._first = True
        self._quiet = self._unasked = 0
        self._next_sequence = 1
        self.last_item = 0
        self._retained: OrderedDict[int, Message] = OrderedDict()
        self._retained_octets = 0

    @property
    def available(self) -> list[int]:
        """Sequence numbers that can still be republished."""
        return list(self._retained)

    @property
    def expired(self) -> bool:
        """Nobody has asked for too long."""
        return self._unasked >= self.cycle.lifetime

    def next_item_id(self) -> int:
        self.last_item += 1
        return self.last_item

    def asked(self) -> None:
        """A publish request or another service of its own came for it: it lives on."""
        self._unasked = 0

    def change_cycle(self, cycle: Cycle, now_ns: int) -> None:
        """As ModifySubscription says; its next cycle begins now."""
        self.cycle = cycle
        self.due_ns = min(self.due_ns, now_ns + cycle.interval_ns)
        self._unasked = 0

    def turn(self, now_ns: int) -> bool:
        """A publishing interval has passed (`points` has been given its samples). Whether a message is wanted now."""
        behind = max(now_ns - self.due_ns, 0) // self.cycle.interval_ns
        self.due_ns += (behind + 1) * self.cycle.interval_ns
        self._unasked += 1
        for item in self.others.values():
            if isinstance(item, ValueItem):
                item.sample(now_ns)
        self._fire_triggers()
        if self.late:
            return True
        self._quiet += 1
        self.late = self._reports() or self._first or self._quiet >= self.cycle.keep_alive
        return self.late

    def message(self, time_ns: int) -> tuple[Message, bool]:
        """The message that was wanted, and whether more is to come at once. Its notifications leave the queues."""
        self._first = self.late = False
        self._quiet = self._unasked = 0
        data = self._take() if self.cycle.enabled else ()
        if not data:
            return Message(self._next_sequence, time_ns), False
        out = Message(self._sequence(), time_ns, data)
        self._retain(out)
        self.late = self._reports()
        return out, self.late

    def end(self, code: int, time_ns: int) -> Message:
        """The StatusChangeNotification that tells why it is no more."""
        return Message(self._sequence(), time_ns, (status_change(code),))

    def farewell(self, code: int, time_ns: int) -> Message:
        """The StatusChangeNotification to a session that it leaves; the next one does not miss its number."""
        return Message(self._next_sequence, time_ns, (status_change(code),))

    def forget_others(self) -> None:
        """Items that watch no point tell their present value again at the next turn."""
        for item in self.others.values():
            if isinstance(item, ValueItem):
                item.forget()

    def acknowledge(self, sequence: int) -> bool:
        """The client has this message. False when it is not kept here."""
        found = self._retained.pop(sequence, None)
        if found is not None:
            self._retained_octets -= found.size
        return found is not None

    def republish(self, sequence: int) -> Message | None:
        """A message that was sent and not acknowledged."""
        return self._retained.get(sequence)

    def remove(self, item_id: int) -> Item | None:
        """Forget an item and its links; a point's slot is freed by the caller, for many at once."""
        item = self.items.pop(item_id, None)
        self.others.pop(item_id, None)
        self.links.pop(item_id, None)
        for linked in self.links.values():
            linked.discard(item_id)
        return item

    def events(self) -> Iterable[EventItem]:
        """Items that collect events."""
        return (item for item in self.others.values() if isinstance(item, EventItem))

    def _sequence(self) -> int:
        number = self._next_sequence
        self._next_sequence = number + 1 if number < 0xFFFF_FFFF else 1
        return number

    def _reports(self) -> bool:
        if not self.cycle.enabled:
            return False
        return self.points.waiting() or any(item.reportable for item in self.others.values())

    def _fire_triggers(self) -> None:
        for trigger, linked in self.links.items():
            if self._is_fresh(trigger):
                for item_id in linked:
                    self._arm(item_id)
        if self.links:
            self.points.fresh[:] = False
            for item in self.others.values():
                item.fresh = False

    def _is_fresh(self, item_id: int) -> bool:
        item = self.items[item_id]
        return bool(self.points.fresh[item.slot]) if isinstance(item, PointItem) else item.fresh

    def _arm(self, item_id: int) -> None:
        item = self.items[item_id]
        if isinstance(item, PointItem):
            self.points.arm(item.slot)
        elif len(item):
            item.armed = True

    def _take(self) -> tuple[bytes, ...]:
        left = min(self.cycle.most or MAX_NOTIFICATIONS, MAX_NOTIFICATIONS)
        count, encoded = self.points.take(left)
        values, events = [encoded], list[bytes]()
        for item in self.others.values():
            if item.reportable and count < left:
                taken = item.take(left - count)
                count += len(taken)
                (events if isinstance(item, EventItem) else values).extend(taken)
        out: tuple[bytes, ...] = ()
        if count > len(events):
            out += (data_change(count - len(events), b"".join(values)),)
        return (*out, event_list(events)) if events else out

    def _retain(self, message: Message) -> None:
        self._retained[message.sequence] = message
        self._retained_octets += message.size
        while len(self._retained) > MAX_RETAINED or (
            self._retained_octets > MAX_RETAINED_OCTETS and len(self._retained) > 1
        ):
            _, oldest = self._retained.popitem(last=False)
            self._retained_octets -= oldest.size
