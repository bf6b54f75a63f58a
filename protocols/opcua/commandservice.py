"""Write and Call (OPC 10000-4, 5.11.4, 5.12.2): what a client wants done goes to the broker, its word comes back.

Handlers are coroutines that wait for the field: whatever else the session asks meanwhile is answered meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from gateway.contracts import Action, Reason
from protocols.opcua.addressspace import AddressSpace, node_id
from protocols.opcua.bodies import NO_DIAGNOSTICS, Request, status_octets
from protocols.opcua.commanding import Commander, Selections, commanded_value
from protocols.opcua.errors import ServiceFault
from protocols.opcua.names import BAR, CONTROL
from protocols.opcua.nodes import Attribute
from protocols.opcua.otheritems import encode_variant
from protocols.opcua.pace import paced
from protocols.opcua.pointnodes import METHODS
from protocols.opcua.reading import VALUE, Reader
from protocols.opcua.rights import Rights
from protocols.opcua.services import EncodedResponse, ServiceTable
from protocols.opcua.uastack import Codes, Ids, ua

MAX_COMMANDS: Final = 1_000
"""In one request."""
_WRITE: Final = int(Ids.WriteResponse_Encoding_DefaultBinary)
_CALL: Final = int(Ids.CallResponse_Encoding_DefaultBinary)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a method returns: status code, one code for each argument that was wrong, output Variants."""

    code: int = 0
    arguments: tuple[int, ...] = ()
    outputs: tuple[Any, ...] = field(default_factory=tuple)


Method = Callable[[Any, list[Any]], Awaitable[CallResult]]
"""(session, argument Variants) -> result."""
MethodFinder = Callable[[Any, Any], Method | None]
"""(object id, method id) -> what to call, or None when this is not one of its own."""


