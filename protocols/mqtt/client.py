"""One connection to a broker: paho-mqtt on the event loop.

Each connection is a fresh client with a clean session: paho's own queue (in memory) never outlives it, and what
was not acknowledged is the owner's to send again. Connecting, where paho blocks, happens in a thread; everything after
it on the loop. What comes is gathered in `inbox` and handled by the owner's own task.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MQTTException
from paho.mqtt.reasoncodes import ReasonCode

from protocols.mqtt import tls
from protocols.mqtt.linkplan import LinkPlan, TlsPlan, Will

WINDOW: Final = 20
"""Messages of QoS 1 in flight: more make paho slower, not quicker."""
_CLOSE_S: Final = 1.0
_READS: Final = 32
"""Packets taken at once before the loop has its turn."""
_BROKEN: Final = (MQTTException, ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error)
"""What paho raises for octets that are no MQTT."""


class LinkDown(Exception):
    """There is no connection; the text says why, in words."""


@dataclass(frozen=True, slots=True)
class Message:
    """What came on a topic."""

    topic: str
    payload: bytes
    retained: bool
    repeated: bool


@dataclass(frozen=True, slots=True)
class Acked:
    """The broker has this message of ours; or refuses it, and `refusal` says why."""

    mid: int
    refusal: str = ""


class Link:
    """One connection. `open` it once, wait on `wake`, read `inbox`; `closed` tells why it ended."""

    def __init__(self, plan: LinkPlan, will: Will | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._plan = plan
        self.inbox: deque[Message | Acked] = deque()
        self.wake = asyncio.Event()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: dict[int, asyncio.Future[list[str]]] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._sock: Any = None
        self._client = _client(plan, will)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_socket_register_write = lambda *_: self._watch_write(True)
        self._client.on_socket_unregister_write = lambda *_: self._watch_write(False)
        self._client.on_socket_close = lambda *_: self._detach()

    @property
    def up(self) -> bool:
        return self._connected.done() and not self.closed.done()

    async def open(self) -> None:
        """Connect, and wait for the broker's word. Raises `LinkDown`."""
        plan = self._plan
        opening = self._loop.run_in_executor(None, self._connect)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._too_late)
            raise
        except ssl.SSLError as error:
            raise LinkDown(f"{plan.broker}: {tls.words(error)}") from None
        except TimeoutError:
            raise LinkDown(f"{plan.broker}: no connection within {plan.timeout_s:g} s") from None
        except (OSError, ValueError) as error:
            raise LinkDown(f"{plan.broker}: {error}") from None
        self._attach()
        try:
            async with asyncio.timeout(plan.timeout_s):
                await self._first(self._connected)
        except TimeoutError:
            self.abort(f"no answer to CONNECT within {plan.timeout_s:g} s")
        except asyncio.CancelledError:
            self.abort("cancelled")
            raise
        if self.closed.done():
            raise LinkDown(f"{plan.broker}: {self.closed.result()}")

    def _too_late(self, opening: asyncio.Future[None]) -> None:
        """The thread has connected, or not, and nobody waits any more."""
        if not opening.cancelled():
            opening.exception()
        self._close_socket()

    def _connect(self) -> None:
        plan = self._plan
        if plan.broker.tls:
            context = tls.client_context(plan.tls or TlsPlan())
            self._client.tls_set_context(context)
        self._client.connect(plan.broker.host, plan.broker.port, keepalive=plan.keep_alive_s)

    async def subscribe(self, filters: Iterable[str], qos: int = 1) -> None:
        """Subscribe to all of them. Raises `LinkDown`, also when the broker refuses one."""
        wanted = list(filters)
        if not wanted:
            return
        if not self.up:
            raise LinkDown(self._why())
        _, mid = self._client.subscribe([(each, qos) for each in wanted])
        if mid is None:
            raise LinkDown(self._why())
        told = self._subscribed[mid] = self._loop.create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._plan.timeout_s):
                await self._first(told)
        if not told.done():
            raise LinkDown(self._why("no answer to SUBSCRIBE"))
        refused = [f"{name} ({why})" for name, why in zip(wanted, told.result(), strict=False) if why]
        if refused:
            raise LinkDown(f"{self._plan.broker}: the broker refuses subscriptions: {', '.join(refused[:5])}")

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> int:
        """Hand to the broker; an `Acked` with this number follows (of QoS 0 too). Raises `LinkDown`."""
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkDown(self._why())
        return info.mid

    def leave(self) -> None:
        """Say good-bye: the broker publishes no will. `closed` follows."""
        if self.up:
            self._client.disconnect()

    async def close(self) -> None:
        """Say good-bye and close."""
        if self.up:
            self.leave()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await asyncio.shield(self.closed)
        self.abort("closed by the gateway")

    def abort(self, why: str) -> None:
        """Close without a word: the broker publishes the will."""
        self._finish(why)
        self._detach()
        self._close_socket()

    async def _first(self, awaited: asyncio.Future[Any]) -> None:
        """Until this has come, or the connection is gone."""
        ended: asyncio.Future[Any] = self.closed
        await asyncio.wait({awaited, ended}, return_when=asyncio.FIRST_COMPLETED)

    def _why(self, otherwise: str = "not connected") -> str:
        told = self.closed.result() if self.closed.done() else otherwise
        return f"{self._plan.broker}: {told}"

    # -- the socket ---------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        self._sock = self._client.socket()
        if self._sock is None:
            self._finish("the broker closed the connection")
            return
        self._loop.add_reader(self._sock.fileno(), self._readable)
        if self._client.want_write():
            self._watch_write(True)
        self._tick()

    def _detach(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        sock, self._sock = self._sock, None
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())

    def _close_socket(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _watch_write(self, on: bool) -> None:
        if self._sock is None:
            return
        if on:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        else:
            self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        try:
            for _ in range(_READS):
                before = len(self.inbox)
                if self._sock is None or self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
                if len(self.inbox) == before and not self._pending():
                    break
            else:
                if self._pending():  # the rest lies in the TLS layer: the socket does not tell
                    self._loop.call_soon(self._readable)
        except _BROKEN as error:
            self.abort(f"the broker sent what is no MQTT ({error})")
        self.wake.set()

    def _pending(self) -> bool:
        sock = self._sock
        return bool(isinstance(sock, ssl.SSLSocket) and sock.pending())

    def _writable(self) -> None:
        self._client.loop_write()

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(1.0, self._tick)
        self._client.loop_misc()

    # -- what paho tells ----------------------------------------------------------------------------------------

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._finish(f"the broker refuses us: {str(reason).lower()}")
        elif not self._connected.done():
            self._connected.set_result(None)

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        why = f"connection ended: {str(reason).lower()}" if reason.is_failure else "connection closed"
        if not self._connected.done():
            hint = "does it want a certificate of ours?" if self._plan.broker.tls else "TLS, or no MQTT on this port?"
            why = f"it ended the connection without a word ({hint})"
        self._loop.call_soon_threadsafe(self._finish, why)  # paho may tell so while it connects, in its thread

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.inbox.append(Message(message.topic, bytes(message.payload), message.retain, message.dup))

    def _on_publish(self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self.inbox.append(Acked(mid, str(reason).lower() if reason.is_failure else ""))
        self.wake.set()

    def _on_subscribe(self, _client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        told = self._subscribed.pop(mid, None)
        if told is not None and not told.done():
            told.set_result([str(reason).lower() if reason.is_failure else "" for reason in reasons])

    def _finish(self, why: str) -> None:
        if not self.closed.done():
            self.closed.set_result(why)
        self.wake.set()


def _client(plan: LinkPlan, will: Will | None) -> Client:
    version = MQTTProtocolVersion(plan.version)
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=plan.client_id or f"gridgate-{secrets.token_hex(6)}",
        protocol=version,
        reconnect_on_failure=False,
        clean_session=None if version is MQTTProtocolVersion.MQTTv5 else True,
    )
    client.connect_timeout = plan.timeout_s
    client.max_inflight_messages_set(WINDOW + 1)
    if plan.username:
        client.username_pw_set(plan.username, plan.password or None)
    if will is not None:
        client.will_set(will.topic, will.payload, will.qos, will.retain)
    return client


def backoff_s(attempt: int, longest_s: float) -> float:
    """Pause before the next try to connect: 0.2 s, doubled up to the longest."""
    return min(longest_s, 0.2 * 2.0 ** min(attempt, 16))


__all__ = ["WINDOW", "Acked", "Link", "LinkDown", "Message", "backoff_s"]
