"""c104, an independent master in a process of its own, reads every type we send as the table holds it.

What c104 says it read (value, quality, time, cause) is laid beside the table. Its ways, worked around here:

- One type per ioa: see `tests.peers.c104_plant`.
- No types with a short time tag (CP24): c104 reads the head of these frames, their elements are read below.
- It does not tell whether a time tag is invalid: the octet is looked at.
- Its names `Carry` and `Adjusted` of a counter's quality are exchanged: 20 hex is CY, 40 hex is CA (IEC 60870-5-101
  7.2.6.9; so says tshark too).
- It misses an answer that comes before its own call has begun to wait, and is asked again.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.points import NO_ROW, Quality
from gateway.points.quality import GOOD
from tests.kit.station104 import NOON, Station
from tests.peers.c104_plant import (
    C104_NAMES,
    COMMANDS,
    HEADING,
    LINES,
    LONG,
    QUALITIES,
    RUNNING,
    SCATTERED,
    SHORT,
    TERM,
    Line,
    asked,
    causes,
    play,
    reading,
    said,
    words,
)
from tests.peers.c104_process import TypedMaster
from tests.peers.raw104 import Frame

pytestmark = pytest.mark.skipif(importlib.util.find_spec("c104") is None, reason="c104 is not installed here")


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
