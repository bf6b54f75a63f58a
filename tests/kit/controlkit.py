"""Process images and unit views for controllers under test."""

from __future__ import annotations

from gateway.control.controller import PriorityClass, UnitView
from gateway.control.image import Image

WALL_NS = 1_795_000_000_000_000_000


def image(values: dict[int, float | None], now_s: float, wall_s: float | None = None) -> Image:
    """Values by row; None is not usable."""
    rows = sorted(values)
    known = [values[row] for row in rows]
    return Image(
        slots={row: slot for slot, row in enumerate(rows)},
        values=[0.0 if value is None else value for value in known],
        usable=[value is not None for value in known],
        never=[False] * len(rows),
        times_ns=[WALL_NS] * len(rows),
        now_ns=round(now_s * 1e9),
        wall_ns=WALL_NS + round((now_s if wall_s is None else wall_s) * 1e9),
    )


def view(
    target_kw: float | None = 0.0,
    base_kw: float | None = 0.0,
    limits_kw: tuple[float, float] = (-1000.0, 1000.0),
    *,
    local: bool = False,
    tripped: bool = False,
    blocked: bool = False,
) -> UnitView:
    """A unit as the cycle before left it."""
    return UnitView(target_kw, base_kw, PriorityClass.HOLD, *limits_kw, local, tripped, blocked)
