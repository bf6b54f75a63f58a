"""Documents of one server, from its plan: the interoperability statement and a signal list per master. Writes files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from gateway.points import PointCatalogue
from protocols.iec104.interoperability import Box, Section, Table, statement
from protocols.iec104.plan import MasterPlan, ServerPlan
from protocols.iec104.signallist import COLUMNS, Cell, signals

SHEET_ROWS: Final = 1_048_575
"""Rows that a sheet of a workbook holds below its heading."""

_STYLE: Final = """
body { font: 10pt/1.35 sans-serif; color: #000; margin: 2em; max-width: 70em }
h1 { font-size: 16pt } h2 { font-size: 12pt; margin: 1.4em 0 .3em; break-after: avoid }
p { margin: .2em 0 } ul { list-style: none; margin: 0; padding: 0 } li { break-inside: avoid }
li .tick { display: inline-block; width: 1.6em } li.no { color: #555 } .note { color: #555 }
table { border-collapse: collapse; margin: .4em 0 } tr { break-inside: avoid }
th, td { border: 1px solid #888; padding: .1em .4em; text-align: left; vertical-align: top }
thead { display: table-header-group } th { background: #eee } .list { font-size: 8pt }
@media print { body { margin: 0; max-width: none } @page { margin: 15mm } }
"""


class Iec104Documents:
    """Implements `gateway.contracts.DocumentWriter`. `site` is the site's name."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, site: str) -> None:
        self._plan, self._catalogue, self._site = plan, catalogue, site

    def write(self, folder: Path) -> list[Path]:
        """Write everything into `folder`; returns the files written. Raises `OSError`."""
        files = [self._statement(folder / "interoperability.html")]
        for master in self._plan.masters:
            stem = f"signals-{_file_name(master.name)}"
            files.append(self._page(master, folder / f"{stem}.html"))
            files.append(self._workbook(master, folder / f"{stem}.xlsx"))
        return files

    def _statement(self, path: Path) -> Path:
        title = f"Interoperability statement: {self._site}, server {self._plan.name}"
        intro = (
            "IEC 60870-5-104, controlled station, in the order of clause 9 of the standard. A ticked box is what this "
            "station does: the boxes were filled by asking the station program itself, set as this server is."
        )
        _write(path, title, [f"<p>{escape(intro)}</p>\n", *map(_section, statement(self._plan))])
        return path

    def _page(self, master: MasterPlan, path: Path) -> Path:
        heading = "".join(f"<th>{escape(name)}</th>" for name, _, _ in COLUMNS)
        rows = (
            "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>\n"
            for row in signals(master, self._catalogue)
        )
        body: Iterable[str] = (
            part
            for parts in (
                (f"<p>{escape(self._about(master))}</p>\n",),
                (f'<table class="list"><thead><tr>{heading}</tr></thead>\n<tbody>\n',),
                rows,
                ("</tbody></table>\n",),
            )
            for part in parts
        )
        _write(path, self._title(master), body)
        return path

    def _workbook(self, master: MasterPlan, path: Path) -> Path:
        """Row by row to disk: a list of any length needs the memory of one row."""
        book = Workbook(write_only=True)
        rows = signals(master, self._catalogue)
        number = 0
        while number == 0 or number * SHEET_ROWS < len(master.bindings):
            number += 1
            _sheet(book, "signals" if number == 1 else f"signals {number}", islice(rows, SHEET_ROWS))
        about = book.create_sheet("about")
        about.column_dimensions["A"].width = 100
        for line in (self._title(master), self._about(master)):
            about.append([_cell(about, line)])
        book.save(path)
        return path

    def _title(self, master: MasterPlan) -> str:
        return f"Signal list: {self._site}, server {self._plan.name}, master {master.name}"

    def _about(self, master: MasterPlan) -> str:
        return (
            f"{len(master.bindings)} points over IEC 60870-5-104 at {self._plan.host} port {self._plan.port}; time "
            f"tags in {self._plan.time_zone}; this master {'may' if master.commands else 'may not'} command. "
            "A deadband is in the point's unit: a change is told when it differs by more than that from what was told "
            "last. An empty deadband tells every change."
        )


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _sheet(book: Any, title: str, rows: Iterable[list[Cell]]) -> None:
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "B2"
    for number, (_, width, _) in enumerate(COLUMNS, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.append([_heading(sheet, name) for name, _, _ in COLUMNS])
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the count is what remains
        sheet.append([_cell(sheet, cell) for cell in row])
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(COLUMNS))}{count + 1}"


def _heading(sheet: Any, name: str) -> Any:
    cell = WriteOnlyCell(sheet, name)
    cell.font = Font(bold=True)
    return cell


def _cell(sheet: Any, value: Cell) -> Any:
    """Text stays text: a description that begins with = is no formula, and control characters do not fit a sheet."""
    if not isinstance(value, str):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub(" ", value)
    if not text.startswith("="):
        return text
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    return cell


def _text(cell: Cell) -> str:
    return "" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell)


def _write(path: Path, title: str, parts: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n')
        file.write(f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n")
        file.writelines(parts)
        file.write("</body></html>\n")


def _section(section: Section) -> str:
    return "".join(_section_parts(section))


def _section_parts(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>\n"
    if section.text:
        yield f"<p>{escape(section.text)}</p>\n"
    if section.boxes:
        yield "<ul>\n"
        yield from map(_box, section.boxes)
        yield "</ul>\n"
    if section.table is not None:
        yield from _table(section.table)


def _box(box: Box) -> str:
    note = f' <span class="note">({escape(box.note)})</span>' if box.note else ""
    state, tick = ("yes", "☒") if box.ticked else ("no", "☐")
    return f'<li class="{state}"><span class="tick">{tick}</span>{escape(box.text)}{note}</li>\n'


def _table(table: Table) -> Iterator[str]:
    yield (
        "<table><thead><tr>"
        + "".join(f"<th>{escape(name)}</th>" for name in table.heading)
        + "</tr></thead>\n<tbody>\n"
    )
    for row in table.rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
    yield "</tbody></table>\n"
