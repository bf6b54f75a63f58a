"""What an outstation asks of whoever holds it, to be carried out in order. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.dnp3.control import Order, Refusal


@dataclass(frozen=True, slots=True)
class Send:
    """A fragment for the master."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Submit:
    """A command for the broker. Tell its outcomes to `Outstation.outcome` with the same ticket."""

    ticket: int
    order: Order
    select: bool
    refusal: Refusal | None = None
    """Already refused: for the record alone."""


@dataclass(frozen=True, slots=True)
class TimeWritten:
    """The master wrote the time; `ahead_ms` is how far it is ahead of ours. No clock is set."""

    ahead_ms: int


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Events were confirmed."""


Effect = Send | Submit | TimeWritten | Confirmed
