"""From what a device answered to what is wrong with it: findings of the Modbus doctor. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from gateway.contracts.doctor import Finding, Patient, Verdict, note
from protocols.modbus.frame import exception_words
from protocols.modbus.plan import ORDERS, WIRE_INDEX, WIRE_TYPES, Bindings, Form, Table, UnitPlan, WireType
from protocols.modbus.ranges import Contents
from protocols.modbus.sidebyside import ORDERS_OF, number

_SHOWN: Final = 6
_LEAST_PART: Final = 1e-6
"""A number below this part of its range is no measurement: it is what a wrong byte order makes."""
_POWERS: Final = (-1, 1, -2, 2, -3, 3, -4, 4)
_SIGNED: Final = {"uint16": "int16", "uint32": "int32", "uint64": "int64"}
_FEW: Final = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of a device map and the bytes it is made of."""

    name: str
    data: bytes
    wire: WireType
    order: str
    scale: float
    offset: float
    low: float
    high: float

    def value(self, wire: WireType | None = None, order: str = "") -> float:
        """Engineering value, as if the type or byte order were another."""
        with np.errstate(all="ignore"):
            return float(number(self.data, wire or self.wire, order or self.order)) * self.scale + self.offset

    @property
    def ranged(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))

    def fits(self, value: float) -> bool:
        """Whether this could be a measurement: within low to high, and not next to nothing."""
        if not math.isfinite(value) or not self.low <= value <= self.high:
            return False
        return value == 0 or abs(value) >= _LEAST_PART * max(abs(self.low), abs(self.high))

    @property
    def well(self) -> bool:
        return not self.ranged or self.fits(self.value())

    def orders(self) -> str:
        """Its value in each byte order, for a person."""
        found = ", ".join(f"{order} {self.value(order=order):.6g}" for order in ORDERS_OF[self.wire.registers])
        return f"{self.name}: {found}; expected {self.low:g} to {self.high:g}"


def readings(patient: Patient, bindings: Bindings, contents: Mapping[Table, Contents]) -> list[Reading]:
    """The numbers of a unit whose registers were read."""
    out = []
    for position in np.flatnonzero(bindings.form == Form.NUMBER).tolist():
        wire = WIRE_TYPES[int(bindings.wire[position])]
        data = contents[Table(int(bindings.table[position]))].octets(int(bindings.address[position]), wire.registers)
        if data is not None:
            row = int(bindings.row[position])
            out.append(
                Reading(
                    name=str(bindings.name[position]),
                    data=data,
                    wire=wire,
                    order=ORDERS[int(bindings.order[position])],
                    scale=float(bindings.scale[position]),
                    offset=float(bindings.offset[position]),
                    low=float(patient.catalogue.low[row]),
                    high=float(patient.catalogue.high[row]),
                )
            )
    return out


def value_findings(found: list[Reading]) -> Iterator[Finding]:
    """What the values say: all zero, byte order, sign, scale; or that they are plausible."""
    if len(found) >= _FEW and not any(any(each.data) for each in found):
        yield Finding(
            verdict=Verdict.FAULT,
            code="all_zero",
            says=f"all {len(found)} numbers of the map are 0 in the device",
            advice="is the table right (input or holding), are addresses one too high or low, is it the right unit? "
            "`gridgate probe` shows what stands around them",
        )
        return
    wrong = [each for each in found if not each.well]
    for explain in (_byte_order, _sign, _scale):
        explained = list(explain(wrong, found))
        yield from (finding for finding, _ in explained)
        gone = {id(each) for _, by in explained for each in by}
        wrong = [each for each in wrong if id(each) not in gone]
    if wrong:
        yield Finding(
            verdict=Verdict.NOTE,
            code="out_of_range",
            says=f"{len(wrong)} values are outside the range of the map, and no byte order or scale explains it",
            evidence=_some(f"{each.name} = {each.value():.6g}, {each.low:g} to {each.high:g}" for each in wrong),
        )
    elif any(each.ranged for each in found):
        ranged = sum(each.ranged for each in found)
        yield Finding(
            verdict=Verdict.WELL, code="plausible", says=f"{ranged} values with a range were read and looked at"
        )


