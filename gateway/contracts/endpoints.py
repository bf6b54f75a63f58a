"""Where one end of a connection is, as engineers write it. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_ENDPOINT: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")


def endpoint(text: str) -> tuple[str, int] | None:
    """Host and port of ``127.0.0.1:2404`` or ``[::]:2404``; None for what is none, and for port 0."""
    match = _ENDPOINT.fullmatch(text)
    host = (match["six"] or match["host"]) if match else ""
    port = int(match["port"]) if match else 0
    return (host, port) if host and 1 <= port <= 65_535 else None


def tcp_url(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of ``tcp://host[:port]``. Raises `ValueError` in words."""
    parts = urlsplit(text)
    if parts.scheme != "tcp" or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"expected tcp://host[:{default_port}], found {text!r}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port of {text!r} is not a number from 0 to 65535") from None
    return parts.hostname, default_port if port is None else port
