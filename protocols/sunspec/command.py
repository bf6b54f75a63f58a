"""``gridgate sunspec scan URL``: what a device says of itself, and a device map made from it. Reads only."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar

import numpy as np

from gateway.terminal import CommandParser, Progress, refuse
from protocols.modbus import frame
from protocols.modbus.client import LineClient
from protocols.modbus.frame import ModbusError, Refusal
from protocols.modbus.plan import WIRE_INDEX, WIRE_TYPES, Table, Url
from protocols.modbus.url import parse_url
from protocols.sunspec.definitions import Definition, NoDefinitions, definition, known_models
from protocols.sunspec.devicemap import csv_text, imagined, rows
from protocols.sunspec.model import HEADER, NUMBERS, Path
from protocols.sunspec.survey import Ask, Found, NotSunSpec, Survey, registers, walk

_End = TypeVar("_End")
_CODES = (frame.ILLEGAL_ADDRESS, frame.ILLEGAL_VALUE, frame.ILLEGAL_FUNCTION)
_TRIES = 3


@dataclass(slots=True)
class Scanned:
    """A survey with the registers of every model that could be read."""

    survey: Survey
    definitions: dict[int, Definition]
    data: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def implemented(self, found: Found, path: Path) -> bool:
        """Whether the device has a number there."""
        key = (found.id, found.instance)
        data, place = self.data.get(key), self.survey.shapes[key].find(path)
        if data is None:
            return True
        kind = NUMBERS[place.point.type]
        wire = WIRE_TYPES[WIRE_INDEX[kind.wire]]
        raw = float(np.frombuffer(data, wire.dtype, 1, 2 * place.offset)[0])
        return place.point.type.startswith("acc") or not (np.isnan(raw) or raw == kind.missing)


async def drive(client: LineClient, unit: int, steps: Generator[Ask, bytes | None, _End], timeout_s: float) -> _End:
    """Ask what the walk asks for. Raises `ModbusError` when the device falls silent."""
    wanted = next(steps)
    while True:
        data = await _ask(client, unit, wanted, timeout_s)
        try:
            wanted = steps.send(data)
        except StopIteration as end:
            result: _End = end.value
            return result


async def _ask(client: LineClient, unit: int, wanted: Ask, timeout_s: float) -> bytes | None:
    for left in reversed(range(_TRIES)):
        try:
            return (await client.ask(unit, frame.read(Table.HOLDING, *wanted), timeout_s)).data
        except Refusal as error:
            if error.code in _CODES:
                return None
            if not left:
                raise
        except ModbusError:
            if not left or not client.connected:
                raise
    return None


async def scan(url: Url, unit: int, timeout_s: float, base: int | None = None) -> Scanned:
    """Survey a device and read its models. Raises `ModbusError` or `NotSunSpec`."""
    known = {number: made for number in known_models() if (made := definition(number)) is not None}
    groups = {number: made.group for number, made in known.items()}
    client = LineClient(url, time.time_ns, lambda kind, sender: None, lambda: None)
    await client.connect(timeout_s)
    try:
        scanned = Scanned(await drive(client, unit, walk(groups, base), timeout_s), known)
        with Progress("scan", len(scanned.survey.models)) as progress:
            for found in scanned.survey.models:
                if (found.id, found.instance) in scanned.survey.shapes:
                    data = await drive(client, unit, registers(found.address, found.length + HEADER), timeout_s)
                    if data is not None:
                        scanned.data[found.id, found.instance] = data
                progress.step()
        return scanned
    finally:
        client.close()


def lines(scanned: Scanned) -> list[str]:
    """What the device is, for a person."""
    survey = scanned.survey
    words = (("manufacturer", "Mn"), ("model", "Md"), ("options", "Opt"), ("version", "Vr"), ("serial", "SN"))
    out = [f"{name:<13} {survey.common[key]}" for name, key in words if survey.common.get(key)]
    out += [f"{'base':<13} {survey.base}", "", f"{'model':>5} {'address':>7} {'length':>6}  name"]
    for found in survey.models:
        known = scanned.definitions.get(found.id)
        title = known.title if known is not None else "(no definition: vendor's own?)"
        out.append(f"{found.id:>5} {found.address:>7} {found.length:>6}  {title}")
    out += [f"! {why}" for why in survey.wrong.values()]
    if not survey.complete:
        out.append("! the list of models has no end mark: what follows the last model is not known")
    return out


def facts(scanned: Scanned) -> dict[str, Any]:
    """The same as an object."""
    survey = scanned.survey
    return {
        "base": survey.base,
        "common": survey.common,
        "models": [
            {"id": each.id, "instance": each.instance, "address": each.address, "length": each.length}
            for each in survey.models
        ],
        "wrong": list(survey.wrong.values()),
        "complete": survey.complete,
    }


def parser() -> argparse.ArgumentParser:
    """What stands behind ``gridgate sunspec``."""
    parser = CommandParser(prog="gridgate sunspec", description="SunSpec devices")
    commands = parser.add_subparsers(dest="verb", required=True, metavar="scan|map")
    found = commands.add_parser("scan", help="say what a device is, and write a map of it; reads only")
    found.add_argument("url", help="tcp://host:port, rtuovertcp://host:port or rtu:///dev/ttyUSB0?baudrate=19200")
    found.add_argument("--unit", type=int, default=1, help="unit identifier (default 1)")
    found.add_argument("--out", type=FilePath, metavar="MAP.csv", help="write a device map of all it implements")
    found.add_argument("--all", action="store_true", help="with --out: fields it does not implement too")
    found.add_argument("--base", type=int, help="register of the SunS marker (default: 40000, 50000, 0 are tried)")
    found.add_argument("--timeout", type=float, default=2.0, metavar="S", help="patience with one answer (default 2)")
    found.add_argument("--json", action="store_true", help="one JSON object")
    made = commands.add_parser("map", help="write a map of models without a device, on standard output")
    made.add_argument("models", type=int, nargs="+", metavar="MODEL", help="103 123 160 ...")
    made.add_argument("--repeat", type=int, default=1, metavar="N", help="how often groups repeat (default 1)")
    return parser


def _map(models: list[int], often: int) -> int:
    found = {number: definition(number) for number in models}
    unknown = [str(number) for number, made in found.items() if made is None]
    if unknown:
        return refuse(f"there is no definition of model {', '.join(unknown)}")
    known = {number: made for number, made in found.items() if made is not None}
    sys.stdout.write(csv_text(rows(imagined(known, often), known, lambda model, path: True)))
    return 0


def main(words: list[str]) -> int:
    """Run ``gridgate sunspec``; returns the exit code."""
    chosen = parser().parse_args(words)
    try:
        if chosen.verb == "map":
            return _map(chosen.models, chosen.repeat)
        scanned = asyncio.run(scan(parse_url(chosen.url), chosen.unit, chosen.timeout, chosen.base))
    except (ModbusError, NotSunSpec, NoDefinitions, ValueError) as error:
        return refuse(error)
    text = json.dumps(facts(scanned)) if chosen.json else "\n".join(lines(scanned))
    sys.stdout.write(text + "\n")
    if chosen.out is not None:
        return _write(scanned, chosen.out, chosen.all)
    return 0


def _write(scanned: Scanned, out: FilePath, every: bool) -> int:
    found = list(rows(scanned.survey, scanned.definitions, lambda a, b: every or scanned.implemented(a, b)))
    try:
        out.write_text(csv_text(iter(found)), encoding="utf-8")
    except OSError as error:
        return refuse(f"{out} cannot be written: {error}")
    sys.stderr.write(f"{out}: {len(found)} points\n")
    return 0
