"""A worker's trace as it comes, for whoever looks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.contracts.server import LinkName
from gateway.feed.address import short_path
from gateway.site.plan import SitePlan
from gateway.tracing.inspection import inspection_path
from gateway.tracing.reader import Listener, TraceError, tell

_LINE_BYTES: Final = 4 << 20
_AT_ONCE: Final = 32


async def ask_worker(state_dir: Path, server: str, request: dict[str, Any], timeout_s: float) -> dict[str, Any] | None:
    """One question to a server's worker; None when it does not answer."""
    try:
        async with asyncio.timeout(timeout_s):
            with short_path(inspection_path(state_dir, server)) as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=_LINE_BYTES)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                told = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, ValueError):  # TimeoutError is an OSError
        return None
    return told if isinstance(told, dict) else None


async def follow_trace(
    site: SitePlan,
    server: str,
    master: str,
    listener: Listener,
    since_ns: int = 0,
    opened: Callable[[], None] | None = None,
) -> None:
    """Tell a listener everything the worker's trace holds and what comes; returns when the server ends.

    Raises `OSError` when it does not run, `TraceError` for its refusal, `ValueError` when it speaks nonsense.
    """
    with short_path(inspection_path(site.state_dir, server)) as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=_LINE_BYTES)
    if opened is not None:
        opened()
    links: dict[int, LinkName] = {}
    try:
        request = {"get": "trace", "master": master, "follow": True, "since_ns": since_ns}
        writer.write(json.dumps(request).encode() + b"\n")
        taken = 0
        while (line := await reader.readline()).endswith(b"\n"):
            told: dict[str, Any] = json.loads(line)
            if "error" in told:
                raise TraceError(str(told["error"]))
            tell(listener, told, links, master)
            taken += 1
            if taken % _AT_ONCE == 0:
                await asyncio.sleep(0)
    finally:
        writer.close()
