"""What a server with `protocol: mqtt` becomes: columns to be pickled to the worker. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import MasterSystemRows
from gateway.points import Rows, Values
from protocols.mqtt.linkplan import LinkPlan
from protocols.mqtt.sparkplugtopic import Source


@dataclass(slots=True, kw_only=True)
class BindingColumns:
    """Points of one master (a broker's map), one entry each; a point stands once."""

    row: Rows
    limit: Values
    """Deadband in engineering units; NaN: every change is an event."""
    name: list[str]
    """What the point is called in a payload, or as a metric."""
    topic: list[str]
    """Of the JSON form."""
    retain: NDArray[np.bool_]
    device: list[str]
    """Of Sparkplug; empty: a metric of the node itself."""
    command: NDArray[np.bool_]
    """It may be commanded from the broker."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPlan:
    """The JSON form. An empty topic: nothing of the kind. `grouped`: several points in one payload."""

    node: str
    grouped: bool = True
    status_topic: str = ""
    command_topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkplugPlan:
    """The Sparkplug form: who we are, and the host application that we wait for (empty: none)."""

    node: Source
    primary_host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRules:
    """When a command from the broker is taken. Times in s."""

    allowed: bool = False
    timeout_s: float = 30.0
    max_age_s: float = 10.0
    time_required: bool = False


@dataclass(slots=True, kw_only=True)
class MasterPlan:
    """One map on one connection: the broker as master."""

    name: str
    link: LinkPlan
    bindings: BindingColumns
    form: JsonPlan | SparkplugPlan
    capacity: int = 150_000
    qos: int = 1
    gather_s: float = 0.0
    refresh_s: float = 0.0
    rules: CommandRules = field(default_factory=CommandRules)


@dataclass(slots=True, kw_only=True)
class ServerPlan:
    """One server. `commands`: table rows that each master may command."""

    name: str
    masters: list[MasterPlan]
    system: dict[str, MasterSystemRows] = field(default_factory=dict)
    commands: dict[str, Rows] = field(default_factory=dict)
