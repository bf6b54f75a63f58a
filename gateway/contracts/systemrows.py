"""The system points that tell of one master: whether it is there, what waits for it, what it lost. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.points.model import NO_ROW, PointCatalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterSystemRows:
    """Their table rows; `NO_ROW` where there is none."""

    online: int = NO_ROW
    events_waiting: int = NO_ROW
    events_lost: int = NO_ROW
    overflow: int = NO_ROW

    @classmethod
    def of(cls, server: str, master: str, catalogue: PointCatalogue) -> MasterSystemRows:
        """Those that the site has for this master."""
        rows, at = catalogue.rows, f"system/master/{server}/{master}"
        return cls(**{name: rows.get(f"{at}/{name}", NO_ROW) for name in cls.__slots__})
