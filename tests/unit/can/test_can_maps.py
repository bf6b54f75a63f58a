"""The shipped maps and the DBC are right, and the maps carry what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load_site
from gateway.contracts import ConfigError
from protocols.can.plan import BusPlan
from tests.kit.cankit import ROOT, foxbms

OWN = ROOT / "pointmaps" / "dbc" / "gridgate_bms.dbc"
DEVICES = ROOT / "pointmaps" / "devices"

TRANSMIT = """
    transmit:
      - message: GatewayHeartbeat
        counter: HeartbeatCounter
        checksum: {signal: HeartbeatChecksum, method: xor8}
      - message: GatewayOrders
        counter: OrdersCounter
        checksum: {signal: OrdersChecksum, method: crc8_sae_j1850, data_id: 0x201}
        stop: {ContactorRequest: Open, PowerSetpoint: 0}
"""


def load(folder: Path, map_name: str, dbc: Path, more: str = "", calculated: str = "") -> BusPlan:
    site = folder / "site.yaml"
    site.write_text(
        "site: rack\ndevices:\n  - name: bms1\n    driver: can\n    interface: udp_multicast\n"
        f"    channel: 239.74.163.2\n    dbc: {dbc}\n    map: {DEVICES / map_name}\n    prefix: bess1/bms\n"
        f"{more}{calculated}"
    )
    try:
        plan = load_site(site)
    except ConfigError as error:
        pytest.fail(str(error))
    assert plan.warnings == []
    ((_, found),) = plan.drivers
    assert isinstance(found, BusPlan)
    return found


def test_the_own_layout_for_reading(tmp_path: Path) -> None:
    plan = load(tmp_path, "gridgate_bms.csv", OWN)
    keys = [0x100, 0x101, 0x102, 0x103, 0x110, 0x111, 0x120, 0x121, 0x122, 0x130, 0x131, 0x132]
    assert sorted(message.key for message in plan.messages) == keys
    assert plan.access.listen_only
    assert plan.transmit == []


def test_the_own_layout_with_commands(tmp_path: Path) -> None:
    plan = load(tmp_path, "gridgate_bms_commands.csv", OWN, f"    listen_only: false{TRANSMIT}")
    heartbeat, orders = plan.transmit
    assert (heartbeat.at_once, heartbeat.cycle_s) == (True, 0.1)
    assert (orders.at_once, orders.cycle_s) == (False, 0.1)
    assert orders.stop == bytes((1, 0, 0, 0, 0, 0, 0, 0))
    assert [target.name for target in plan.targets] == [
        "bess1/bms/power_setpoint",
        "bess1/bms/close_contactor",
        "bess1/bms/reset_faults",
    ]


def test_the_names_of_foxbms(tmp_path: Path) -> None:
    plan = load(tmp_path, "foxbms.csv", foxbms())
    assert len(plan.bindings) > 40
    cells = next(message for message in plan.messages if message.name == "f_CellVoltages")
    assert cells.cycle_s == 5.4
    assert len(cells.variants) == 5, "18 cells, four in each frame"


def test_calculated_points_over_arrays_of_cells(tmp_path: Path) -> None:
    cells = "bess1/bms/cell_voltage[*]"
    calculated = "".join(
        f'  - {{point: bess1/cells/{name}, unit: V, expr: "{name}({cells})"}}\n'
        for name in ("min", "max", "mean", "spread")
    )
    load(tmp_path, "gridgate_bms.csv", OWN, calculated=f"calculated:\n{calculated}")
    plan = load_site(tmp_path / "site.yaml")
    names = plan.catalogue.names
    for point in plan.calculated:
        assert [names[row] for row in point.expression.inputs] == [f"bess1/bms/cell_voltage[{n}]" for n in range(16)]
