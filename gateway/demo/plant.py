"""A battery plant as physics: 1 MW / 2 MWh, one power conversion system (PCS), a meter at the point of interconnection.

::

    battery (BMS) ──dc──► PCS ──ac──┬── breaker ──► meter, PMU (33 kV) ──► grid
                                    ├─ solar inverter, if there is one
                                    └─ auxiliary load (cooling, controls)

Pure: no clock, no socket; `step` is given the time that has passed. Power is + when discharging or exporting.
The energy balance is exact: what leaves the battery is what the PCS delivers plus what it loses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gateway.demo import bms
from gateway.demo.bms import Bms
from gateway.demo.grid import Grid, Wander
from gateway.demo.pmu import PmuView
from gateway.demo.solar import PREFIX as SOLAR
from gateway.demo.solar import Solar
from gateway.demo.watchdog import Watchdog

RATED_KW: Final = 1000.0
CAPACITY_KWH: Final = 2000.0
SOC_LIMITS_PERCENT: Final = (10.0, 95.0)
TAPER_PERCENT: Final = 2.0
"""Within this distance of a limit of the state of charge the power is derated in proportion."""
RAMP_KW_PER_S: Final = 500.0
LAG_S: Final = 0.3
MAX_STEP_S: Final = 0.05
"""Longer steps are cut into pieces of this length, so that the lag and the taper stay well resolved."""

LOSS_LINEAR: Final = 0.033
LOSS_SQUARE_PER_KW: Final = 3.0e-5
"""63 kW at 1 MW: (1000 - 63) / (1000 + 63) = 88 % round trip."""

BREAKER_INTERMEDIATE, BREAKER_OPEN, BREAKER_CLOSED = 0.0, 1.0, 2.0
BREAKER_TRAVEL_S: Final = 0.08

AMBIENT_C: Final = 30.0
CABINET_RISE_C_PER_KW: Final = (0.30, 0.27, 0.33)
CABINET_LAG_S: Final = 600.0

AUXILIARY_KW: Final = (15.0, 25.0)
GRID_KV: Final = 33.0
VOLTAGE_RISE_KV_PER_KW: Final = 3.0e-4
"""About 1 % at 1 MW: importing sags the line, exporting lifts it."""

PCS: Final = "bess1/pcs/"
METER: Final = "poi/"
_BY_PANEL: Final = frozenset({f"{PCS}power_setpoint", f"{PCS}run"})


def losses_kw(power_kw: float) -> float:
    """What battery and PCS turn into heat at this AC power."""
    return LOSS_LINEAR * abs(power_kw) + LOSS_SQUARE_PER_KW * power_kw * power_kw


@dataclass(slots=True)
class Energy:
    """Running totals in kWh since the start of the plant. Never decreasing, except `stored`."""

    stored: float
    discharged: float = 0.0
    charged: float = 0.0
    lost: float = 0.0
    auxiliary: float = 0.0
    solar: float = 0.0
    exported: float = 0.0
    imported: float = 0.0


@dataclass(slots=True)
class Breaker:
    """The AC breaker: tripped at once, closed after its travel time."""

    position: float = BREAKER_CLOSED
    travel_s: float = 0.0

    @property
    def closed(self) -> bool:
        return self.position == BREAKER_CLOSED

    def open(self) -> None:
        self.position, self.travel_s = BREAKER_OPEN, 0.0

    def close(self) -> None:
        if self.position == BREAKER_OPEN:
            self.position, self.travel_s = BREAKER_INTERMEDIATE, BREAKER_TRAVEL_S

    def step(self, dt_s: float) -> None:
        if self.position == BREAKER_INTERMEDIATE:
            self.travel_s -= dt_s
            if self.travel_s <= 0.0:
                self.position = BREAKER_CLOSED


@dataclass(slots=True)
class Panel:
    """What a person in front of the cabinet, or a failing part, can do to the PCS."""

    fault: bool = False
    estop: bool = False
    local: bool = False

    @property
    def tripped(self) -> bool:
        return self.fault or self.estop


@dataclass(slots=True)
class Cabinets:
    """Temperatures of the cabinets A, B and C in degrees Celsius; they follow the losses slowly."""

    degrees_c: list[float] = field(default_factory=lambda: [AMBIENT_C + 2.0, AMBIENT_C + 1.5, AMBIENT_C + 2.5])

    def step(self, dt_s: float, heat_kw: float) -> None:
        share = -math.expm1(-dt_s / CABINET_LAG_S)
        self.degrees_c = [
            now_c + (AMBIENT_C + rise * (heat_kw + 5.0) - now_c) * share
            for now_c, rise in zip(self.degrees_c, CABINET_RISE_C_PER_KW, strict=True)
        ]


class Plant:
    """The whole plant. `step` moves it on; `values` is what its instruments show; `command` is what it obeys.

    `soc_percent` and `setpoint_kw` are where it starts; it starts running, with the breaker closed. `solar`: it has an
    inverter too.
    Raises `ValueError` for a state of charge outside its limits.
    """

    def __init__(
        self, seed: int = 1, *, soc_percent: float = 60.0, setpoint_kw: float = 200.0, solar: bool = False
    ) -> None:
        low, high = SOC_LIMITS_PERCENT
        if not low <= soc_percent <= high:
            raise ValueError(f"the state of charge must be within {low} to {high} %, not {soc_percent}")
        self.grid = Grid(seed)
        self.panel = Panel()
        self.breaker = Breaker()
        self.energy = Energy(stored=CAPACITY_KWH * soc_percent / 100.0)
        self.running = True
        self.setpoint_kw = _clamp(setpoint_kw, -RATED_KW, RATED_KW)
        self.power_kw = 0.0
        self.auxiliary_kw = 18.0
        self.voltage_kv = GRID_KV
        self.bms = Bms(seed)
        self.solar = Solar(seed, solar)
        self.watchdog = Watchdog(0.0)
        """Of the PCS, fed by its heartbeat register; the timeout is a register too, 0 as delivered."""
        self._heartbeat = 0.0
        self._pmu = PmuView(self.grid.frequency_hz)
        self._cabinets = Cabinets()
        self._random = np.random.default_rng([seed, 1])
        self._auxiliary_wander = Wander(1.2, 30.0)
        self._voltage_wander = Wander(0.05, 20.0)
        self._commands: Mapping[str, Callable[[float], None]] = {
            f"{PCS}power_setpoint": self._set_power,
            f"{PCS}run": self._set_run,
            f"{PCS}heartbeat": self._set_heartbeat,
            f"{PCS}watchdog_timeout": self._set_watchdog,
            f"{bms.PREFIX}power_setpoint": self.bms.power_setpoint,
            f"{bms.PREFIX}close_contactor": self.bms.close_contactor,
            f"{bms.PREFIX}reset_faults": self.bms.reset_faults,
            f"{SOLAR}power_limit": self.solar.power_limit,
        }

    # -- what it obeys ---------------------------------------------------------------------------------------------

    def command(self, name: str, value: float) -> bool:
        """Carry out a command by point name; False when the plant does not know the point or refuses.

        The panel's switch is the PCS's: what watches over it is obeyed in local too, and so is the BMS.
        """
        action = self._commands.get(name)
        if action is None or (self.panel.local and name in _BY_PANEL):
            return False
        action(value)
        return True

    def alive(self, prefix: str) -> None:
        """Whoever commands the device whose points begin so has given a sign of life on its own line."""
        if prefix == bms.PREFIX:
            self.bms.heartbeat.alive()

    def cell_temperature(self, celsius: float | None) -> None:
        """Make the first temperature sensor of the battery show this; None: what it measures."""
        self.bms.hot_c = celsius

    def fault(self, on: bool) -> None:
        """A fault of the PCS trips it; it stays stopped until it is started again."""
        self.panel.fault = on
        self._trip_if_needed()

    def estop(self, on: bool) -> None:
        """The emergency stop trips the PCS and opens the battery's contactor; both stay so until commanded."""
        self.panel.estop = self.bms.estop = on
        self._trip_if_needed()

    def local(self, on: bool) -> None:
        """The key switch at the panel: in local, commands from outside are not obeyed."""
        self.panel.local = on

    def inject_frequency_event(self, delta_hz: float, duration_s: float) -> None:
        """Move the grid frequency by `delta_hz` for `duration_s`."""
        self.grid.inject(delta_hz, duration_s)

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def soc_percent(self) -> float:
        return 100.0 * self.energy.stored / CAPACITY_KWH

    @property
    def poi_power_kw(self) -> float:
        """Active power at the point of interconnection, + export."""
        return self.power_kw + self.solar.power_kw - self.auxiliary_kw

    def limits_kw(self) -> tuple[float, float]:
        """The lowest and highest power that the state of charge allows now."""
        low, high = SOC_LIMITS_PERCENT
        charge = _clamp((high - self.soc_percent) / TAPER_PERCENT, 0.0, 1.0)
        discharge = _clamp((self.soc_percent - low) / TAPER_PERCENT, 0.0, 1.0)
        return -RATED_KW * charge, RATED_KW * discharge

    def allowed_kw(self) -> tuple[float, float]:
        """The same, as far as the BMS allows it."""
        low_kw, high_kw = self.limits_kw()
        return low_kw * self.bms.factor, high_kw * self.bms.factor

    def values(self) -> dict[str, float]:
        """Every measured value and command position in engineering units, by full point name of the demo site."""
        return {
            **self._pcs_values(),
            **self._meter_values(),
            **self._bms_values(),
            **self.solar.values(self.grid.frequency_hz, self.voltage_kv / GRID_KV),
            **self._pmu.values(self.voltage_kv, self.poi_power_kw, self.breaker.closed),
        }

    # -- how it moves ----------------------------------------------------------------------------------------------

    def step(self, dt_s: float) -> None:
        """Move the plant on by `dt_s` >= 0."""
        pieces = max(1, math.ceil(dt_s / MAX_STEP_S - 1e-9))
        for _ in range(pieces if dt_s > 0.0 else 0):
            self._step(dt_s / pieces)

    def _step(self, dt_s: float) -> None:
        self.grid.step(dt_s)
        self._pmu.step(dt_s, self.grid.frequency_hz)
        self.breaker.step(dt_s)
        self.bms.step(dt_s, losses_kw(self.power_kw))
        self.solar.step(dt_s, not self.panel.estop)
        if self.watchdog.step(dt_s):
            self.setpoint_kw = 0.0
        self._follow_setpoint(dt_s)
        self._surroundings(dt_s)
        self._account(dt_s)

    def _follow_setpoint(self, dt_s: float) -> None:
        """First-order lag towards the set-point, then the ramp limit, then what the battery can give."""
        if not self.breaker.closed or not self.bms.closed:
            self.power_kw = 0.0
            return
        low_kw, high_kw = self.limits_kw()
        allowed_low_kw, allowed_high_kw = self.allowed_kw()
        wanted_kw = self.setpoint_kw if self.running and not self.watchdog.tripped else 0.0
        target_kw = _clamp(wanted_kw, allowed_low_kw, allowed_high_kw)
        wish_kw = (target_kw - self.power_kw) * -math.expm1(-dt_s / LAG_S)
        most_kw = RAMP_KW_PER_S * dt_s
        self.power_kw = _clamp(self.power_kw + _clamp(wish_kw, -most_kw, most_kw), low_kw, high_kw)

    def _surroundings(self, dt_s: float) -> None:
        heat_kw = losses_kw(self.power_kw)
        normal = self._random.standard_normal(2)
        wander_kw = self._auxiliary_wander.step(dt_s, float(normal[0]))
        self.auxiliary_kw = _clamp(18.0 + 0.05 * heat_kw + wander_kw, *AUXILIARY_KW)
        wander_kv = self._voltage_wander.step(dt_s, float(normal[1]))
        self.voltage_kv = GRID_KV + VOLTAGE_RISE_KV_PER_KW * self.poi_power_kw + wander_kv
        self._cabinets.step(dt_s, heat_kw)

    def _account(self, dt_s: float) -> None:
        hours, energy = dt_s / 3600.0, self.energy
        lost_kw = losses_kw(self.power_kw)
        energy.stored -= (self.power_kw + lost_kw) * hours
        energy.lost += lost_kw * hours
        energy.discharged += max(self.power_kw, 0.0) * hours
        energy.charged += max(-self.power_kw, 0.0) * hours
        energy.auxiliary += self.auxiliary_kw * hours
        energy.solar += self.solar.power_kw * hours
        energy.exported += max(self.poi_power_kw, 0.0) * hours
        energy.imported += max(-self.poi_power_kw, 0.0) * hours

    def _trip_if_needed(self) -> None:
        if self.panel.tripped:
            self.running = False
            self.breaker.open()
            self.power_kw = 0.0

    def _set_power(self, value: float) -> None:
        self.setpoint_kw = _clamp(value, -RATED_KW, RATED_KW)

    def _set_heartbeat(self, value: float) -> None:
        """A register that whoever commands the PCS keeps changing."""
        if value != self._heartbeat:
            self._heartbeat = value
            self.watchdog.alive()

    def _set_watchdog(self, value: float) -> None:
        self.watchdog.timeout_s = value

    def _set_run(self, value: float) -> None:
        """Start closes breaker and contactor, unless something holds them; stop ramps down and leaves them closed."""
        self.running = value >= 0.5 and not self.panel.tripped
        if self.running:
            self.breaker.close()
            self.bms.close_contactor(value)

    # -- what its instruments show ---------------------------------------------------------------------------------

    def _direct_current(self) -> tuple[float, float]:
        """Voltage (V) and current (A) at the battery's terminals: an open-circuit voltage behind a resistance."""
        open_circuit_v = 1080.0 + 2.4 * self.soc_percent
        current_a = 1000.0 * (self.power_kw + losses_kw(self.power_kw)) / open_circuit_v
        return open_circuit_v - 0.02 * current_a, current_a

    def _reactive_kvar(self) -> float:
        return -4.0 - 0.012 * abs(self.power_kw) if self.breaker.closed else 0.0

    def _pcs_values(self) -> dict[str, float]:
        voltage_v, current_a = self._direct_current()
        temperatures = self._cabinets.degrees_c
        shown: dict[str, float] = {
            "active_power": self.power_kw,
            "reactive_power": self._reactive_kvar(),
            "frequency": self.grid.frequency_hz,
            "soc": self.soc_percent,
            "dc_voltage": voltage_v,
            "dc_current": current_a,
            "cabinet_temp_a": temperatures[0],
            "cabinet_temp_b": temperatures[1],
            "cabinet_temp_c": temperatures[2],
            "energy_discharged": _tenths(self.energy.discharged),
            "energy_charged": _tenths(self.energy.charged),
            "rated_power": RATED_KW,
            "running": float(self.running),
            "fault": float(self.panel.fault),
            "estop": float(self.panel.estop),
            "watchdog": float(self.watchdog.tripped),
            "local": float(self.panel.local),
            "breaker": self.breaker.position,
            "power_setpoint": self.setpoint_kw,
            "run": float(self.running),
            "heartbeat": self._heartbeat,
            "watchdog_timeout": self.watchdog.timeout_s,
        }
        return {PCS + name: value for name, value in shown.items()}

    def _bms_values(self) -> dict[str, float]:
        voltage_v, current_a = self._direct_current()
        return self.bms.values(self.soc_percent, voltage_v, current_a, self.limits_kw(), self.energy.discharged)

    def _meter_values(self) -> dict[str, float]:
        return {
            METER + "frequency": self.grid.frequency_hz,
            METER + "voltage": self.voltage_kv,
            METER + "power": self.poi_power_kw,
            METER + "energy_exported": _tenths(self.energy.exported),
            METER + "energy_imported": _tenths(self.energy.imported),
        }


def _tenths(energy_kwh: float) -> float:
    """A counter as the instrument shows it: whole tenths of a kWh, rounded down."""
    return math.floor(energy_kwh * 10.0) / 10.0


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
