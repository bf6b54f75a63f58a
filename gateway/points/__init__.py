"""Points: model, quality, conversion, table, deadband, expressions."""

from gateway.points.change import CHANGE, Changes, Qualities, Rows, Times, Values, changes
from gateway.points.model import (
    DOUBLE_BAD,
    DOUBLE_INTERMEDIATE,
    DOUBLE_OFF,
    DOUBLE_ON,
    KIND_BY_WORD,
    NO_ROW,
    Kind,
    Point,
    PointCatalogue,
)
from gateway.points.quality import ALL_FLAGS, GOOD, UNUSABLE, Quality

__all__ = [
    "ALL_FLAGS",
    "CHANGE",
    "DOUBLE_BAD",
    "DOUBLE_INTERMEDIATE",
    "DOUBLE_OFF",
    "DOUBLE_ON",
    "GOOD",
    "KIND_BY_WORD",
    "NO_ROW",
    "UNUSABLE",
    "Changes",
    "Kind",
    "Point",
    "PointCatalogue",
    "Qualities",
    "Quality",
    "Rows",
    "Times",
    "Values",
    "changes",
]
