"""HTTP and WebSocket connections that do not wait for ever: for a head, for a body, for somebody who reads nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from hmi.access.door import Door

HEAD_S: Final = 10.0
"""From the connection, or from the first octet of a further request, to the end of its head."""
BODY_S: Final = 10.0
BODY_OCTETS_PER_S: Final = 1_000.0
"""A body may take `BODY_S`, and longer only as fast as this."""
WRITE_S: Final = 30.0
"""Who takes nothing of an answer for so long is cut off."""
_LAST_WORDS_S: Final = 1.0


class Http(H11Protocol):
    """One connection; `check` is called about once a second. A WebSocket takes its place when it becomes one."""

    def __init__(self, door: Door, config: Any, server_state: Any, app_state: dict[str, Any]) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self._door = door
        self._head_since: float | None = None
        self._body_since = 0.0
        self._octets = 0
        self._cycle: RequestResponseCycle | None = None
        self._paused_since: float | None = None

    @property
    def resting(self) -> bool:
        """Whether nothing is being answered: it may give way to another connection."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._head_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self._door.left(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.resting and self._head_since is None:
            self._head_since = self.loop.time()
        self._octets += len(data)
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or not self.conn.trailing_data[0]:
            self._head_since = None

    def handle_websocket_upgrade(self, event: Any) -> None:
        """The door is told who takes over."""
        super().handle_websocket_upgrade(event)
        self._door.became(self, self.transport.get_protocol())

    def on_response_complete(self) -> None:
        """An answer that did not wait for the body ends the connection, unless the rest of it comes at once."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self.loop.call_later(_LAST_WORDS_S, self._end_unless_read, self.cycle)

    def _end_unless_read(self, cycle: RequestResponseCycle) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._paused_since = self.loop.time()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._paused_since = None

    def check(self, now_s: float) -> None:
        """Cut it off if it is too slow."""
        if self.cycle is not self._cycle:
            self._cycle, self._body_since, self._octets = self.cycle, now_s, 0
        if self._too_slow(now_s):
            self.transport.abort()

    def _too_slow(self, now_s: float) -> bool:
        if self._paused_since is not None and now_s - self._paused_since > WRITE_S:
            return True
        if self.resting:
            return self._head_since is not None and now_s - self._head_since > HEAD_S
        if not self.cycle.more_body or self.flow.read_paused:
            self._body_since, self._octets = now_s, 0
            return False
        return now_s - self._body_since > BODY_S + self._octets / BODY_OCTETS_PER_S


class Socket(WebSocketsSansIOProtocol):
    """One WebSocket; its sender has a time limit of its own (`hmi.stream`)."""

    def __init__(self, door: Door, **given: Any) -> None:
        super().__init__(**given)
        self._door = door

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self._door.left(self)
