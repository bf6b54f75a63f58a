"""URLs of PMU streams: ``tcp://host:4712``, ``udp://host:4712?local=4713``, ``udp-listen://0.0.0.0:4713?from=10.0.0.5``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from gateway.contracts.places import nearest
from protocols.c37118.plan import LISTEN, TCP, UDP, Url

_DEFAULT_PORT: Final = {TCP: 4712, UDP: 4712, LISTEN: 4713}
_KEYS: Final = {TCP: (), UDP: ("local",), LISTEN: ("from",)}


def parse_url(text: str) -> Url:
    """Raises `ValueError` in words."""
    parts = urlsplit(text)
    scheme = parts.scheme
    if scheme not in _DEFAULT_PORT or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"expected tcp://host:port, udp://host:port or udp-listen://address:port, found {text!r}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port of {text!r} is not a number from 0 to 65535") from None
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key in settings:
        if key not in _KEYS[scheme]:
            raise ValueError(f"unknown setting {key!r} of a {scheme} url{nearest(key, _KEYS[scheme])}")
    return Url(
        scheme=scheme,
        host=parts.hostname,
        port=_DEFAULT_PORT[scheme] if port is None else port,
        local_port=_port(settings.get("local", "0")),
        source=_source(settings.get("from", "")),
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"local is {text!r}, expected our own port, 1 to 65535")
    return int(text)


def _source(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise ValueError(f"from is {text!r}, expected the sender's IP address") from None
