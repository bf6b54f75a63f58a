"""Why a Modbus device gives no or wrong values: asks it over a connection of its own, and never writes.

A serial line belongs to the running gateway, and some devices take one connection only: then what the gateway has
counted must do.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np

from gateway.contracts.doctor import Finding, Patient, Verdict, fault, note, unreachable
from protocols.modbus import frame
from protocols.modbus.client import LineClient, LineDown
from protocols.modbus.diagnosis import (
    counted_findings,
    line_findings,
    readings,
    refused_findings,
    timing_findings,
    value_findings,
)
from protocols.modbus.frame import GATEWAY_EXCEPTIONS, ModbusError, Refusal, Request
from protocols.modbus.plan import LinePlan, Table, UnitPlan, Url
from protocols.modbus.ranges import Contents
from protocols.modbus.scan import Scan, scans

_PATIENCE: Final = 6
"""An answer is awaited for so many timeouts: a late one is to be heard."""
_LEAST_PATIENCE_S: Final = 1.0
_MOST_PATIENCE_S: Final = 10.0
_SILENCE_S: Final = 0.4
_AFTER_S: Final = 0.03
_UNIT_S: Final = 0.25
_OTHER_UNITS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 126, 247, 255, 0)
_SERIAL_UNITS: Final = tuple(range(1, 33))
_ENOUGH_UNITS: Final = 3
_SETTLE_S: Final = 1.0


@dataclass(slots=True)
class Exam:
    """One connection and everything that was heard on it."""

    url: Url
    unit: int
    patience_s: float
    times_s: list[float] = field(default_factory=list)
    doubled: int = 0
    others: Counter[int] = field(default_factory=Counter)
    asking: int = -1
    asked: set[int] = field(default_factory=set)
    client: LineClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = LineClient(self.url, time.time_ns, self._stray, lambda: None)

    def _stray(self, kind: str, sender: int) -> None:
        """An answer that was not awaited. On TCP a second answer has the number of a request that is answered."""
        if sender in self.asked:
            self.doubled += sender == self.unit
        elif sender >= 0:
            self.others[sender] += 1

    async def ask(self, request: Request, unit: int | None = None, patience_s: float = 0.0) -> bytes:
        """One request; keeps how long the answer took. Raises `ModbusError`."""
        who = self.unit if unit is None else unit
        self.asked.add(who)
        begun = time.monotonic()
        try:
            answer = await self.client.ask(who, request, patience_s or self.patience_s)
        finally:
            took_s = time.monotonic() - begun
            if self.url.framed_rtu:
                await asyncio.sleep(_AFTER_S)
                frame.match_rtu(self.client.drain(), -1, self._stray)
        if who == self.unit:
            self.times_s.append(took_s)
        return answer.data


async def examine(patient: Patient) -> list[Finding]:
    """Findings about one Modbus device (`gateway.contracts.doctor.Doctor`)."""
    plan = cast(LinePlan, patient.plan)
    unit = next(each for each in plan.units if each.device == patient.device)
    if plan.url.framed_rtu and patient.live is not None:
        return [
            held(plan.url, "the running gateway has the serial line, which is no place for two masters"),
            *counted_findings(patient),
        ]
    exam = Exam(plan.url, unit.unit, patience_of(unit))
    findings = await connect(exam, patient)
    if findings:
        return [*findings, *counted_findings(patient)]
    try:
        return [*await _examine(exam, patient, plan, unit), *counted_findings(patient)]
    finally:
        exam.client.close()


def patience_of(unit: UnitPlan) -> float:
    """How long the doctor waits for an answer."""
    return min(max(_PATIENCE * unit.timeout_s, _LEAST_PATIENCE_S), _MOST_PATIENCE_S)


def held(url: object, why: str) -> Finding:
    """The device was not asked: the gateway has it."""
    advice = "stop the gateway and ask again to have the device itself examined"
    return note("held", f"{why}: {url} was not asked directly", advice=advice)


# -- the way to the device ------------------------------------------------------------------------------------------


async def connect(exam: Exam, patient: Patient) -> list[Finding]:
    """Open the connection; findings only when it could not be."""
    url = exam.url
    try:
        await exam.client.connect(exam.patience_s)
    except LineDown as error:
        if patient.live is not None and patient.live.online:
            return [held(url, "the device takes no second connection beside the running gateway's")]
        return [_unreachable(url, error)]
    return []


def _unreachable(url: Url, error: LineDown) -> Finding:
    cause = error.__cause__
    if url.serial:
        advice = "is the adapter plugged in, the path right, and may this user open it (group dialout)?"
        return fault("serial_port", f"the serial port {url.host} cannot be opened", str(error), advice)
    return unreachable(url.host, url.port, cause, str(error))


# -- the device -----------------------------------------------------------------------------------------------------


async def _examine(exam: Exam, patient: Patient, plan: LinePlan, unit: UnitPlan) -> list[Finding]:
    silence = await _listen(exam)
    passes = scans(unit.bindings, unit.limits)
    contents = {table: Contents(table) for table in Table}
    if not passes:
        return [note("no_points", "no point of the map is read from this device")]
    absent = await reach(exam, passes[0].request())
    if absent is not None:
        return [absent, *line_findings(unit, exam.doubled, exam.others, silence)]
    codes: dict[int, int] = {}
    lost = await _read_all(exam, unit, passes, contents, codes)
    found = [*line_findings(unit, exam.doubled, exam.others, silence)]
    if lost:
        found.append(fault("cut", "the device stopped answering while it was read", lost, "ask again"))
    found += refused_findings(unit.bindings, codes)
    found += timing_findings(exam.times_s, unit.timeout_s, _reads_by_period(plan))
    found += value_findings(readings(patient, unit.bindings, contents))
    found += await _written_by_others(exam, unit, contents)
    return found


async def _listen(exam: Exam) -> int:
    """Octets that came on an RTU line while nothing was asked."""
    if not exam.url.framed_rtu:
        return 0
    await asyncio.sleep(_SILENCE_S)
    return exam.client.unasked


async def reach(exam: Exam, request: Request) -> Finding | None:
    """Whether the unit answers at all; otherwise who does."""
    try:
        await exam.ask(request)
    except Refusal as error:
        if error.code not in GATEWAY_EXCEPTIONS:
            return None
        return await _wrong_unit(exam, request, str(error))
    except ModbusError as error:
        return await _wrong_unit(exam, request, str(error))
    return None


async def _wrong_unit(exam: Exam, request: Request, why: str) -> Finding:
    answering = []
    for unit in _SERIAL_UNITS if exam.url.serial else _OTHER_UNITS:
        if unit == exam.unit or (exam.url.framed_rtu and not 1 <= unit <= 247):
            continue
        if await _answers(exam, request, unit):
            answering.append(unit)
        if len(answering) == _ENOUGH_UNITS:
            break
    if answering:
        units = ", ".join(map(str, answering))
        advice = f"put the unit that is meant into the site file: {units}"
        return fault("wrong_unit", f"unit {exam.unit} does not answer, but unit {units} does", why, advice)
    advice = (
        "is the unit number right, are baud rate, parity and stop bits those of the device, are A and B swapped?"
        if exam.url.framed_rtu
        else "the connection stands, but nothing answers: unit number, or a frozen device; is RTU over TCP meant?"
    )
    return fault("silent", f"unit {exam.unit} does not answer, nor does another one that was tried", why, advice)


async def _answers(exam: Exam, request: Request, unit: int) -> bool:
    try:
        if not exam.client.connected:
            await exam.client.connect(exam.patience_s)
        await exam.ask(request, unit, _UNIT_S)
    except Refusal as error:
        return error.code not in GATEWAY_EXCEPTIONS
    except ModbusError:
        return False
    return True


async def _read_all(
    exam: Exam, unit: UnitPlan, passes: list[Scan], contents: dict[Table, Contents], codes: dict[int, int]
) -> str:
    """One pass of every scan, refused addresses found by division; why it ended early, or nothing."""
    for scan in passes:
        last = 0
        while not scan.finished:
            request = scan.request()
            try:
                data = await exam.ask(request)
            except Refusal as error:
                last = error.code
                if error.code == frame.ILLEGAL_FUNCTION:
                    scan.refuse_function()
                elif error.code in (frame.ILLEGAL_ADDRESS, frame.ILLEGAL_VALUE):
                    scan.refuse()
                else:
                    codes |= _positions(unit, scan.skip(failing=True), error.code)
            except ModbusError as error:
                return str(error)
            else:
                _keep(request, data, contents)
                scan.take(data, 0)
        codes |= _positions(unit, scan.bindings.row[scan.refused()], last)
    return ""


def _positions(unit: UnitPlan, rows: np.ndarray[tuple[int], np.dtype[np.uint32]], code: int) -> dict[int, int]:
    return dict.fromkeys(np.flatnonzero(np.isin(unit.bindings.row, rows)).tolist(), code)


def _keep(request: Request, data: bytes, contents: dict[Table, Contents]) -> None:
    table = next(table for table, function in frame.READ_FUNCTION.items() if function == request.function)
    address, count = int.from_bytes(request.pdu[1:3], "big"), int.from_bytes(request.pdu[3:5], "big")
    contents[table].take(address, count, data)


def _reads_by_period(plan: LinePlan) -> dict[float, int]:
    """How many reads the whole line owes in each period."""
    out: Counter[float] = Counter()
    for unit in plan.units:
        for scan in scans(unit.bindings, unit.limits):
            out[scan.period_s] += len(scan.blocks)
    return dict(out)


async def _written_by_others(exam: Exam, unit: UnitPlan, contents: dict[Table, Contents]) -> list[Finding]:
    """Set-points that change although nobody here writes them."""
    held = unit.bindings.take(np.flatnonzero(unit.bindings.commanded & (unit.bindings.table == Table.HOLDING)))
    if not len(held):
        return []
    await asyncio.sleep(_SETTLE_S)
    changed = list(await _changed(exam, [(i, *_span(held.address, held.width, i)) for i in range(len(held))], contents))
    if not changed:
        return []
    return [
        Finding(
            verdict=Verdict.NOTE,
            code="written_by_others",
            says="set-points changed while the device was watched: somebody else writes them, or the device itself",
            evidence=tuple(f"{held.name[i]} ({held.where(i)})" for i in changed[:6]),
            advice="does another master (the maker's cloud, a plant controller) command this device?",
        )
    ]


def _span(
    address: np.ndarray[tuple[int], np.dtype[np.int64]], width: np.ndarray[tuple[int], np.dtype[np.int64]], at: int
) -> tuple[int, int]:
    return int(address[at]), int(width[at])


async def _changed(exam: Exam, spans: list[tuple[int, int, int]], contents: dict[Table, Contents]) -> Iterator[int]:
    out = []
    for number, address, width in spans:
        before = contents[Table.HOLDING].octets(address, width)
        try:
            now = await exam.ask(frame.read(Table.HOLDING, address, width))
        except ModbusError:
            continue
        if before is not None and now != before:
            out.append(number)
    return iter(out)
