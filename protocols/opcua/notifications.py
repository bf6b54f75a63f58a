"""Notification messages in OPC UA Binary (OPC 10000-4, 7.25 and 5.14.5), put together from octets."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocols.opcua.uastack import Ids
from protocols.opcua.valueencode import EPOCH

_EXTENSION: Final = struct.Struct("<BBHBi")
_NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"
_HEAD: Final = struct.Struct("<Iqi")
DATA_CHANGE: Final = int(Ids.DataChangeNotification_Encoding_DefaultBinary)
EVENTS: Final = int(Ids.EventNotificationList_Encoding_DefaultBinary)
STATUS_CHANGE: Final = int(Ids.StatusChangeNotification_Encoding_DefaultBinary)


@dataclass(frozen=True, slots=True)
class Message:
    """A NotificationMessage; `data` are its encoded notification objects. Without any it is a keep-alive."""

    sequence: int
    time_ns: int
    data: tuple[bytes, ...] = ()

    def encoded(self) -> bytes:
        """As it stands in a PublishResponse and in a RepublishResponse."""
        head = _HEAD.pack(self.sequence, self.time_ns // 100 + EPOCH, len(self.data))
        return head + b"".join(self.data)

    @property
    def size(self) -> int:
        return sum(len(part) for part in self.data)


def data_change(count: int, items: bytes) -> bytes:
    """A DataChangeNotification of `count` encoded MonitoredItemNotifications."""
    return _object(DATA_CHANGE, count.to_bytes(4, "little") + items + _NO_DIAGNOSTICS)


def event_list(events: Sequence[bytes]) -> bytes:
    """An EventNotificationList of encoded EventFieldLists."""
    return _object(EVENTS, len(events).to_bytes(4, "little") + b"".join(events))


def status_change(code: int) -> bytes:
    """A StatusChangeNotification; its diagnostic information is empty."""
    return _object(STATUS_CHANGE, code.to_bytes(4, "little") + b"\0")


def publish_body(
    subscription: int, available: Sequence[int], more: bool, message: Message, results: Sequence[int]
) -> bytes:
    """What follows the header of a PublishResponse."""
    return b"".join(
        (
            subscription.to_bytes(4, "little"),
            numbers(available),
            b"\x01" if more else b"\0",
            message.encoded(),
            numbers(results),
            _NO_DIAGNOSTICS,
        )
    )


def numbers(values: Sequence[int]) -> bytes:
    """An array of UInt32 or StatusCode."""
    return struct.pack(f"<i{len(values)}I", len(values), *values)


def _object(type_id: int, body: bytes) -> bytes:
    return _EXTENSION.pack(1, 0, type_id, 1, len(body)) + body
