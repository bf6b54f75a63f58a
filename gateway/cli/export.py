"""`gridgate export`: recorded samples as CSV, Excel or Parquet. Reads the store, gateway running or not."""

from __future__ import annotations

import csv
import fnmatch
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.history.reader import HistoryReader
from gateway.history.rows import BUCKET_HEAD, SAMPLE_HEAD, bucket_rows, iso, sample_rows
from gateway.site.plan import SitePlan
from gateway.terminal import Progress

_MAX_BUCKETS: Final = 10_000_000


class ExportError(Exception):
    """It cannot be exported. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is exported: points by patterns, a range in ns, every sample or one row every `every_s`."""

    patterns: tuple[str, ...]
    start_ns: int
    end_ns: int
    format: str
    every_s: float | None
    out: Path | None


def export(plan: SitePlan, options: ExportOptions) -> int:
    """Write; the exit code. Raises `ExportError`, `DamagedHistory`, `OSError`."""
    if plan.history is None:
        raise ExportError("the site has no history: nothing is recorded")
    if options.format != "csv" and options.out is None:
        raise ExportError(f"{options.format} needs a file: --out FILE")
    try:
        reader = HistoryReader(plan.state_dir / plan.history.folder)
    except FileNotFoundError:
        raise ExportError(f"nothing has been recorded yet in {plan.state_dir / plan.history.folder}") from None
    try:
        names = _matching(reader, options.patterns)
        head = SAMPLE_HEAD if options.every_s is None else BUCKET_HEAD
        count = _WRITERS[options.format](options.out, head, _rows(reader, names, options))
    finally:
        reader.close()
    sys.stderr.write(f"{count:,} rows of {len(names):,} points\n")
    return 0


def _matching(reader: HistoryReader, patterns: tuple[str, ...]) -> list[str]:
    known = reader.names()
    chosen: dict[str, None] = {}
    for pattern in patterns:
        fits = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
        found = [name for name in known if fits(name)]
        if not found:
            raise ExportError(f"no point that was ever recorded is called {pattern}")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _rows(reader: HistoryReader, names: list[str], options: ExportOptions) -> Iterator[tuple[Any, ...]]:
    infos, start_ns, end_ns = reader.infos(), options.start_ns, options.end_ns
    count = 0 if options.every_s is None else _count(options, options.every_s)
    if options.every_s is not None:
        end_ns = start_ns + round(count * options.every_s * 1e9)
    on_terminal = options.out is None and sys.stdout.isatty()
    with Progress("export", len(names), shown=not on_terminal) as progress:
        for name in names:
            unit = infos[name].unit if name in infos else ""
            if options.every_s is None:
                yield from sample_rows(reader.range(name, start_ns, end_ns), name, unit)
            else:
                yield from bucket_rows(reader.buckets(name, start_ns, end_ns, count), name, unit)
            progress.step()


def _count(options: ExportOptions, every_s: float) -> int:
    count = math.ceil((options.end_ns - options.start_ns) / 1e9 / every_s) if every_s > 0 else 0
    if not 0 < count <= _MAX_BUCKETS:
        raise ExportError(f"every {every_s:g} s makes no sensible number of rows")
    return count


def _write_csv(out: Path | None, head: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> int:
    file = sys.stdout if out is None else out.open("w", newline="", encoding="utf-8")
    try:
        writer = csv.writer(file)
        writer.writerow(head)
        count = 0
        for count, (time_ns, *rest) in enumerate(rows, 1):  # noqa: B007 - the count is what remains
            writer.writerow((iso(time_ns), *("" if _nan(cell) else cell for cell in rest)))
    finally:
        if out is not None:
            file.close()
    return count


def _nan(cell: Any) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def _write_xlsx(out: Path | None, head: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> int:
    from openpyxl import Workbook  # noqa: PLC0415 - only where it is asked for

    from gateway.contracts.workbook import SHEET_ROWS  # noqa: PLC0415

    book = Workbook(write_only=True)
    count = 0
    sheet = None
    for count, (time_ns, *rest) in enumerate(rows, 1):
        if sheet is None or (count - 1) % SHEET_ROWS == 0:
            sheet = book.create_sheet(f"samples {count // SHEET_ROWS + 1}")
            sheet.append(head)
        sheet.append((iso(time_ns), *(None if isinstance(c, float) and not math.isfinite(c) else c for c in rest)))
    if sheet is None:
        book.create_sheet("samples 1").append(head)
    book.save(out)
    return count


def _write_parquet(out: Path | None, head: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> int:
    try:
        import pyarrow  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise ExportError("Parquet needs pyarrow, which is not installed: pip install 'gridgate[parquet]'") from None
    count, writer = 0, None
    try:
        while chunk := [row for _, row in zip(range(200_000), rows, strict=False)]:
            columns = dict(zip(head, map(list, zip(*chunk, strict=True)), strict=True))
            columns["time"] = pyarrow.array(np.array(columns["time"], np.int64)).cast(pyarrow.timestamp("ns", "UTC"))
            table = pyarrow.table(columns)
            writer = writer or pyarrow.parquet.ParquetWriter(out, table.schema, compression="zstd")
            writer.write_table(table)
            count += len(chunk)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise ExportError("there is nothing in this range")
    return count


_WRITERS: Final = {"csv": _write_csv, "xlsx": _write_xlsx, "parquet": _write_parquet}
