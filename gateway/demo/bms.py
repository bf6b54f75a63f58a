"""The battery management system of the plant: 16 of 384 cells are shown, temperatures, contactor, limits. Pure.

It protects the battery by itself. Without a heartbeat for `HEARTBEAT_S` it allows no power, and after `OPENS_S` more it
opens the main contactor; so it does for a cell that is too hot. Nothing closes it again but a command.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gateway.demo.watchdog import Watchdog

PREFIX: Final = "bess1/bms/"
HEARTBEAT_S: Final = 1.0
OPENS_S: Final = 3.0
"""How long after power was forbidden the contactor opens: time for the converter to come down."""
CLOSES_S: Final = 0.5
"""Of precharging."""

SERIES: Final = 384
SHOWN_CELLS: Final = 16
SENSORS: Final = 8
AMBIENT_C: Final = 28.0
RISE_C_PER_KW: Final = 0.25
LAG_S: Final = 900.0
DERATED_C: Final = 50.0
TRIP_C: Final = 58.0
OVERTEMPERATURE, COMMUNICATION = 3.0, 9.0
"""Fault codes: the number of the alarm that tripped, as in the DBC, counted from 1."""

MOVING, OPEN, CLOSED = 0.0, 1.0, 2.0
STANDBY, PRECHARGE, READY, CHARGE, DISCHARGE, FAULT = 1.0, 2.0, 3.0, 4.0, 5.0, 15.0

_ALARMS: Final = (
    *("cell_overvoltage", "cell_undervoltage", "overtemperature", "undertemperature", "overcurrent_charge"),
    *("overcurrent_discharge", "low_insulation", "contactor_fault", "communication", "smoke", "emergency_stop"),
    "sensor_fault",
)


class Bms:
    """One battery system. `step` it with what flows; `factor` is the share of the rated power that it allows."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([seed, 3])
        self._cell_offsets = random.normal(0.0, 0.003, SHOWN_CELLS)
        self._sensor_offsets = random.normal(0.0, 0.6, SENSORS)
        self.heartbeat = Watchdog(HEARTBEAT_S)
        self.contactor = CLOSED
        self.hot_c: float | None = None
        """What a person makes of the first sensor."""
        self.estop = False
        self._closing_s = 0.0
        self._forbidden_s = 0.0
        self._rise_c = 1.5
        self._fault = 0.0
        self._faults = 0
        self._order_kw = 0.0
        self._wants_closed = False
        self._resets = False

    # -- what it obeys ---------------------------------------------------------------------------------------------

    def power_setpoint(self, value: float) -> None:
        """The power that the gateway says it will ask for; for show."""
        self._order_kw = value

    def close_contactor(self, value: float) -> None:
        """Close it by precharging, unless something forbids it; or open it."""
        self._wants_closed = value >= 0.5
        if not self._wants_closed:
            self.contactor = OPEN
        elif self.contactor == OPEN and not self._forbidden:
            self.contactor, self._closing_s = MOVING, CLOSES_S

    def reset_faults(self, value: float) -> None:
        """Forget what tripped, if it has gone."""
        self._resets = value >= 0.5
        if self._resets and not self._forbidden:
            self._fault = 0.0

    # -- how it moves ----------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self.contactor == CLOSED

    @property
    def hottest_c(self) -> float:
        return float(self.temperatures_c().max())

    @property
    def factor(self) -> float:
        """Share of the rated power that it allows: 0 to 1."""
        if not self.closed or self._forbidden:
            return 0.0
        return min(max((TRIP_C - self.hottest_c) / (TRIP_C - DERATED_C), 0.0), 1.0)

    @property
    def _forbidden(self) -> bool:
        return self.heartbeat.tripped or self.hottest_c >= TRIP_C or self.estop

    def step(self, dt_s: float, losses_kw: float) -> None:
        """Move on by `dt_s`."""
        self.heartbeat.step(dt_s)
        self._rise_c += (1.0 + RISE_C_PER_KW * losses_kw - self._rise_c) * -math.expm1(-dt_s / LAG_S)
        self._protect(dt_s)
        if self.contactor == MOVING:
            self._closing_s -= dt_s
            if self._closing_s <= 0.0:
                self.contactor = CLOSED

    def _protect(self, dt_s: float) -> None:
        self._forbidden_s = self._forbidden_s + dt_s if self._forbidden else 0.0
        if self._forbidden and not self._fault:
            self._fault = COMMUNICATION if self.heartbeat.tripped else OVERTEMPERATURE
            self._fault = 11.0 if self.estop else self._fault
            self._faults += 1
        if self.estop or self._forbidden_s > OPENS_S:
            self.contactor = OPEN

    # -- what it shows ---------------------------------------------------------------------------------------------

    def temperatures_c(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """By sensor."""
        temperatures = AMBIENT_C + self._rise_c + self._sensor_offsets
        if self.hot_c is not None:
            temperatures[0] = self.hot_c
        return temperatures

    def values(
        self,
        soc_percent: float,
        voltage_v: float,
        current_a: float,
        limits_kw: tuple[float, float],
        discharged_kwh: float,
    ) -> dict[str, float]:
        """Every point by full name; `limits_kw` are the lowest and highest power the state of charge allows."""
        cells = voltage_v / SERIES + self._cell_offsets
        temperatures = self.temperatures_c()
        charge_kw, discharge_kw = -limits_kw[0] * self.factor, limits_kw[1] * self.factor
        shown: dict[str, float] = {
            "voltage": voltage_v,
            "current": current_a,
            "soc": soc_percent,
            "soh": 98.5,
            "max_charge_current": 1000.0 * charge_kw / voltage_v,
            "max_discharge_current": 1000.0 * discharge_kw / voltage_v,
            "max_charge_power": charge_kw,
            "max_discharge_power": discharge_kw,
            "mode": self._mode(current_a),
            "contactor": self.contactor,
            "contactor_closed": float(self.closed),
            "precharge": float(self.contactor == MOVING),
            "balancing": float(abs(current_a) < 5.0 and self.closed),
            "insulation": 1850.0,
            "energy": math.floor(discharged_kwh * 100.0) / 100.0,
            "fault_code": self._fault,
            "fault_cell": 0.0,
            "fault_count": float(self._faults),
            "power_setpoint": self._order_kw,
            "close_contactor": float(self._wants_closed),
            "reset_faults": float(self._resets),
        }
        shown |= {f"cell_voltage[{number}]": float(volts) for number, volts in enumerate(cells)}
        shown |= {f"cell_temperature[{number}]": float(celsius) for number, celsius in enumerate(temperatures)}
        shown |= self._alarms(cells)
        return {PREFIX + name: value for name, value in shown.items()}

    def _mode(self, current_a: float) -> float:
        if self._fault and not self.closed:
            return FAULT
        if not self.closed:
            return PRECHARGE if self.contactor == MOVING else STANDBY
        return READY if abs(current_a) < 5.0 else (DISCHARGE if current_a > 0.0 else CHARGE)

    def _alarms(self, cells: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float]:
        hottest_c, shown = (
            self.hottest_c,
            dict.fromkeys((f"{kind}/{name}" for kind in ("alarm", "warning") for name in _ALARMS), 0.0),
        )
        shown["alarm/overtemperature"] = float(hottest_c >= TRIP_C)
        shown["warning/overtemperature"] = float(hottest_c >= DERATED_C)
        shown["alarm/communication"] = float(self.heartbeat.tripped)
        shown["warning/communication"] = float(self.heartbeat.silent_s > HEARTBEAT_S / 2)
        shown["alarm/emergency_stop"] = float(self.estop)
        shown["warning/cell_overvoltage"] = float(cells.max() > 3.5)
        shown["warning/cell_undervoltage"] = float(cells.min() < 2.8)
        return shown
