"""HistoryRead of raw values (OPC 10000-4, 5.11.3; OPC 10000-11): over the historian's store, where the site has one.

The store is read in a thread of its own. Neither bounds nor modified values, processed values or events.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from gateway.contracts import Log
from gateway.contracts.history import HistoryReader
from gateway.points import PointCatalogue
from protocols.opcua.addressspace import AddressSpace
from protocols.opcua.bodies import NO_DIAGNOSTICS, status_octets
from protocols.opcua.errors import ServiceFault
from protocols.opcua.history import Page, Span, read_page, span_of
from protocols.opcua.nodes import HISTORY_READABLE, Attribute, Node, Reference
from protocols.opcua.quality import status_codes
from protocols.opcua.reading import Reader
from protocols.opcua.services import EncodedResponse, ServiceTable
from protocols.opcua.uastack import Codes, Ids, ua
from protocols.opcua.valueencode import BOTH, NEITHER, SERVER, data_values

MAX_NODES: Final = 100
MAX_CONTINUATIONS: Final = 100
"""Of one session."""
_RESPONSE: Final = int(Ids.HistoryReadResponse_Encoding_DefaultBinary)
_HISTORY_DATA: Final = int(Ids.HistoryData_Encoding_DefaultBinary)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime(1601, 1, 2, tzinfo=UTC)
"""Times before are null."""
_NOTHING: Final = b"\xff\xff\xff\xff"
_NO_DATA: Final = b"\x00\x00\x00"


class HistoryService:
    """One handler, and the attributes that say which points have a history."""

    def __init__(self, reader: Reader, catalogue: PointCatalogue, store: HistoryReader | None, log: Log) -> None:
        self._reader, self._catalogue, self._store, self._log = reader, catalogue, store, log
        self._thread = ThreadPoolExecutor(1, "history") if store is not None else None
        self._pages: dict[int, dict[bytes, Span]] = {}
        """By session: continuation points."""

    def install(self, table: ServiceTable) -> None:
        table.add(ua.HistoryReadRequest, self.read)

    def stop(self) -> None:
        """Wait for nothing that is still read."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(self, session: Any, request: Any) -> EncodedResponse:
        asked = request.Parameters
        nodes = list(asked.NodesToRead or ())
        if not nodes:
            raise ServiceFault(Codes.BadNothingToDo)
        if len(nodes) > MAX_NODES:
            raise ServiceFault(Codes.BadTooManyOperations)
        timestamps = int(asked.TimestampsToReturn)
        if timestamps == NEITHER:
            raise ServiceFault(Codes.BadTimestampsToReturnInvalid)
        results = [await self._node(session, node, asked, timestamps) for node in nodes]
        return EncodedResponse(_RESPONSE, struct.pack("<i", len(results)) + b"".join(results) + NO_DIAGNOSTICS)

    async def _node(self, session: Any, wanted: Any, asked: Any, timestamps: int) -> bytes:
        """One HistoryReadResult."""
        try:
            row = self._row(session, wanted)
            if asked.ReleaseContinuationPoints:
                self._taken(session, wanted.ContinuationPoint)
                return _result(0)
            span = self._span(session, row, wanted, asked.HistoryReadDetails)
            page = await self._page(span)
            point = b"" if page.rest is None else self._continued(session, page.rest)
        except ServiceFault as fault:
            return _result(fault.code)
        return self._encoded(row, page, point, timestamps)

    def _row(self, session: Any, wanted: Any) -> int:
        node = self._reader.node(session, wanted.NodeId)
        if node.row < 0 or self._store is None:
            raise ServiceFault(Codes.BadHistoryOperationUnsupported)
        if wanted.IndexRange:
            raise ServiceFault(Codes.BadIndexRangeInvalid)
        if wanted.DataEncoding and wanted.DataEncoding.Name:
            raise ServiceFault(Codes.BadDataEncodingInvalid)
        return node.row

    def _span(self, session: Any, row: int, wanted: Any, details: Any) -> Span:
        if wanted.ContinuationPoint:
            return self._taken(session, wanted.ContinuationPoint)
        if not isinstance(details, ua.ReadRawModifiedDetails) or details.IsReadModified:
            raise ServiceFault(Codes.BadHistoryOperationUnsupported)
        if details.ReturnBounds:
            raise ServiceFault(Codes.BadBoundNotSupported)
        start_ns, end_ns = _time_ns(details.StartTime), _time_ns(details.EndTime)
        name, most = self._catalogue.names[row], int(details.NumValuesPerNode)
        try:
            return span_of(name, start_ns, end_ns, most, 0, time.time_ns())
        except ValueError:
            raise ServiceFault(Codes.BadInvalidTimestampArgument) from None

    async def _page(self, span: Span) -> Page:
        store = self._store
        if store is None or self._thread is None:
            raise ServiceFault(Codes.BadHistoryOperationUnsupported)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, read_page, store, span)
        except (OSError, ValueError) as error:
            self._log.warning("history cannot be read", point=span.name, cause=str(error))
            raise ServiceFault(Codes.BadResourceUnavailable) from None

    def _continued(self, session: Any, rest: Span) -> bytes:
        held = self._pages.get(id(session))
        if held is None:
            held = self._pages[id(session)] = {}
            session.on_close(lambda _: self._pages.pop(id(session), None))
        if len(held) >= MAX_CONTINUATIONS:
            raise ServiceFault(Codes.BadNoContinuationPoints)
        point = secrets.token_bytes(16)
        held[point] = rest
        return point

    def _taken(self, session: Any, point: Any) -> Span:
        """A continuation point is good for once."""
        span = self._pages.get(id(session), {}).pop(point or b"", None)
        if span is None:
            raise ServiceFault(Codes.BadContinuationPointInvalid)
        return span

    def _encoded(self, row: int, page: Page, point: bytes, timestamps: int) -> bytes:
        count = len(page.time_ns)
        if not count:
            return _result(int(Codes.GoodNoData), b"", struct.pack("<i", 0))
        types = np.full(count, self._reader.types[row], np.uint8)
        codes = status_codes(page.quality)
        server_ns = page.time_ns if timestamps in (SERVER, BOTH) else 0
        values = data_values(types, page.value, codes, page.time_ns, server_ns, timestamps)
        return _result(0, point, struct.pack("<i", count) + values)


class HistoryNodes:
    """An `Extension` of the address space: points whose history can be read say so."""

    def node(self, identifier: str) -> Node | None:
        return None

    def references(self, node: Node) -> Iterable[Reference]:
        if node.row >= 0:
            levels = {
                level: ua.Variant(int(node.attributes[level].Value) | HISTORY_READABLE, ua.VariantType.Byte)
                for level in (Attribute.AccessLevel, Attribute.UserAccessLevel)
            }
            historizing = {Attribute.Historizing: ua.Variant(True, ua.VariantType.Boolean)}
            node.attributes = {**node.attributes, **levels, **historizing}
        return ()


def extend_history(space: AddressSpace, store: HistoryReader | None) -> None:
    """Say of the points that they have a history, where there is a store."""
    if store is not None:
        space.extend(HistoryNodes())


def _result(code: int, point: bytes = b"", data: bytes = b"") -> bytes:
    octets = struct.pack("<i", len(point)) + point if point else _NOTHING
    body = _NO_DATA
    if data:
        body = struct.pack("<BBHBi", 1, 0, _HISTORY_DATA, 1, len(data)) + data
    return status_octets(code) + octets + body


def _time_ns(moment: Any) -> int | None:
    """ns since 1970 UTC; None for a null time."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None if aware < _FIRST else (aware - _EPOCH) // timedelta(microseconds=1) * 1000
