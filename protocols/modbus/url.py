"""URLs of Modbus lines: ``tcp://host:port``, ``rtuovertcp://host:port``, ``rtu:///dev/ttyUSB0?baudrate=19200``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from gateway.contracts.places import nearest
from protocols.modbus.plan import Url

_DEFAULT_PORT = 502

_SERIAL_KEYS: Final[dict[str, tuple[Callable[[str], Any], frozenset[Any] | None, str]]] = {
    "baudrate": (int, None, "bits per second, for example 19200"),
    "parity": (str.upper, frozenset("NEO"), "N, E or O"),
    "stopbits": (int, frozenset({1, 2}), "1 or 2"),
    "bytesize": (int, frozenset({7, 8}), "7 or 8"),
}


def parse_url(text: str) -> Url:
    """Raises `ValueError` in words. Serial defaults are the standard's: 19200 baud, even parity, one stop bit."""
    parts = urlsplit(text)
    if parts.scheme == "rtu":
        return _serial(parts, text)
    if parts.scheme in ("tcp", "rtuovertcp"):
        return _network(parts, text)
    raise ValueError(f"expected tcp://host:port, rtuovertcp://host:port or rtu:///dev/..., found {text!r}")


def _network(parts: SplitResult, text: str) -> Url:
    if not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"expected {parts.scheme}://host:port, found {text!r}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port of {text!r} is not a number from 0 to 65535") from None
    return Url(scheme=parts.scheme, host=parts.hostname, port=_DEFAULT_PORT if port is None else port)


def _serial(parts: SplitResult, text: str) -> Url:
    if parts.netloc or len(parts.path) < 2:
        raise ValueError(f"expected rtu:///dev/... with three slashes, found {text!r}")
    settings = {key: _serial_value(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True)}
    return Url(scheme="rtu", host=parts.path, **settings)


def _serial_value(key: str, value: str) -> Any:
    if key not in _SERIAL_KEYS:
        raise ValueError(f"unknown setting {key!r} of a serial line{nearest(key, _SERIAL_KEYS)}")
    convert, allowed, expected = _SERIAL_KEYS[key]
    try:
        found = convert(value)
    except ValueError:
        raise ValueError(f"{key} is {value!r}, expected {expected}") from None
    if (allowed is not None and found not in allowed) or (isinstance(found, int) and found <= 0):
        raise ValueError(f"{key} is {value!r}, expected {expected}")
    return found
