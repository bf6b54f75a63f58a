"""What the documents say is what the station does, and what the map says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from openpyxl import load_workbook

from gateway.contracts.documents import Cell, Column
from gateway.contracts.workbook import write_workbook
from gateway.points import Kind, Point, PointCatalogue
from protocols.iec104 import documents
from protocols.iec104.asdu import Cause
from protocols.iec104.clock import ClockSync
from protocols.iec104.connection import ApciParameters
from protocols.iec104.documents import Iec104Documents
from protocols.iec104.elements import BY_NAME, TYPES
from protocols.iec104.examination import examine
from protocols.iec104.interoperability import Section, statement
from protocols.iec104.plan import BindingColumns, MasterPlan, Mode, ServerPlan
from protocols.iec104.server import Iec104Server
from protocols.iec104.signallist import COLUMNS
from protocols.iec104.standardlists import CONTROL, DIRECTIONS, FILES, PARAMETERS, SYSTEM
from tests.contract.server_suite import FakePort
from tests.peers.raw104 import Raw104, asdu

CATALOGUE = PointCatalogue.of(
    [
        Point(
            row=0, name="pcs/power", kind=Kind.ANALOG, unit="kW", low=-500, high=500, description="Power", device="p1"
        ),
        Point(row=1, name="pcs/fault", kind=Kind.BINARY, description="=SUM(A1) is text, \x07 is no bell, <b> no tag"),
        Point(row=2, name="pcs/limit", kind=Kind.SETPOINT, unit="kW", low=0, high=500, feedback=0, device="p1"),
    ]
)


def bindings(*rows: tuple[int, int, str, int, float, float, int]) -> BindingColumns:
    """From (row, ioa, type, group, deadband, cyclic_s, mode) at common address 7."""
    types = [BY_NAME[row[2]] for row in rows]
    return BindingColumns(
        row=np.array([row[0] for row in rows], np.uint32),
        ca=np.full(len(rows), 7, np.uint16),
        ioa=np.array([row[1] for row in rows], np.uint32),
        event_type=np.array([known.id for known in types], np.uint8),
        static_type=np.array([known.id if known.control else known.untimed for known in types], np.uint8),
        group=np.array([row[3] for row in rows], np.uint8),
        limit=np.array([row[4] for row in rows], np.float64),
        cyclic_s=np.array([row[5] for row in rows], np.float32),
        mode=np.array([row[6] for row in rows], np.uint8),
    )


def plan(columns: BindingColumns, **keys: object) -> ServerPlan:
    master = MasterPlan(name="sldc main", addresses=("10.0.0.0/8",), bindings=columns, links=2, commands=True)
    return ServerPlan(name="sldc", host="10.0.0.1", port=2405, masters=[master], **keys)  # type: ignore[arg-type]


NAN = float("nan")
SMALL = bindings(
    (1, 4097, "M_SP_TB_1", 2, NAN, 0, 0),
    (0, 70_001, "M_ME_TD_1", 0, 2.5, 10, 0),
    (2, 7001, "C_SE_NC_1", 0, NAN, 0, int(Mode.DIRECT | Mode.SELECT)),
)


def boxes(sections: list[Section]) -> dict[str, bool]:
    return {f"{section.title}: {box.text}": box.ticked for section in sections for box in section.boxes}


def ticked_types(sections: list[Section]) -> set[int]:
    found = [re.match(r"<(\d+)>", box.text) for section in sections for box in section.boxes if box.ticked]
    return {int(match[1]) for match in found if match}


def test_types_to_the_station_are_ticked_exactly_when_it_answers_them_with_other_than_cause_44() -> None:
    """The statement of a server beside a conversation with that server over TCP."""
    sections = statement(plan(SMALL))
    asked = [one.id for one in (*CONTROL.types, *SYSTEM.types, *PARAMETERS.types, *FILES.types)]
    examined = examine(plan(SMALL))
    master_plan = MasterPlan(name="main", addresses=("127.0.0.1",), bindings=SMALL, commands=True)

    async def answered_44(type_id: int, port: int) -> bool:
        master = await Raw104.connect(port)
        await master.start()
        cause = 5 if type_id == 102 else 6
        await master.send(asdu(type_id, cause, 7, 0, examined.sample(type_id).hex()))
        frame = await master.hear_i()
        while frame.type_id != type_id:
            frame = await master.hear_i()
        await master.close()
        return frame.cause == 44

    async def talk() -> set[int]:
        port = FakePort(CATALOGUE)
        server = Iec104Server(ServerPlan(name="x", host="127.0.0.1", port=0, masters=[master_plan]), port)
        port.server = server
        await server.start()
        try:
            refused = {type_id for type_id in asked if await answered_44(type_id, server.bound_port)}
        finally:
            await server.stop()
        return refused

    refused = asyncio.run(talk())
    ticked = ticked_types(sections)
    assert {type_id for type_id in asked if type_id in ticked} == set(asked) - refused
    assert {45, 50, 100, 101, 102, 103, 104, 107} <= ticked
    assert not ticked & {one.id for one in FILES.types}


def test_monitored_types_are_ticked_when_a_point_may_have_them() -> None:
    sent = {row.id for row in TYPES.values() if row.kinds and not row.control}
    listed = {one.id for direction in DIRECTIONS for one in direction.types}
    ticked = ticked_types(statement(plan(SMALL)))
    assert ticked & set(range(1, 41)) == sent
    assert set(TYPES) <= listed


def test_functions_are_ticked_from_what_was_seen() -> None:
    found = boxes(statement(plan(SMALL)))
    for text in (
        "Cyclic data transmission: cyclic data transmission",
        "Read procedure: read procedure",
        "Station interrogation: global",
        "Station interrogation: group 16",
        "Clock synchronization: clock synchronization",
        "Command transmission: select and execute command",
        "Command transmission: select and execute set point command",
        "Command transmission: short pulse duration",
        "Command transmission: C_SE ACTTERM used",
        "Transmission of integrated totals: counter read",
        "Transmission of integrated totals: counter freeze with reset",
        "Transmission of integrated totals: mode C: freeze and transmit by counter interrogation commands",
        "Parameter loading and activation: threshold value",
        "Parameter loading and activation: high limit for transmission of measured value",
        "Background scan: background scan",
        "Port number: other",
    ):
        assert found[text], text
    for text in (
        "System or device: Controlling station definition (master)",
        "Double transmission of information objects: Single-point information: M_SP_NA_1 and M_SP_TB_1",
        "File transfer: file transfer",
        "Parameter loading and activation: smoothing factor",
        "Station initialization: remote initialization",
        "Command transmission: supervision of maximum delay of commands",
        "Security: TLS with certificates of both sides (IEC 62351-3)",
        "Port number: 2404",
    ):
        assert not found[text], text


def test_a_server_where_no_master_may_command_says_so() -> None:
    mute = plan(SMALL)
    mute.masters[0].commands = False
    found = boxes(statement(mute))
    assert not found["Command transmission: direct command transmission"]
    assert found["Station interrogation: global"]


def test_the_end_of_initialisation_is_ticked_where_it_is_sent() -> None:
    found = boxes(statement(plan(SMALL, end_of_initialisation=True)))
    assert found["Station initialization: remote initialization"]


def test_a_refused_clock_is_not_ticked_and_settings_are_shown() -> None:
    sections = statement(
        plan(
            SMALL, clock_sync=ClockSync.REFUSE, command_max_age_s=20.0, apci=ApciParameters(k=30, w=20, t1_s=9, t3_s=33)
        )
    )
    found = boxes(sections)
    assert not found["Clock synchronization: clock synchronization"]
    assert found["Command transmission: supervision of maximum delay of commands"]
    cells = [cell for section in sections if section.table for row in section.table.rows for cell in row]
    assert {"30 APDUs", "20 APDUs", "9 s", "33 s"} <= set(cells)


def test_the_matrix_says_what_is_sent_with_which_cause() -> None:
    findings = examine(plan(SMALL)).findings
    assert {1, 2, 3, 5, 20, 21} <= findings.sent[13]
    assert {11, 12} <= findings.sent[30] and not {11, 12} & findings.sent[36]
    assert 20 not in findings.sent[36] and 3 in findings.sent[36]
    assert {37, 38} <= findings.sent[15] and 20 not in findings.sent[15]
    assert findings.taken[50] == {6, 8} and {7, 9, 10} <= findings.sent[50]
    assert findings.causes(50) >= {Cause.UNKNOWN_CAUSE, Cause.UNKNOWN_ADDRESS, Cause.UNKNOWN_IOA}
    assert findings.causes(120) == {Cause.UNKNOWN_TYPE}


class _Page(HTMLParser):
    """Cells of the tables, and whether every element that was opened is closed in order."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self._cell = False
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._cell = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def test_the_signal_list_reads_back_from_sheet_and_page(tmp_path: Path) -> None:
    files = Iec104Documents(plan(SMALL), CATALOGUE, "hilltop").write(tmp_path)
    assert [file.name for file in files] == [
        "interoperability.html",
        "signals-sldc_main.html",
        "signals-sldc_main.xlsx",
    ]
    book = load_workbook(files[2])
    heading, *rows = book["signals"].iter_rows(values_only=True)
    assert list(heading) == [name for name, _, _ in COLUMNS]
    fault, power, limit = (dict(zip(heading, row, strict=True)) for row in rows)
    assert (power["point"], power["unit"], power["ca"], power["ioa"]) == ("pcs/power", "kW", 7, 70_001)
    assert power["ioa octets"] == "1.17.113"
    assert (power["event or command type"], power["interrogated type"]) == ("M_ME_TD_1", "M_ME_NA_1")
    assert (power["deadband"], power["cyclic s"], power["group"]) == (2.5, 10, None)
    assert (power["low"], power["high"]) == (-500, 500)
    assert power["scale"] == "-32768 = -500 kW, 32767 = 500 kW"
    assert (fault["group"], fault["deadband"]) == (2, None)
    assert fault["description"] == "=SUM(A1) is text,   is no bell, <b> no tag"
    assert (limit["command mode"], limit["feedback"]) == ("direct or select", "pcs/power")
    assert limit["interrogated type"] is None
    page = _Page(files[1].read_text())
    assert [row[0] for row in page.rows] == ["point", "pcs/fault", "pcs/power", "pcs/limit"]
    assert page.rows[1][1].endswith("<b> no tag")
    statement_page = _Page(files[0].read_text())
    assert ["k", "12 APDUs"] in [row[:2] for row in statement_page.rows]


