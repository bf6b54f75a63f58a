"""The report of an excursion as a page: findings, plots, settings."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path

from gateway.contracts.documents import Section, Table, paragraph, section_text, write_page
from gateway.control.evidence.analysis import Findings, analyse
from gateway.control.evidence.files import StoredExcursion, name_of
from gateway.svgplot import Line, plot


def write_report(path: Path, stored: StoredExcursion, site: str) -> Path:
    """Write the page. Raises `OSError`."""
    return write_page(path, f"Frequency excursion {name_of(stored.excursion)}", _parts(stored, site))


def _parts(stored: StoredExcursion, site: str) -> Iterator[str]:
    excursion, grounds = stored.excursion, stored.grounds
    samples = excursion.samples
    start = dt.datetime.fromtimestamp(excursion.start_ns / 1e9, dt.UTC)
    yield paragraph(
        f"Site {site}, unit {excursion.unit}, from {start:%Y-%m-%d %H:%M:%S.%f} UTC, {len(samples):,} cycles."
    )
    if excursion.test:
        yield paragraph("TEST: the frequency was a synthetic one, shown to the controller alone.")
    if excursion.continues:
        yield paragraph("It went on: the next file holds the rest.")
    yield section_text(Section("Findings", table=Table(("what", "found"), finding_rows(analyse(excursion, grounds)))))
    time_s = (samples["time_ns"] - samples["time_ns"][0]) / 1e9
    yield plot(
        "Frequency",
        time_s,
        [Line("frequency", samples["frequency_hz"])],
        "Hz",
        (grounds.band.low_hz, grounds.band.high_hz),
    )
    yield plot(
        "Active power, + export",
        time_s,
        [
            Line("measured", samples["measured_kw"]),
            Line("expected", samples["expected_kw"], dashed=True),
            Line("set-point", samples["setpoint_kw"]),
            Line("base", samples["base_kw"], dashed=True),
        ],
        "kW",
    )
    rows: list[tuple[str, ...]] = [(key, str(value)) for key, value in sorted(stored.settings.items())]
    yield section_text(
        Section("Settings that held", text=f"SHA-256 {stored.attestation}", table=Table(("key", "value"), rows))
    )


def finding_rows(found: Findings) -> list[tuple[str, ...]]:
    """What was found, for a person."""
    return [
        ("outside the dead band", f"{found.duration_s:.2f} s"),
        ("lowest and highest frequency", f"{found.lowest_hz:.3f} Hz, {found.highest_hz:.3f} Hz"),
        ("largest expected change", f"{found.largest_expected_kw:+.1f} kW"),
        ("reaction time (5 % of it)", _told(found.reaction_s, "s")),
        ("time to 90 %", _told(found.to_90_percent_s, "s")),
        ("droop seen", _told(found.droop_percent, "%")),
        ("energy expected", f"{found.expected_kwh:+.3f} kWh"),
        ("energy delivered", f"{found.delivered_kwh:+.3f} kWh ({_told(found.delivered_percent, '%')})"),
    ]


def _told(value: float, unit: str) -> str:
    return "not found" if math.isnan(value) else f"{value:.2f} {unit}"
