"""What `gridgate docs` is written with: pages of sections and lists. Writes files.

Workbooks have a module of their own, `gateway.contracts.workbook`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import chain
from pathlib import Path
from typing import Final

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


Cell = str | int | float | None
"""None: empty."""
Column = tuple[str, int]
"""Heading, and width in characters."""


@dataclass(frozen=True, slots=True)
class Box:
    """One thing that can be ticked; `note` says more, for example by which masters it is used."""

    text: str
    ticked: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Heading and rows of text."""

    heading: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(slots=True)
class Section:
    """One section of the statement."""

    title: str
    boxes: list[Box] = field(default_factory=list)
    text: str = ""
    table: Table | None = None


def write_page(path: Path, title: str, parts: Iterable[str]) -> Path:
    """A page of HTML that needs nothing from elsewhere. Raises `OSError`."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n')
        file.write(f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n")
        file.writelines(parts)
        file.write("</body></html>\n")
    return path


def paragraph(text: str) -> str:
    """Text as a paragraph."""
    return f"<p>{escape(text)}</p>\n"


def list_parts(columns: Iterable[Column], rows: Iterable[list[Cell]]) -> Iterator[str]:
    """A long list as a table, row by row."""
    heading = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
    body = ("<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>\n" for row in rows)
    opened = f'<table class="list"><thead><tr>{heading}</tr></thead>\n<tbody>\n'
    return chain((opened,), body, ("</tbody></table>\n",))


def file_name(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _text(cell: Cell) -> str:
    return "" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell)


def section_text(section: Section) -> str:
    """One section of a page."""
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
