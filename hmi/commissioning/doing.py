"""What a test does with the gateway: the list of a master's points, a command awaited, the SOE buffer test."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, Final

from gateway.contracts.command import Stage
from gateway.processes.childprocess import child_command, child_environment
from hmi.commissioning.sheet import Item, Sheet
from hmi.commissioning.uses import acting
from hmi.desk import Desk
from hmi.refusal import Refusal

_AWAIT_POLL_S: Final = 0.2
_TAIL_BYTES: Final = 1 << 20
_SOE_S: Final = 600.0


def items_of(desk: Desk, server: str, master: str) -> list[Item]:
    """Points of a master in the order of its map. Raises `Refusal` (409) without a map."""
    site, catalogue = desk.site, desk.catalogue
    every = () if site.addresses is None else site.addresses.uses
    uses = next((each for each in every if (each.server, each.master) == (server, master)), None)
    if uses is None:
        raise Refusal(409, f"{server}/{master} has no map of points")
    settings = {} if site.control is None else site.control.settings
    acts = acting(catalogue, settings, site.calculated)
    items = []
    for row, address in zip(uses.rows.tolist(), uses.addresses, strict=True):
        point = catalogue.point(row)
        items.append(
            Item(
                point=point.name,
                description=point.description,
                unit=point.unit,
                kind=point.kind.word,
                address=address,
                used_by=sorted(acts.get(point.name, ())) if not point.kind.commanded else [],
            )
        )
    return items


async def awaited_command(desk: Desk, origin: str, point: str, since_ns: int, wait_s: float) -> dict[str, Any] | None:
    """The last step of a command of this master for this point that began after `since_ns`; None: none came."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        await asyncio.sleep(_AWAIT_POLL_S)
        lines = await desk.on_disk(_audit_lines, desk.site.state_dir, since_ns)
        mine = [line for line in lines if line.get("point") == point and f" {origin}" in f" {line.get('origin', '')}"]
        if mine and mine[-1].get("step") in (Stage.REFUSED, Stage.COMPLETED, Stage.FAILED):
            return mine[-1]
    return None


def _audit_lines(state_dir: Path, since_ns: int) -> list[dict[str, Any]]:
    """Lines of today's record of commands from `since_ns` on, of its last part."""
    path = state_dir / "audit" / f"commands-{time.strftime('%Y%m%d', time.gmtime())}.jsonl"
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            raw = file.read().split(b"\n")
    except OSError:
        return []
    found = []
    for line in raw:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the first line may have lost its beginning, the last its end
        if isinstance(entry, dict) and int(entry.get("time", 0)) >= since_ns:
            found.append(entry)
    return found


async def soe_selftest(desk: Desk, sheet: Sheet, events: int, cuts: int, kills: int) -> tuple[bool, str]:
    """Whether it passed, and its table. It runs at low priority, on a gateway of its own."""
    words = ["selftest", "soe", str(desk.site.path), f"{sheet.server}/{sheet.master}", "--events", str(events)]
    words += ["--cuts", str(cuts), "--kills", str(kills)]
    command = ["nice", "-n", "10", *child_command("gateway", *words)]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=child_environment(),
    )
    try:
        async with asyncio.timeout(_SOE_S):
            out, _ = await process.communicate()
    except TimeoutError:
        return False, f"it took more than {_SOE_S:.0f} s and was ended"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode == 0, out.decode(errors="replace")
