"""What `gridgate check` says of the control of a site."""

from __future__ import annotations

from gateway.control.interlock.plan import BUILT_IN
from gateway.control.plan import ControlPlan
from gateway.points.model import NO_ROW, PointCatalogue


def control_lines(plan: ControlPlan, catalogue: PointCatalogue) -> list[str]:
    """The units with the points that were found for them, and the interlocks."""

    def name(row: int) -> str:
        return "none" if row == NO_ROW else catalogue.names[row]

    lines = [
        f"unit {unit.name}: {unit.low_kw:g} to {unit.high_kw:g} kW, ramp {unit.ramp_kw_per_s:g} kW/s, "
        f"set-point {name(unit.setpoint)}, run {name(unit.run)}, power {name(unit.power)}"
        for unit in plan.units
    ]
    own = [row for row in plan.interlocks if row.name not in BUILT_IN]
    latching = sum(row.latch for row in own)
    if own:
        lines.append(f"interlocks: {len(own)}, of which {latching} latch")
    return lines
