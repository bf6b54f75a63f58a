"""Events of the server itself: the marks around a refresh, a queue that has overflowed (OPC 10000-5, 6.4)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from protocols.opcua.events import Event
from protocols.opcua.nodes import standard
from protocols.opcua.uastack import Ids, ua

_T = ua.VariantType


def system_event(type_id: int, notifier: Any, message: str) -> Event:
    """An event of the server itself, for an item that monitors `notifier`, whatever its filter wants."""
    now = datetime.now(UTC)
    fields: dict[tuple[str, ...], Any] = {
        ("EventId",): ua.Variant(os.urandom(16), _T.ByteString),
        ("EventType",): ua.Variant(standard(type_id), _T.NodeId),
        ("SourceNode",): ua.Variant(standard(Ids.Server), _T.NodeId),
        ("SourceName",): ua.Variant("Server", _T.String),
        ("Time",): ua.Variant(now, _T.DateTime),
        ("ReceiveTime",): ua.Variant(now, _T.DateTime),
        ("Message",): ua.Variant(ua.LocalizedText(message, "en"), _T.LocalizedText),
        ("Severity",): ua.Variant(100, _T.UInt16),
    }
    return Event(type_id=type_id, source=notifier, fields=fields, for_all=True)


def overflow_event(notifier: Any) -> Event:
    """Events were lost on their way to an item."""
    return system_event(int(Ids.EventQueueOverflowEventType), notifier, "Events were lost: the queue was full")
