"""``gridgate probe URL``: what stands in the registers of a device, in every type and byte order. Reads only."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

from gateway.terminal import CommandParser, refuse
from protocols.modbus import frame
from protocols.modbus.client import LineClient
from protocols.modbus.frame import ModbusError, Refusal
from protocols.modbus.plan import Table, Url
from protocols.modbus.ranges import Contents, RangeWalk, read_range
from protocols.modbus.sidebyside import lines, objects
from protocols.modbus.url import parse_url

_TRIES = 3
_LAST = 65536
_WIDEST = 4


async def drive(client: LineClient, unit: int, table: Table, walk: RangeWalk, timeout_s: float) -> Contents:
    """Ask what the walk asks for. Raises `ModbusError` when the device falls silent."""
    wanted = next(walk)
    while True:
        answer = await _ask(client, unit, table, wanted, timeout_s)
        try:
            wanted = walk.send(answer)
        except StopIteration as end:
            contents: Contents = end.value
            return contents


async def _ask(client: LineClient, unit: int, table: Table, wanted: tuple[int, int], timeout_s: float) -> bytes | int:
    left = _TRIES
    while True:
        left -= 1
        try:
            return (await client.ask(unit, frame.read(table, *wanted), timeout_s)).data
        except Refusal as error:
            return error.code
        except ModbusError:
            if not left or not client.connected:
                raise


async def probe(url: Url, unit: int, table: Table, first: int, count: int, timeout_s: float) -> Contents:
    """Read a range, and behind it what the widest type at its last register needs. Raises `ModbusError`."""
    more = 0 if table.of_bits else _WIDEST - 1
    client = LineClient(url, time.time_ns, lambda kind, sender: None, lambda: None)
    await client.connect(timeout_s)
    try:
        asked = min(count + more, _LAST - first)
        return await drive(client, unit, table, read_range(table, first, asked), timeout_s)
    finally:
        client.close()


def _address(text: str) -> int:
    return int(text, 0)


def parser() -> argparse.ArgumentParser:
    """What stands behind ``gridgate probe``."""
    parser = CommandParser(prog="gridgate probe", description="Read registers of a Modbus device; reads only.")
    parser.add_argument("url", help="tcp://host:port, rtuovertcp://host:port or rtu:///dev/ttyUSB0?baudrate=19200")
    parser.add_argument("--unit", type=int, default=1, help="unit identifier (default 1)")
    parser.add_argument("--table", choices=[table.word for table in Table], default="holding", help="default holding")
    parser.add_argument("--from", dest="first", type=_address, default=0, help="first address, zero-based (default 0)")
    parser.add_argument("--count", type=int, default=16, help="how many addresses (default 16)")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="S", help="patience with one answer (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON object an address")
    return parser


def main(words: list[str]) -> int:
    """Run the command; returns the exit code: 1 when nothing could be read."""
    line = parser()
    chosen = line.parse_args(words)
    if chosen.count < 1 or not 0 <= chosen.first <= _LAST - chosen.count:
        line.error(f"--from {chosen.first} --count {chosen.count}: addresses are 0 to {_LAST - 1}")
    table = Table[chosen.table.upper()]
    try:
        found = asyncio.run(
            probe(parse_url(chosen.url), chosen.unit, table, chosen.first, chosen.count, chosen.timeout)
        )
    except (ModbusError, ValueError) as error:
        return refuse(error)
    shown = range(chosen.first, chosen.first + chosen.count)
    text = map(json.dumps, objects(found, shown)) if chosen.json else lines(found, shown)
    sys.stdout.write("".join(f"{line}\n" for line in text))
    return 0 if any(address in found.words for address in shown) else 1
