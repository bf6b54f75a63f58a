"""The web application: the page, the API, the stream, behind the guard."""

from __future__ import annotations

import socket as sockets
import time
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from hmi.access.asking import COOKIE, person_of
from hmi.access.guard import Guard
from hmi.access.login import Gatekeeper
from hmi.api.session import session_endpoints
from hmi.api.tables import ENDPOINTS
from hmi.assets import Assets
from hmi.desk import Desk
from hmi.dispatch import refused, route
from hmi.plan import HmiPlan
from hmi.refusal import Refusal

SOCKETS: Final = 100
"""WebSockets at one time."""


def build_app(desk: Desk, gatekeeper: Gatekeeper) -> ASGIApp:
    """The application with its guard."""
    assets = Assets()

    async def live(socket: WebSocket) -> None:
        try:
            person = person_of(socket, gatekeeper, "WEBSOCKET")
            if len(desk.stream) >= SOCKETS:
                raise Refusal(503, f"{SOCKETS} pages are served already")
        except Refusal as refusal:
            await socket.close(1008, refusal.text)
            return
        token = socket.cookies.get(COOKIE, "")

        def holds() -> bool:
            return gatekeeper.sessions.find(token, time.monotonic(), touch=False) is not None

        await socket.accept()
        await desk.stream.serve(socket, person, holds)

    async def unknown(request: Request, error: Exception) -> Response:
        return refused(Refusal(404, f"there is no {request.url.path} here"))

    async def wrong_method(request: Request, error: Exception) -> Response:
        return refused(Refusal(405, f"{request.method} is not for {request.url.path}"))

    app = Starlette(
        routes=[
            Route("/", assets.index),
            Route("/static/{name:path}", assets.static),
            WebSocketRoute("/api/stream", live),
            *(route(endpoint, desk, gatekeeper) for endpoint in [*session_endpoints(gatekeeper), *ENDPOINTS]),
        ],
        exception_handlers={404: unknown, 405: wrong_method},
    )
    return Guard(app, host_names(desk.plan))


def host_names(plan: HmiPlan) -> set[str]:
    """Names under which this page is asked for."""
    own = {"localhost", "127.0.0.1", "::1", sockets.gethostname(), sockets.getfqdn(), plan.host}
    return own | set(plan.hosts)
