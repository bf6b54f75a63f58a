"""Times as ISO 8601 text in UTC. Pure."""

from __future__ import annotations

import numpy as np

from gateway.points import Times


def iso_texts(times_ns: Times) -> list[str]:
    """``2026-11-25T14:03:04.123Z`` of each time; a part of a ms stays where there is one."""
    texts: list[str] = np.datetime_as_string(times_ns.astype("datetime64[ns]"), unit="ns").tolist()
    return [f"{text[:-6]}Z" if text.endswith("000000") else f"{text}Z" for text in texts]


def iso_ms(time_ns: int) -> str:
    """One time, to the ms."""
    return f"{np.datetime_as_string(np.datetime64(time_ns, 'ns'), unit='ms')}Z"
