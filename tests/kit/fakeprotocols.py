"""Two small protocol packages, laid out as real ones, for tests of the configuration alone.

`install` puts them into a folder on the path of the `protocols` package: ``bench`` is a driver, ``relay`` a server.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import protocols
from gateway import registry

OWN_MODULES = ("protocols.bench", "protocols.relay")

_FIELD = """
from gateway.contracts import FieldProtocol
FIELD = FieldProtocol(settings="protocols.bench.settings:SETTINGS", driver="protocols.bench.settings:Nothing")
"""

_FIELD_SETTINGS = """
from dataclasses import dataclass
from typing import Annotated, Any
import numpy as np
from pydantic import Field
from gateway.contracts.settings import Cell, DeviceRow, DeviceSettings

class BenchDevice(DeviceSettings):
    url: str
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    scan_ms: Annotated[float, Field(gt=0)] = 1000.0
    password: str = ""

class BenchRow(DeviceRow):
    address: Annotated[int, Field(ge=0, le=65535)]
    scan_ms: Annotated[float | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        return (self.scan_ms or device.scan_ms) / 1000

@dataclass
class BenchPlan:
    devices: list[str]
    rows: Any
    addresses: Any

class Settings:
    device_model = BenchDevice
    row_model = BenchRow

    def compile(self, devices, report):
        for device in devices:
            if device.settings.unit == 99:
                report.error(device.key("unit"), "unit 99 is not for this bench")
        return [
            BenchPlan(
                [device.settings.name],
                np.array([row.row for row in device.rows], np.uint32),
                np.array([row.settings.address for row in device.rows]),
            )
            for device in devices
        ]

SETTINGS = Settings()
"""

_GRID = """
from gateway.contracts import GridProtocol
GRID = GridProtocol(settings="protocols.relay.settings:SETTINGS", server="protocols.relay.settings:Nothing")
"""

_GRID_SETTINGS = """
from dataclasses import dataclass, field
from typing import Annotated, Any
import numpy as np
from pydantic import Field
from gateway.contracts.settings import Cell, MasterRow, MasterSettings, ServerSettings, Strict

class Apci(Strict):
    k: Annotated[int, Field(ge=1, le=32767)] = 12

class RelayServer(ServerSettings):
    apci: Apci = Apci()

class RelayMaster(MasterSettings):
    links: int = 1

class RelayRow(MasterRow):
    index: int
    deadband: Annotated[float | None, Cell] = None
    class_: Annotated[int | None, Cell, Field(alias="class")] = None

@dataclass
class RelayPlan:
    commands: dict
    keys: dict
    bound: dict

class Settings:
    server_model = RelayServer
    master_model = RelayMaster
    row_model = RelayRow

    def compile(self, server, catalogue, report):
        commanded = lambda row: catalogue.kind(row.row).commanded
        return RelayPlan(
            {
                m.settings.name: np.array([row.row for row in m.rows if commanded(row)], np.uint32)
                for m in server.masters
                if m.settings.commands
            },
            {key: str(place) for key, place in server.keys.items()},
            {m.settings.name: [row.row for row in m.rows] for m in server.masters},
        )

SETTINGS = Settings()
"""

_FILES = {
    "bench/__init__.py": _FIELD,
    "bench/settings.py": _FIELD_SETTINGS,
    "relay/__init__.py": _GRID,
    "relay/settings.py": _GRID_SETTINGS,
    "broken/__init__.py": "import a_library_that_is_not_there\n",
}


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay the packages into `folder` and let the registry find them until the test ends."""
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(protocols, "__path__", [*protocols.__path__, str(folder)])
    registry.forget()
