"""The OpenAPI document as a call."""

from __future__ import annotations

import json
from collections.abc import Sequence

from starlette.responses import Response

from hmi.endpoint import Endpoint, Visit
from hmi.openapi import document


def described(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """These, and the call that describes them all, itself among them."""
    made: dict[bool, bytes] = {}

    async def openapi(visit: Visit) -> Response:
        secure = visit.desk.plan.tls is not None
        if secure not in made:
            made[secure] = json.dumps(document(everything, visit.desk.site.name, secure)).encode()
        return Response(made[secure], media_type="application/json", headers={"Cache-Control": "no-cache"})

    call = Endpoint(
        method="GET",
        path="/api/openapi.json",
        handler=openapi,
        right=None,
        tag="session",
        summary="This document.",
        quiet=True,
    )
    everything = [*endpoints, call]
    return everything
