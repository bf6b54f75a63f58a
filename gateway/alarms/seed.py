"""Alarms that do not stand in a point's own row: of the gateway itself, of interlocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.alarms.model import Condition, Priority
from gateway.contracts.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSeed:
    """One alarm as another part of the configuration defines it; the alarm map may refine it.

    `limit` is the threshold, or the state that is the alarm. `names_cause`: it tells why something happened, and is
    never suppressed by design.
    """

    row: int
    place: Place
    condition: Condition = Condition.ALARM
    limit: float = 1.0
    priority: Priority = Priority.MEDIUM
    message: str = ""
    group: str = ""
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    deadband: float = math.nan
    names_cause: bool = False
