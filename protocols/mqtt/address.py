"""Broker addresses and topics: what may stand in a configuration. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
MAX_TOPIC: Final = 65_535
"""Octets (MQTT 3.1.1, 1.5.3)."""
_URL: Final = re.compile(r"(mqtts?)://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?/?")


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_url(text: str) -> Broker:
    """``mqtt://host[:1883]`` or ``mqtts://host[:8883]``. `ValueError` in words."""
    if "@" in text:
        raise ValueError("a url carries no user or password here: give them as username and password")
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(f"expected mqtt://host:1883 or mqtts://host:8883, found {text}")
    scheme, six, host, port = match.groups()
    number = int(port) if port else PORTS[scheme]
    if not 0 < number < 65_536:
        raise ValueError(f"{number} is no port")
    return Broker(six or host, number, scheme == "mqtts")


def check_topic(text: str) -> str:
    """A topic that can be published to (MQTT 3.1.1, 4.7). `ValueError` in words."""
    if not text:
        raise ValueError("a topic is empty")
    if "+" in text or "#" in text:
        raise ValueError(f"topic {text}: + and # stand for many topics; one was expected")
    if "\0" in text or len(text.encode()) > MAX_TOPIC:
        raise ValueError("a topic has no NUL and 65,535 octets at most")
    if text.startswith("$"):
        raise ValueError(f"topic {text}: those that begin with $ are the broker's own")
    return text


_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")


def fill(template: str, **words: str) -> str:
    """``vpp/telemetry/{node}`` with its placeholders filled. `ValueError` for one that is not known."""

    def word(match: re.Match[str]) -> str:
        if match[1] not in words:
            known = ", ".join(f"{{{name}}}" for name in words)
            raise ValueError(f"{match[0]} in {template} is not known: {known} expected")
        return words[match[1]]

    return _PLACEHOLDER.sub(word, template)
