"""What a PMU stream's driver is made from. Picklable; no pydantic behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.c37118.channel import Channel
from protocols.c37118.frame import FrameType

TCP: Final = "tcp"
UDP: Final = "udp"
LISTEN: Final = "udp-listen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """Where a stream comes from. `scheme`: ``tcp``, ``udp`` (asked for), ``udp-listen`` (sent unasked).

    `host`: the PMU's, or for ``udp-listen`` our own or a multicast group's. `source`: the only sender listened to.
    """

    scheme: str
    host: str
    port: int
    local_port: int = 0
    source: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def commanded(self) -> bool:
        """Whether the PMU is told to send."""
        return self.scheme != LISTEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One point and its channel. `pmu`: station name, id, or empty. `radians`: an angle is wanted in radians."""

    row: int
    name: str
    pmu: str
    channel: Channel
    radians: bool = False
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream. `rate` is frames per second as expected; `configuration` the kind of frame that is asked for."""

    devices: list[str]
    rows: NDArray[np.uint32]
    url: Url
    id: int
    bindings: list[Binding]
    configuration: FrameType = FrameType.CFG2
    rate: float = 50.0
    timeout_s: float = 1.0
    reconnect_max_s: float = 3.0

    @property
    def device(self) -> str:
        return self.devices[0]
