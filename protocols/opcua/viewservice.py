"""Browse, BrowseNext, TranslateBrowsePathsToNodeIds, RegisterNodes (OPC 10000-4, 5.9), in steps."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

from protocols.opcua.bodies import Request, listed
from protocols.opcua.errors import ServiceFault
from protocols.opcua.pace import paced
from protocols.opcua.rights import Rights
from protocols.opcua.services import EncodedResponse, ServiceTable
from protocols.opcua.uastack import Codes, Ids, encode, ua
from protocols.opcua.view import View

MAX_CONTINUATION_POINTS: Final = 20
"""Of one session."""
MAX_REFERENCES: Final = 1_000
"""Of one node in one response, whatever the client allows."""

_BROWSE: Final = int(Ids.BrowseResponse_Encoding_DefaultBinary)
_BROWSE_NEXT: Final = int(Ids.BrowseNextResponse_Encoding_DefaultBinary)
_TRANSLATE: Final = int(Ids.TranslateBrowsePathsToNodeIdsResponse_Encoding_DefaultBinary)


@dataclass(slots=True)
class _Rest:
    """What a browse has not told yet."""

    references: Iterator[Any]
    most: int
    ahead: list[Any] = field(default_factory=list)


class ViewService:
    """Keeps continuation points for each session; they end with it."""

    def __init__(self, view: View, rights: Rights) -> None:
        self._view, self._rights = view, rights
        self._points: dict[int, OrderedDict[bytes, _Rest]] = {}

    def install(self, table: ServiceTable) -> None:
        table.add(ua.BrowseRequest, self.browse, raw=True)
        table.add(ua.BrowseNextRequest, self.browse_next)
        table.add(ua.TranslateBrowsePathsToNodeIdsRequest, self.translate, raw=True)
        table.add(ua.RegisterNodesRequest, self.register)
        table.add(ua.UnregisterNodesRequest, self.unregister)

    async def browse(self, session: Any, body: bytes) -> EncodedResponse:
        request = Request(ua.BrowseRequest, body)
        view = request.parameters["View"]
        if view.ViewId.Identifier:
            raise ServiceFault(Codes.BadViewIdUnknown)
        asked = int(request.parameters["RequestedMaxReferencesPerNode"])
        most = min(asked or MAX_REFERENCES, MAX_REFERENCES)
        visible = partial(self._rights.visible, session)
        parts = [
            encode(self._answer(session, partial(self._start, wanted, visible, most)))
            async for wanted in paced(request.elements())
        ]
        return EncodedResponse(_BROWSE, listed(parts))

    async def browse_next(self, session: Any, request: Any) -> EncodedResponse:
        points = request.Parameters.ContinuationPoints or []
        if not points:
            raise ServiceFault(Codes.BadNothingToDo)
        release = bool(request.Parameters.ReleaseContinuationPoints)
        parts = [
            encode(self._answer(session, partial(self._resume, session, point, release)))
            async for point in paced(points)
        ]
        return EncodedResponse(_BROWSE_NEXT, listed(parts))

    async def translate(self, session: Any, body: bytes) -> EncodedResponse:
        request = Request(ua.TranslateBrowsePathsToNodeIdsRequest, body)
        visible = partial(self._rights.visible, session)
        parts = [encode(self._translated(path, visible)) async for path in paced(request.elements())]
        return EncodedResponse(_TRANSLATE, listed(parts))

    def register(self, session: Any, request: Any) -> Any:
        """Ids are short enough as they are: they stay the same."""
        nodes = request.Parameters.NodesToRegister or []
        if not nodes:
            raise ServiceFault(Codes.BadNothingToDo)
        visible = partial(self._rights.visible, session)
        for node in nodes:
            if not self._view.seen(node, visible):
                raise ServiceFault(Codes.BadNodeIdUnknown)
        response = ua.RegisterNodesResponse()
        response.Parameters.RegisteredNodeIds = nodes
        return response

    def unregister(self, session: Any, request: Any) -> Any:
        if not request.Parameters.NodesToUnregister:
            raise ServiceFault(Codes.BadNothingToDo)
        return ua.UnregisterNodesResponse()

    def _answer(self, session: Any, rest_of: Callable[[], _Rest | None]) -> Any:
        """A BrowseResult; what does not fit is kept under a continuation point."""
        out = ua.BrowseResult()
        try:
            rest = rest_of()
            if rest is None:
                return out
            found = rest.ahead + list(islice(rest.references, rest.most + 1 - len(rest.ahead)))
            out.References, rest.ahead = found[: rest.most], found[rest.most :]
            if rest.ahead:
                out.ContinuationPoint = self._keep(session, rest)
        except ServiceFault as fault:
            out.References = []
            out.StatusCode = ua.StatusCode(fault.code)
        return out

    def _start(self, wanted: Any, visible: Callable[[int], bool], most: int) -> _Rest:
        return _Rest(self._view.references(wanted, visible), most)

    def _resume(self, session: Any, point: bytes, release: bool) -> _Rest | None:
        kept = self._points.get(id(session))
        rest = kept.pop(point, None) if kept is not None else None
        if rest is None:
            raise ServiceFault(Codes.BadContinuationPointInvalid)
        return None if release else rest

    def _keep(self, session: Any, rest: _Rest) -> bytes:
        kept = self._points.get(id(session))
        if kept is None:
            kept = self._points[id(session)] = OrderedDict()
            session.on_close(lambda _: self._points.pop(id(session), None))
        if len(kept) >= MAX_CONTINUATION_POINTS:
            raise ServiceFault(Codes.BadNoContinuationPoints)
        point = secrets.token_bytes(16)
        kept[point] = rest
        return point

    def _translated(self, path: Any, visible: Callable[[int], bool]) -> Any:
        out = ua.BrowsePathResult()
        try:
            for target in self._view.translate(path, visible):
                found = ua.BrowsePathTarget()
                found.TargetId = ua.ExpandedNodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)
                found.RemainingPathIndex = 0xFFFF_FFFF
                out.Targets.append(found)
        except ServiceFault as fault:
            out.StatusCode = ua.StatusCode(fault.code)
        return out
