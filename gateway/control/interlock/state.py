"""What one interlock is at present, and what of it survives a restart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Bypass:
    """An interlock taken out of action for a time. `until_ns` is wall time: it ends over a restart too."""

    owner: str
    reason: str
    until_ns: int

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Read back. Raises `KeyError`, `TypeError` or `ValueError`."""
        return cls(owner=str(data["owner"]), reason=str(data["reason"]), until_ns=int(data["until_ns"]))


@dataclass(slots=True)
class InterlockState:
    """`raw` is the vote's last answer, `since_ns` since when it has held (monotonic), `active` after the delay."""

    raw: bool = False
    since_ns: int | None = None
    active: bool = False
    latched: bool = False
    acknowledged: bool = False
    latched_ns: int = 0
    """Wall time of the trip."""
    waiting: bool = False
    """An input has had no value since the start, and the time of grace still runs."""
    bypass: Bypass | None = None
    cause: str = ""
    """Of a row that is raised by a command: by whom and why."""

    @property
    def in_force(self) -> bool:
        """Whether its effects apply."""
        return (self.active or self.latched) and self.bypass is None

    def kept(self) -> dict[str, Any] | None:
        """What must survive, None when nothing."""
        if not self.latched and self.bypass is None:
            return None
        out: dict[str, Any] = {"latched": self.latched, "acknowledged": self.acknowledged}
        out |= {"latched_ns": self.latched_ns, "cause": self.cause}
        if self.bypass is not None:
            by = self.bypass
            out["bypass"] = {"owner": by.owner, "reason": by.reason, "until_ns": by.until_ns}
        return out

    def restore(self, data: dict[str, Any]) -> None:
        """Take what `kept` gave. Raises `KeyError`, `TypeError` or `ValueError`."""
        self.latched = bool(data["latched"])
        self.acknowledged = bool(data["acknowledged"])
        self.latched_ns = int(data["latched_ns"])
        self.cause = str(data["cause"])
        self.bypass = Bypass.of(data["bypass"]) if data.get("bypass") else None
