"""How local control takes the commands to a unit for its own, as the broker sees it."""

from __future__ import annotations

from typing import Protocol

from gateway.contracts.command import Command, Reason

Refusal = tuple[Reason, str]


class Claim(Protocol):
    """Local control, which has taken a set-point or run control for its own: commands to it are requests to control."""

    def refusal(self, command: Command) -> Refusal | None:
        """Why control does not take this command now, or None."""
        ...

    async def carry_out(self, command: Command) -> float:
        """Until the device has acknowledged it; the value that its feedback is to agree with.

        Raises `ClaimFailed`, `WriteRefused` or `WriteLost`.
        """
        ...


class ClaimFailed(Exception):
    """Control took the command and something else prevailed. The text says what."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
