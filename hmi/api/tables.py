"""All topics of the API: one line each."""

from __future__ import annotations

from typing import Final

from hmi.access.inside import Inside
from hmi.api import (
    alarms,
    certificates,
    commands,
    commissioning,
    communications,
    control,
    droop,
    engineering,
    events,
    health,
    interlocks,
    orders,
    overview,
    plant,
    points,
    service,
    site,
    trends,
)
from hmi.api.described import described
from hmi.api.metrics import metrics_endpoints
from hmi.api.session import session_endpoints
from hmi.api.tokens import token_endpoints
from hmi.api.users import user_endpoints
from hmi.endpoint import Endpoint, Topic

TOPICS: Final[tuple[Topic, ...]] = (
    site.TOPIC,
    overview.TOPIC,
    points.TOPIC,
    control.TOPIC,
    droop.TOPIC,
    interlocks.TOPIC,
    alarms.TOPIC,
    events.TOPIC,
    trends.TOPIC,
    communications.TOPIC,
    commands.TOPIC,
    certificates.TOPIC,
    plant.TOPIC,
    orders.TOPIC,
    health.TOPIC,
    engineering.TOPIC,
    service.TOPIC,
    commissioning.TOPIC,
)


def all_endpoints(inside: Inside) -> list[Endpoint]:
    """Every call there is."""
    of_topics = [endpoint for topic in TOPICS for endpoint in topic.endpoints]
    return described(
        [
            *session_endpoints(inside.gatekeeper),
            *user_endpoints(inside.gatekeeper),
            *token_endpoints(inside.gatekeeper),
            *metrics_endpoints(inside),
            *of_topics,
        ]
    )
