"""A compiled cause-and-effect matrix. Picklable data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.control.interlock.condition import Condition, Vote
from gateway.control.interlock.effect import Effect, EffectKind

STOP_ALL: Final = "stop_all"
WATCHDOG: Final = "watchdog"
BUILT_IN: Final = (STOP_ALL, WATCHDOG)
"""Rows of the gateway itself: raised by a command, or by a cycle that stalled."""


TRIPS: Final = frozenset({EffectKind.STOP, EffectKind.BLOCK, EffectKind.RAMP})
_ONE: Final = Vote(1, 1)


class Reset(StrEnum):
    """Who ends a latched trip."""

    AUTO = "auto"
    HMI = "hmi"
    """The cause is gone, then a person resets."""
    FIELD_HMI = "field+hmi"
    """The cause is gone in the field, the trip is acknowledged, then a person resets."""


class OnBad(StrEnum):
    """What an input that is not fit for a decision counts as."""

    TRIP = "trip"
    """As true."""
    HOLD = "hold"
    """The answer from before stays."""
    QUALITY_OK = "quality_ok"
    """As false: for a row whose loss of input another row looks after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterlockRows:
    """Table rows of `system/interlock/NAME/...`; `reset` is commanded."""

    active: int
    latched: int
    tripped: int
    bypassed: int
    first_out: int
    reset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interlock:
    """One row of the matrix."""

    name: str
    conditions: Sequence[Condition] = ()
    vote: Vote = _ONE
    delay_ns: int = 0
    effects: Sequence[Effect] = ()
    latch: bool = False
    reset: Reset = Reset.AUTO
    on_bad: OnBad = OnBad.HOLD
    may_bypass: bool = True
    message: str = ""
    rows: InterlockRows

    @property
    def permissive(self) -> bool:
        """Whether it says what must hold before a start, rather than what must not be."""
        return any(effect.kind is EffectKind.PERMIT for effect in self.effects)

    @property
    def trips(self) -> tuple[int, ...]:
        """Units that it takes out of operation: among these rows one was the first cause."""
        return tuple(dict.fromkeys(effect.unit for effect in self.effects if effect.kind in TRIPS))

    @property
    def units(self) -> tuple[int, ...]:
        """Units that it acts on."""
        return tuple(dict.fromkeys(effect.unit for effect in self.effects if effect.unit >= 0))
