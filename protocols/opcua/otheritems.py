"""Monitored items that do not watch a point's value: other attributes, other variables, events (OPC 10000-4, 5.13).

There are few of them and they change seldom: each is an object, looked at once in a publishing cycle at most.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from protocols.opcua.itemtable import ItemSettings, Mode, Trigger
from protocols.opcua.quality import OVERFLOW
from protocols.opcua.uastack import _binary as binary
from protocols.opcua.uastack import encode, ua
from protocols.opcua.valueencode import BOTH, SERVER, SOURCE

_SOURCE_FOR: Final = (SOURCE, BOTH)
_SERVER_FOR: Final = (SERVER, BOTH)


class OtherItem(ABC):
    """What both kinds share: mode, queue of notifications, triggering."""

    def __init__(self, mode: Mode, settings: ItemSettings) -> None:
        self.mode, self.settings = mode, settings
        self.fresh = self.armed = False
        self._queue: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def reportable(self) -> bool:
        """Whether something is to be published."""
        return bool(self._queue) and (self.mode is Mode.REPORTING or self.armed)

    def set_mode(self, mode: Mode) -> None:
        """Disabled: what is queued is forgotten."""
        if mode is Mode.DISABLED:
            self._queue.clear()
            self.fresh = self.armed = False
        self.mode = mode

    def modify(self, settings: ItemSettings) -> None:
        """Other settings from now on."""
        self.settings = settings
        while len(self._queue) > settings.queue:
            self._discard()

    def take(self, most: int) -> list[bytes]:
        """Up to `most` encoded notifications, removed from the queue."""
        out = [self._encoded(self._queue.popleft()) for _ in range(min(most, len(self._queue)))]
        if not self._queue:
            self.armed = False
        return out

    def _push(self, notification: Any) -> None:
        self.fresh = True
        self._queue.append(notification)
        while len(self._queue) > self.settings.queue:
            self._discard()

    @abstractmethod
    def _discard(self) -> None: ...

    @abstractmethod
    def _encoded(self, notification: Any) -> bytes: ...


class ValueItem(OtherItem):
    """Watches what `read` returns: a DataValue of this attribute. `numeric`: a deadband makes sense."""

    def __init__(
        self, mode: Mode, settings: ItemSettings, read: Callable[[], Any], attribute: int = 13, numeric: bool = True
    ) -> None:
        super().__init__(mode, settings)
        self._read = read
        self.attribute, self.numeric = attribute, numeric
        self._last: Any = None
        self._due_ns = 0

    def set_mode(self, mode: Mode) -> None:
        super().set_mode(mode)
        if mode is Mode.DISABLED:
            self._last, self._due_ns = None, 0

    def forget(self) -> None:
        """The next sample passes, unless something is queued already."""
        if not self._queue:
            self._last, self._due_ns = None, 0

    def sample(self, now_ns: int) -> None:
        """Look, if its interval has passed since it last did."""
        if self.mode is Mode.DISABLED or now_ns < self._due_ns:
            return
        # A little early: cycles are not to the microsecond, and none is to be missed for that.
        self._due_ns = now_ns + self.settings.interval_ns * 3 // 4
        value = self._read()
        if self._last is None or self._differs(value):
            self._last = value
            self._push((value, False))

    def _differs(self, value: Any) -> bool:
        last, trigger = self._last, self.settings.trigger
        if _status(value) != _status(last):
            return True
        if trigger is Trigger.STATUS:
            return False
        if trigger is Trigger.STATUS_VALUE_TIMESTAMP and value.SourceTimestamp != last.SourceTimestamp:
            return True
        return _moved(_plain(value), _plain(last), self.settings.limit)

    def _discard(self) -> None:
        size = self.settings.queue
        if self.settings.discard_oldest or size == 1:
            self._queue.popleft()
            if size > 1:
                self._queue[0] = (self._queue[0][0], True)
            return
        newest, _ = self._queue.pop()
        self._queue[-1] = (newest, True)

    def _encoded(self, notification: tuple[Any, bool]) -> bytes:
        value, overflow = notification
        code = _status(value) | (OVERFLOW if overflow else 0)
        out = ua.DataValue(
            value.Value,
            ua.StatusCode(code),
            value.SourceTimestamp if self.settings.timestamps in _SOURCE_FOR else None,
            value.ServerTimestamp if self.settings.timestamps in _SERVER_FOR else None,
        )
        return struct.pack("<I", self.settings.handle) + encode(out)


class EventItem(OtherItem):
    """Collects events at `notifier`. `fields`: what a client has selected of one, None when it is not for it."""

    def __init__(
        self, mode: Mode, settings: ItemSettings, notifier: Any, fields: Callable[[Any], Sequence[Any] | None]
    ) -> None:
        super().__init__(mode, settings)
        self.notifier, self.fields = notifier, fields
        self.lost = 0
        """Events that a full queue has cost."""
        self.overflow: Callable[[Any], Any] | None = None
        """Makes the event that says so, for a notifier."""
        self._overflowed = False

    def offer(self, event: Any) -> None:
        """An event has happened."""
        if self.mode is Mode.DISABLED:
            return
        chosen = self.fields(event)
        if chosen is not None:
            self._push(chosen)

    def _discard(self) -> None:
        if self.settings.discard_oldest:
            self._queue.popleft()
        else:
            newest = self._queue.pop()
            self._queue[-1] = newest
        self.lost += 1
        self._overflowed = True

    def take(self, most: int) -> list[bytes]:
        """A queue that has lost events says so first, or last where the newest are lost (OPC 10000-4, 7.22.3)."""
        told = self._overflow_told() if most > 0 else []
        out = super().take(most - len(told))
        return told + out if self.settings.discard_oldest else out + told

    def _overflow_told(self) -> list[bytes]:
        made = self.overflow(self.notifier) if self._overflowed and self.overflow is not None else None
        self._overflowed = False
        fields = self.fields(made) if made is not None else None
        return [] if fields is None else [self._encoded(fields)]

    def _encoded(self, notification: Sequence[Any]) -> bytes:
        out = struct.pack("<Ii", self.settings.handle, len(notification))
        return out + b"".join(encode_variant(value) for value in notification)


def encode_variant(value: Any) -> bytes:
    """A Variant by itself."""
    encoded: bytes = binary.variant_to_binary(value)
    return encoded


def encode_extension(value: Any) -> bytes:
    """A structure as ExtensionObject."""
    encoded: bytes = binary.extensionobject_to_binary(value)
    return encoded


def _status(value: Any) -> int:
    return int(value.StatusCode.value) if value.StatusCode is not None else 0


def _plain(value: Any) -> Any:
    return value.Value.Value if value.Value is not None else None


def _moved(value: Any, before: Any, limit: float) -> bool:
    if limit > 0 and isinstance(value, int | float) and isinstance(before, int | float):
        distance = abs(value - before)
        return distance > limit or math.isnan(distance) != (math.isnan(value) and math.isnan(before))
    return bool(value != before)
