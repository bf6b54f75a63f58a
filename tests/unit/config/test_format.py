"""config/README.md says what the code accepts, and the shipped and worded examples load."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.alarms.settings import AlarmRow, AlarmSettings
from gateway.config import load_site
from gateway.contracts.settings import DeviceRow, DeviceSettings, MasterRow, MasterSettings, ServerSettings
from gateway.control.frequency.settings import DroopSettings
from gateway.control.further.settings import (
    AgcSection,
    FleetSection,
    LocationSection,
    ReactiveSection,
    ScheduleRow,
    ScheduleSection,
)
from gateway.control.settings import ControlSettings, InterlockRow, UnitSettings
from gateway.history.settings import HistoryRow, HistorySettings, InfluxSettings, StoreSettings
from gateway.points.expression import FUNCTIONS
from gateway.site.model import CalculatedSettings, LogSettings, SiteSettings
from gateway.site.plainwords import known_keys
from hmi.settings import HmiSettings
from protocols.c37118.settings import SETTINGS as C37118
from protocols.can.settings import SETTINGS as CAN
from protocols.can.settings import TransmitSettings
from protocols.dnp3.field.settings import SETTINGS as OUTSTATION
from protocols.dnp3.settings import SETTINGS as DNP3
from protocols.iec104.field.settings import SETTINGS as RTU
from protocols.iec104.settings import SETTINGS as IEC104
from protocols.modbus.settings import SETTINGS as MODBUS
from protocols.mqtt.fieldsettings import SETTINGS as MQTT_FIELD
from protocols.mqtt.gridsettings import SETTINGS as MQTT_GRID
from protocols.opcua.settings import SETTINGS as OPCUA
from protocols.opcua.settings import LimitSettings as OpcUaLimitSettings
from protocols.opcua.settings import TrustSettings as OpcUaTrustSettings
from protocols.sunspec.settings import SETTINGS as SUNSPEC

ROOT = Path(__file__).parents[3]
README = ROOT / "config" / "README.md"
EXAMPLE = ROOT.parent / "shared" / "example-site"

DOCUMENTED: dict[str, tuple[type[Any], type[Any] | None]] = {
    "Site": (SiteSettings, None),
    "HMI": (HmiSettings, None),
    "Device": (DeviceSettings, None),
    "Device with `driver: modbus`": (MODBUS.device_model, DeviceSettings),
    "Device with `driver: can`": (CAN.device_model, DeviceSettings),
    "Transmitted CAN message": (TransmitSettings, None),
    "Device with `driver: c37118`": (C37118.device_model, DeviceSettings),
    "Device with `driver: iec104`": (RTU.device_model, DeviceSettings),
    "Device with `driver: dnp3`": (OUTSTATION.device_model, DeviceSettings),
    "Device with `driver: sunspec`": (SUNSPEC.device_model, DeviceSettings),
    "Device with `driver: mqtt`": (MQTT_FIELD.device_model, DeviceSettings),
    "Further columns with `driver: mqtt`": (MQTT_FIELD.row_model, DeviceRow),
    "Server with `protocol: mqtt`": (MQTT_GRID.server_model, ServerSettings),
    "Master of `protocol: mqtt`": (MQTT_GRID.master_model, MasterSettings),
    "Further columns with `protocol: mqtt`": (MQTT_GRID.row_model, MasterRow),
    "Calculated point": (CalculatedSettings, None),
    "Server": (ServerSettings, None),
    "Master": (MasterSettings, None),
    "Server with `protocol: iec104`": (IEC104.server_model, ServerSettings),
    "Master of `protocol: iec104`": (IEC104.master_model, MasterSettings),
    "Server with `protocol: dnp3`": (DNP3.server_model, ServerSettings),
    "Master of `protocol: dnp3`": (DNP3.master_model, MasterSettings),
    "Further columns with `protocol: dnp3`": (DNP3.row_model, MasterRow),
    "Server with `protocol: opcua`": (OPCUA.server_model, ServerSettings),
    "Certificates of OPC UA": (OpcUaTrustSettings, None),
    "Limits of OPC UA": (OpcUaLimitSettings, None),
    "Columns with `protocol: opcua`": (OPCUA.row_model, MasterRow),
    "Control": (ControlSettings, None),
    "Droop": (DroopSettings, None),
    "AGC": (AgcSection, None),
    "Schedule": (ScheduleSection, None),
    "Columns of a schedule": (ScheduleRow, None),
    "Reactive power": (ReactiveSection, None),
    "Fleet": (FleetSection, None),
    "Location": (LocationSection, None),
    "Unit": (UnitSettings, None),
    "Interlocks": (InterlockRow, None),
    "Alarms": (AlarmSettings, None),
    "Columns of the alarm map": (AlarmRow, None),
    "History": (HistorySettings, None),
    "Store": (StoreSettings, None),
    "InfluxDB": (InfluxSettings, None),
    "Map of recorded points": (HistoryRow, None),
    "Log": (LogSettings, None),
    "Columns of every device map": (DeviceRow, None),
    "Further columns with `driver: modbus`": (MODBUS.row_model, DeviceRow),
    "Further columns with `driver: can`": (CAN.row_model, DeviceRow),
    "Further columns with `driver: c37118`": (C37118.row_model, DeviceRow),
    "Further columns with `driver: iec104`": (RTU.row_model, DeviceRow),
    "Further columns with `driver: dnp3`": (OUTSTATION.row_model, DeviceRow),
    "Further columns with `driver: sunspec`": (SUNSPEC.row_model, DeviceRow),
    "Columns of every master map": (MasterRow, None),
    "Further columns with `protocol: iec104`": (IEC104.row_model, MasterRow),
}


def table(heading: str) -> dict[str, str]:
    """Key -> default as the README has it."""
    sections = re.split(r"^#+ (.*)\n", README.read_text(), flags=re.MULTILINE)
    text = sections[sections.index(heading) + 1]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", text, flags=re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("heading", DOCUMENTED)
def test_documented_keys_are_those_of_the_models(heading: str) -> None:
    model, base = DOCUMENTED[heading]
    fields = {name: info for name, info in known_keys(model).items() if name not in known_keys(base)}
    documented = table(heading)
    assert set(documented) == set(fields)
    for name, info in fields.items():
        default = documented[name].strip("`")
        assert (default == "needed") == info.is_required(), name
        if re.fullmatch(r"[\d.]+", default) and info.default is not None:
            assert float(default) == info.default, name


def test_every_function_is_documented() -> None:
    text = README.read_text()
    assert all(f"`{name}(" in text or f", `{name}(" in text for name in [*FUNCTIONS, "good"])


def test_the_demo_site_loads() -> None:
    plan = load_site(ROOT / "config" / "demo" / "site.yaml")
    assert len(plan.catalogue) > 20
    assert plan.warnings == []


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not EXAMPLE.is_dir():
        pytest.skip("the example site is not beside this checkout")
    monkeypatch.setenv("INFLUX_TOKEN", "swordfish")
    shutil.copytree(EXAMPLE, tmp_path / "site")
    (tmp_path / "data").symlink_to(EXAMPLE.parent / "data")  # the DBC that it names
    return tmp_path / "site" / "site.yaml"


def test_the_example_site_loads_whole(example: Path) -> None:
    plan = load_site(example)
    assert [len(plan.device_rows[name]) for name in ("pcs1", "meter", "bms1", "pmu1")] == [14, 3, 7, 2]
    assert [server.bindings for server in plan.servers] == [{"sldc-main": 8}, {"rldc-main": 7}, {}]
    assert sorted(plan.catalogue.names[row] for row in plan.rights["sldc", "sldc-main"]) == [
        "bess1/pcs/power_setpoint",
        "bess1/pcs/run",
    ]
    assert set(plan.rights["plant-ua", "operator"].tolist()) >= set(plan.rights["sldc", "sldc-main"].tolist())
    assert plan.control is not None
    assert [unit.name for unit in plan.control.units] == ["bess1"]
    assert [row.name for row in plan.control.interlocks if not row.name.startswith(("stop_all", "watchdog"))] == [
        *("estop", "overtemp_trip", "overtemp_derate", "overvoltage", "bms_lost", "cabinet_hot")
    ]
    assert plan.control.attestation
    assert "swordfish" not in repr(plan)
    assert [warning.place.line is not None for warning in plan.warnings] == [True]  # no users yet
