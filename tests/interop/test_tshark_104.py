"""Debian's tshark, an independent decoder, reads a long mixed conversation: nothing malformed, no complaint."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gateway.points import Kind, Point, PointCatalogue, Quality
from gateway.tracing.pcap import PcapWriter
from gateway.tracing.trace import Happening, TraceRecord
from protocols.iec104.elements import TYPES
from tests.kit.station104 import NOON, Station, station
from tests.peers.raw104 import STOPDT_ACT, STOPDT_CON, TESTFR_ACT, TESTFR_CON, Frame, Raw104, asdu

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed here")

BOUND = [row for row in TYPES.values() if row.kinds]
MONITORED = [row for row in BOUND if not row.control]
CATALOGUE = PointCatalogue.of(
    [Point(row=at, name=f"x/{row.name}", kind=min(row.kinds), low=-1000.0, high=1000.0) for at, row in enumerate(BOUND)]
)
IOA = {row.id: 1_000 + row.id for row in BOUND}
MODES = {51: "direct", 64: "direct"}
MAP = "point,ca,ioa,type,group,mode,cyclic,background\n" + "\n".join(
    f"x/{row.name},1,{IOA[row.id]},{row.name},"
    + (f",{MODES.get(row.id, 'direct|select')},," if row.control else f"{1 + at % 4},,1s,1s")
    for at, row in enumerate(BOUND)
)
TAG = "9b4e0d166e0b17"
"""2023-11-14 22:13:20.123, a Tuesday."""
ORDERS = {
    45: ("81", "01"),
    46: ("82", "02"),
    47: ("81", "01"),
    48: ("000080", "000000"),
    49: ("640080", "640000"),
    50: ("0000c84280", "0000c84200"),
    51: ("efbeadde",),
}
"""Elements of commands by untimed type: select where there is one, then execute."""


async def answered(master: Raw104, request: bytes, ends: tuple[int, ...]) -> list[Frame]:
    """Send and hear until an answer of this type with one of these causes."""
    await master.send(request)
    frames = [await master.hear_i()]
    while not (frames[-1].type_id == request[0] and frames[-1].cause in ends):
        frames.append(await master.hear_i())
    return frames


async def command_everything(master: Raw104) -> list[Frame]:
    """Every command, selected and executed, without and with a time tag; then what is refused."""
    heard: list[Frame] = []
    for untimed, elements in ORDERS.items():
        for type_id in (untimed, TYPES[untimed].timed):
            tag = TAG if type_id != untimed else ""
            for element in elements:
                ends = (7,) if element is not elements[-1] else (10,)
                heard += await answered(master, asdu(type_id, 6, 1, IOA[type_id], element + tag, oa=5), ends)
    heard += await answered(master, asdu(45, 0x86, 1, IOA[45], "01"), (7,))  # test bit: refused
    for type_id, cause, ca, ioa, answer in (
        (45, 6, 1, 9, 47),
        (45, 6, 9, 9, 46),
        (45, 3, 1, 9, 45),
        (120, 6, 1, 9, 44),
    ):
        heard += await answered(master, asdu(type_id, cause, ca, ioa, "01"), (answer,))
    return heard


async def ask_everything(master: Raw104) -> list[Frame]:
    """Interrogations, counters, reading, clock, test, parameters, reset."""
    heard: list[Frame] = []
    for qualifier in range(20, 37):
        heard += await answered(master, asdu(100, 6, 0xFFFF, 0, f"{qualifier:02x}"), (10,))
    for qualifier in ("45", "05", "01", "02", "03", "04", "85", "05", "c5"):
        heard += await answered(master, asdu(101, 6, 1, 0, qualifier), (7,) if int(qualifier, 16) > 63 else (10,))
    for row in MONITORED:
        await master.send(asdu(102, 5, 1, IOA[row.id]))
        heard.append(await master.hear_i())
    for request in (
        asdu(103, 6, 1, 0, TAG),
        asdu(104, 6, 1, 0, "aa55"),
        asdu(107, 6, 1, 0, "0100" + TAG),
        asdu(110, 6, 1, IOA[9], "100001"),
        asdu(111, 6, 1, IOA[11], "100004"),
        asdu(112, 6, 1, IOA[13], struct.pack("<fB", 2.5, 1).hex()),
        asdu(113, 6, 1, IOA[13], "03"),
        asdu(105, 6, 1, 0, "01"),
    ):
        heard += await answered(master, request, (7,))
    return heard


def moved(row: int, number: int) -> float:
    """Another value than the one before: a quality that a type does not show is no event."""
    kind = CATALOGUE.point(row).kind
    if kind in (Kind.BINARY, Kind.DOUBLE):
        return float((row + number) % 2 + (kind is Kind.DOUBLE))
    return float(3 * number if BOUND[row].id == 13 else number)  # beyond the threshold that it was given


async def change_everything(running: Station, master: Raw104) -> list[Frame]:
    """Every point changes with many qualities and times: each an event of its type."""
    rows = [at for at, row in enumerate(BOUND) if not row.control]
    flags = [0, *(int(flag) for flag in Quality)]
    heard: list[Frame] = []
    count = 0
    for number, quality in enumerate(flags, len(BOUND)):  # row i shows i at first
        time_ns = NOON + number * 86_400_000_000_000 * 9
        running.change(*((row, moved(row, number), quality, time_ns) for row in rows))
        count += len(rows)
    while sum(frame.count for frame in heard if frame.cause in (3, 11, 12)) < count:
        heard.append(await master.hear_i())
    return heard


async def talk(running: Station) -> list[Frame]:
    master = await running.master()
    heard = await ask_everything(master)
    heard += await change_everything(running, master)
    heard += await command_everything(master)
    running.server.commanded(0, -1, True)
    running.change((0, 99.0))
    while not heard or heard[-1].cause != 11:
        heard.append(await master.hear_i())
    while not {1, 2} <= {frame.cause for frame in heard}:  # cyclic and background
        heard.append(await master.hear_i(20.0))
    await master.acknowledge()
    await master.say(TESTFR_ACT)
    assert (await not_i(master, heard)).raw.hex() == TESTFR_CON
    await master.acknowledge()
    await master.say(STOPDT_ACT)
    while (last := await not_i(master, heard)).raw.hex() != STOPDT_CON:
        await master.acknowledge()
    assert last.raw.hex() == STOPDT_CON
    await master.close()
    return heard + master.initialised


async def not_i(master: Raw104, heard: list[Frame]) -> Frame:
    """The next frame that is no I frame; I frames are kept."""
    frame = await master.hear()
    while frame.kind == "I":
        heard.append(frame)
        await master.acknowledge()
        frame = await master.hear()
    return frame


def write_pcap(records: list[TraceRecord], path: Path) -> None:
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for record in records:
            match record.happening:
                case Happening.OPENED:
                    writer.opened(record.link, record.time_ns)
                case Happening.DATA:
                    writer.data(record.link, record.time_ns, record.outgoing, record.data)
                case Happening.CLOSED:
                    writer.closed(record.link, record.time_ns, record.outgoing)


def tshark(path: Path, port: int, *arguments: str) -> list[str]:
    command = ["tshark", "-r", str(path), "-d", f"tcp.port=={port},iec60870_104", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_tshark_decodes_every_frame_of_a_long_mixed_run_without_complaint(tmp_path: Path) -> None:
    async def play() -> tuple[list[Frame], list[TraceRecord], int]:
        async with station(
            CATALOGUE, MAP, end_of_initialisation=True, reset_process="confirm", time_zone="Asia/Kolkata"
        ) as running:
            heard = await talk(running)
            while running.server.links:
                await asyncio.sleep(0.01)
            return heard, running.port.trace.records("main"), running.server.bound_port

    heard, records, port = asyncio.run(play())
    pcap = tmp_path / "run.pcap"
    write_pcap(records, pcap)

    complaints = tshark(pcap, port, "-Y", "_ws.malformed || _ws.expert.severity >= 6291456")  # a warning or worse
    assert complaints == []

    ours = tshark(
        pcap,
        port,
        *("-Y", f"iec60870_asdu && tcp.srcport == {port}", "-T", "fields", "-E", "aggregator=;"),
        *("-e", "iec60870_asdu.typeid", "-e", "iec60870_asdu.causetx"),
    )
    decoded = Counter(
        pair for line in ours for pair in zip(*(map(int, cell.split(";")) for cell in line.split("\t")), strict=True)
    )
    assert decoded == Counter((frame.type_id, frame.cause) for frame in heard)
    seen = {type_id for type_id, _ in decoded}
    assert {row.id for row in BOUND} <= seen, "every type of a point and every command was on the wire"
    assert {70, 100, 101, 103, 104, 105, 107, 110, 111, 112, 113, 120} <= seen
    causes = {cause for _, cause in decoded}
    assert {1, 2, 3, 4, 5, 7, 10, 11, 20, 21, 22, 23, 24, 37, 44, 45, 46, 47} <= causes
    assert causes & {38, 39, 40, 41}


def test_tshark_reads_the_values_and_times_that_the_points_had(tmp_path: Path) -> None:
    """What a float, its quality and its time tag say, in an independent reader's words."""

    async def play() -> tuple[list[TraceRecord], int]:
        async with station(CATALOGUE, MAP, time_zone="Asia/Kolkata") as running:
            master = await running.master()
            row = next(at for at, one in enumerate(BOUND) if one.id == 36)
            running.change((row, 49.98, int(Quality.NOT_TOPICAL), NOON))
            await master.hear_i()
            await master.close()
            return running.port.trace.records("main"), running.server.bound_port

    records, port = asyncio.run(play())
    write_pcap(records, tmp_path / "one.pcap")
    names = ("ioa", "float", "qds.nt", "qds.iv", "cp56time.hour", "cp56time.min", "cp56time.ms", "cp56time.dow")
    fields = [word for name in names for word in ("-e", f"iec60870_asdu.{name}")]
    (line,) = tshark(tmp_path / "one.pcap", port, "-Y", "iec60870_asdu.typeid == 36", "-T", "fields", *fields)
    ioa, value, topical, invalid, hour, minute, ms, day = line.split("\t")
    assert int(ioa) == IOA[36]
    assert np.float32(value) == np.float32(49.98)
    assert (topical in ("1", "True"), invalid in ("1", "True")) == (True, False)
    assert (hour, minute, ms, day) == ("3", "43", "20123", "3")  # 03:43:20.123 on Wednesday, in Kolkata
