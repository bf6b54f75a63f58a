"""Pointmap files (CSV) as they come from Excel, with the row of everything. Pure: text in, cells out.

A file may begin with a line ``sep=;``, use ``,`` or ``;``, and carry empty rows and rows whose first cell begins
with ``#``. Rows are counted as a spreadsheet shows them, all of them. Column names do not mind case.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.contracts.places import Place, Report, nearest

_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class PointMap:
    """The cells of one file. `rows` are (row number, cell by column name), blank cells left out."""

    file: str
    columns: tuple[str, ...]
    heading: int
    rows: list[tuple[int, dict[str, str]]]
    semicolons: bool

    @property
    def heading_place(self) -> Place:
        return self.place(self.heading)

    def place(self, row: int) -> Place:
        return Place(self.file, row, row=True)


class _Lines:
    """Lines for the CSV reader, comment lines emptied. Inside a quoted cell nothing is a comment."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.fresh = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        fresh, self.fresh = self.fresh, False
        return "\n" if fresh and line.lstrip().startswith("#") else line


def parse_map(text: str, file: str, report: Report) -> PointMap | None:
    """Cells of a CSV text; None (and problems in `report`) when it has no usable heading or is not CSV."""
    delimiter = _delimiter(text)
    records = _records(text, delimiter, file, report)
    heading = next(records, None)
    if heading is not None and heading[1][0].lower().startswith("sep="):
        heading = next(records, None)
    if heading is None:
        if not report.problems or report.problems[-1].place.file != file:
            report.error(Place(file), "the file is empty: a heading with column names was expected")
        return None
    number, names = heading
    columns = tuple(name.lower() for name in names)
    if not _heading_is_sound(columns, Place(file, number, row=True), report):
        return None
    rows = [(row, _cells(columns, cells, Place(file, row, row=True), report)) for row, cells in records]
    return PointMap(file, columns, number, rows, delimiter == ";")


def _delimiter(text: str) -> str:
    """The one that is more frequent in the first line that says something."""
    for line in io.StringIO(text):
        if line.strip() and not line.lstrip().startswith("#"):
            if line.lower().startswith("sep="):
                return ";" if ";" in line else ","
            return ";" if line.count(";") > line.count(",") else ","
    return ","


def _records(text: str, delimiter: str, file: str, report: Report) -> Iterator[tuple[int, list[str]]]:
    """(row number, stripped cells) of every row that is neither empty nor a comment."""
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        lines.fresh = True
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            report.error(Place(file, number, row=True), _csv_words(str(error)))
            return
        cells = [cell.strip() for cell in record]
        if any(cells) and not cells[0].startswith("#"):
            yield number, cells


def _csv_words(message: str) -> str:
    table = {
        "unexpected end of data": "a quote opened here is never closed",
        "expected after": "text stands behind a closing quote (a quote inside a cell is written twice)",
        "field larger": "a cell is longer than 131072 characters (a quote that is never closed?)",
        "NUL": "a NUL character stands here: this is not a CSV file in UTF-8",
    }
    return next((words for sign, words in table.items() if sign in message), f"not readable as CSV: {message}")


def _heading_is_sound(columns: tuple[str, ...], place: Place, report: Report) -> bool:
    doubles = sorted({name for name in columns if name and columns.count(name) > 1})
    for name in doubles:
        report.error(place.at(name), "the column stands twice in the heading")
    return not doubles


def _cells(columns: tuple[str, ...], cells: list[str], place: Place, report: Report) -> dict[str, str]:
    found = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
    stray = found.pop("", "") or next(filter(None, cells[len(columns) :]), "")
    if stray:
        report.error(place, f'"{stray[:40]}" has no column name above it in the heading (one separator too many?)')
    return found


def check_columns(found: PointMap, known: Iterable[str], needed: Iterable[str], report: Report) -> bool:
    """Unknown and missing columns, once per file. True when none is wrong."""
    known = list(known)
    problems = len(report.problems)
    for name in found.columns:
        if name and name not in known:
            report.error(found.heading_place.at(name), f"unknown column {name[:40]}{nearest(name, known)}")
    for name in needed:
        if name not in found.columns:
            report.error(found.heading_place, f"the column {name} is missing")
    return len(report.problems) == problems


def with_decimal_points(cells: Mapping[str, str], numeric: Container[str]) -> dict[str, str]:
    """``0,1`` as ``0.1`` in the numeric columns (for files with ``;``)."""
    return {
        name: cell.replace(",", ".") if name in numeric and _DECIMAL_COMMA.fullmatch(cell) else cell
        for name, cell in cells.items()
    }
