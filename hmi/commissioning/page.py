"""The FAT or SAT sheet as a page to be printed: names, times, values, verdicts, and the frames on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

from gateway.contracts.documents import Section, Table, paragraph, section_text, write_page
from hmi.commissioning.sheet import Drive, Item, Sheet, Verdict

_WORDS = {
    Verdict.OPEN: "open",
    Verdict.PASSED: "passed",
    Verdict.FAILED: "FAILED",
    Verdict.SKIPPED: "not tested",
}
_HEADING = ("no", "address", "point", "tried", "sent", "seen by the master", "verdict", "by", "comment")


def write_sheet(path: Path, sheet: Sheet) -> Path:
    """Write the page. Raises `OSError`."""
    return write_page(path, f"{sheet.kind}: {sheet.title}", _parts(sheet))


def _parts(sheet: Sheet) -> Iterator[str]:
    counts = sheet.counts()
    yield section_text(Section("Test", table=Table(("", ""), _facts(sheet))))
    yield paragraph(", ".join(f"{number} {_WORDS[Verdict(name)]}" for name, number in counts.items() if number))
    yield section_text(
        Section("Points", table=Table(_HEADING, [_row(i, item) for i, item in enumerate(sheet.items, 1)]))
    )
    for report in sheet.reports:
        verdict = "passed" if report.passed else "FAILED"
        yield section_text(Section(f"{report.name}: {verdict}", text=f"{_stamp(report.time_ms)}, {report.by}"))
        yield f"<pre>{escape(report.text)}</pre>\n"
    yield section_text(Section("Frames", table=Table(("no", "time", "peer", "way", "frame", "octets"), _frames(sheet))))
    yield section_text(Section("Signatures", table=Table(("role", "name", "date and signature"), _signatures(sheet))))


def _facts(sheet: Sheet) -> list[tuple[str, ...]]:
    return [
        ("site", sheet.site),
        ("master", f"{sheet.server}/{sheet.master} ({sheet.protocol}, {sheet.listen})"),
        ("gateway", f"GridGate {sheet.version}"),
        ("begun", f"{_stamp(sheet.began_ms)} by {sheet.began_by}"),
        ("closed", f"{_stamp(sheet.closed_ms)} by {sheet.closed_by}" if sheet.closed_ms else "not yet"),
        ("remark", sheet.remark or "-"),
    ]


def _row(number: int, item: Item) -> tuple[str, ...]:
    last = item.drives[-1] if item.drives else None
    return (
        str(number),
        item.address,
        f"{item.point} {item.description}".strip(),
        "" if last is None else _tried(item, last),
        "" if last is None else (f"{sum(frame.out for frame in last.frames)} frames" if last.frames else "nothing"),
        item.seen,
        _WORDS[item.verdict],
        f"{item.by} {_stamp(item.time_ms)}" if item.time_ms else "",
        item.comment,
    )


def _tried(item: Item, drive: Drive) -> str:
    value = (
        "" if drive.value is None else f"{drive.value:g} {item.unit} ".rstrip() + (" (test) " if drive.test else " ")
    )
    return f"{value}{drive.outcome}, {_stamp(drive.time_ms)}"


def _frames(sheet: Sheet) -> list[tuple[str, ...]]:
    return [
        (
            str(number),
            _stamp(frame.time_ms),
            frame.peer,
            "to master" if frame.out else "from master",
            frame.text,
            frame.octets,
        )
        for number, item in enumerate(sheet.items, 1)
        for drive in item.drives
        for frame in drive.frames
    ]


def _signatures(sheet: Sheet) -> list[tuple[str, ...]]:
    return [("tester", sheet.tester, ""), ("at the master", sheet.operator, ""), ("witness", sheet.witness, "")]


def _stamp(time_ms: float) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1e3))
    return f"{moment}.{int(time_ms) % 1000:03d}"
