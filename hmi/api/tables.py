"""All topics of the API but the session: one line each."""

from __future__ import annotations

from typing import Final

from hmi.api import communications, site
from hmi.endpoint import Endpoint, Topic

TOPICS: Final[tuple[Topic, ...]] = (
    site.TOPIC,
    communications.TOPIC,
)

ENDPOINTS: Final[list[Endpoint]] = [endpoint for topic in TOPICS for endpoint in topic.endpoints]
