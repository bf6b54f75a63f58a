"""Points by name while control is compiled: found, of the right kind, or reported in their place."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.contracts import Place, Report
from gateway.points.model import NO_ROW, Kind, PointCatalogue
from gateway.site.points import SitePoints


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is known of the site's points."""

    points: SitePoints
    catalogue: PointCatalogue
    report: Report

    def row(self, name: str | None, place: Place, kinds: tuple[Kind, ...]) -> int:
        """The row; `NO_ROW` for no name, and for one that is wrong (reported)."""
        if name is None:
            return NO_ROW
        row = self.points.find(name, place)
        if row is None:
            return NO_ROW
        kind = self.catalogue.kind(row)
        if kind not in kinds:
            wanted = " or ".join(each.word for each in kinds)
            self.report.error(place, f"{name} is of kind {kind.word}: expected {wanted}")
            return NO_ROW
        return row
