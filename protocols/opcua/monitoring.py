"""What CreateMonitoredItems and ModifyMonitoredItems ask, checked and revised (OPC 10000-4, 5.13.2)."""

from __future__ import annotations

import math
from typing import Any, Final

from protocols.opcua.errors import ServiceFault
from protocols.opcua.itemtable import ItemSettings, Trigger
from protocols.opcua.reading import VALUE
from protocols.opcua.uastack import Codes, ua

MIN_SAMPLING_MS: Final = 10.0
MAX_SAMPLING_MS: Final = 86_400_000.0
MAX_QUEUE: Final = 10_000
MAX_EVENT_QUEUE: Final = 1_000

_NONE, _ABSOLUTE, _PERCENT = 0, 1, 2
"""DeadbandType."""


def interval_ns(asked_ms: float, publishing_ns: int) -> int:
    """The sampling interval: 0 every change, negative that of publishing (OPC 10000-4, 5.13.1.2)."""
    if math.isnan(asked_ms) or asked_ms < 0:
        return publishing_ns
    if asked_ms == 0:
        return 0
    return int(min(max(asked_ms, MIN_SAMPLING_MS), MAX_SAMPLING_MS) * 1e6)


def queue_size(asked: int, granted: int) -> int:
    """At least 1, at most what is left to grant."""
    return min(max(asked, 1), max(min(granted, MAX_QUEUE), 1))


def value_settings(
    parameters: Any,
    attribute: int,
    publishing_ns: int,
    timestamps: int,
    granted: int,
    span: float | None,
    numeric: bool,
) -> ItemSettings:
    """Of an item that watches an attribute. `span`: of EURange, None without one; `numeric`: a deadband makes sense.

    Raises `ServiceFault` for a filter that cannot be.
    """
    trigger, limit = _filter(parameters.Filter, attribute, span, numeric)
    return ItemSettings(
        handle=int(parameters.ClientHandle),
        interval_ns=interval_ns(float(parameters.SamplingInterval), publishing_ns),
        queue=queue_size(int(parameters.QueueSize), granted),
        discard_oldest=bool(parameters.DiscardOldest),
        trigger=trigger,
        limit=limit,
        timestamps=timestamps,
    )


def event_settings(parameters: Any) -> ItemSettings:
    """Of an item that collects events; a queue size of 0 leaves it to us."""
    asked = int(parameters.QueueSize) or MAX_EVENT_QUEUE
    return ItemSettings(
        handle=int(parameters.ClientHandle),
        queue=min(asked, MAX_EVENT_QUEUE),
        discard_oldest=bool(parameters.DiscardOldest),
    )


def _filter(wanted: Any, attribute: int, span: float | None, numeric: bool) -> tuple[Trigger, float]:
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and not wanted.TypeId.Identifier):
        return Trigger.STATUS_VALUE, 0.0
    if not isinstance(wanted, ua.DataChangeFilter):
        raise ServiceFault(
            Codes.BadFilterNotAllowed if isinstance(wanted, ua.EventFilter) else Codes.BadMonitoredItemFilterUnsupported
        )
    if attribute != VALUE:
        raise ServiceFault(Codes.BadFilterNotAllowed)
    return Trigger(int(wanted.Trigger)), _limit(int(wanted.DeadbandType), float(wanted.DeadbandValue), span, numeric)


def _limit(kind: int, value: float, span: float | None, numeric: bool) -> float:
    """The deadband in engineering units."""
    if kind == _NONE:
        return 0.0
    if not numeric:
        raise ServiceFault(Codes.BadFilterNotAllowed)
    if kind == _ABSOLUTE and 0 <= value < math.inf:
        return value
    if kind == _PERCENT and span is not None and 0 <= value <= 100:
        return value / 100.0 * span
    if kind in (_ABSOLUTE, _PERCENT):
        raise ServiceFault(Codes.BadDeadbandFilterInvalid)
    raise ServiceFault(Codes.BadMonitoredItemFilterInvalid)