def test_a_list_of_more_than_65_536_points_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(path: Path, columns: list[Column], rows: Iterator[list[Cell]], *rest: Any) -> Path:
        """Point and address only: what counts here are rows, and each cell takes its time."""
        return write_workbook(path, [columns[0], columns[5]], ([row[0], row[5]] for row in rows), *rest)

    monkeypatch.setattr(documents, "write_workbook", narrow)
    count = 66_000
    points = PointCatalogue.of(
        [Point(row=row, name=f"unit/p{row}", kind=Kind.ANALOG, unit="V") for row in range(count)]
    )
    columns = BindingColumns(
        row=np.arange(count, dtype=np.uint32),
        ca=np.ones(count, np.uint16),
        ioa=np.arange(1, count + 1, dtype=np.uint32),
        event_type=np.full(count, 36, np.uint8),
        static_type=np.full(count, 13, np.uint8),
        group=np.zeros(count, np.uint8),
        limit=np.full(count, NAN),
        cyclic_s=np.zeros(count, np.float32),
        mode=np.zeros(count, np.uint8),
    )
    _, page, sheet = Iec104Documents(plan(columns), points, "hilltop").write(tmp_path)
    assert page.read_text().count("<tr>") == count + 1
    with ZipFile(sheet) as book:
        cells = book.read("xl/worksheets/sheet1.xml")
    assert cells.count(b"<row ") == count + 1
    last = cells[cells.rindex(b"<row ") :]
    assert f"unit/p{count - 1}<".encode() in last and f"<v>{count}</v>".encode() in last
