"""The MonitoredItem service set (OPC 10000-4, 5.13), in steps."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final, cast

import numpy as np

from gateway.points import Kind, PointCatalogue
from protocols.opcua.addressspace import AddressSpace
from protocols.opcua.bodies import Request, listed, status_octets
from protocols.opcua.errors import ServiceFault
from protocols.opcua.events import compile_filter
from protocols.opcua.itemtable import ItemSettings, Mode
from protocols.opcua.monitoring import MAX_QUEUE, event_settings, value_settings
from protocols.opcua.nodes import Attribute
from protocols.opcua.otheritems import EventItem, OtherItem, ValueItem
from protocols.opcua.pace import paced
from protocols.opcua.reading import VALUE, Reader
from protocols.opcua.rights import Rights
from protocols.opcua.services import EncodedResponse, ServiceTable
from protocols.opcua.subscription import PointItem, Subscription
from protocols.opcua.subscriptions import Subscriptions
from protocols.opcua.systemevents import overflow_event
from protocols.opcua.uastack import Codes, Ids, ua

_CREATE: Final = int(Ids.CreateMonitoredItemsResponse_Encoding_DefaultBinary)
_MODIFY: Final = int(Ids.ModifyMonitoredItemsResponse_Encoding_DefaultBinary)
_NO_FILTER: Final = b"\0\0\0"
"""An ExtensionObject without anything."""
_NUMERIC: Final = frozenset((Kind.ANALOG, Kind.COUNTER, Kind.SETPOINT))
_BATCH: Final = 100
"""Items that are made, and given their first values, without a pause."""


class ItemService:
    """Handlers over `Subscriptions`."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        space: AddressSpace,
        catalogue: PointCatalogue,
        reader: Reader,
        rights: Rights,
    ) -> None:
        self._all, self._space, self._catalogue = subscriptions, space, catalogue
        self._reader, self._rights = reader, rights

    def install(self, table: ServiceTable) -> None:
        table.add(ua.CreateMonitoredItemsRequest, self.create, raw=True)
        table.add(ua.ModifyMonitoredItemsRequest, self.modify, raw=True)
        table.add(ua.DeleteMonitoredItemsRequest, self.delete)
        table.add(ua.SetMonitoringModeRequest, self.set_mode)
        table.add(ua.SetTriggeringRequest, self.set_triggering)

    async def create(self, session: Any, body: bytes) -> EncodedResponse:
        """Items, and the first value of each, in batches as they are read; all or none when the octets are broken."""
        request = Request(ua.CreateMonitoredItemsRequest, body)
        timestamps = _timestamps(request)
        number = int(request.parameters["SubscriptionId"])
        subscription = self._all.find(session, number)
        parts: list[bytes] = []
        before = subscription.last_item
        try:
            async for batch in paced(_batches(request.elements())):
                subscription = self._all.find(session, number)  # it may have ended between two turns
                self._all.flush()
                new: list[tuple[int, int]] = []
                parts += [self._created(session, subscription, asked, timestamps, new) for asked in batch]
                # Whoever is let in between two turns finds no item without its first value.
                self._first_values(subscription, new)
        except ServiceFault:
            self._remove(subscription, [item_id for item_id in subscription.items if item_id > before])
            raise
        return EncodedResponse(_CREATE, listed(parts))

    async def modify(self, session: Any, body: bytes) -> EncodedResponse:
        request = Request(ua.ModifyMonitoredItemsRequest, body)
        timestamps = _timestamps(request)
        number = int(request.parameters["SubscriptionId"])
        self._all.find(session, number)
        self._all.flush()
        parts = [
            self._modified(session, self._all.find(session, number), asked, timestamps)
            async for asked in paced(request.elements())
        ]
        return EncodedResponse(_MODIFY, listed(parts))

    async def delete(self, session: Any, request: Any) -> Any:
        number, ids = int(request.Parameters.SubscriptionId), _several(request.Parameters.MonitoredItemIds)
        subscription = self._all.find(session, number)
        there = self._remove(subscription, ids)
        codes = [Codes.Good if known else Codes.BadMonitoredItemIdInvalid for known in there]
        return ua.DeleteMonitoredItemsResponse(Results=[ua.StatusCode(code) for code in codes])

    async def set_mode(self, session: Any, request: Any) -> Any:
        asked = request.Parameters
        subscription = self._all.find(session, int(asked.SubscriptionId))
        mode = Mode(int(asked.MonitoringMode))
        self._all.flush()
        ids = _several(asked.MonitoredItemIds)
        items = [subscription.items.get(item_id) for item_id in ids]
        slots = [item.slot for item in items if isinstance(item, PointItem)]
        woken = subscription.points.set_modes(slots, mode) if slots else []
        self._first_values(subscription, [(slot, subscription.points.row(slot)) for slot in woken])
        for item in items:
            if isinstance(item, OtherItem):
                item.set_mode(mode)
        codes = [Codes.Good if item is not None else Codes.BadMonitoredItemIdInvalid for item in items]
        response = ua.SetMonitoringModeResponse()
        response.Parameters.Results = [ua.StatusCode(code) for code in codes]
        return response

    def set_triggering(self, session: Any, request: Any) -> Any:
        asked = request.Parameters
        subscription = self._all.find(session, int(asked.SubscriptionId))
        trigger = int(asked.TriggeringItemId)
        if trigger not in subscription.items:
            raise ServiceFault(Codes.BadMonitoredItemIdInvalid)
        if not asked.LinksToAdd and not asked.LinksToRemove:
            raise ServiceFault(Codes.BadNothingToDo)
        linked = subscription.links.setdefault(trigger, set())
        response = ua.SetTriggeringResponse()
        response.Parameters.RemoveResults = [
            _did(int(item_id) in linked, partial(linked.discard, int(item_id))) for item_id in asked.LinksToRemove or ()
        ]
        response.Parameters.AddResults = [
            _did(int(item_id) in subscription.items, partial(linked.add, int(item_id)))
            for item_id in asked.LinksToAdd or ()
        ]
        if not linked:
            del subscription.links[trigger]
        return response

    def _remove(self, subscription: Subscription, ids: list[int]) -> list[bool]:
        """Forget these items; whether each was there."""
        there, slots = [], []
        for item_id in ids:
            item = subscription.remove(item_id)
            there.append(item is not None)
            self._all.items -= item is not None
            if isinstance(item, PointItem):
                slots.append(item.slot)
                places = subscription.points.queue_size(item.slot)
                subscription.queued_places -= places
                self._all.places -= places
        if slots:
            subscription.points.remove(slots)
        return there

    def _created(
        self, session: Any, subscription: Subscription, asked: Any, timestamps: int, new: list[tuple[int, int]]
    ) -> bytes:
        """The result of one item; a point's item is put into `new` with its row."""
        try:
            self._check_caps(subscription)
            mode = Mode(int(asked.MonitoringMode))
            item, settings, told = self._item(session, subscription, asked, mode, timestamps)
        except ServiceFault as fault:
            return status_octets(fault.code) + struct.pack("<IdI", 0, 0.0, 0) + _NO_FILTER
        item_id = subscription.next_item_id()
        subscription.items[item_id] = item
        self._all.items += 1
        if isinstance(item, PointItem):
            if mode is not Mode.DISABLED:
                new.append((item.slot, subscription.points.row(item.slot)))
        else:
            subscription.others[item_id] = item
        return status_octets(0) + struct.pack("<IdI", item_id, settings.interval_ns / 1e6, settings.queue) + told

    def _item(
        self, session: Any, subscription: Subscription, asked: Any, mode: Mode, timestamps: int
    ) -> tuple[PointItem | OtherItem, ItemSettings, bytes]:
        what, parameters = asked.ItemToMonitor, asked.RequestedParameters
        row = self._reader.point_row(what)
        if row >= 0 and self._rights.visible(session, row):
            settings = self._point_settings(subscription, row, parameters, timestamps)
            slot = subscription.points.add(row, int(self._reader.types[row]), mode, settings)
            return PointItem(slot), settings, _NO_FILTER
        if int(what.AttributeId) == Attribute.EventNotifier:
            return self._event_item(session, what, parameters, mode)
        return self._value_item(session, subscription, asked, mode, timestamps)

    def _event_item(
        self, session: Any, what: Any, parameters: Any, mode: Mode
    ) -> tuple[OtherItem, ItemSettings, bytes]:
        node = self._reader.node(session, what.NodeId)
        notifier = node.attribute(Attribute.EventNotifier)
        if notifier is None or not int(notifier.Value) & 1:
            raise ServiceFault(Codes.BadAttributeIdInvalid)
        fields, result = compile_filter(parameters.Filter, self._space, node.id)
        settings = event_settings(parameters)
        item = EventItem(mode, settings, node.id, fields)
        item.overflow = overflow_event
        return item, settings, result

    def _point_settings(
        self, subscription: Subscription, row: int, parameters: Any, timestamps: int, before: int = 0
    ) -> ItemSettings:
        span = self._space.points.range_of(row)
        settings = value_settings(
            parameters,
            VALUE,
            subscription.cycle.interval_ns,
            timestamps,
            before + self._places_left(subscription),
            span[1] - span[0] if span is not None else None,
            self._catalogue.kind(row) in _NUMERIC,
        )
        subscription.queued_places += settings.queue - before
        self._all.places += settings.queue - before
        return settings

    def _places_left(self, subscription: Subscription) -> int:
        caps = self._all.caps
        return min(caps.queue_per_subscription - subscription.queued_places, caps.queue - self._all.places)

    def _value_item(
        self, session: Any, subscription: Subscription, asked: Any, mode: Mode, timestamps: int
    ) -> tuple[OtherItem, ItemSettings, bytes]:
        """It is looked at once in a publishing cycle at most, and that is what the client is told."""
        what = asked.ItemToMonitor
        read = self._reader.reader(session, what)
        attribute, interval_ns = int(what.AttributeId), subscription.cycle.interval_ns
        now = read()
        plain = now.Value.Value if now.Value is not None else None
        numeric = isinstance(plain, int | float) and not isinstance(plain, bool)
        settings = value_settings(
            asked.RequestedParameters, attribute, interval_ns, timestamps, MAX_QUEUE, None, numeric
        ).slower(interval_ns)
        return ValueItem(mode, settings, read, attribute, numeric), settings, _NO_FILTER

    def _modified(self, session: Any, subscription: Subscription, asked: Any, timestamps: int) -> bytes:
        try:
            item = subscription.items.get(int(asked.MonitoredItemId))
            if item is None:
                raise ServiceFault(Codes.BadMonitoredItemIdInvalid)
            settings, told = self._change(session, subscription, item, asked.RequestedParameters, timestamps)
        except ServiceFault as fault:
            return status_octets(fault.code) + struct.pack("<dI", 0.0, 0) + _NO_FILTER
        return status_octets(0) + struct.pack("<dI", settings.interval_ns / 1e6, settings.queue) + told

    def _change(
        self, session: Any, subscription: Subscription, item: PointItem | OtherItem, parameters: Any, timestamps: int
    ) -> tuple[ItemSettings, bytes]:
        if isinstance(item, PointItem):
            points = subscription.points
            before = points.queue_size(item.slot)
            settings = self._point_settings(subscription, points.row(item.slot), parameters, timestamps, before)
            points.modify(item.slot, settings)
            return settings, _NO_FILTER
        if isinstance(item, EventItem):
            fields, result = compile_filter(parameters.Filter, self._space, item.notifier)
            item.fields = fields
            item.modify(event_settings(parameters))
            return item.settings, result
        return self._change_value(subscription, cast(ValueItem, item), parameters, timestamps), _NO_FILTER

    def _change_value(
        self, subscription: Subscription, item: ValueItem, parameters: Any, timestamps: int
    ) -> ItemSettings:
        settings = value_settings(
            parameters, item.attribute, subscription.cycle.interval_ns, timestamps, MAX_QUEUE, None, item.numeric
        )
        item.modify(settings.slower(subscription.cycle.interval_ns))
        return item.settings

    def _first_values(self, subscription: Subscription, new: list[tuple[int, int]]) -> None:
        """Of point items that have just begun: the value as it is."""
        if not new:
            return
        slots = np.array([slot for slot, _ in new], np.int32)
        rows = np.array([row for _, row in new], np.intp)
        samples = self._reader.samples(rows, time.time_ns(), time.monotonic_ns())
        subscription.points.initial(slots, samples)
        new.clear()

    def _check_caps(self, subscription: Subscription) -> None:
        caps = self._all.caps
        if self._all.items >= caps.items or len(subscription.items) >= caps.items_per_subscription:
            raise ServiceFault(Codes.BadTooManyMonitoredItems)


def item_handles(subscription: Subscription) -> tuple[list[int], list[int]]:
    """Ids of all items, and the client's handle of each."""
    handles = [
        subscription.points.handle(item.slot) if isinstance(item, PointItem) else item.settings.handle
        for item in subscription.items.values()
    ]
    return list(subscription.items), handles


def _timestamps(request: Request) -> int:
    timestamps = int(request.parameters["TimestampsToReturn"])
    if not 0 <= timestamps <= 3:
        raise ServiceFault(Codes.BadTimestampsToReturnInvalid)
    return timestamps


def _batches(wanted: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(wanted, _BATCH)):
        yield batch


def _did(possible: bool, act: Callable[[], None]) -> Any:
    if not possible:
        return ua.StatusCode(Codes.BadMonitoredItemIdInvalid)
    act()
    return ua.StatusCode()


def _several(ids: Any) -> list[int]:
    if not ids:
        raise ServiceFault(Codes.BadNothingToDo)
    return [int(item_id) for item_id in ids]
