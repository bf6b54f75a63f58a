"""One row of a master's map while it is checked, and what all such rows have alike: for compilers of protocols."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gateway.contracts.places import Report
from gateway.contracts.settings import MasterRowSource
from gateway.points.model import Kind, PointCatalogue

Type = TypeVar("Type")
"""What a protocol knows of the type in the row."""


@dataclass(slots=True)
class MasterRow(Generic[Type]):
    """A row with its point's kind and range; what is wrong goes to `report`, at the row's column."""

    source: MasterRowSource
    type: Type
    kind: Kind
    low: float
    high: float
    report: Report

    @classmethod
    def of(cls, source: MasterRowSource, type_: Type, catalogue: PointCatalogue, report: Report) -> MasterRow[Type]:
        """The row of this source."""
        low, high = float(catalogue.low[source.row]), float(catalogue.high[source.row])
        return cls(source, type_, catalogue.kind(source.row), low, high, report)

    @property
    def settings(self) -> Any:
        """The cells, as the protocol's own model has them."""
        return self.source.settings

    @property
    def ranged(self) -> bool:
        """The point has a range: percent of it mean something."""
        return math.isfinite(self.low) and math.isfinite(self.high) and self.high > self.low

    def error(self, column: str, message: str) -> None:
        self.report.error(self.source.place.at(column), message)

    def warning(self, column: str, message: str) -> None:
        self.report.warning(self.source.place.at(column), message)

    def check_deadband(self, cannot: str) -> None:
        """The cells `deadband` and `deadband_percent`. `cannot`: why a row like this has none; empty where it may."""
        for column in ("deadband", "deadband_percent"):
            value = getattr(self.settings, column)
            if value is None:
                continue
            if not (math.isfinite(value) and value >= 0):
                self.error(column, f"{column} is {value:g}: 0 or more expected")
            elif cannot:
                self.error(column, f"{self.settings.point} is {cannot}")
        if self.settings.deadband is not None and self.settings.deadband_percent is not None:
            self.error("deadband_percent", "deadband and deadband_percent are both given: one expected")
        elif self.settings.deadband_percent is not None and not self.ranged:
            told = f"percent of what? {self.settings.point} needs low and high in its device map"
            self.error("deadband_percent", told)

    @property
    def limit(self) -> float:
        """The deadband in engineering units; NaN: none, every change is an event."""
        if self.settings.deadband_percent is not None and self.ranged:
            return float(max(0.0, self.settings.deadband_percent) / 100 * (self.high - self.low))
        return math.nan if self.settings.deadband is None else max(0.0, float(self.settings.deadband))


def ordered_columns(
    entries: list[tuple[float, ...]], columns: tuple[tuple[str, DTypeLike], ...], order: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    """Entries, in the order of `columns` (name, dtype), as one array a column, sorted by the keys of `order`."""
    names = [name for name, _ in columns]
    table = np.array(entries, np.float64).reshape(len(entries), len(columns))
    ordered = table[np.lexsort([table[:, names.index(key)] for key in reversed(order)])]
    return {name: ordered[:, i].astype(kind) for i, (name, kind) in enumerate(columns)}
