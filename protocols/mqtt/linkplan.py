"""One connection to a broker, as the configuration has it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.mqtt.address import Broker


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPlan:
    """Paths of PEM files, each empty if there is none; without `ca` the machine's own authorities are trusted.

    `certificate` and `key` are ours, for brokers that want one. `minimum` is ``1.2`` or ``1.3``.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    passphrase: str = field(default="", repr=False)
    minimum: str = "1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """Where to, as whom. Times in s. `version` is 4 (MQTT 3.1.1) or 5; an empty `client_id` is made up."""

    broker: Broker
    client_id: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    tls: TlsPlan | None = None
    version: int = 4
    keep_alive_s: int = 30
    timeout_s: float = 5.0
    reconnect_max_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone without a word."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
