"""System points of the controllers: name, kind, words. `{0}` is the unit, fleet or place."""

from __future__ import annotations

from typing import Final

from gateway.points.model import Kind

Points = dict[str, tuple[Kind, str]]

_A, _B, _C, _S = Kind.ANALOG, Kind.BINARY, Kind.CONTROL, Kind.SETPOINT

DROOP: Final[Points] = {
    "frequency_hz": (_A, "Frequency that {0} answers to, Hz"),
    "frequency_source": (_A, "Which source it is from, in the order of the configuration; 0: none"),
    "frequency_band": (_A, "Band of the grid code that the frequency is in, 0 for the lowest"),
    "rocof_hz_per_s": (_A, "Rate of change of frequency, Hz/s; 0 while blocked"),
    "droop_state": (_A, "Response of {0}: 0 off, 1 in the dead band, 2 responding, 3 fast, 4 holding, 5 no frequency"),
    "response_kw": (_A, "Power that the frequency response asks of {0}, kW"),
    "headroom_up_kw": (_A, "How much more {0} could export now, kW"),
    "headroom_down_kw": (_A, "How much more {0} could import now, kW"),
    "available_low_kw": (_A, "Lowest power that {0} can give now by energy and temperature, kW"),
    "available_high_kw": (_A, "Highest power that {0} can give now by energy and temperature, kW"),
    "frequency_lost": (_B, "No source of frequency for {0}"),
    "droop_enabled": (_B, "Frequency response of {0} is on"),
    "droop_off": (_B, "A person has switched the frequency response of {0} off"),
    "droop_enable": (_C, "Switches the frequency response of {0} on or off"),
    "test_hz": (
        _S,
        "Shows the response of {0} this frequency for 3 s, Hz; 0 ends it; on the gateway itself only",
    ),
}
AGC: Final[Points] = {
    "agc_kw": (_S, "AGC signal for {0}, kW"),
    "agc_enable": (_C, "Switches AGC of {0} on or off"),
    "agc_enabled": (_B, "AGC of {0} is on"),
    "agc_lost": (_B, "AGC of {0} is on and has no signal"),
    "agc_target_kw": (_A, "What AGC asks of {0}, kW"),
}
SCHEDULE: Final[Points] = {
    "schedule_kw": (_A, "Scheduled power of {0} in this block, kW"),
    "schedule_block": (_A, "Block of the day, 1 to 96"),
    "block_scheduled_kwh": (_A, "Scheduled energy of {0} in this block so far, kWh"),
    "block_actual_kwh": (_A, "Energy of {0} in this block so far, kWh"),
    "block_deviation_kwh": (_A, "Actual less scheduled energy of {0} in this block, kWh"),
    "last_scheduled_kwh": (_A, "Scheduled energy of {0} in the last block, kWh"),
    "last_actual_kwh": (_A, "Energy of {0} in the last block, kWh"),
    "last_deviation_kwh": (_A, "Actual less scheduled energy of {0} in the last block, kWh"),
    "last_deviation_percent": (_A, "The same in % of the scheduled energy"),
    "last_measured_s": (_A, "Seconds of the last block in which the power of {0} was known"),
}
REACTIVE: Final[Points] = {
    "kvar": (_S, "Reactive set-point of {0}, kvar, + injection"),
    "reactive_target_kvar": (_A, "Reactive set-point that control sends to {0}, kvar"),
    "reactive_limited": (_B, "The capability of {0} cuts its reactive set-point"),
}
FLEET: Final[Points] = {
    "setpoint_kw": (_S, "Set-point of fleet {0}, kW"),
    "release": (_C, "Lets go of the set-point of fleet {0}"),
    "target_kw": (_A, "What the units of fleet {0} are asked for together, kW"),
    "unserved_kw": (_A, "What no unit of fleet {0} can take, kW"),
    "available_low_kw": (_A, "Lowest power that fleet {0} can give now, kW"),
    "available_high_kw": (_A, "Highest power that fleet {0} can give now, kW"),
    "units_available": (_A, "Units of fleet {0} that can be dispatched"),
}
LOCATION: Final[Points] = {
    "power_kw": (_A, "Power of {0}, kW"),
    "energy_kwh": (_A, "Energy of {0} that can be discharged, kWh"),
    "soc": (_A, "State of charge of {0}, weighted by energy, %"),
    "units_online": (_A, "Units of {0} that are online"),
}
