"""Excursions on disk: one compressed file each, with the settings that held."""

from __future__ import annotations

import datetime as dt
import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.control.evidence.analysis import Grounds
from gateway.control.evidence.excursion import SAMPLE, Excursion
from gateway.control.frequency.curve import Band

FOLDER: Final = "excursions"
KEPT: Final = 2_000
"""Files kept at most; the oldest go first. At 100 kB each they take 200 MB."""
_FORMAT: Final = 1


class ExcursionFileError(Exception):
    """Not an excursion that can be read. The text names the file and says why."""


@dataclass(frozen=True, slots=True)
class StoredExcursion:
    """An excursion with what the response was set to: `settings` in words and numbers, `attestation` their hash."""

    excursion: Excursion
    grounds: Grounds
    settings: dict[str, Any]
    attestation: str


def folder(state_dir: Path) -> Path:
    """Where a site's excursions lie."""
    return state_dir / "control" / FOLDER


def name_of(excursion: Excursion) -> str:
    """File name without its ending, by which a person names the event."""
    at = dt.datetime.fromtimestamp(excursion.start_ns / 1e9, dt.UTC)
    return f"{at:%Y%m%dT%H%M%S}-{excursion.unit}" + ("-test" if excursion.test else "")


def save(place: Path, stored: StoredExcursion) -> Path:
    """Write, fsync, rename, drop what is beyond `KEPT`. Raises `OSError`."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    excursion = stored.excursion
    about = {
        "format": _FORMAT,
        "unit": excursion.unit,
        "test": excursion.test,
        "continues": excursion.continues,
        "grounds": asdict(stored.grounds),
        "settings": stored.settings,
        "attestation": stored.attestation,
    }
    path = place / f"{name_of(excursion)}.npz"
    fresh = path.with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        np.savez_compressed(file, samples=excursion.samples, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    for old in sorted(place.glob("*.npz"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def load(path: Path) -> StoredExcursion:
    """Read one file. Raises `ExcursionFileError`."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            samples, about = archive["samples"], json.loads(archive["about"].tobytes())
        if samples.dtype != SAMPLE or not len(samples):
            raise ExcursionFileError(f"{path}: its samples are not of the known form")
        grounds = about["grounds"]
        counted = grounds["counted_from_hz"]
        return StoredExcursion(
            Excursion(str(about["unit"]), samples, bool(about["test"]), bool(about["continues"])),
            Grounds(
                band=Band(**grounds["band"]),
                nominal_hz=float(grounds["nominal_hz"]),
                rated_kw=float(grounds["rated_kw"]),
                counted_from_hz=None if counted is None else (float(counted[0]), float(counted[1])),
            ),
            dict(about["settings"]),
            str(about["attestation"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ExcursionFileError(f"{path} cannot be read: {error}") from None
