"""Before every call: how often, and which host name was asked for; after it: what the answer says to the browser."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hmi.access.limits import Buckets

CALLS_PER_S: Final = 100.0
CALLS_AT_ONCE: Final = 500
"""Of one peer."""
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_ONLY_TLS: Final = "max-age=31536000"
_SECURE: Final = frozenset({"https", "wss"})


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        """`hosts`: names (without port) under which this page may be asked for; another one is a rebinding attack."""
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._calls = Buckets(CALLS_PER_S, CALLS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        wait_s = self._calls.take((scope.get("client") or ("",))[0], time.monotonic())
        if wait_s > 0:
            await _turned_away(429, f"too many calls: {CALLS_PER_S:.0f} a second are served", scope, receive, send)
            return
        if not self._known(host_of(Headers(scope=scope).get("host", "")), scope):
            await _turned_away(421, _UNKNOWN_HOST, scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] in _SECURE:
                    headers.setdefault("Strict-Transport-Security", _ONLY_TLS)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _known(self, host: str, scope: Scope) -> bool:
        """A name of ours, or the very address that was reached: a name of somebody else may lead there, it may not."""
        return host in self._hosts or (_is_address(host) and host == (scope.get("server") or ("",))[0])


_UNKNOWN_HOST: Final = "this host name is not known here: add it to hosts in section hmi of site.yaml"


async def _turned_away(status: int, text: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {"Cache-Control": "no-store", **({"Retry-After": "1"} if status == 429 else {})}
    await JSONResponse({"error": text, "problems": []}, status, headers=headers)(scope, receive, send)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_of(header: str) -> str:
    """The name in a `Host` header without the port, lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def same_origin(headers: Headers) -> bool:
    """Whether a browser says that the call comes from our own page; a program that says nothing passes."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()
