"""`gridgate trace` without a gateway: whose traffic is meant, and what is said when nobody serves it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import trace as command
from gateway.cli.session import NotRunningError
from gateway.cli.trace import TraceOptions, find_master, trace
from gateway.points import PointCatalogue
from gateway.site.plan import ServerEntry, SitePlan
from gateway.tracing.reader import TraceError
from tests.kit.iec104kit import main_master, plan

FRAME = "680407000000"


def entry(name: str, *masters: str) -> ServerEntry:
    made = plan(*(main_master(name=master) for master in masters), time_zone="Asia/Kolkata")
    return ServerEntry(
        name=name, protocol="iec104", listen="127.0.0.1:2404", plan=made, masters=list(masters), bindings={}
    )


@pytest.fixture
def site(tmp_path: Path) -> SitePlan:
    return SitePlan(
        name="hill",
        path=tmp_path / "site.yaml",
        state_dir=tmp_path / "state",
        catalogue=PointCatalogue.of([]),
        servers=[entry("sldc", "main", "backup"), entry("rldc", "main")],
    )


def test_a_master_is_found_by_its_name_or_with_its_server(site: SitePlan) -> None:
    assert find_master(site, "backup") == (site.servers[0], "backup")
    assert find_master(site, "rldc/main") == (site.servers[1], "main")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("main", "there are 2 masters main: write sldc/main or rldc/main"),
        ("bakcup", "did you mean backup?"),
        ("sldc/mian", "did you mean sldc/main?"),
        ("x", "this site has sldc/main, sldc/backup, rldc/main"),
    ],
)
def test_a_master_that_is_not_clear_is_asked_for(site: SitePlan, name: str, words: str) -> None:
    with pytest.raises(TraceError) as caught:
        find_master(site, name)
    assert words in str(caught.value)


def test_nobody_serves(site: SitePlan) -> None:
    with pytest.raises(NotRunningError, match="server sldc does not run"):
        trace(site, TraceOptions(master="backup"))


def test_a_capture_that_cannot_be_written(site: SitePlan, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(site, TraceOptions(master="backup", pcap="/nowhere/x.pcap")) == 1
    assert "/nowhere/x.pcap" in capsys.readouterr().err


class FakeWorker:
    """Plays the lines that a worker would send."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *lines: dict[str, Any], interrupted: bool = False) -> None:
        def read(*_: object) -> Any:
            yield from lines
            if interrupted:
                raise KeyboardInterrupt

        monkeypatch.setattr(command, "lines", read)


LINK = {"link": 3, "local": ["127.0.0.1", 2404], "peer": ["::1", 40_001], "whole": True}
AT = 1_700_000_000_123_000_000
OPENED = {"link": 3, "time_ns": AT, "is": "opened", "out": False, "data": ""}
DATA = {"link": 3, "time_ns": AT, "is": "data", "out": False, "data": FRAME}
CLOSED = {"link": 3, "time_ns": AT, "is": "closed", "out": True, "data": ""}


def test_lines_for_a_person_in_the_time_of_the_site(
    site: SitePlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch, {"dropped": 12}, LINK, OPENED, DATA, CLOSED)
    assert trace(site, TraceOptions(master="backup")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "-- 12 older records are no longer held",
        "03:43:20.123 == link 3 from [::1]:40001 connected, 2023-11-15 Asia/Kolkata",
        "03:43:20.123 3 <- U STARTDT act",
        "03:43:20.123 == link 3 from [::1]:40001 closed by the gateway",
    ]


def test_json_for_a_program(
    site: SitePlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch, LINK, OPENED, DATA, CLOSED)
    assert trace(site, TraceOptions(master="backup", as_json=True)) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "time_ns": AT,
        "link": 3,
        "peer": "[::1]:40001",
        "outgoing": False,
        "data": FRAME,
        "text": "U STARTDT act",
    }


def test_what_was_lost_is_told_beside_json_and_capture_too(
    site: SitePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch, {"dropped": 12}, LINK, DATA)
    assert trace(site, TraceOptions(master="backup", as_json=True, pcap=str(tmp_path / "x.pcap"))) == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[0]) == {"dropped": 12}
    assert "12 older records are no longer held" in said.err


def test_a_link_without_its_beginning_is_introduced(
    site: SitePlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch, LINK | {"whole": False}, DATA)
    trace(site, TraceOptions(master="backup"))
    assert "its beginning is no longer held" in capsys.readouterr().out


def test_nothing_held_is_said(
    site: SitePlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch)
    assert trace(site, TraceOptions(master="backup")) == 0
    assert "has not been connected" in capsys.readouterr().err


def test_ctrl_c_is_the_orderly_end_of_following_and_the_capture_is_whole(
    site: SitePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch, LINK, OPENED, DATA, interrupted=True)
    assert trace(site, TraceOptions(master="backup", follow=True, pcap=str(tmp_path / "x.pcap"))) == 0
    assert bytes.fromhex(FRAME) in (tmp_path / "x.pcap").read_bytes()


def test_a_capture_alone_on_standard_output(site: SitePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    class Output:
        buffer = io.BytesIO()

        def flush(self) -> None:
            pass

    FakeWorker(monkeypatch, LINK, OPENED, DATA)
    monkeypatch.setattr("sys.stdout", Output())
    assert trace(site, TraceOptions(master="backup", pcap="-")) == 0
    assert Output.buffer.getvalue()[:4] == bytes.fromhex("4d3cb2a1")


def test_the_end_of_the_server_ends_following_with_a_word(
    site: SitePlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch, LINK, OPENED)
    assert trace(site, TraceOptions(master="backup", follow=True)) == 1
    assert "the server has ended" in capsys.readouterr().err


def test_a_word_of_refusal_is_passed_on(
    site: SitePlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeWorker(monkeypatch, {"error": "8 readers are served already"})
    assert trace(site, TraceOptions(master="backup")) == 1
    assert capsys.readouterr().err == "gridgate: 8 readers are served already\n"