_Explained = Iterator[tuple[Finding, list[Reading]]]


def _byte_order(wrong: list[Reading], found: list[Reading]) -> _Explained:
    """Of the points with one order and width: does another order fit more of them?"""
    for registers in (1, 2, 4):
        for order in ORDERS:
            group = [each for each in found if each.ranged and each.wire.registers == registers and each.order == order]
            bad = [each for each in group if any(each is other for other in wrong)]
            if not bad:
                continue
            best = max(ORDERS_OF[registers], key=partial(_fitting, group))
            fits = _fitting(group, best)
            healed = [each for each in bad if each.fits(each.value(order=best))]
            if best != order and fits > len(group) - len(bad) and healed:
                yield (
                    Finding(
                        verdict=Verdict.FAULT,
                        code="byte_order",
                        says=f"byte order: {best} fits {fits} of {len(group)} values of {16 * registers} bits, "
                        f"the map's {order} fits {len(group) - len(bad)}",
                        evidence=_some(each.orders() for each in healed),
                        advice=f"put {best} into the column order of these points",
                    ),
                    healed,
                )


def _fitting(group: list[Reading], order: str) -> int:
    """How many could be measurements in this byte order."""
    return sum(each.fits(each.value(order=order)) for each in group)


def _sign(wrong: list[Reading], found: list[Reading]) -> _Explained:
    healed = []
    for each in wrong:
        signed = _SIGNED.get(each.wire.word)
        if signed is not None and each.fits(each.value(wire=WIRE_TYPES[WIRE_INDEX[signed]])):
            healed.append(each)
    if healed:
        yield (
            Finding(
                verdict=Verdict.FAULT,
                code="sign",
                says=f"{len(healed)} values are negative numbers read without their sign",
                evidence=_some(f"{each.name} = {each.value():g} as {each.wire.word}" for each in healed),
                advice="put the signed type (int16, int32) into the column type",
            ),
            healed,
        )


def _scale(wrong: list[Reading], found: list[Reading]) -> _Explained:
    by_power: dict[int, list[Reading]] = {}
    for each in wrong:
        power = next((p for p in _POWERS if each.value() and each.fits(each.value() * 10.0**p)), None)
        if power is not None:
            by_power.setdefault(power, []).append(each)
    for power, group in by_power.items():
        much = f"{10 ** abs(power):,} times too {'large' if power < 0 else 'small'}"
        yield (
            Finding(
                verdict=Verdict.FAULT,
                code="scale",
                says=f"scale: {len(group)} values seem {much}",
                evidence=_some(
                    f"{each.name} = {each.value():.6g}, {each.low:g} to {each.high:g}; "
                    f"with scale {each.scale * 10.0**power:g} it is {each.value() * 10.0**power:.6g}"
                    for each in group
                ),
                advice=f"multiply their column scale by {10.0**power:g}, or correct their low and high",
            ),
            group,
        )


def _some(lines: Iterable[str]) -> tuple[str, ...]:
    every = list(lines)
    return tuple(every[:_SHOWN]) + ((f"... and {len(every) - _SHOWN} more",) if len(every) > _SHOWN else ())


def refused_findings(bindings: Bindings, codes: Mapping[int, int]) -> Iterator[Finding]:
    """Exceptions by point: `codes` by position in the bindings."""
    if codes:
        where = (f"{bindings.name[i]} ({bindings.where(i)}): {exception_words(code)}" for i, code in codes.items())
        yield Finding(
            verdict=Verdict.FAULT,
            code="refused",
            says=f"the device refuses to read {len(codes)} of {len(bindings)} points",
            evidence=_some(where),
            advice="are table and address right for this model and firmware? addresses in the map count from 0",
        )


