"""What stands between the network and the desk, for calls that are about it."""

from __future__ import annotations

from dataclasses import dataclass

from hmi.access.door import Door
from hmi.access.login import Gatekeeper
from hmi.dispatch import Calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """People and programs, connections, and what was answered."""

    gatekeeper: Gatekeeper
    door: Door
    calls: Calls
