"""c104, an independent master in a process of its own, reads every type we send and commands every type we take.

What c104 says it read (value, quality, time, cause) is laid beside what the table holds. Its ways, worked around here:

- One type per ioa: what is interrogated without time (common addresses 1 and 4) and what is reported with time (2 and
  3) are points of different common addresses, so that each has one type on the wire.
- No types with a short time tag (CP24): c104 reads the head of these frames, their elements are read below.
- It does not tell whether a time tag is invalid: the octet is looked at.
- Its names `Carry` and `Adjusted` of a counter's quality are exchanged: 20 hex is CY, 40 hex is CA (IEC 60870-5-101
  7.2.6.9; so says tshark too).
- It has no order for a reset of process: a relay makes one of an interrogation, octet for octet.
- It executes as soon as a select is confirmed: to see one cancelled, the confirmation comes when c104 has given up.
- It misses an answer that comes before its own call has begun to wait: the device takes its time.
"""

from __future__ import annotations

import asyncio
import importlib.util
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.contracts import Action, Command, OnOutcome, Outcome, Pulse, Reason, Stage
from gateway.points import NO_ROW, Kind, Point, PointCatalogue, Quality
from gateway.points.quality import GOOD
from tests.contract.server_suite import until
from tests.kit.station104 import NOON, Station, station
from tests.peers.c104_process import TRIES, TypedMaster, typed_master
from tests.peers.raw104 import Frame

pytestmark = pytest.mark.skipif(importlib.util.find_spec("c104") is None, reason="c104 is not installed here")

RUNNING, SHORT, LONG, SCATTERED, COMMANDS = 1, 2, 3, 4, 6
"""Common addresses: ioas that run on, without time; CP24; CP56; scattered ioas, without time; commands."""
ORIGINATOR = 7


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

    @asynccontextmanager
    async def scene() -> AsyncIterator[tuple[Station, TypedMaster]]:
        async with station(CATALOGUE, map_, **keys) as running:
            running.port.commands.script = device(Stage.ACCEPTED, Stage.COMPLETED)
            async with typed_master(running.server.bound_port, known) as master:
                yield running, master
                assert running.port.log.said("connection closed") == []

    async def act() -> None:
        async with scene() as (running, master):
            await talk(running, master)

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


# --- Monitoring


@pytest.mark.parametrize(("ca", "sequence"), [(RUNNING, True), (SCATTERED, False)])
def test_station_interrogation_of_every_type_with_every_quality(ca: int, sequence: bool) -> None:
    """Addresses that run on come with SQ=1, others with SQ=0."""
    here = [line for line in LINES if line.ca == ca and not line.counting]

    async def talk(running: Station, master: TypedMaster) -> None:
        for round_, quality in enumerate(QUALITIES):
            for line in here:
                running.port.set(line.row, line.value(round_), NOON, int(quality))
            objects = await asked(master, "interrogate", len(here), ca, qualifier="STATION")
            assert said(objects) == [reading(line, line.value(round_), quality, None) for line in here]
            assert causes(objects) == {"INTERROGATED_BY_STATION"}
            assert {one["sequence"] for one in objects} == {sequence}

    play(talk)


def happened_ns(line: Line, round_: int) -> int:
    """Every event at another time, days apart, with a part that no tag can carry."""
    return NOON + round_ * 777_600_000_000_000 + line.ioa * 1_000_000 + 654_321


def time_invalid(frame: Frame) -> set[bool]:
    """IV of the CP56 tags of a frame."""
    size = (len(frame.asdu) - 6) // frame.count - 3
    return {bool(element[-5] & 0x80) for _, element in frame.objects(size)}


def changes_of(here: list[Line], round_: int, quality: Quality) -> list[tuple[int, float, int, int]]:
    return [(line.row, line.value(round_), int(quality), happened_ns(line, round_)) for line in here]