def timing_findings(times_s: list[float], timeout_s: float, passes: Mapping[float, int]) -> Iterator[Finding]:
    """Response times against the timeout, and the time of a pass against the scan: `passes` has reads by period."""
    if not times_s:
        return
    mean, most = sum(times_s) / len(times_s), max(times_s)
    told = f"{len(times_s)} answers took {1e3 * mean:.0f} ms on average, {1e3 * most:.0f} ms at most"
    if most > timeout_s:
        yield Finding(
            verdict=Verdict.FAULT,
            code="late",
            says=f"answers come too late: the gateway waits {1e3 * timeout_s:.0f} ms",
            evidence=(told,),
            advice=f"raise timeout_ms to {math.ceil(20 * most) * 100} or more, or find out what slows the device",
        )
    elif most > timeout_s / 2:
        yield Finding(
            verdict=Verdict.NOTE,
            code="slow",
            says=f"answers take more than half of the {1e3 * timeout_s:.0f} ms that the gateway waits",
            evidence=(told,),
            advice="raise timeout_ms",
        )
    else:
        yield Finding(verdict=Verdict.WELL, code="answers", says=told)
    load = sum(reads * mean / period for period, reads in passes.items())
    if load > 1:
        wanted = ", ".join(f"{reads} reads every {1e3 * period:.0f} ms" for period, reads in sorted(passes.items()))
        yield Finding(
            verdict=Verdict.FAULT,
            code="scan_too_slow",
            says=f"the line cannot keep the scan: it would be busy {100 * load:.0f} % of the time",
            evidence=(f"asked for: {wanted}", told),
            advice=f"raise scan_ms to {math.ceil(1e3 * load * min(passes))} or more, allow wider gaps "
            "(max_gap_registers), or ask seldom changing points more rarely",
        )


def line_findings(unit: UnitPlan, doubled: int, others: Mapping[int, int], silence_octets: int) -> Iterator[Finding]:
    """What was heard beside the answers that were awaited."""
    if doubled:
        yield Finding(
            verdict=Verdict.FAULT,
            code="duplicate_unit",
            says=f"unit {unit.unit} answers twice: two devices seem to have this number",
            evidence=(f"{doubled} second answers",),
            advice="switch the devices off one by one, and give one of them another number",
        )
    if silence_octets or others:
        units = ", ".join(f"unit {unit} ({count})" for unit, count in sorted(others.items()))
        evidence = [f"{silence_octets} octets came while nothing was asked"] if silence_octets else []
        evidence += [f"answers that were not asked for: {units}"] if units else []
        yield Finding(
            verdict=Verdict.FAULT,
            code="another_master",
            says="somebody else talks on this line: another master, or a device that speaks unasked",
            evidence=tuple(evidence),
            advice="a serial line has one master: take the other one off, or let it read from the gateway",
        )


_COUNTED: Final = (
    ("timeouts", "silent_at_times", "requests were not answered in time"),
    ("late", "late_at_times", "answers came after the gateway had given up (raise timeout_ms)"),
    ("wrong_unit", "foreign_answers", "answers named another unit (another master, or a gateway that mixes units up)"),
    ("malformed", "malformed", "answers had a wrong length or function"),
    ("garbage", "garbage", "times bytes came that are no Modbus (baud rate, parity, or another protocol)"),
    ("disconnects", "disconnects", "times the connection ended"),
    ("exceptions", "exceptions", "requests were answered with an exception"),
)


def counted_findings(patient: Patient) -> Iterator[Finding]:
    """What the running gateway has counted."""
    if patient.live is None:
        return
    counters = patient.live.counters
    requests = counters.get("requests", 0)
    for name, code, words in _COUNTED:
        count = counters.get(name, 0)
        if count:
            yield note(code, f"since it started: {count:,} {words}; {requests:,} requests in all")
    late, made = counters.get("scans_late", 0), counters.get("scans", 0)
    if late:
        share = 100 * made / (made + late)
        says = f"since it started: of {made + late:,} scans that were due {made:,} were made ({share:.0f} %)"
        yield note("scans_late", says, advice="raise scan_ms: a scan due before the last one is over is left out")
