"""Samples as InfluxDB line protocol. Pure.

``measurement,site=...,device=...,point=...,unit=... value=49.98,quality=0i 1795000000000000000``

A value that is no number (NaN, infinite) has no field of its own: the point then says its quality alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.history.batch import Batch
from gateway.history.spool import SeriesInfo

TAGS: Final = ("site", "device", "point", "unit", "kind")
_MEASUREMENT_ESCAPES: Final = str.maketrans({",": r"\,", " ": r"\ ", "\n": " ", "\r": " "})
_TAG_ESCAPES: Final = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True)
class Layout:
    """`measurement` may hold `{site}`, `{device}`, `{point}`, `{unit}`, `{kind}`; `devices` by point name."""

    site: str
    measurement: str
    tags: tuple[str, ...]
    devices: Mapping[str, str]

    def prefix(self, info: SeriesInfo) -> str:
        """Measurement and tags of a series. A tag without a value is left out, as the protocol wants."""
        values = {
            "site": self.site,
            "device": self.devices.get(info.name, ""),
            "point": info.name,
            "unit": info.unit,
            "kind": info.kind,
        }
        measurement = self.measurement.format_map(values).translate(_MEASUREMENT_ESCAPES)
        tags = "".join(f",{tag}={_tag(values[tag])}" for tag in sorted(self.tags) if values[tag])
        return measurement + tags


def _tag(value: str) -> str:
    """A tag's value; one must not end in a backslash, which would take away the next separator."""
    text = value.translate(_TAG_ESCAPES)
    return text + "_" if text.endswith("\\") else text


def lines_of(batch: Batch, prefix: Callable[[int], str]) -> list[str]:
    """One line for each sample; `prefix` gives measurement and tags by series."""
    rows = zip(
        batch["series"].tolist(),
        batch["value"].tolist(),
        batch["quality"].tolist(),
        batch["time_ns"].tolist(),
        strict=True,
    )
    return [
        f"{prefix(series)} value={value!r},quality={quality}i {time_ns}"
        if value - value == 0  # false for NaN and infinities
        else f"{prefix(series)} quality={quality}i {time_ns}"
        for series, value, quality, time_ns in rows
    ]
