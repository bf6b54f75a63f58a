"""Following a signal of the load despatch centre (AGC, secondary reserve): a set-point every few seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AgcSettings:
    """`valid_s`: a signal older than this is no signal (three of its periods)."""

    low_kw: float
    high_kw: float
    period_s: float = 4.0
    valid_s: float = 12.0


@dataclass(frozen=True, slots=True)
class AgcSignal:
    """What the centre says: `enabled` and its set-point, None when not usable; `age_s` since it last arrived."""

    enabled: bool
    kw: float | None
    age_s: float


@dataclass(frozen=True, slots=True)
class AgcRequest:
    """`kw` is None while AGC asks for nothing; `lost` while it is enabled and its signal is missing."""

    kw: float | None
    lost: bool = False


def follow(settings: AgcSettings, signal: AgcSignal) -> AgcRequest:
    """What AGC asks for now: nothing unless enabled and fresh; held within its range."""
    if not signal.enabled:
        return AgcRequest(None)
    if signal.kw is None or signal.age_s > settings.valid_s:
        return AgcRequest(None, lost=True)
    return AgcRequest(max(settings.low_kw, min(settings.high_kw, signal.kw)))
