"""Documents of one server, from its plan: the interoperability statement and a signal list per master. Writes files."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Final

from gateway.contracts.documents import (
    Column,
    file_name,
    list_parts,
    paragraph,
    section_text,
    write_page,
)
from gateway.contracts.workbook import write_workbook
from gateway.points import PointCatalogue
from protocols.iec104.interoperability import statement
from protocols.iec104.plan import MasterPlan, ServerPlan
from protocols.iec104.signallist import COLUMNS, signals

_COLUMNS: Final[list[Column]] = [(name, width) for name, width, _ in COLUMNS]


class Iec104Documents:
    """Implements `gateway.contracts.DocumentWriter`. `site` is the site's name."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, site: str) -> None:
        self._plan, self._catalogue, self._site = plan, catalogue, site

    def write(self, folder: Path) -> list[Path]:
        """Write everything into `folder`; returns the files written. Raises `OSError`."""
        files = [self._statement(folder / "interoperability.html")]
        for master in self._plan.masters:
            stem = f"signals-{file_name(master.name)}"
            files.append(self._page(master, folder / f"{stem}.html"))
            files.append(self._workbook(master, folder / f"{stem}.xlsx"))
        return files

    def _statement(self, path: Path) -> Path:
        title = f"Interoperability statement: {self._site}, server {self._plan.name}"
        intro = (
            "IEC 60870-5-104, controlled station, in the order of clause 9 of the standard. A ticked box is what this "
            "station does: the boxes were filled by asking the station program itself, set as this server is."
        )
        return write_page(path, title, [paragraph(intro), *map(section_text, statement(self._plan))])

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
            f"{len(master.bindings)} points over IEC 60870-5-104 at {self._plan.host} port {self._plan.port}; time "
            f"tags in {self._plan.time_zone}; this master {'may' if master.commands else 'may not'} command. "
            "A deadband is in the point's unit: a change is told when it differs by more than that from what was told "
            "last. An empty deadband tells every change."
        )
