"""asyncua's client against the points: browse, read, subscribe, write, call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from asyncua import ua

from gateway.points import Kind, Point, PointCatalogue
from tests.kit.opcuakit import Plant, client, running

TIME_NS = 1_700_000_000_000_000_000
POINTS = PointCatalogue.of(
    [
        Point(row=0, name="bess1/pcs/active_power", kind=Kind.ANALOG, unit="kW", low=-1000, high=1000, description="P"),
        Point(row=1, name="bess1/pcs/run", kind=Kind.CONTROL),
        Point(row=2, name="bess1/pcs/setpoint", kind=Kind.SETPOINT, unit="kW", low=-500, high=500),
        Point(row=3, name="bess1/breaker", kind=Kind.DOUBLE),
        Point(row=4, name="bess1/energy", kind=Kind.COUNTER, unit="kWh"),
        Point(row=5, name="bess1/alarm", kind=Kind.BINARY),
        *(Point(row=6 + n, name=f"bess1/bms/cell_voltage[{n + 1}]", kind=Kind.ANALOG, unit="V") for n in range(250)),
    ]
)


def plant_of(folder: Path, **keys: object) -> Plant:
    plant = Plant(folder, POINTS, commands={"operator": np.array([1, 2], np.uint32)}, **keys)
    for row in range(len(POINTS)):
        plant.port.set(row, float(row), TIME_NS)
    return plant


class Heard:
    def __init__(self) -> None:
        self.values: list[tuple[str, object, int]] = []

    def datachange_notification(self, node, value, data) -> None:
        self.values.append((node.nodeid.Identifier, value, data.monitored_item.Value.StatusCode.value))


def test_a_client_browses_by_path_and_reads(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = plant_of(tmp_path)
        async with running(plant), await client(plant, plant.app()) as ua_client:
            objects = ua_client.nodes.objects
            power = await objects.get_child(["2:bess1", "2:pcs", "2:active_power"])
            assert power.nodeid.Identifier == "bess1/pcs/active_power"
            value = await power.read_data_value()
            assert value.Value == ua.Variant(0.0, ua.VariantType.Double)
            assert value.SourceTimestamp.timestamp() == TIME_NS / 1e9
            units = await (await power.get_child("0:EngineeringUnits")).read_value()
            assert (units.DisplayName.Text, units.UnitId) == ("kW", 0x4B5754)
            span = await (await power.get_child("0:EURange")).read_value()
            assert (span.Low, span.High) == (-1000, 1000)
            assert (await power.read_description()).Text == "P"
            groups = await (await objects.get_child(["2:bess1", "2:bms"])).get_children()
            assert [(await node.read_browse_name()).Name for node in groups] == [
                "cell_voltage[1..100]",
                "cell_voltage[101..200]",
                "cell_voltage[201..300]",
            ]
            assert len(await groups[2].get_children()) == 50
            text = await (await objects.get_child(["2:bess1", "2:breaker", "0:ValueAsText"])).read_value()
            assert text.Text == "bad"

    asyncio.run(scenario())


def test_changes_arrive_in_order_with_their_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = plant_of(tmp_path)
        async with running(plant), await client(plant, plant.app()) as ua_client:
            heard = Heard()
            subscription = await ua_client.create_subscription(50, heard)
            node = ua_client.get_node("ns=2;s=bess1/pcs/active_power")
            await subscription.subscribe_data_change(node, queuesize=20, sampling_interval=0)
            while not heard.values:
                await asyncio.sleep(0.01)
            plant.port.change([(0, float(n), 0, TIME_NS + n) for n in range(1, 11)])
            while len(heard.values) < 11:
                await asyncio.sleep(0.01)
            assert [value for _, value, _ in heard.values] == [float(n) for n in range(11)]
            await subscription.delete()

    asyncio.run(scenario())


def test_a_write_reaches_the_field_and_a_refused_one_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        plant = plant_of(tmp_path)
        async with running(plant), await client(plant, plant.app()) as ua_client:
            setpoint = ua_client.get_node("ns=2;s=bess1/pcs/setpoint")
            await setpoint.write_value(ua.DataValue(ua.Variant(120.0, ua.VariantType.Double)))
            (command,) = plant.port.commands.received
            assert (command.row, command.value, command.origin.master) == (2, 120.0, "operator")
            run = ua_client.get_node("ns=2;s=bess1/pcs/run|Control")
            await run.call_method("2:Select", ua.Variant(True, ua.VariantType.Boolean))
            await run.call_method("2:Operate", ua.Variant(True, ua.VariantType.Boolean))
            assert plant.port.commands.received[1].row == 1

    asyncio.run(scenario())