@pytest.mark.parametrize("ca", [RUNNING, LONG])
def test_every_type_is_an_event_with_every_quality_and_its_time(ca: int) -> None:
    here = [line for line in LINES if line.ca == ca]

    async def talk(running: Station, master: TypedMaster) -> None:
        for round_, quality in enumerate(QUALITIES):
            master.forget()
            running.change(*changes_of(here, round_, quality))
            await master.hears(lambda: len(master.objects) >= len(here))
            times = [happened_ns(line, round_) // 1_000_000 * 1_000_000 if ca == LONG else None for line in here]
            assert said(master.objects) == [
                reading(line, line.value(round_), quality, time_ns) for line, time_ns in zip(here, times, strict=True)
            ]
            assert causes(master.objects) == {"SPONTANEOUS"}
            await master.hears(lambda: len(master.frames) >= len({line.type for line in here}))
            if ca == LONG:
                tags = [time_invalid(Frame(bytes.fromhex(frame["raw"]))) for frame in master.frames]
                assert set.union(*tags) == {Quality.TIME_INVALID in quality}
        assert master.unexpected == []

    play(talk)


@dataclass(frozen=True)
class Octets:
    """How an element reads by hand: value and quality octet, which are one in the types of states."""

    form: str
    value: Callable[[float], float] = float
    mask: int = 0xFF


OCTETS = {
    2: Octets("<B", lambda octet: int(octet) & 1, 0xF0),
    4: Octets("<B", lambda octet: int(octet) & 3, 0xF0),
    6: Octets("<BB", lambda octet: (int(octet) ^ 0x40) - 0x40),
    8: Octets("<IB"),
    10: Octets("<hB", lambda whole: whole / 32_768),
    12: Octets("<hB"),
    14: Octets("<fB"),
    16: Octets("<iB"),
}
BITS = {"IV": 0x80, "NT": 0x40, "SB": 0x20, "BL": 0x10, "OV": 0x01, "CA": 0x40}


def by_hand(frame: Frame) -> list[tuple[int, float, int, bytes]]:
    """ioa, value, quality bits and CP24 of every object."""
    octets = OCTETS[frame.type_id]
    return [
        (ioa, octets.value(struct.unpack(octets.form, element[:-3])[0]), element[-4] & octets.mask, element[-3:])
        for ioa, element in frame.objects(struct.calcsize(octets.form) + 3)
    ]


def cp24(time_ns: int, invalid: bool) -> bytes:
    ms = time_ns // 1_000_000
    return struct.pack("<HB", ms % 60_000, ms // 60_000 % 60 | 0x80 * invalid)


def test_every_type_with_a_short_time_tag_is_an_event() -> None:
    """The hour is not in it."""
    here = [line for line in LINES if line.ca == SHORT]

    async def talk(running: Station, master: TypedMaster) -> None:
        for round_, quality in enumerate(QUALITIES):
            master.forget()
            running.change(*changes_of(here, round_, quality))
            await master.hears(lambda: len(master.frames) >= len(here) // 3)
            heads = {(head["ca"], head["cause"], head["test"]) for head in master.frames}
            assert heads == {(SHORT, "SPONTANEOUS", Quality.TEST in quality)}
            assert [head["type"] for head in master.frames] == [line.type for line in here[::3]]
            found = [one for head in master.frames for one in by_hand(Frame(bytes.fromhex(head["raw"])))]
            assert found == [
                (
                    line.ioa,
                    line.family.read(line.value(round_)),
                    sum(BITS[word] for word in words(line, quality)),
                    cp24(happened_ns(line, round_), Quality.TIME_INVALID in quality),
                )
                for line in here
            ]

    play(talk)


def test_cyclic_background_and_return_information() -> None:
    map_ = HEADING + "\n".join(
        ["p36,1,1,M_ME_NC_1,,,100ms,", "p0,1,2,M_SP_NA_1,,,,100ms", "p1,1,3,M_SP_TB_1,,,,", "p2,1,4,M_SP_TB_1,,,,"]
    )
    known = [(1, 1, "M_ME_NC_1"), (1, 2, "M_SP_NA_1"), (1, 3, "M_SP_TB_1"), (1, 4, "M_SP_TB_1")]

    async def talk(running: Station, master: TypedMaster) -> None:
        for row, remote in ((1, True), (2, False)):
            running.server.commanded(row, NO_ROW, remote)
            running.change((row, 0.0))
            running.change((row, 1.0))
        expected = {
            1: {"PERIODIC"},
            2: {"BACKGROUND_SCAN"},
            3: {"RETURN_INFO_REMOTE", "SPONTANEOUS"},
            4: {"RETURN_INFO_LOCAL", "SPONTANEOUS"},
        }

        def heard() -> dict[int, set[str]]:
            return {ioa: {one["cause"] for one in master.objects if one["ioa"] == ioa} for ioa in expected}

        await master.hears(lambda: heard() == expected)
        events = [one for one in master.objects if one["ioa"] == 3]
        assert [(one["cause"], one["value"]) for one in events] == [
            ("RETURN_INFO_REMOTE", False),
            ("SPONTANEOUS", True),
        ]

    play(talk, map_, known)


# --- Interrogation and counters


def test_groups_1_to_16() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        answered = []
        for group in range(1, 17):
            here = [line for line in LINES if line.ca == SCATTERED and line.group == group and not line.counting]
            for line in here:
                running.port.set(line.row, line.value(group), NOON)
            objects = await asked(master, "interrogate", len(here), SCATTERED, qualifier=f"GROUP_{group}")
            assert said(objects) == [reading(line, line.value(group), GOOD, None) for line in here]
            assert causes(objects) == {f"INTERROGATED_BY_GROUP_{group}"}
            answered += here
        assert len(answered) == len([line for line in LINES if line.ca == SCATTERED and not line.counting])

    play(talk)


def test_every_station_answers_the_broadcast_address_and_nobody_a_strange_one() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        addresses = [RUNNING, SHORT, LONG, SCATTERED, COMMANDS]
        await master.ask("interrogate", 0xFFFF, qualifier="STATION")
        await master.hears(lambda: master.answers("C_IC_NA_1").count(TERM) == len(addresses))
        for cause in ("ACTIVATION_CON", "ACTIVATION_TERMINATION"):
            heard = [frame["ca"] for frame in master.frames if frame["cause"] == cause]
            assert heard == addresses
        master.forget()
        assert not await master.order("interrogate", 99, qualifier="STATION")
        await master.hears_answers("C_IC_NA_1", ("UNKNOWN_CA", True))
        master.forget()
        assert not await master.order("interrogate", RUNNING, qualifier="STATION", cause="DEACTIVATION")
        await master.hears_answers("C_IC_NA_1", ("DEACTIVATION_CON", True))  # none runs

    play(talk)


def test_counters_are_read_frozen_and_reset() -> None:
    here = [line for line in LINES if line.ca == RUNNING and line.counting]

    async def talk(running: Station, master: TypedMaster) -> None:
        def count(value: float, quality: Quality = GOOD) -> None:
            for line in here:
                running.port.set(line.row, value + line.ioa, NOON, int(quality))

        async def read(qualifier: str = "GENERAL", only: int = 0) -> list[tuple[float, int, list[str]]]:
            these = [line for line in here if only in (0, line.group)]
            objects = await asked(master, "counters", len(these), qualifier=qualifier, freeze="READ")
            assert [one["ioa"] for one in objects] == [line.ioa for line in these]
            assert causes(objects) <= {f"REQUESTED_BY_{qualifier}_COUNTER"}
            return [(one["value"], one["freeze"], one["quality"]) for one in objects]

        async def act(freeze: str, qualifier: str = "GENERAL") -> None:
            await asked(master, "counters", 0, qualifier=qualifier, freeze=freeze)
            assert master.objects == []

        def all_(value: float, number: int, *quality: str) -> list[tuple[float, int, list[str]]]:
            return [(value + line.ioa, number, list(quality)) for line in here]

        count(100)
        assert await read() == all_(100, 0)
        for group in range(1, 5):
            assert len(await read(f"GROUP_{group}", group)) == len([line for line in here if line.group == group])
        await act("FREEZE_WITHOUT_RESET")
        count(150)
        assert await read() == all_(100, 1)
        await act("FREEZE_WITH_RESET")
        count(175)
        assert await read() == all_(150, 2)  # frozen before the reset
        await act("FREEZE_WITHOUT_RESET")
        assert await read() == [(25, 3, [])] * len(here)
        await act("COUNTER_RESET")
        count(176)
        await act("FREEZE_WITHOUT_RESET")
        assert await read() == [(1, 4, [])] * len(here)
        count(170)  # the meter went back
        await act("FREEZE_WITHOUT_RESET")
        assert await read() == [(-5, 5, [C104_NAMES["CA"]])] * len(here)
        count(2**33, Quality.SUBSTITUTED)  # beyond what a reading can say, and adjusted by hand
        one, *others = here
        await act("FREEZE_WITHOUT_RESET", f"GROUP_{one.group}")
        first, *rest = await read()
        assert (first[0], first[1], set(first[2])) == (2**31 - 1, 6, {C104_NAMES[word] for word in ("IV", "CA", "CY")})
        assert rest == [(-5, 5, [C104_NAMES["CA"]])] * len(others)

    play(talk)


def test_every_type_can_be_read_by_itself() -> None:
    here = [line for line in LINES if line.ca == RUNNING]

    async def talk(running: Station, master: TypedMaster) -> None:
        for line in here:
            running.port.set(line.row, line.value(1), NOON, int(Quality.NOT_TOPICAL))
            await master.ask("read", RUNNING, ioa=line.ioa)
            await master.hears(lambda: bool(master.objects))
            assert said(master.objects) == [reading(line, line.value(1), Quality.NOT_TOPICAL, None)]
            assert causes(master.objects) == {"REQUEST"}
        master.forget()
        assert not await master.order("read", RUNNING, ioa=9999)
        await master.hears_answers("C_RD_NA_1", ("UNKNOWN_IOA", True))

    play(talk)


# --- Commands

OFF_ON = {45: (0, 1), 46: (1, 2), 47: (1, 2)}
"""How SCS, DCS and RCS say 0 and 1."""
QUALIFIERS = {
    "NONE": Pulse.DEFAULT,
    "SHORT_PULSE": Pulse.SHORT,
    "LONG_PULSE": Pulse.LONG,
    "PERSISTENT": Pulse.PERSISTENT,
}
SETPOINTS = {
    48: ((-0.5, -500.0), (0.25, 250.0)),
    49: ((-77, -77.0), (32767, 32767.0)),
    50: ((96.5, 96.5), (-1.25e9, -1.25e9)),
    51: ((0xDEADBEEF, float(0xDEADBEEF)), (0, 0.0)),
}


def orders(type_id: int) -> list[tuple[dict[str, object], float, Pulse]]:
    """What c104 is told, and value and pulse that must reach the broker."""
    switched = [
        ({"value": sent, "qualifier": qualifier}, float(at), pulse)
        for number, (qualifier, pulse) in enumerate(QUALIFIERS.items())
        for at, sent in enumerate(OFF_ON.get(type_id, ()))
        if (at + number) % 2
    ]
    return switched + [
        ({"value": sent, "qualifier": 0}, value, Pulse.DEFAULT) for sent, value in SETPOINTS.get(type_id, ())
    ]


async def commanded(master: TypedMaster, name: str, **facts: object) -> int:
    """A command that c104 calls done, and terminated; how often it was given until c104 did not miss the answer."""
    for tries in range(1, TRIES + 1):
        master.forget()
        if await master.order("command", COMMANDS, ioa=CONTROL_ROWS[name], **facts):
            await master.hears(lambda: TERM in master.answers(name))
            return tries
    raise AssertionError(f"c104 calls {name} {facts} undone, heard {master.frames}")


@pytest.mark.parametrize("timed", [False, True], ids=["untimed", "CP56"])
@pytest.mark.parametrize("select", [False, True], ids=["direct", "select"])
def test_every_command_reaches_the_broker_as_it_was_sent(timed: bool, select: bool) -> None:
    """A bit string has no select."""
    names = {type_id: pair[timed] for type_id, pair in CONTROLS.items() if not (select and type_id == 51)}

    async def talk(running: Station, master: TypedMaster) -> None:
        broker = running.port.commands
        for name, order, value, pulse in ((name, *each) for type_id, name in names.items() for each in orders(type_id)):
            broker.received.clear()
            broker.selects.clear()
            when = {"time_s": time.time()} if timed else {}
            tries = await commanded(master, name, select=select, **order, **when)
            assert master.answers(name) == [CON, CON, TERM][not select :]
            *_, confirmed, terminated = master.frames
            assert confirmed["raw"][24:] == terminated["raw"][24:]  # the element comes back as it was
            assert {frame["originator"] for frame in master.frames} == {ORIGINATOR}
            told = (CONTROL_ROWS[name], value, pulse)
            executed = [(each.row, each.value, each.pulse) for each in broker.received]
            assert executed == [told] * len(executed) and 1 <= len(executed) <= tries
            selected = {(each.row, each.value, each.pulse, each.action) for each in broker.selects}
            assert selected == ({(*told, Action.SELECT)} if select else set())
        assert broker.refused == []

    play(talk, command_max_age_s=60)


def test_what_is_refused_or_fails_is_told_so() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        broker = running.port.commands

        async def command(name: str, *answers: tuple[str, bool], ioa: int = 0, **facts: object) -> bool:
            master.forget()
            done = await master.order("command", COMMANDS, ioa=ioa or CONTROL_ROWS[name], **facts)
            await master.hears_answers(name, *answers)
            return done

        on: dict[str, object] = {"value": 1, "qualifier": "NONE"}
        assert not await command("C_SC_NA_1", ("UNKNOWN_IOA", True), ioa=9999, **on)
        assert not await command("C_SE_NB_1", NO, value=5, qualifier=3)  # a reserved qualifier
        assert not await command("C_DC_NA_1", NO, value=3, qualifier="NONE")  # a state that is none
        assert not await command("C_SC_TA_1", NO, time_s=time.time() - 3_600, **on)  # too old
        assert not await command("C_SC_NA_1", NO, ioa=ONLY_SELECT, **on)  # without its select
        assert [command.refusal for command in broker.refused] == [
            Reason.OUT_OF_RANGE,
            Reason.OUT_OF_RANGE,
            Reason.EXPIRED,
            Reason.NOT_SELECTED,
        ]
        assert broker.received == []
        broker.script = device(Stage.REFUSED)
        assert not await command("C_SC_NA_1", NO, **on)
        broker.script = device(Stage.ACCEPTED, Stage.FAILED)
        await command("C_SE_NC_1", CON, ("ACTIVATION_TERMINATION", True), value=1.5, qualifier=0)

    play(talk, command_max_age_s=60)


def test_a_cancelled_select_does_not_execute() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        broker = running.port.commands
        waiting: list[tuple[Command, OnOutcome]] = []
        broker.script = lambda command, tell: waiting.append((command, tell))
        on: dict[str, object] = {"ioa": ONLY_SELECT, "value": 1, "qualifier": "LONG_PULSE"}
        assert not await master.order("command", COMMANDS, select=True, **on)  # c104 gives up
        ((selected, tell),) = waiting
        tell(Outcome(id=selected.id, stage=Stage.COMPLETED))
        await master.hears_answers("C_SC_NA_1", CON)
        broker.script = device(Stage.ACCEPTED, Stage.COMPLETED)
        await master.order("command", COMMANDS, select=True, cause="DEACTIVATION", **on)
        await master.hears_answers("C_SC_NA_1", CON, ("DEACTIVATION_CON", False))
        master.forget()
        assert not await master.order("command", COMMANDS, **on)
        await master.hears_answers("C_SC_NA_1", NO)
        assert [command.action for command in broker.selects] == [Action.SELECT, Action.CANCEL]
        assert broker.received == []

    play(talk)


# --- System


def test_clock_is_set_by_right_and_told_to_every_station() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        clock = running.server.clock
        clock.offset_ns = 3_600_000_000_000
        await master.ask("clock")
        await master.hears_answers("C_CS_NA_1", CON)
        assert abs(clock.offset_ns) < 60_000_000_000  # c104 told this machine's time
        await master.ask("clock", 0xFFFF)
        await master.hears(lambda: len(master.answers("C_CS_NA_1")) == 5)
        assert set(master.answers("C_CS_NA_1")) == {CON}

    play(talk, clock_sync="offset", master={"clock": True})


def test_a_clock_that_may_not_be_set_is_refused() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        assert not await master.order("clock")
        await master.hears_answers("C_CS_NA_1", NO)
        assert running.server.clock.offset_ns == 0

    play(talk, clock_sync="refuse")


def test_test_command_with_and_without_time() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        for with_time, type_ in ((False, "C_TS_NA_1"), (True, "C_TS_TA_1")):
            master.forget()
            await master.order("test", with_time=with_time)
            await master.hears_answers(type_, CON)
        assert Frame(bytes.fromhex(master.frames[0]["raw"])).count == 1

    play(talk)


class Relay:
    """TCP between c104 and the station; `reset` makes the next interrogation a reset of process."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.reset = False

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await until(lambda: not self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near, far = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, far), (near, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await source.readexactly(2)
                body = await source.readexactly(head[1])
                if self.reset and body[4:5] == b"\x64" and body[6] == 6:
                    self.reset = False
                    body = body[:4] + b"\x69" + body[5:-1] + b"\x01"
                sink.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            sink.close()


def test_end_of_initialisation_at_the_start_and_after_a_reset_of_process() -> None:
    async def act() -> None:
        keys: dict[str, Any] = {"end_of_initialisation": True, "reset_process": "confirm"}
        async with (
            station(CATALOGUE, MAP, **keys) as running,
            Relay(running.server.bound_port) as relay,
            typed_master(relay.port, KNOWN) as master,
        ):
            addresses = (RUNNING, SHORT, LONG, SCATTERED, COMMANDS)
            await master.hears(lambda: len(master.initialised) >= len(addresses) <= len(master.frames))
            assert master.initialised == [{"ca": ca, "cause": "LOCAL_POWER_ON"} for ca in addresses]
            assert master.answers("M_EI_NA_1") == [("INITIALIZED", False)] * len(addresses)
            master.forget()
            relay.reset = True
            await master.order("interrogate", LONG, qualifier="GROUP_9")
            await master.hears_answers("C_RP_NA_1", CON)
            await master.hears(lambda: bool(master.initialised))
            assert master.initialised == [{"ca": LONG, "cause": "REMOTE_RESET"}]
            await master.ask("interrogate", RUNNING, qualifier="STATION")

    asyncio.run(act())
