"""Workbooks of any length, for lists of points. Writes files.

Kept apart from `gateway.contracts.documents`: its library takes long to load, and pages are written by processes that
never write a workbook.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from gateway.contracts.documents import Cell, Column

SHEET_ROWS: Final = 1_048_575
"""Rows that a sheet of a workbook holds below its heading."""


def write_workbook(
    path: Path, columns: list[Column], rows: Iterator[list[Cell]], count: int, about: Iterable[str]
) -> Path:
    """`count` rows to disk one by one: a list of any length needs the memory of one row. Raises `OSError`."""
    book = Workbook(write_only=True)
    number = 0
    while number == 0 or number * SHEET_ROWS < count:
        number += 1
        _sheet(book, "signals" if number == 1 else f"signals {number}", columns, islice(rows, SHEET_ROWS))
    sheet = book.create_sheet("about")
    sheet.column_dimensions["A"].width = 100
    for line in about:
        sheet.append([_cell(sheet, line)])
    book.save(path)
    return path


def _sheet(book: Any, title: str, columns: list[Column], rows: Iterable[list[Cell]]) -> None:
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "B2"
    for number, (_, width) in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.append([_heading(sheet, name) for name, _ in columns])
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the count is what remains
        sheet.append([_cell(sheet, cell) for cell in row])
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{count + 1}"


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
