"""CAN buses for tests: DBCs and rows as an engineer writes them, compiled by the package's own settings."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.can.client import multicast_works
from protocols.can.plan import BusPlan, Frame
from protocols.can.settings import SETTINGS, CanDevice, CanRow
from tests.kit.modbuskit import device_rows

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GRIDGATE_DATA", ROOT.parent / "shared" / "data")) / "can"
GROUP = "239.74.163.2"
_channels = itertools.count()

HEAD = 'VERSION ""\nNS_ :\nBS_:\nBU_: BMS GW\n'
CYCLES = 'BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;\nBA_DEF_DEF_ "GenMsgCycleTime" 0;\n'


def foxbms() -> Path:
    """The DBC of foxBMS; skips where the recorded data is not there."""
    path = DATA / "foxbms.dbc"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def trace() -> list[Frame]:
    """The recorded frames of foxBMS: (identifier, data, time in ns)."""
    foxbms()
    frames: list[Frame] = []
    for line in (DATA / "foxbms_trace.txt").read_text().splitlines():
        words = line.split()
        if len(words) > 7:
            frames.append((int(words[3], 16), bytes.fromhex("".join(words[8:])), int(float(words[1]) * 1e9)))
    return frames


def own_channel() -> str:
    """A virtual channel that no other test has."""
    return f"test-{os.getpid()}-{next(_channels)}"


def needs_multicast() -> None:
    """Skips where the machine has no way to a multicast group."""
    if not multicast_works(GROUP):
        pytest.skip("this machine has no multicast")


def source(dbc: Path, rows: list[Mapping[str, Any]], first_row: int = 0, **keys: Any) -> DeviceSource:
    """One device with its map, as the configuration hands it over."""
    given = {"name": "bms", "driver": "can", "map": "bms.csv", "prefix": "bms", "interface": "virtual"}
    settings = CanDevice(**{**given, "channel": own_channel(), "dbc": str(dbc), **keys})
    found = [
        DeviceRowSource(
            settings=CanRow(**row),
            row=first_row + number,
            name=f"{settings.prefix}/{row['point']}",
            place=Place(f"{settings.name}.csv", number + 2, row=True),
        )
        for number, row in enumerate(rows)
    ]
    place = Place("site.yaml", 5)
    return DeviceSource(settings=settings, rows=found, place=place, keys={k: Place("site.yaml", 6) for k in keys})


def compiled(*sources: DeviceSource) -> tuple[list[BusPlan], Report]:
    report = Report()
    return SETTINGS.compile(list(sources), report), report


def bus(*sources: DeviceSource) -> BusPlan:
    """The one plan of devices on one bus; fails on any problem."""
    plans, report = compiled(*sources)
    assert not report.problems, [str(problem) for problem in report.problems]
    (plan,) = plans
    return plan


def device(dbc: Path, text: str, **keys: Any) -> BusPlan:
    """The plan of one device with this map."""
    return bus(source(dbc, device_rows(text), **keys))


def every_signal(database: Any) -> list[dict[str, str]]:
    """A map with a point for every signal, called MESSAGE/SIGNAL, as an analog in the unit of the DBC."""
    return [
        {"point": f"{message.name}/{signal.name}", "kind": "analog", "message": message.name, "signal": signal.name}
        for message in database.messages
        for signal in message.signals
    ]


def write_dbc(folder: Path, text: str, tail: str = "") -> Path:
    """A DBC of these messages in the folder."""
    path = folder / "test.dbc"
    path.write_text(HEAD + text + "\n" + tail)
    return path


def values_by_row(batches: Any) -> dict[int, tuple[float, int]]:
    """Row -> (value, quality), the last one counting."""
    out: dict[int, tuple[float, int]] = {}
    for rows, values, qualities, _ in batches:
        out |= dict(zip(rows.tolist(), zip(values.tolist(), qualities.tolist(), strict=True), strict=True))
    return out


def rows_and_values(shown: Mapping[int, float]) -> tuple[Any, Any]:
    """Columns for a simulator's `set`."""
    return np.array(list(shown), np.uint32), np.array(list(shown.values()), np.float64)
