"""Topics of Sparkplug B (Eclipse Sparkplug 3.0, chapter 4): ``spBv1.0/group/TYPE/edge[/device]``, STATE. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from protocols.mqtt.errors import MqttError

NAMESPACE: Final = "spBv1.0"
NODE_TYPES: Final = frozenset({"NBIRTH", "NDATA", "NDEATH", "NCMD"})
DEVICE_TYPES: Final = frozenset({"DBIRTH", "DDATA", "DDEATH", "DCMD"})


@dataclass(frozen=True, slots=True)
class Source:
    """An edge node (`device` empty) or one of its devices."""

    group: str
    edge: str
    device: str = ""

    @property
    def node(self) -> Source:
        """The edge node itself."""
        return Source(self.group, self.edge)

    def topic(self, kind: str) -> str:
        """The topic of a message of this kind: ``DATA``, ``BIRTH``, ``DEATH`` or ``CMD``."""
        letter, tail = ("D", f"/{self.device}") if self.device else ("N", "")
        return f"{NAMESPACE}/{self.group}/{letter}{kind}/{self.edge}{tail}"

    def __str__(self) -> str:
        return "/".join(part for part in (self.group, self.edge, self.device) if part)


def parse_source(text: str) -> Source:
    """``group/edge`` or ``group/edge/device``. `ValueError` in words."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ValueError(f"expected group/edge or group/edge/device, found {text}")
    for part in parts:
        check_id(part)
    if parts[0] == "STATE":
        raise ValueError("no group is called STATE")
    return Source(*parts)


def check_id(text: str) -> str:
    """An id of a group, node, device or host. `ValueError` in words."""
    if not text or any(sign in text for sign in "/+#\0"):
        raise ValueError(f'"{text}" is no id of Sparkplug: not empty, without / + #')
    return text


def parse_topic(topic: str) -> tuple[str, Source]:
    """(kind, source) of a message that is not STATE. Raises `MqttError`."""
    parts = topic.split("/")
    if len(parts) == 4 and parts[2] in NODE_TYPES:
        return parts[2], Source(parts[1], parts[3])
    if len(parts) == 5 and parts[2] in DEVICE_TYPES and parts[4]:
        return parts[2], Source(parts[1], parts[3], parts[4])
    raise MqttError(f"{topic} is no topic of Sparkplug B")


def state_topics(host: str) -> tuple[str, str]:
    """Where a host application says whether it is online: as of 3.0, and before."""
    return f"{NAMESPACE}/STATE/{host}", f"STATE/{host}"


def host_online(payload: bytes) -> tuple[bool, int]:
    """(online, timestamp in ms; 0 where there is none). Raises `MqttError`."""
    text = payload[:200].decode("utf-8", "replace").strip()
    if text in ("ONLINE", "OFFLINE"):
        return text == "ONLINE", 0
    try:
        told = json.loads(text)
        online, time_ms = told["online"], told.get("timestamp", 0)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise MqttError(f"{text[:60]} is no state of a host application") from None
    if not isinstance(online, bool) or isinstance(time_ms, bool) or not isinstance(time_ms, int):
        raise MqttError(f"{text[:60]} is no state of a host application")
    return online, time_ms