class CommandService:
    """Handlers over the broker. More methods: `add`."""

    def __init__(self, space: AddressSpace, reader: Reader, rights: Rights, commander: Commander) -> None:
        self._space, self._reader, self._rights, self._commander = space, reader, rights, commander
        self._selections = Selections()
        self._finders: list[MethodFinder] = [self._control_method]

    def install(self, table: ServiceTable) -> None:
        table.add(ua.WriteRequest, self.write, raw=True)
        table.add(ua.CallRequest, self.call, raw=True)

    def add(self, finder: MethodFinder) -> None:
        """Methods of other objects."""
        self._finders.append(finder)

    async def write(self, session: Any, body: bytes) -> EncodedResponse:
        """All values at once; each has its own result."""
        request = Request(ua.WriteRequest, body)
        wanted = await _few(request)
        codes = await asyncio.gather(*(self._written(session, element) for element in wanted))
        return EncodedResponse(_WRITE, _listed([status_octets(code) for code in codes]))

    async def call(self, session: Any, body: bytes) -> EncodedResponse:
        request = Request(ua.CallRequest, body)
        wanted = await _few(request)
        results = await asyncio.gather(*(self._called(session, element) for element in wanted))
        return EncodedResponse(_CALL, _listed([_call_octets(result) for result in results]))

    async def _written(self, session: Any, wanted: Any) -> int:
        try:
            row = self._target(session, wanted)
            value = self._value(row, wanted)
        except ServiceFault as fault:
            return fault.code
        refusal = Reason.OK if self._rights.commands(session, row) else Reason.NOT_AUTHORISED
        return await self._commander.run(session, row, value, refusal=refusal)

    def _target(self, session: Any, wanted: Any) -> int:
        """The commanded row. Raises `ServiceFault` when nothing can be written there by anybody."""
        node = self._reader.node(session, wanted.NodeId)
        if int(wanted.AttributeId) != VALUE:
            known = node.attribute(int(wanted.AttributeId)) is not None
            raise ServiceFault(Codes.BadNotWritable if known else Codes.BadAttributeIdInvalid)
        if node.node_class not in (ua.NodeClass.Variable, ua.NodeClass.VariableType):
            raise ServiceFault(Codes.BadAttributeIdInvalid)
        if node.row < 0 or not int(node.attributes[Attribute.AccessLevel].Value) & 2:
            raise ServiceFault(Codes.BadNotWritable)
        if wanted.IndexRange:
            raise ServiceFault(Codes.BadIndexRangeNoData)
        return node.row

    def _value(self, row: int, wanted: Any) -> float:
        given = wanted.Value
        status = given.StatusCode.value if given.StatusCode is not None else 0
        if status or given.SourceTimestamp is not None or given.ServerTimestamp is not None:
            raise ServiceFault(Codes.BadWriteNotSupported)  # value, status and time together are the field's alone
        value = commanded_value(given.Value, int(self._reader.types[row]))
        if value is None:
            raise ServiceFault(Codes.BadTypeMismatch)
        return value

    async def _called(self, session: Any, wanted: Any) -> CallResult:
        try:
            self._reader.node(session, wanted.ObjectId)
            node = self._reader.node(session, wanted.MethodId)
        except ServiceFault as fault:
            return CallResult(fault.code)
        if node.node_class != ua.NodeClass.Method:
            return CallResult(int(Codes.BadMethodInvalid))
        for finder in self._finders:
            method = finder(wanted.ObjectId, wanted.MethodId)
            if method is not None:
                return await method(session, list(wanted.InputArguments or ()))
        return CallResult(int(Codes.BadMethodInvalid))

    def _control_method(self, target: Any, method: Any) -> Method | None:
        name, bar, what = str(method.Identifier).partition(BAR)
        row = self._space.row(node_id(name)) if bar else -1
        if row < 0 or what not in METHODS or target != node_id(f"{name}{BAR}{CONTROL}"):
            return None
        return partial(_STEPS[what], self, row)

    async def _select(self, row: int, session: Any, arguments: list[Any]) -> CallResult:
        value, wrong = self._argument(row, arguments)
        if wrong is not None:
            return wrong
        now_s = time.monotonic()
        refusal = self._refusal(session, row)
        if refusal is Reason.OK and self._selections.taken(row, session, now_s):
            refusal = Reason.BUSY
        code = await self._commander.run(session, row, value, Action.SELECT, refusal)
        if not code and self._selections.put(row, session, value, now_s):
            session.on_close(lambda _: self._selections.ended(session))
        return CallResult(code)

    async def _operate(self, row: int, session: Any, arguments: list[Any]) -> CallResult:
        value, wrong = self._argument(row, arguments)
        if wrong is not None:
            return wrong
        refusal = self._refusal(session, row)
        if not self._selections.pop(row, session, value, time.monotonic()) and refusal is Reason.OK:
            refusal = Reason.NOT_SELECTED
        return CallResult(await self._commander.run(session, row, value, refusal=refusal))

    async def _cancel(self, row: int, session: Any, arguments: list[Any]) -> CallResult:
        if arguments:
            return CallResult(int(Codes.BadTooManyArguments))
        refusal = self._refusal(session, row)
        if not self._selections.pop(row, session, None, time.monotonic()) and refusal is Reason.OK:
            refusal = Reason.NOT_SELECTED
        return CallResult(await self._commander.run(session, row, 0.0, Action.CANCEL, refusal))

    def _refusal(self, session: Any, row: int) -> Reason:
        return Reason.OK if self._rights.commands(session, row) else Reason.NOT_AUTHORISED

    def _argument(self, row: int, arguments: list[Any]) -> tuple[float, CallResult | None]:
        if not arguments:
            return 0.0, CallResult(int(Codes.BadArgumentsMissing))
        if len(arguments) > 1:
            return 0.0, CallResult(int(Codes.BadTooManyArguments))
        value = commanded_value(arguments[0], int(self._reader.types[row]))
        if value is None:
            return 0.0, CallResult(int(Codes.BadInvalidArgument), (int(Codes.BadTypeMismatch),))
        return value, None


_STEPS: Final = {
    "Select": CommandService._select,
    "Operate": CommandService._operate,
    "Cancel": CommandService._cancel,
}


async def _few(request: Request) -> list[Any]:
    if request.count > MAX_COMMANDS:
        raise ServiceFault(Codes.BadTooManyOperations)
    return [element async for element in paced(request.elements())]


def _listed(parts: list[bytes]) -> bytes:
    return len(parts).to_bytes(4, "little") + b"".join(parts) + NO_DIAGNOSTICS


def _call_octets(result: CallResult) -> bytes:
    """A CallMethodResult."""
    arguments = b"".join(status_octets(code) for code in result.arguments)
    outputs = b"".join(encode_variant(value) for value in result.outputs)
    return b"".join(
        (
            status_octets(result.code),
            len(result.arguments).to_bytes(4, "little"),
            arguments,
            NO_DIAGNOSTICS,
            len(result.outputs).to_bytes(4, "little"),
            outputs,
        )
    )
