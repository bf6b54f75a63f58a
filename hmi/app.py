"""The web application: the page, the API, the stream, behind the guard."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections import Counter
from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from hmi.access.asking import Asker, asker_of
from hmi.access.guard import Guard
from hmi.access.login import Gatekeeper
from hmi.assets import Assets
from hmi.desk import Desk
from hmi.dispatch import Calls, refused, route
from hmi.endpoint import Endpoint
from hmi.plan import HmiPlan
from hmi.refusal import Refusal

SOCKETS: Final = 100
SOCKETS_OF_ONE: Final = 20
"""WebSockets at one time, and of one person or program."""
_ENDED: Final = 4401


def build_app(desk: Desk, gatekeeper: Gatekeeper, endpoints: Sequence[Endpoint], calls: Calls) -> ASGIApp:
    """The application with its guard."""
    assets, open_by = Assets(), Counter[str]()

    def let_in(socket: WebSocket) -> Asker:
        asker = asker_of(socket, gatekeeper, "WEBSOCKET", touch=False)
        if asker.must_change:
            raise Refusal(403, "choose an own password first")
        if open_by.total() >= SOCKETS or open_by[asker.person.name] >= SOCKETS_OF_ONE:
            raise Refusal(503, "too many pages are open")
        return asker

    async def live(socket: WebSocket) -> None:
        try:
            asker = let_in(socket)
        except Refusal as refusal:
            await socket.close(1008, refusal.text)
            return
        open_by[asker.person.name] += 1
        try:
            await _serve(socket, asker, desk)
        finally:
            open_by[asker.person.name] -= 1

    async def unknown(request: Request, error: Exception) -> Response:
        return refused(Refusal(404, f"there is no {request.url.path} here"))

    async def wrong_method(request: Request, error: Exception) -> Response:
        allowed = error.headers if isinstance(error, HTTPException) and error.headers else {}
        return refused(Refusal(405, f"{request.method} is not for {request.url.path}", headers=dict(allowed)))

    app = Starlette(
        routes=[
            Route("/", assets.index),
            Route("/static/{name:path}", assets.static),
            WebSocketRoute("/api/stream", live),
            *(route(endpoint, desk, gatekeeper, calls) for endpoint in endpoints),
        ],
        exception_handlers={404: unknown, 405: wrong_method},
    )
    return Guard(app, host_names(desk.plan))


async def _serve(socket: WebSocket, asker: Asker, desk: Desk) -> None:
    """Until it closes, or at once when the session or token behind it ends."""
    await socket.accept()
    serving = asyncio.create_task(desk.stream.serve(socket, asker.person, asker.holds))
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True
        serving.cancel()

    asker.at_end.add(end)
    try:
        await asyncio.wait({serving})
    finally:
        asker.at_end.discard(end)
        serving.cancel()
    if ended:
        await socket.close(_ENDED, "the session has ended")
    elif not serving.cancelled():
        serving.result()


def host_names(plan: HmiPlan) -> set[str]:
    """Names under which this page is asked for."""
    own = {"localhost", "127.0.0.1", "::1", sockets.gethostname(), sockets.getfqdn(), plan.host}
    return own | set(plan.hosts)
