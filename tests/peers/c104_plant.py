"""A station with three points of every type and a command of every type, and what c104 must read in them.

One type per ioa: what is interrogated without time (common addresses 1 and 4) and what is reported with time (2 and 3)
are points of different common addresses, so that c104, which knows one type per ioa, hears one.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.contracts import Command, OnOutcome, Outcome, Reason, Stage
from gateway.points import Kind, Point, PointCatalogue, Quality
from gateway.points.quality import GOOD
from tests.kit.station104 import Station, station
from tests.peers.c104_process import TypedMaster, typed_master

ORIGINATOR = 7
"""What `c104_typed_master.py` sends."""
RUNNING, SHORT, LONG, SCATTERED, COMMANDS = 1, 2, 3, 4, 6
"""Common addresses: ioas that run on, without time; CP24; CP56; scattered ioas, without time; commands."""


@dataclass(frozen=True)
class Family:
    """Types with no, a short and a long time tag, the values that the table shows and what c104 makes of them."""

    kind: Kind
    types: dict[int, tuple[int, str]]
    values: tuple[float, ...]
    quality: int
    """Column of `WORDS`; -1: the type has no quality."""
    read: Callable[[float], Any]


def types(untimed: str, short: str = "", long: str = "") -> dict[int, tuple[int, str]]:
    """Number and name by common address."""
    pairs = [text.split() for text in (untimed, short, long)]
    made = {ca: (int(pair[0]), pair[1]) for ca, pair in zip((RUNNING, SHORT, LONG), pairs, strict=True) if pair}
    return made | {SCATTERED: made[RUNNING]}


def part(value: float) -> Any:
    """Of the range -1000 to 1000; +1 is one step beyond the largest number that there is."""
    return pytest.approx(min(value / 1000, 32_767 / 32_768), abs=0.5 / 32_768)


def real(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


FAMILIES = (
    Family(Kind.BINARY, types("1 M_SP_NA_1", "2 M_SP_TA_1", "30 M_SP_TB_1"), (0, 1), 0, bool),
    Family(Kind.DOUBLE, types("3 M_DP_NA_1", "4 M_DP_TA_1", "31 M_DP_TB_1"), (0, 1, 2, 3), 0, int),
    Family(Kind.ANALOG, types("5 M_ST_NA_1", "6 M_ST_TA_1", "32 M_ST_TB_1"), (-64, -5, 63), 1, int),
    Family(Kind.ANALOG, types("7 M_BO_NA_1", "8 M_BO_TA_1", "33 M_BO_TB_1"), (0xDEADBE01, 0, 0xFFFFFFFF), 1, int),
    Family(Kind.ANALOG, types("9 M_ME_NA_1", "10 M_ME_TA_1", "34 M_ME_TD_1"), (-1000, 250, 1000), 1, part),
    Family(Kind.ANALOG, types("11 M_ME_NB_1", "12 M_ME_TB_1", "35 M_ME_TE_1"), (-32768, -77, 32767), 1, int),
    Family(Kind.ANALOG, types("13 M_ME_NC_1", "14 M_ME_TC_1", "36 M_ME_TF_1"), (-0.1, 1.25e9, 3.4e38), 1, real),
    Family(Kind.COUNTER, types("15 M_IT_NA_1", "16 M_IT_TA_1", "37 M_IT_TB_1"), (99, -(2**31), 2**31 - 1), 2, int),
    Family(Kind.ANALOG, types("21 M_ME_ND_1"), (500, -1000, 0), -1, part),
)
WORDS = {  # states | measured values, steps, bit strings | counters
    Quality.INVALID: ("IV", "IV", "IV"),
    Quality.NOT_TOPICAL: ("NT", "NT", "IV"),
    Quality.COMM_LOST: ("IV NT", "IV NT", "IV"),
    Quality.NEVER_REPORTED: ("IV NT", "IV NT", "IV"),
    Quality.SUBSTITUTED: ("SB", "SB", "CA"),
    Quality.BLOCKED: ("BL", "BL", "IV"),
    Quality.OVER_RANGE: ("IV", "OV", "IV"),
    Quality.REFERENCE_ERROR: ("IV", "IV", "IV"),
    Quality.CHATTER: ("BL", "BL", "IV"),
    Quality.TIME_INVALID: ("", "", ""),
    Quality.TEST: ("", "", ""),
    Quality.LOCAL_FORCED: ("SB", "SB", "CA"),
}
C104_NAMES = {"IV": "Invalid", "NT": "NonTopical", "SB": "Substituted", "BL": "Blocked", "OV": "Overflow"}
C104_NAMES |= {"CA": "Carry", "CY": "Adjusted"}
QUALITIES = (*WORDS, Quality.INVALID | Quality.SUBSTITUTED, Quality.OVER_RANGE | Quality.BLOCKED, GOOD)
"""One a round; the first is not good, as the points are before, so that each round changes every point."""


@dataclass(frozen=True)
class Line:
    """One monitored point of the map."""

    row: int
    ca: int
    ioa: int
    group: int
    family: Family

    @property
    def type(self) -> str:
        return self.family.types[self.ca][1]

    @property
    def counting(self) -> bool:
        return self.family.kind is Kind.COUNTER

    def value(self, round_: int) -> float:
        return float(self.family.values[(round_ + self.ioa) % len(self.family.values)])


def lines() -> list[Line]:
    """Three points of every type."""
    made: list[Line] = []
    for ca in (RUNNING, SHORT, LONG, SCATTERED):
        for family in FAMILIES:
            for number in range(3 if ca in family.types else 0):
                ioa = 100 * family.types[ca][0] + number * (5 if ca == SCATTERED else 1)
                group = 1 + len(made) % (4 if family.kind is Kind.COUNTER else 16)
                made.append(Line(len(made), ca, ioa, group, family))
    return made


LINES = lines()
CONTROLS = {
    45: ("C_SC_NA_1", "C_SC_TA_1"),
    46: ("C_DC_NA_1", "C_DC_TA_1"),
    47: ("C_RC_NA_1", "C_RC_TA_1"),
    48: ("C_SE_NA_1", "C_SE_TA_1"),
    49: ("C_SE_NB_1", "C_SE_TB_1"),
    50: ("C_SE_NC_1", "C_SE_TC_1"),
    51: ("C_BO_NA_1", "C_BO_TA_1"),
}
CONTROL_ROWS = {name: len(LINES) + at for at, name in enumerate(name for pair in CONTROLS.values() for name in pair)}
ONLY_SELECT = len(LINES) + len(CONTROL_ROWS)
CATALOGUE = PointCatalogue.of(
    [
        *(Point(row=line.row, name=f"p{line.row}", kind=line.family.kind, low=-1000, high=1000) for line in LINES),
        *(
            Point(row=row, name=f"p{row}", kind=Kind.CONTROL if name[2:4] in ("SC", "DC", "RC") else Kind.SETPOINT,
                  low=-1000, high=1000)
            for name, row in CONTROL_ROWS.items()
        ),
        Point(row=ONLY_SELECT, name=f"p{ONLY_SELECT}", kind=Kind.CONTROL),
    ]
)  # fmt: skip
HEADING = "point,ca,ioa,type,group,mode,cyclic,background\n"
MAP = HEADING + "\n".join(
    [
        *(f"p{line.row},{line.ca},{line.ioa},{line.type},{line.group},,," for line in LINES),
        *(
            f"p{row},{COMMANDS},{row},{name},,{'direct' if 'BO' in name else 'direct|select'},,"
            for name, row in CONTROL_ROWS.items()
        ),
        f"p{ONLY_SELECT},{COMMANDS},{ONLY_SELECT},C_SC_NA_1,,select,,",
    ]
)
KNOWN = [(line.ca, line.ioa, line.type) for line in LINES if line.ca != SHORT]
KNOWN += [(COMMANDS, row, name) for name, row in CONTROL_ROWS.items()]
KNOWN += [(COMMANDS, ONLY_SELECT, "C_SC_NA_1"), (COMMANDS, 9999, "C_SC_NA_1"), (RUNNING, 9999, "M_SP_NA_1")]

CON, TERM = ("ACTIVATION_CON", False), ("ACTIVATION_TERMINATION", False)
NO = ("ACTIVATION_CON", True)


def device(*stages: Stage, after_s: float = 0.025) -> Callable[[Command, OnOutcome], None]:
    """A broker whose device takes its time."""

    def script(command: Command, tell: OnOutcome) -> None:
        loop = asyncio.get_running_loop()
        for number, stage in enumerate(stages):
            outcome = Outcome(id=command.id, stage=stage, reason=Reason.DEVICE_LOST)
            loop.call_later(after_s + number * 0.002, tell, outcome)

    return script


Talk = Callable[[Station, TypedMaster], Awaitable[None]]


def play(talk: Talk, map_: str = MAP, known: list[tuple[int, int, str]] = KNOWN, **keys: Any) -> None:
    """Our station serves, c104 is its master and has started data transfer."""

    async def act() -> None:
        async with station(CATALOGUE, map_, **keys) as running:
            running.port.commands.script = device(Stage.ACCEPTED, Stage.COMPLETED)
            async with typed_master(running.server.bound_port, known) as master:
                await talk(running, master)
                assert running.port.log.said("connection closed") == []

    asyncio.run(act())


def words(line: Line, quality: Quality) -> set[str]:
    """The quality bits that the standard has for this type and these flags."""
    column = line.family.quality
    return set() if column < 0 else {word for flag in quality for word in WORDS[flag][column].split()}


def reading(line: Line, value: float, quality: Quality, time_ns: int | None, freeze: int = 0) -> dict[str, Any]:
    """What c104 must say of an object when the table shows this."""
    facts: dict[str, Any] = {
        "ca": line.ca,
        "ioa": line.ioa,
        "type": line.type,
        "value": line.family.read(value),
        "quality": {C104_NAMES[word] for word in words(line, quality)},
        "time_ns": time_ns,
        "test": Quality.TEST in quality,
    }
    return facts | ({"freeze": freeze} if line.counting else {}) | ({"transient": False} if "ST" in line.type else {})


def said(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects as c104 said them, in its order, without how they came."""
    return [
        {name: set(fact) if name == "quality" else fact for name, fact in one.items() if name not in HOW}
        for one in objects
    ]


HOW = ("cause", "sequence")


def causes(objects: list[dict[str, Any]]) -> set[str]:
    return {one["cause"] for one in objects}


async def asked(master: TypedMaster, do: str, count: int, ca: int = 1, **facts: object) -> list[dict[str, Any]]:
    """An interrogation done to its termination; its objects, of which `count` are waited for."""
    type_ = {"interrogate": "C_IC_NA_1", "counters": "C_CI_NA_1"}[do]
    await master.ask(do, ca, **facts)
    await master.hears(lambda: TERM in master.answers(type_) and len(master.objects) >= count)
    assert master.answers(type_) == [CON, TERM]
    assert {frame["originator"] for frame in master.frames} == {ORIGINATOR}
    return master.objects
