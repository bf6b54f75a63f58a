"""TLS between a TCP connection and a link: handshake, verdict, and then the link sees a transport like any other.

Not asyncio's own TLS: this one knows before the handshake which master an address belongs to, sends the alert that
tells the other side why it was refused, and says so itself in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from gateway.contracts import Log
from gateway.tls.certificates import subject_of, subject_words
from gateway.tls.door import TlsDoor
from gateway.tls.words import words

HANDSHAKES: Final = 16
"""Handshakes of the same masters' addresses at once; who opens more is refused."""
_READ: Final = 65_536


class TlsEntrance:
    """What all connections of a listener share, or all that we make to one end point (`client`).

    `masters_at` gives the masters that an address may be of, none for a stranger (refused already); `refuse` logs
    (peer, cause); `make` makes the protocol inside, for those of them whose certificate was shown.
    """

    def __init__(
        self,
        door: TlsDoor,
        masters_at: Callable[[str], Sequence[str]],
        refuse: Callable[[str, str], None],
        make: Callable[[Sequence[str]], asyncio.Protocol],
        log: Log,
        *,
        client: bool = False,
    ) -> None:
        self.door = door
        self.masters_at = masters_at
        self.refuse = refuse
        self.make = make
        self.log = log
        self.client = client
        self.shaking: set[TlsChannel] = set()

    def close(self) -> None:
        """End every handshake that is under way."""
        for channel in list(self.shaking):
            channel.abort()


class TlsChannel(asyncio.Protocol):
    """One connection."""

    def __init__(self, entrance: TlsEntrance) -> None:
        self._entrance = entrance
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._raw: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._inner: asyncio.Protocol | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fault: Exception | None = None
        self._peer = ""
        self._masters: Sequence[str] = ()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake with a known address."""
        entrance = self._entrance
        self._raw = raw = cast(asyncio.Transport, transport)
        name = raw.get_extra_info("peername")
        self._peer = str(name[0]) if name else ""
        self._masters = entrance.masters_at(self._peer)
        if not self._masters:
            raw.abort()
            return
        if sum(channel._masters == self._masters for channel in entrance.shaking) >= HANDSHAKES:
            entrance.refuse(self._peer, f"{HANDSHAKES} TLS handshakes of {', '.join(self._masters)} are under way")
            raw.abort()
            return
        context = entrance.door.context(self._masters, client=entrance.client)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=not entrance.client)
        entrance.shaking.add(self)
        self._timer = asyncio.get_running_loop().call_later(entrance.door.plan.handshake_s, self._late)
        if entrance.client:
            self._shake(self._tls)

    def data_received(self, data: bytes) -> None:
        """Octets of the handshake or of the link within."""
        if self._tls is None:
            return
        self._incoming.write(data)
        if self._inner is None:
            self._shake(self._tls)
        if self._inner is not None:
            self._read(self._tls, self._inner)

    def eof_received(self) -> None:
        """The peer sends nothing more: the connection ends."""
        self._incoming.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone."""
        if self in self._entrance.shaking and self._fault is None:
            self._refuse("connection ended within the TLS handshake")
        self._settle()
        inner, self._inner = self._inner, None
        self._tls = None
        if inner is not None:
            inner.connection_lost(self._fault or exc)
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._inner is not None:
            self._inner.resume_writing()

    def abort(self) -> None:
        """End at once, without a word."""
        self._settle()
        if self._raw is not None:
            self._raw.abort()

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._tls is None or self._raw is None or self._raw.is_closing():
            return
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError as error:
            self._break(error)
        self._flush()

    def close(self) -> None:
        """Say that nothing more comes, and close after what is written has gone out."""
        if self._raw is None or self._raw.is_closing():
            return
        if self._tls is not None:
            # The other side's own word is not waited for.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        self._flush()
        self._raw.close()

    def info(self, name: str, default: Any) -> Any:
        """What a transport knows of its connection."""
        if name == "ssl_object":
            return self._tls
        return self._raw.get_extra_info(name, default) if self._raw is not None else default

    def _shake(self, tls: ssl.SSLObject) -> None:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            # What OpenSSL left to be sent is the alert that tells the other side.
            self._flush()
            self._turn_away(words(error, client=self._entrance.client))
            return
        self._flush()
        self._enter(tls)

    def _enter(self, tls: ssl.SSLObject) -> None:
        masters, cause = self._entrance.door.admitted(self._masters, tls)
        if cause:
            self._turn_away(cause)
            return
        self._settle()
        self._entrance.log.info(
            "master authenticated",
            master=", ".join(masters),
            peer=self._peer,
            subject=subject_words(subject_of(tls.getpeercert() or {})),
            tls=tls.version(),
            cipher=(tls.cipher() or ("",))[0],
        )
        self._inner = self._entrance.make(masters)
        self._inner.connection_made(_Transport(self))

    def _read(self, tls: ssl.SSLObject, inner: asyncio.Protocol) -> None:
        try:
            while self._raw is not None and not self._raw.is_closing():
                data = tls.read(_READ)
                if not data:
                    self.close()
                    break
                inner.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.close()
        except ssl.SSLError as error:
            self._break(error)
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and self._raw is not None and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> None:
        """The peer broke TLS itself."""
        self._fault = ConnectionError(f"TLS broken: {(error.reason or str(error)).replace('_', ' ').lower()}")
        self._flush()
        if self._raw is not None:
            self._raw.close()

    def _late(self) -> None:
        self._turn_away(f"TLS handshake not done within {self._entrance.door.plan.handshake_s:g} s")

    def _turn_away(self, cause: str) -> None:
        self._refuse(cause)
        self.close()

    def _refuse(self, cause: str) -> None:
        self._settle()
        self._entrance.refuse(self._peer, cause)

    def _settle(self) -> None:
        """The handshake is over, well or badly."""
        self._entrance.shaking.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Transport(asyncio.Transport):
    """The channel as the link within sees it."""

    def __init__(self, channel: TlsChannel) -> None:
        super().__init__()
        self._channel = channel

    @property
    def _raw(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self._channel._raw)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._channel.info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._channel.write(bytes(data))

    def close(self) -> None:
        self._channel.close()

    def abort(self) -> None:
        self._channel.abort()

    def is_closing(self) -> bool:
        return self._raw.is_closing()

    def is_reading(self) -> bool:
        return self._raw.is_reading()

    def pause_reading(self) -> None:
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()
