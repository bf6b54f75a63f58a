"""The seam between the wire and the services: what a handler is given, what it returns, how it is registered.

Below: connection, channel, processor and sessions. They hand over a request only when its session is activated, on the
channel it belongs to, and its octets are sound. Above: whoever implements services. One of them:

```python
class Attributes:
    def install(self, table: ServiceTable) -> None:
        table.add(ua.ReadRequest, self.read)
        table.add(ua.PublishRequest, self.publish, waits=True)

    def read(self, session: Session, request: ua.ReadRequest) -> ua.ReadResponse: ...
    async def publish(self, session: Session, request: ua.PublishRequest) -> EncodedResponse: ...
```

A handler returns the whole response structure (its ResponseHeader is filled in behind it) or an `EncodedResponse`,
or raises `errors.ServiceFault`. A plain function is called at once; a coroutine runs as a task beside the session's
other requests, so it may wait for the field, or, as Publish, for something to tell: that is how one responds later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.alarms import AlarmRecord
from gateway.points import Changes


@dataclass(frozen=True, slots=True)
class EncodedResponse:
    """A response whose body is octets already. `type_id`: numeric id of its binary encoding, such as
    ``Ids.PublishResponse_Encoding_DefaultBinary``; `body`: what follows the ResponseHeader."""

    type_id: int
    body: bytes
    service_result: int = 0


class Session(Protocol):
    """One activated session, as a service sees it. All of it is read only."""

    id: Any
    """`ua.NodeId` of the session."""
    name: str
    user: str
    """User name; empty: anonymous."""
    roles: frozenset[str]
    """Names of `gateway.users.Role` that the user has, each with those it includes."""
    role: str
    """The highest of them: the `master` of a command's `Origin`, and key of the plan's `commands`."""
    locales: tuple[str, ...]
    read_only: bool
    """No field may be commanded: the channel is not secured."""
    policy: str
    """Name of the security policy; ``None`` without."""
    mode: int
    """`MessageSecurityMode`: 1 none, 2 Sign, 3 SignAndEncrypt."""
    application_uri: str
    """Of the client, proven by its certificate where there is one."""
    max_response: int
    """Octets of one response that the client takes; 0: any."""

    @property
    def peer(self) -> str:
        """``host:port`` of the connection; of the last one while there is none."""
        ...

    @property
    def origin_peer(self) -> str:
        """``user@host:port``, for `Origin.peer`."""
        ...

    @property
    def congested(self) -> bool:
        """The client reads more slowly than it is sent to, or has no connection: better wait before more is made."""
        ...

    def on_close(self, hook: Callable[[bool], None]) -> None:
        """Call `hook(delete_subscriptions)` once, when the session ends for whatever reason.

        False: it timed out, or the client wants its subscriptions to live on for a transfer.
        """
        ...


Response = Any
"""A `ua.*Response` structure, or an `EncodedResponse`."""
Handler = Callable[[Any, Any], Response | Awaitable[Response]]
"""(`Session`, request structure) -> response."""


@dataclass(frozen=True, slots=True)
class Service:
    """One row of the table. `waits`: held by the server until it has something to tell (Publish). Such requests do
    not count among a session's outstanding ones (their handler caps them), and are cancelled when the connection ends;
    any other request is carried to its end, though nobody hears the answer. `raw`: the handler is given the octets of
    the message body instead of the structure, to read a long list in steps (see `bodies`)."""

    request: type[Any]
    handler: Handler
    waits: bool = False
    raw: bool = False


@dataclass(slots=True)
class ServiceTable:
    """Services by the type id of their request."""

    rows: dict[int, Service] = field(default_factory=dict)

    def add(self, request: type[Any], handler: Handler, waits: bool = False, raw: bool = False) -> None:
        """Register, or replace, the handler of a request structure such as `ua.ReadRequest`."""
        self.rows[int(request().TypeId.Identifier)] = Service(request, handler, waits, raw)


class Services(Protocol):
    """The services of a server. Built as ``NodeServices(plan, port)``; see `protocols.opcua.server`."""

    def install(self, table: ServiceTable) -> None:
        """Register every handler."""
        ...

    def changes(self, batch: Changes, seq: int) -> None:
        """As `OutputServer.changes`."""
        ...

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """As `OutputServer.commanded`."""
        ...

    def alarms(self, records: list[AlarmRecord]) -> None:
        """Alarm events; see `ServerPort.alarms`."""
        ...

    async def start(self) -> None:
        """Before the first client; the table is right."""
        ...

    async def stop(self) -> None:
        """After the last client."""
        ...
