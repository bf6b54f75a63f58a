"""Engineering units as OPC UA names them: UNECE Recommendation 20 common codes (OPC 10000-8, 5.6.4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

UNECE_URI: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
UNKNOWN_ID: Final = -1


@dataclass(frozen=True, slots=True)
class Unit:
    """What an EUInformation structure says. `unit_id` is -1 and `uri` empty for a unit that UNECE has no code for."""

    text: str
    unit_id: int
    name: str
    uri: str


# Unit as plants write it: (common code, name).
_CODES: Final = MappingProxyType(
    {
        "W": ("WTT", "watt"),
        "kW": ("KWT", "kilowatt"),
        "MW": ("MAW", "megawatt"),
        "GW": ("A90", "gigawatt"),
        "VA": ("D46", "volt - ampere"),
        "kVA": ("KVA", "kilovolt - ampere"),
        "MVA": ("MVA", "megavolt - ampere"),
        "var": ("D44", "var"),
        "kvar": ("KVR", "kilovar"),
        "Mvar": ("MAR", "megavar"),
        "Wh": ("WHR", "watt hour"),
        "kWh": ("KWH", "kilowatt hour"),
        "MWh": ("MWH", "megawatt hour (1000 kW.h)"),
        "GWh": ("GWH", "gigawatt hour"),
        "kvarh": ("K3", "kilovolt ampere reactive hour"),
        "Mvarh": ("MAH", "megavolt ampere reactive hour"),
        "mV": ("2Z", "millivolt"),
        "V": ("VLT", "volt"),
        "kV": ("KVT", "kilovolt"),
        "uA": ("B84", "microampere"),
        "mA": ("4K", "milliampere"),
        "A": ("AMP", "ampere"),
        "kA": ("B22", "kiloampere"),
        "Ah": ("AMH", "ampere hour"),
        "Hz": ("HTZ", "hertz"),
        "kHz": ("KHZ", "kilohertz"),
        "MHz": ("MHZ", "megahertz"),
        "%": ("P1", "percent"),
        "degC": ("CEL", "degree Celsius"),
        "degF": ("FAH", "degree Fahrenheit"),
        "K": ("KEL", "kelvin"),
        "deg": ("DD", "degree [unit of angle]"),
        "rad": ("C81", "radian"),
        "ohm": ("OHM", "ohm"),
        "mohm": ("E45", "milliohm"),
        "kohm": ("B49", "kiloohm"),
        "Mohm": ("B75", "megaohm"),
        "S": ("SIE", "siemens"),
        "F": ("FAR", "farad"),
        "H": ("81", "henry"),
        "s": ("SEC", "second [unit of time]"),
        "ms": ("C26", "millisecond"),
        "us": ("B98", "microsecond"),
        "min": ("MIN", "minute [unit of time]"),
        "h": ("HUR", "hour"),
        "d": ("DAY", "day"),
        "mm": ("MMT", "millimetre"),
        "cm": ("CMT", "centimetre"),
        "m": ("MTR", "metre"),
        "km": ("KMT", "kilometre"),
        "m/s": ("MTS", "metre per second"),
        "km/h": ("KMH", "kilometre per hour"),
        "W/m2": ("D54", "watt per square metre"),
        "Wh/m2": ("I3", "watt hour per square metre"),
        "Pa": ("PAL", "pascal"),
        "hPa": ("A97", "hectopascal"),
        "kPa": ("KPA", "kilopascal"),
        "mbar": ("MBR", "millibar"),
        "bar": ("BAR", "bar [unit of pressure]"),
        "l": ("LTR", "litre"),
        "m3": ("MTQ", "cubic metre"),
        "l/min": ("L2", "litre per minute"),
        "m3/h": ("MQH", "cubic metre per hour"),
        "rpm": ("RPM", "revolutions per minute"),
        "kg": ("KGM", "kilogram"),
        "t": ("TNE", "tonne (metric ton)"),
        "J": ("JOU", "joule"),
        "kJ": ("KJO", "kilojoule"),
        "MJ": ("3B", "megajoule"),
        "dB": ("2N", "decibel"),
        "lx": ("LUX", "lux"),
        "ppm": ("59", "part per million"),
        "1": ("C62", "one"),
        "pu": ("C62", "one"),
    }
)

# Other spellings of the same.
_ALIASES: Final = MappingProxyType(
    {
        "°C": "degC",
        "C": "degC",
        "°F": "degF",
        "°": "deg",
        "Ω": "ohm",
        "Ohm": "ohm",
        "mΩ": "mohm",
        "mOhm": "mohm",
        "kΩ": "kohm",
        "kOhm": "kohm",
        "MΩ": "Mohm",
        "MOhm": "Mohm",
        "µs": "us",
        "µA": "uA",
        "kVAr": "kvar",
        "kVAR": "kvar",
        "MVAr": "Mvar",
        "MVAR": "Mvar",
        "MVar": "Mvar",
        "VAr": "var",
        "VAR": "var",
        "kVArh": "kvarh",
        "kVARh": "kvarh",
        "MVArh": "Mvarh",
        "MVARh": "Mvarh",
        "W/m²": "W/m2",
        "Wh/m²": "Wh/m2",
        "m³": "m3",
        "m³/h": "m3/h",
        "1/min": "rpm",
        "r/min": "rpm",
        "sec": "s",
        "hour": "h",
        "hours": "h",
        "pct": "%",
        "p.u.": "pu",
    }
)


def unit_id(common_code: str) -> int:
    """The number of a common code of up to three characters: its octets, the last one lowest (OPC 10000-8, 5.6.4.3)."""
    number = 0
    for octet in common_code.encode("ascii"):
        number = number << 8 | octet
    return number


def unit(text: str) -> Unit:
    """The unit as it is shown (`text`) and what UNECE calls it."""
    found = _CODES.get(_ALIASES.get(text, text))
    if found is None:
        return Unit(text, UNKNOWN_ID, text, "")
    return Unit(text, unit_id(found[0]), found[1], UNECE_URI)
