"""One connection's requests: which service, for which session, and what went wrong."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any, Final

from protocols.opcua import codec, wire
from protocols.opcua.errors import ChannelFault, ServiceFault, code_name, place_of
from protocols.opcua.services import Service
from protocols.opcua.uastack import Codes, Ids

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from protocols.opcua.channel import Message, SecureChannel
    from protocols.opcua.connection import Connection
    from protocols.opcua.host import Host
    from protocols.opcua.sessions import OpcUaSession

OPEN_ID: Final = int(Ids.OpenSecureChannelRequest_Encoding_DefaultBinary)
CLOSE_ID: Final = int(Ids.CloseSecureChannelRequest_Encoding_DefaultBinary)
_TYPE_IDS: Final = {wire.OPEN: OPEN_ID, wire.CLOSE: CLOSE_ID}


class Processor:
    """Between a connection's channel and the services. `host` is the server it belongs to."""

    def __init__(self, host: Host, connection: Connection) -> None:
        self.host = host
        self.connection = connection
        self.peer: str = connection.peer
        self.address: str = connection.address
        self._waiting: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def channel(self) -> SecureChannel:
        """The channel that every request came on. Raises `ChannelFault` when there is none."""
        if self.connection.channel is None:
            raise ChannelFault(Codes.BadSecureChannelClosed, "no channel")
        return self.connection.channel

    @property
    def congested(self) -> bool:
        return self.connection.congested

    def message(self, message: Message, now_s: float) -> None:
        """One request. Raises `ChannelFault` when the connection cannot go on."""
        handle = 0
        try:
            type_id = codec.read_type_id(message.body)
            if _TYPE_IDS.get(message.type, type_id) != type_id or (type_id == OPEN_ID) != (message.type == wire.OPEN):
                raise ChannelFault(Codes.BadTcpMessageTypeInvalid, "message type and request do not fit")
            if message.type == wire.CLOSE:
                self.connection.end("closed by the client")
                return
            head = codec.read_header(message.body)
            handle = int(head.RequestHandle)
            self._dispatch(type_id, head, message, now_s)
        except ServiceFault as fault:
            if message.type == wire.OPEN:
                raise ChannelFault(fault.code, str(fault)) from None
            self.fault(message.request, handle, fault)

    def fault(self, request: int, handle: int, fault: ServiceFault) -> None:
        """Answer with a ServiceFault."""
        self._send(request, codec.write_fault(fault.code, handle, time.time_ns()))

    def ended(self) -> None:
        """The connection is gone: what waits for something to tell waits in vain, the rest is carried out."""
        for task in self._waiting:
            task.cancel()

    def _dispatch(self, type_id: int, head: Any, message: Message, now_s: float) -> None:
        plain = self.host.without_session.rows.get(type_id)
        if plain is not None:
            self._run(plain, self, None, head, message, now_s)
            return
        service = self.host.table.rows.get(type_id)
        session = self.host.sessions.find(head.AuthenticationToken, self)
        if session is None:
            raise ServiceFault(Codes.BadSessionIdInvalid, "no session of this token on this channel")
        if not session.activated:
            self.host.sessions.close(session, True, "used before it was activated")
            raise ServiceFault(Codes.BadSessionNotActivated)
        session.last_s = now_s
        if service is None:
            raise ServiceFault(Codes.BadServiceUnsupported)
        if not service.waits and session.outstanding >= self.host.plan.limits.requests_per_session:
            raise ServiceFault(Codes.BadTooManyOperations, "too many requests of this session are running")
        self._run(service, session, session, head, message, now_s)

    def _run(
        self,
        service: Service,
        caller: Any,
        session: OpcUaSession | None,
        head: Any,
        message: Message,
        now_s: float,
    ) -> None:
        handle = int(head.RequestHandle)
        raw = service.raw
        request = message.body if raw else codec.read_request(service.request, message.body, self.host.budget)
        result = self._guarded(service, caller, request)
        if not inspect.isawaitable(result):
            self._respond(message, handle, result)
            return
        counted = session if session is not None and not service.waits else None
        if counted is not None:
            counted.outstanding += 1
        task = asyncio.get_running_loop().create_task(self._finish(service, result, counted, message, handle))
        kept = self._waiting if service.waits else self._running
        kept.add(task)
        task.add_done_callback(kept.discard)

    def _guarded(self, service: Service, caller: Any, request: Any) -> Any:
        try:
            return service.handler(caller, request)
        except (ServiceFault, ChannelFault):
            raise
        except Exception as error:  # noqa: BLE001 - a service's mistake is told, and ends one request
            raise self._mistake(service, error) from None

    async def _finish(
        self, service: Service, result: Awaitable[Any], session: OpcUaSession | None, message: Message, handle: int
    ) -> None:
        try:
            self._respond(message, handle, await result)
        except ServiceFault as fault:
            self.fault(message.request, handle, fault)
        except ChannelFault as fault:
            self.connection.fail(fault)
        except Exception as error:  # noqa: BLE001 - as above
            self.fault(message.request, handle, self._mistake(service, error))
        finally:
            if session is not None:
                session.outstanding -= 1
                session.last_s = time.monotonic()

    def _mistake(self, service: Service, error: Exception) -> ServiceFault:
        name = service.request.__name__
        self.host.log.error(
            "service failed", request=name, cause=f"{type(error).__name__}: {error}", place=place_of(error)
        )
        return ServiceFault(Codes.BadInternalError)

    def _respond(self, message: Message, handle: int, response: Any) -> None:
        if response is None:  # the service has answered by itself
            return
        body = codec.write_response(response, handle, time.time_ns())
        if message.type == wire.OPEN:
            self.connection.write(self.channel.open_response(message.request, body))
        else:
            self._send(message.request, body, handle)

    def _send(self, request: int, body: bytes, handle: int = 0) -> None:
        channel = self.connection.channel
        if channel is None or not channel.is_open or self.connection.closed:
            return
        try:
            chunks = channel.send(request, body)
        except ChannelFault as fault:
            self.host.log.warning("response not sent", peer=self.peer, cause=str(fault), status=code_name(fault.code))
            chunks = channel.send(request, codec.write_fault(fault.code, handle, time.time_ns()))
        for chunk in chunks:
            self.connection.write(chunk)
