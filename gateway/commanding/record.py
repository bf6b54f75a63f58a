"""What is written down of a command: every step with the time of every hop, for the audit and for whoever looks on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from gateway.audit import AuditLog
from gateway.contracts.command import Command
from gateway.points.model import PointCatalogue

Told = Callable[[dict[str, Any]], None]


class CommandRecord:
    """`told` hears every record as it is written down, and what a command does on its way (`progress`)."""

    def __init__(self, catalogue: PointCatalogue, audit: AuditLog) -> None:
        self._catalogue, self._audit = catalogue, audit
        self.told: Told = lambda facts: None

    @property
    def healthy(self) -> bool:
        """Whether a record would be kept."""
        return self._audit.healthy

    def step(self, command: Command, step: str, **facts: object) -> None:
        """One step of a command, kept. Times are ns since 1970 UTC; what is None is left out."""
        self._keep(self._about(command, step) | {key: value for key, value in facts.items() if value is not None})

    def progress(self, command: Command, step: str) -> None:
        """Where a command stands on its way: told, not kept, since its last record has the times of all hops."""
        self.told({"time": time.time_ns()} | self._about(command, step) | {"progress": True})

    def control(self, **facts: object) -> None:
        """What control does by itself, kept."""
        self._keep({"step": "control"} | facts)

    def name(self, row: int) -> str:
        """Of a point, for a person."""
        return self._catalogue.names[row] if 0 <= row < len(self._catalogue) else f"row {row}"

    def read_back(self, row: int, value: float, quality: str, expected: float) -> dict[str, object]:
        """What the feedback point shows, beside what it was to show."""
        shown = value if math.isfinite(value) else str(value)
        return {"point": self._catalogue.names[row], "value": shown, "quality": quality, "expected": expected}

    def subject(self, command: Command) -> str:
        """What a command is about."""
        return (command.subject or "all") if command.action.of_subject else self.name(command.row)

    def _keep(self, facts: dict[str, Any]) -> None:
        record = {"time": time.time_ns()} | facts
        self._audit.record(**record)
        self.told(record)

    def _about(self, command: Command, step: str) -> dict[str, Any]:
        about = "subject" if command.action.of_subject else "point"
        return {
            "step": str(step),
            about: self.subject(command),
            **({"comment": command.text} if command.text else {}),
            "value": command.value if math.isfinite(command.value) else str(command.value),
            "action": str(command.action),
            "pulse": str(command.pulse),
            "origin": str(command.origin),
            "by": origin_facts(command),
            "command": command.id,
            "received": command.received_ns or None,
        }


def origin_facts(command: Command) -> dict[str, str]:
    """Who asked, in parts."""
    origin = command.origin
    return {"protocol": origin.protocol, "server": origin.server, "master": origin.master, "peer": origin.peer}


def check_names(checks: Sequence[Callable[[Command], object]]) -> list[str]:
    """The names under which checks are recorded: of ``_check_rights``, ``rights``."""
    return [check.__name__.removeprefix("_check_") for check in checks]
