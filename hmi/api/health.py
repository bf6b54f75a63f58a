"""Whether the gateway lives: for load balancers and watchdogs, without a login, in one word each."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from hmi.endpoint import Answer, Endpoint, Topic, Visit
from hmi.processes import expected, running


class Health(Answer):
    status: str
    """`ok`, or `failing`."""
    core: str
    """`reachable`, or `not reachable`."""
    processes: str
    """`running`, or `not all running`."""


async def _health(visit: Visit) -> Response:
    core = visit.desk.client.connected
    present = running()
    whole = all(title in present for title in expected(visit.desk.site))
    health = Health(
        status="ok" if core and whole else "failing",
        core="reachable" if core else "not reachable",
        processes="running" if whole else "not all running",
    )
    return JSONResponse(health.model_dump(), 200 if core and whole else 503, headers={"Cache-Control": "no-store"})


TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/health",
            handler=_health,
            answer=Health,
            right=None,
            tag="health",
            summary="Whether the core is reachable and every process of the site runs.",
            quiet=True,
            responses={503: "something does not run"},
            answers_with=frozenset({503}),
        )
    ]
)
