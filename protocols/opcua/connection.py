"""One TCP connection: octets in, chunks cut, the channel fed, time limits kept. What is wrong ends this one alone."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from protocols.opcua import wire
from protocols.opcua.channel import SecureChannel
from protocols.opcua.errors import ChannelFault, code_name, place_of
from protocols.opcua.processor import Processor
from protocols.opcua.uastack import Codes

if TYPE_CHECKING:
    from protocols.opcua.host import Host

CHUNKS_PER_TURN: Final = 32
HIGH_WATER: Final = 1 << 20
"""Octets not taken by the peer: from here on nothing more is read from it, and `congested` is told."""


class Connection(asyncio.Protocol):
    """States: waiting for Hello, for an open channel, for a session; then served until it ends."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.limits = host.limits
        self.channel: SecureChannel | None = None
        self.peer, self.address, self.local_address = "", "", ""
        self.url = ""
        self.closed = False
        self.congested = False
        self._has_more = False
        self._reader = wire.ChunkReader(wire.MAX_HELLO)
        self._timer: asyncio.TimerHandle | None = None
        self._waits_for = ""
        self._processor: Processor | None = None
        self._transport: asyncio.Transport | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer, local = self._transport.get_extra_info("peername"), self._transport.get_extra_info("sockname")
        self.address, self.local_address = str(peer[0]), str(local[0])
        self.peer = f"{self.address}:{peer[1]}"
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if not self.host.admit(self):
            self.closed = True
            self._transport.abort()
            return
        self._processor = Processor(self.host, self)
        self._wait_for("Hello", self.host.plan.limits.hello_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        self._reader.feed(data)
        self._work()

    def pause_writing(self) -> None:
        self.congested = True
        self._read_or_not()

    def resume_writing(self) -> None:
        self.congested = False
        self._read_or_not()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._stop_timer()
        if self._processor is not None:
            self._processor.ended()
            self.host.forget(self, self._processor)

    # The processor's side

    def write(self, data: bytes) -> None:
        """Octets to the peer; one that takes too little is cut off."""
        if self.closed or self._transport is None:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self.host.plan.limits.unsent:
            self.host.log.warning(
                "connection ended", peer=self.peer, cause="the client does not read what it asked for"
            )
            self.closed = True
            self._transport.abort()

    def opened(self, renewed: bool) -> None:
        """The channel is open, or was renewed."""
        if not renewed:
            self._wait_for("a session", self.host.plan.limits.session_timeout_s)

    def activated(self) -> None:
        """A session lives here: no time limit but the channel's own."""
        self._stop_timer()
        if self.channel is not None:
            self.channel.limits = self.host.full_limits(self.limits)
        self._watch_token()

    def end(self, cause: str) -> None:
        """Close in order: what was written still goes out."""
        if self.closed or self._transport is None:
            return
        self.closed = True
        self._stop_timer()
        self.host.log.debug("connection ended", peer=self.peer, cause=cause)
        self._transport.close()

    def fail(self, fault: ChannelFault) -> None:
        """Tell the peer the code and nothing else, log the cause once, close."""
        if self.closed or self._transport is None:
            return
        client = self.channel.peer.name if self.channel and self.channel.peer else ""
        self.host.refused(self, str(fault), fault.code, client)
        self._transport.write(wire.error_message(fault.code, code_name(fault.code)))
        self.end(str(fault))

    def stop(self) -> None:
        """The server stops (Part 6, 7.1.5: it may tell)."""
        if self._transport is not None and not self.closed:
            self._transport.write(wire.error_message(Codes.BadServerHalted, "BadServerHalted"))
            self.end("the server stops")

    def abort(self) -> None:
        """Close without waiting for the peer."""
        if self._transport is not None:
            self._transport.abort()

    # Within

    def _work(self) -> None:
        """Some chunks of what has come; the rest once everybody else has had a turn."""
        self._has_more = False
        try:
            for _ in range(CHUNKS_PER_TURN):
                if self.closed or (chunk := self._reader.take()) is None:
                    break
                self._chunk(chunk)
            else:
                self._has_more = True
                asyncio.get_running_loop().call_soon(self._work)
        except ChannelFault as fault:
            self.fail(fault)
        except Exception as error:  # noqa: BLE001 - whatever a peer's octets bring about is told, and ends with it
            self.fail(ChannelFault(Codes.BadInternalError, f"{type(error).__name__}: {error} at {place_of(error)}"))
        self._read_or_not()

    def _read_or_not(self) -> None:
        if self._transport is None or self.closed:
            return
        if self.congested or self._has_more:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _chunk(self, chunk: wire.Chunk) -> None:
        if self.channel is None:
            self._hello(chunk)
            return
        if chunk.type == wire.HELLO:
            raise ChannelFault(Codes.BadTcpMessageTypeInvalid, "a second Hello")
        if chunk.type == wire.OPEN and len(chunk.data) > self.limits.open_message:
            raise ChannelFault(Codes.BadTcpMessageTooLarge, "an OPN chunk of that size")
        if chunk.type != wire.OPEN and not self.channel.is_open:
            raise ChannelFault(Codes.BadTcpSecureChannelUnknown, "a message before the channel is open")
        now_s = time.monotonic()
        message = self.channel.receive(chunk, now_s)
        if message is not None and self._processor is not None:
            self._processor.message(message, now_s)
        self._reader.largest = self.limits.receive_buffer if self.channel.is_open else self.limits.open_message

    def _hello(self, chunk: wire.Chunk) -> None:
        if chunk.type != wire.HELLO:
            raise ChannelFault(Codes.BadTcpMessageTypeInvalid, "no Hello")
        hello = wire.parse_hello(chunk.data)
        self.url = hello.url
        self.limits = wire.negotiate(hello, self.limits)
        self.channel = self.host.new_channel(self.limits)
        self._reader.largest = self.limits.open_message
        self.write(wire.acknowledge(self.host.full_limits(self.limits)))
        self._wait_for("an open channel", self.host.plan.limits.open_timeout_s)

    def _wait_for(self, what: str, timeout_s: float) -> None:
        self._stop_timer()
        self._waits_for = what
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._too_late)

    def _too_late(self) -> None:
        self.fail(ChannelFault(Codes.BadTimeout, f"waited in vain for {self._waits_for}"))

    def _watch_token(self) -> None:
        """Once the last token has expired nothing can come any more."""
        left_s = (self.channel.expires_s if self.channel else 0.0) - time.monotonic()
        if left_s <= 0:
            self.fail(ChannelFault(Codes.BadSecureChannelTokenUnknown, "the channel was not renewed in time"))
            return
        self._timer = asyncio.get_running_loop().call_later(left_s + 0.1, self._watch_token)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
