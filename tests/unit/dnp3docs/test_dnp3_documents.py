"""What the DNP3 documents say is what the outstation does, and what the map says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from openpyxl import load_workbook

from protocols.dnp3.deviceprofile import implementation, settings
from protocols.dnp3.documents import Dnp3Documents
from protocols.dnp3.examination import ANSWERED_AS, Findings, examine
from protocols.dnp3.function import Function
from protocols.dnp3.objecttable import OBJECTS
from protocols.dnp3.plan import UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType
from protocols.dnp3.profilexml import NAMESPACE
from protocols.dnp3.requests import HANDLERS
from protocols.dnp3.signallist import COLUMNS, signals
from tests.kit.dnp3kit import BOTH, POINTS, Row, columns, master, plan, site

NAN = float("nan")
TAGS = {"p": NAMESPACE}
MAIN = master(
    unsolicited=UnsolicitedPlan(classes=(1, 2)),
    bindings=columns(
        [
            Row(row=0, type=PointType.AI, index=4, event_class=2, event_var=7, limit=2.5, scale=0.1),
            Row(row=2, type=PointType.BI, index=0, event_class=1, event_var=2),
            Row(row=4, type=PointType.CTR, index=9, event_class=3),
            Row(row=4, type=PointType.FCTR, index=9),
            Row(row=6, type=PointType.BO, index=1, mode=int(BOTH), controls=1, command_event_var=2, event_class=1),
            Row(row=5, type=PointType.AO, index=0, mode=1, class_0=False),
        ]
    ),
)
PLAN = plan(MAIN, listen=("10.0.0.1", 20_000))


@pytest.fixture(scope="module")
def findings() -> Findings:
    return examine(MAIN)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    written = Dnp3Documents(PLAN, POINTS, "plant <1>").write(tmp_path_factory.mktemp("papers"))
    return {path.name: path for path in written}


def test_the_examination_found_what_the_handlers_carry_out(findings: Findings) -> None:
    refused = {Function.COLD_RESTART, Function.WARM_RESTART}
    assert findings.functions == set(HANDLERS) - refused, "a restart is not allowed by this plan"
    assert {HANDLERS[silent] is HANDLERS[answered] for silent, answered in ANSWERED_AS.items()} == {True}


def test_every_static_and_event_variation_was_seen_in_an_answer(findings: Findings) -> None:
    told = {key for key, functions in findings.responses.items() if Function.RESPONSE in functions}
    wanted = {key for key, row in OBJECTS.items() if row.event or row.kind.value in ("static", "command", "deadband")}
    assert wanted - told == set()


def test_what_a_plan_does_not_allow_is_not_in_the_table() -> None:
    poor = examine(replace(MAIN, commands=False, unsolicited=None))
    assert (12, 1) not in poor.requests
    assert not poor.functions & {Function.ENABLE_UNSOLICITED, Function.DISABLE_UNSOLICITED, Function.SELECT}
    restarting = examine(replace(MAIN, parameters=replace(MAIN.parameters, restart=True)))
    assert Function.COLD_RESTART in restarting.bare


def test_the_server_answers_as_the_table_says(findings: Findings) -> None:
    """A sample of reads, put to the real server over TCP, both of what is in the table and of what is not."""

    async def ask() -> None:
        async with site() as running:
            main = await running.connect()
            for group, variation in ((30, 5), (30, 7), (1, 2), (12, 1), (60, 2), (50, 1), (32, 7), (40, 9)):
                response = await main.ask(Function.READ, f"{group:02x}{variation:02x}06")
                if response.con:
                    await main.confirm(response)
                listed = 0x06 in findings.requests.get((group, variation), {}).get(Function.READ, set())
                assert bool(response.iin & 0x0700) is not listed, (group, variation)

    asyncio.run(ask())


def test_a_row_for_each_function_with_request_and_response(findings: Findings) -> None:
    rows = [row for row in implementation(findings) if row.key == (12, 1)]
    assert [row.request for row in rows] == [(code, (0x17, 0x28)) for code in (3, 4, 5, 6)]
    assert rows[0].response == (129, (0x17, 0x28))
    assert rows[0].description == "control relay output block"


def test_settings_are_those_of_the_plan() -> None:
    said = {setting.element: setting.said for setting in settings(PLAN, MAIN, "plant")}
    assert said["dataLinkAddress"] == "10" and said["expectedSourceAddress"] == "1"
    assert said["tcpListenPort"] == "20000"
    assert said["supportsUnsolicitedReporting"] == "on, classes 1, 2, once enabled"
    quiet = replace(MAIN, unsolicited=None, commands=False, addresses=(), dial=("10.0.0.9", 20_001))
    said = {setting.element: setting.said for setting in settings(replace(PLAN, listen=None), quiet, "plant")}
    assert said["supportsUnsolicitedReporting"] == "off"
    assert said["typeOfEndPoint"] == "tcpInitiating"
    assert "maxObjectsInCROBControlRequest" not in said


def found(node: Any, path: str) -> list[str]:
    return [element.text or "" for element in node.findall("/".join(f"p:{name}" for name in path.split("/")), TAGS)]


def test_the_xml_profile_holds_table_and_points(papers: dict[str, Path]) -> None:
    root = ElementTree.parse(papers["device-profile-main.xml"]).getroot()
    assert root.tag == f"{{{NAMESPACE}}}DNP3DeviceProfileDocument"
    device = root.find("p:referenceDevice", TAGS)
    assert found(device, "configuration/linkConfig/dataLinkAddress/currentValue/value") == ["10"]
    assert found(device, "dataPointsList/analogInputPoints/dataPoints/analogInput/name") == ["power"]
    assert found(device, "dataPointsList/analogInputPoints/dataPoints/analogInput/scaleFactor") == ["0.1"]
    assert found(device, "dataPointsList/counterPoints/dataPoints/counter/frozenCounterExists") == ["true"]
    operations = device.find(  # type: ignore[union-attr]
        "p:dataPointsList/p:binaryOutputPoints/p:dataPoints/p:binaryOutput/p:supportedControlOperations", TAGS
    )
    assert [child.tag.partition("}")[2] for child in operations] == [  # type: ignore[union-attr]
        "supportSelectOperate",
        "supportDirectOperate",
        "supportDirectOperateNoAck",
        "supportLatchOn",
        "supportLatchOff",
    ]
    groups = found(device, "implementationTable/table/supportedVariation/objectGroup")
    assert {"1", "12", "30", "41", "60", "80"} <= set(groups)


class _Words(HTMLParser):
    """Text of a page, and whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_html_profile_is_whole_and_fetches_nothing(papers: dict[str, Path]) -> None:
    page = papers["device-profile-main.html"].read_text()
    read = _Words(page)
    assert not [tag for tag in read.open if tag != "p"] and "http" not in page and "<1>" not in page
    assert {"g12v1", "control relay output block", "1 read", "plant <1>"} <= {
        word for text in read.words for word in (text, text.partition(": ")[2].partition(",")[0])
    }


def test_the_signal_list_says_what_the_map_says(papers: dict[str, Path]) -> None:
    sheet = load_workbook(papers["signals-main.xlsx"])["signals"]
    heading, *rows = list(sheet.iter_rows(values_only=True))
    assert heading == tuple(name for name, _, _ in COLUMNS)
    listed = [dict(zip(heading, row, strict=True)) for row in rows]
    assert [(row["type"], row["index"]) for row in listed] == [
        ("BI", 0),
        ("BO", 1),
        ("CTR", 9),
        ("FCTR", 9),
        ("AI", 4),
        ("AO", 0),
    ]
    power = next(row for row in listed if row["type"] == "AI")
    assert (power["static"], power["event"], power["deadband"], power["scale"]) == ("g30v5", "g32v7", 2.5, 0.1)
    run = next(row for row in listed if row["type"] == "BO")
    assert (run["command mode"], run["controls"], run["command event"]) == ("direct or select", "latch", "g13v2")
    setpoint = next(row for row in listed if row["type"] == "AO")
    assert (setpoint["class 0"], setpoint["event"], setpoint["feedback"]) == ("no", None, None)
    assert len(list(signals(MAIN, POINTS))) == len(MAIN.bindings)
