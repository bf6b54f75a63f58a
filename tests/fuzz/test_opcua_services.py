"""Long requests with broken octets: refused by a ServiceFault, and nothing is left of them."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.opcua.errors import ServiceFault
from protocols.opcua.uastack import Ids, encode, ua
from tests.kit.opcuadesk import Desk, Session, item

DESK = Desk()
NODE = ua.NodeId("bess1/pcs/power", 2)


def made() -> list[Any]:
    """One of each request that is read in steps."""
    browse, read, write = ua.BrowseRequest(), ua.ReadRequest(), ua.WriteRequest()
    browse.Parameters.NodesToBrowse = [ua.BrowseDescription(NodeId=NODE, ResultMask=63)] * 3
    read.Parameters.NodesToRead = [ua.ReadValueId(NODE, 13), ua.ReadValueId(NODE, 4)] * 2
    value = ua.DataValue(ua.Variant(1.0, ua.VariantType.Double))
    write.Parameters.NodesToWrite = [ua.WriteValue(NodeId=NODE, AttributeId=13, Value=value)]
    create, call = ua.CreateMonitoredItemsRequest(), ua.CallRequest()
    create.Parameters.SubscriptionId = 1
    filtered = ua.DataChangeFilter(DeadbandType=1, DeadbandValue=2.0)
    create.Parameters.ItemsToCreate = [item("bess1/pcs/power", n, filter=filtered) for n in range(4)]
    method = ua.CallMethodRequest(ObjectId=ua.NodeId(Ids.Server), MethodId=ua.NodeId(Ids.Server_GetMonitoredItems))
    method.InputArguments = [ua.Variant(1, ua.VariantType.UInt32)]
    call.Parameters.MethodsToCall = [method]
    paths = ua.TranslateBrowsePathsToNodeIdsRequest()
    element = ua.RelativePathElement(ReferenceTypeId=ua.NodeId(33), TargetName=ua.QualifiedName("EURange"))
    paths.Parameters.BrowsePaths = [ua.BrowsePath(NODE, ua.RelativePath([element]))]
    return [browse, read, write, create, call, paths]


REQUESTS = [(int(request.TypeId.Identifier), encode(request)) for request in made()]
cuts = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6)


def mutated(octets: bytes, changes: list[tuple[int, int]], length: int) -> bytes:
    out = bytearray(octets)
    for at, value in changes:
        out[at % len(out)] = value
    return bytes(out[: max(len(out) - length, 0)])


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REQUESTS), cuts, st.sampled_from([0, 0, 0, 1, 7, 40]))
def test_a_broken_request_is_refused_and_leaves_nothing(request: tuple[int, bytes], changes: Any, cut: int) -> None:
    async def scenario() -> None:
        session = Session()
        DESK.services.subscriptions._last_number = 0  # the requests name subscription 1
        await DESK.subscribe(session, interval=60_000)
        service = DESK.table.rows[request[0]]
        try:
            out = service.handler(session, mutated(request[1], changes, cut))
            if inspect.isawaitable(out):
                await out
        except ServiceFault:
            assert DESK.services.subscriptions.items == 0
        session.close()
        assert (DESK.services.subscriptions.items, DESK.services.subscriptions.places) == (0, 0)
        await DESK.services.stop()

    asyncio.run(scenario())
