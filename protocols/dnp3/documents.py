"""Documents of one server, from its plan: device profile (HTML, XML) and signal list per master. Writes files."""

from __future__ import annotations

import datetime
from itertools import chain
from pathlib import Path
from typing import Final

from gateway.contracts.documents import (
    Column,
    Section,
    Table,
    file_name,
    list_parts,
    paragraph,
    section_text,
    write_page,
)
from gateway.contracts.workbook import write_workbook
from gateway.points import PointCatalogue
from protocols.dnp3 import function
from protocols.dnp3.deviceprofile import (
    SECTIONS,
    ImplementationRow,
    Setting,
    code_words,
    defaults,
    implementation,
    settings,
)
from protocols.dnp3.examination import Findings, examine
from protocols.dnp3.plan import MasterPlan, ServerPlan
from protocols.dnp3.pointtypes import TYPES
from protocols.dnp3.profilexml import profile_xml
from protocols.dnp3.signallist import COLUMNS, signals

_COLUMNS: Final[list[Column]] = [(name, width) for name, width, _ in COLUMNS]
_TABLE_HEADING: Final = ("object", "description", "request", "qualifiers", "response", "qualifiers")


class Dnp3Documents:
    """Implements `gateway.contracts.DocumentWriter`. `site` is the site's name."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, site: str) -> None:
        self._plan, self._catalogue, self._site = plan, catalogue, site

    def write(self, folder: Path) -> list[Path]:
        """Write everything into `folder`; returns the files written. Raises `OSError`."""
        files = []
        for master in self._plan.masters:
            name = file_name(master.name)
            files += self._profile(master, folder / f"device-profile-{name}")
            files.append(self._page(master, folder / f"signals-{name}.html"))
            files.append(self._workbook(master, folder / f"signals-{name}.xlsx"))
        return files

    def _profile(self, master: MasterPlan, stem: Path) -> list[Path]:
        findings = examine(master)
        told, rows = settings(self._plan, master, self._site), implementation(findings)
        intro = (
            "DNP3 (IEEE 1815-2012), outstation. The implementation table was filled by asking the outstation program "
            "itself, set as for this master; the other sections are its configuration."
        )
        parts = [*sections(master, told), *_implementation(rows, findings)]
        page = write_page(
            stem.with_name(f"{stem.name}.html"),
            f"DNP3 device profile: {self._site}, server {self._plan.name}, master {master.name}",
            [paragraph(intro), *map(section_text, parts)],
        )
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        xml = stem.with_name(f"{stem.name}.xml")
        xml.write_text(profile_xml(master, self._catalogue, told, rows, findings, date), encoding="utf-8")
        return [page, xml]

    def _page(self, master: MasterPlan, path: Path) -> Path:
        rows = list_parts(_COLUMNS, signals(master, self._catalogue))
        return write_page(path, self._title(master), chain((paragraph(self._about(master)),), rows))

    def _workbook(self, master: MasterPlan, path: Path) -> Path:
        about = (self._title(master), self._about(master))
        return write_workbook(path, _COLUMNS, signals(master, self._catalogue), len(master.bindings), about)

    def _title(self, master: MasterPlan) -> str:
        return f"Signal list: {self._site}, server {self._plan.name}, master {master.name}"

    def _about(self, master: MasterPlan) -> str:
        return (
            f"{len(master.bindings)} points over DNP3, outstation {master.outstation}, master {master.address}; times "
            f"in UTC; this master {'may' if master.commands else 'may not'} command. "
            "A deadband is in the point's unit: a change is told when it differs by more than that from what was told "
            "last. An empty deadband tells every change. The value in the point's unit is the number on the wire x "
            "scale + offset."
        )


def sections(master: MasterPlan, told: list[Setting]) -> list[Section]:
    """The configuration as a person reads it."""
    found = []
    for name, title in SECTIONS:
        rows = [(setting.title, setting.said) for setting in told if setting.section == name]
        if rows:
            found.append(Section(title, table=Table(("parameter", "as configured"), list(rows))))
    rows_of = [
        (
            TYPES[kind].words,
            str(count),
            ", ".join(f"g{TYPES[kind].static_group}v{number}" for number in statics),
            ", ".join(f"g{TYPES[kind].event_group}v{number}" for number in events),
        )
        for kind, count, statics, events in defaults(master)
    ]
    found.append(
        Section("Points", table=Table(("type", "points", "static variations", "event variations"), list(rows_of)))
    )
    return found


def _implementation(rows: list[ImplementationRow], findings: Findings) -> list[Section]:
    cells = []
    for row in rows:
        group, variation = row.key
        cells.append((f"g{group}v{variation}", row.description, *code_words(row.request), *code_words(row.response)))
    bare = ", ".join(f"{int(code)} {function.words(code)}" for code in findings.bare)
    text = f"Besides these, requests without objects: {bare}. Any other function is answered with IIN2.0."
    return [Section("Implementation table", text=text, table=Table(_TABLE_HEADING, list(cells)))]
