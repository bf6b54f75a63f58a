"""Excursions of the frequency that the core kept, and reports of droop tests: lists and pages. Reads files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from gateway.control.evidence.analysis import analyse
from gateway.control.evidence.files import ExcursionFileError, StoredExcursion, folder, load
from hmi.endpoint import Answer
from hmi.refusal import Refusal

LISTED: Final = 200
_REMEMBERED: Final = 1_000


class ExcursionRow(Answer):
    """Numbers that an excursion does not allow are null. `problem`: its file cannot be read, and why."""

    name: str
    unit: str = ""
    test: bool = False
    start_ms: float = 0.0
    outside_s: float = 0.0
    lowest_hz: float | None = None
    highest_hz: float | None = None
    largest_kw: float | None = None
    to_90_percent_s: float | None = None
    delivered_percent: float | None = None
    problem: str = ""


class ExcursionList(Answer):
    excursions: list[ExcursionRow]
    kept: int
    """How many there are; the newest are listed."""
    reports: list[str]
    """Of droop tests, the newest first."""


class Evidence:
    """Findings are remembered: a file is not read twice."""

    def __init__(self, state_dir: Path) -> None:
        self._folder, self.reports = folder(state_dir), state_dir / "control" / "drooptests"
        self._rows: dict[str, ExcursionRow] = {}

    def list(self) -> ExcursionList:
        """The newest first."""
        paths = sorted(self._folder.glob("*.npz"), reverse=True)
        if len(self._rows) > _REMEMBERED:
            self._rows.clear()
        rows = [self._row(path) for path in paths[:LISTED]]
        reports = sorted((path.stem for path in self.reports.glob("*.html")), reverse=True)
        return ExcursionList(excursions=rows, kept=len(paths), reports=reports[:LISTED])

    def _row(self, path: Path) -> ExcursionRow:
        known = self._rows.get(path.stem)
        if known is not None:
            return known
        try:
            row = _found(path.stem, load(path))
        except ExcursionFileError as error:
            return ExcursionRow(name=path.stem, problem=str(error))
        self._rows[path.stem] = row
        return row

    def page(self, name: str) -> str:
        """The report of one excursion. Raises `Refusal`."""
        from gateway.control.evidence.report import write_report  # noqa: PLC0415 - loads what writes workbooks

        path = self._folder / f"{name}.npz"
        if not path.is_file():
            raise Refusal(404, f"there is no excursion {name}")
        try:
            stored = load(path)
        except ExcursionFileError as error:
            raise Refusal(409, str(error)) from None
        with tempfile.TemporaryDirectory() as made:
            return write_report(Path(made) / "report.html", stored, stored.excursion.unit).read_text("utf-8")

    def report(self, name: str) -> str:
        """The report of one droop test. Raises `Refusal`."""
        try:
            return (self.reports / f"{name}.html").read_text("utf-8")
        except OSError:
            raise Refusal(404, f"there is no report {name}") from None


def _found(name: str, stored: StoredExcursion) -> ExcursionRow:
    found, excursion = analyse(stored.excursion, stored.grounds), stored.excursion
    return ExcursionRow(
        name=name,
        unit=excursion.unit,
        test=excursion.test,
        start_ms=excursion.start_ns / 1e6,
        outside_s=found.duration_s,
        lowest_hz=found.lowest_hz,
        highest_hz=found.highest_hz,
        largest_kw=found.largest_expected_kw,
        to_90_percent_s=found.to_90_percent_s,
        delivered_percent=found.delivered_percent,
    )
