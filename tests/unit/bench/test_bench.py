"""The instruments themselves: figures, devices, and the small master."""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pymodbus.client import ModbusTcpClient

from bench import __main__ as command
from bench import master104, sites, system, table
from bench.result import Result, percentile


def test_a_figure_stands_beside_its_budget_and_its_peer() -> None:
    figure = Result(name="x", value=12.3456, unit="ms", budget=10.0, peer="other", peer_value=6.1728)
    assert json.loads(figure.line()) == {
        "name": "x",
        "value": 12.35,
        "unit": "ms",
        "budget": 10.0,
        "met": False,
        "peer": "other",
        "peer_value": 6.173,
        "ratio": 2.0,
    }


def test_figures_become_a_table_that_says_what_was_missed() -> None:
    late = Result(name="late", value=12.3456, unit="ms", budget=10.0, peer="other", peer_value=6.1728)
    many = Result(name="many", value=925_321.0, unit="1/s", at_least=200_000)
    facts = table.read([late.line(), "", many.line()])
    *_, first, second = table.table(facts).splitlines()
    assert first == "| `late` | 12.35 ms | <= 10 ms | **missed** | other | 6.173 ms | 2 |"
    assert second == "| `many` | 925,300 1/s | >= 200,000 1/s | met |  |  |  |"
    readme = f"above\n{table.BEGIN}old\n{table.END}below\n"
    assert table.into_readme(readme, "new\n") == f"above\n{table.BEGIN}new\n{table.END}below\n"


def test_what_is_measured_again_takes_the_place_of_what_it_was_and_the_table_says_so() -> None:
    lines = ['{"name": "a", "value": 1, "unit": "s"}', '{"name": "b", "failed": "TimeoutError: late"}']
    again = ['{"name": "a", "value": 2, "unit": "s"}', '{"name": "b_p50", "value": 3, "unit": "s"}']
    facts = table.merged(table.read(lines), table.read(again))
    assert [(fact["name"], fact["value"]) for fact in facts] == [("a", 2), ("b_p50", 3)]
    assert "`b` (TimeoutError: late)" in table.conditions(table.read(lines), [])
    assert "once more, alone: `a`, `b_p50`" in " ".join(table.conditions(facts, ["a", "b_p50"]).split())


def test_nearest_rank_percentiles() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(range(1, 101), 99) == 99
    assert math.isnan(percentile([], 50))


def test_every_measurement_has_its_module() -> None:
    for name in command.MEASUREMENTS:
        if name != "publish_feed":
            assert (Path(command.__file__).parent / f"{name}.py").is_file()


def test_devices_answer_a_plain_modbus_client_and_tell_what_they_saw() -> None:
    with system.devices(2, 200, probe_every=2) as field:
        with ModbusTcpClient("127.0.0.1", port=field.ports[0]) as client:
            reads = [client.read_input_registers(0, count=125, device_id=1).registers for _ in range(4)]
            client.read_input_registers(125, count=75, device_id=1)
        with ModbusTcpClient("127.0.0.1", port=field.ports[1]) as client:
            assert not client.write_register(0, 42, device_id=1).isError()
            assert not client.write_registers(0, [43], device_id=1).isError()
        field.finish()
    assert [registers[0] for registers in reads] == [0, 1, 1, 2]
    assert reads[0][1:] == list(range(1, 125))
    assert field.reads == 5
    assert [value for _, value in field.probes] == [1, 2]
    assert [(address, value) for _, address, value in field.writes] == [(0, 42), (0, 43)]


def test_devices_change_as_many_values_as_they_were_asked_to() -> None:
    with (
        system.devices(1, 100, changes_per_s=1000.0) as field,
        ModbusTcpClient("127.0.0.1", port=field.ports[0]) as client,
    ):
        first = client.read_input_registers(0, count=100, device_id=1).registers
        later, end = first, time.monotonic() + 10.0
        while later[1:] == first[1:] and time.monotonic() < end:
            later = client.read_input_registers(0, count=100, device_id=1).registers
        assert later[1:] != first[1:]
        assert later[0] == first[0], "register 0 is the probe's"


def test_site_is_written_as_its_engineer_would(tmp_path: Path) -> None:
    site = sites.write(tmp_path, [5020, 5021], 3, port=2404, setpoint=True)
    assert site.points == 6
    assert (tmp_path / "master.csv").read_text().count("M_ME_TF_1") == 6
    assert "setpoint" in (tmp_path / "device_setpoint.csv").read_text()
    assert "device_setpoint.csv" in site.path.read_text()


def station(listener: socket.socket, frames: list[bytes], heard: list[bytes]) -> None:
    """A controlled station that says its lines in two pieces each and writes down what it hears."""
    connection, _ = listener.accept()
    with connection:
        heard.append(connection.recv(6))
        connection.sendall(master104.STARTDT_CON)
        for frame in frames:
            connection.sendall(frame[:7])
            connection.sendall(frame[7:])
        while data := connection.recv(1000):
            heard.append(data)


def i_frame(number: int, asdu: bytes) -> bytes:
    return struct.pack("<BBHH", 0x68, 4 + len(asdu), number << 1, 0) + asdu


def test_master_reads_both_forms_and_confirms() -> None:
    # Two values with an address each, spontaneous, with time; then three values in sequence, interrogated.
    single = bytes([36, 2, 3, 0, 1, 0])
    single += b"\x01\x00\x00" + struct.pack("<fB", 1.5, 0) + bytes(7)
    single += b"\x00\x00\x01" + struct.pack("<fB", -2.0, 0x40) + bytes(7)
    sequence = bytes([13, 0x83, 20, 0, 1, 0]) + b"\x0a\x00\x00"
    sequence += b"".join(struct.pack("<fB", value, 0) for value in (7.0, 8.0, 9.0))
    frames = [i_frame(number, single if number % 2 == 0 else sequence) for number in range(8)]
    seen: list[master104.Values] = []
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = threading.Thread(target=station, args=(listener, frames, heard))
        peer.start()
        with master104.connect(listener.getsockname()[1], 5.0) as master:
            master.on_values = seen.append
            master.start()
            master.wait(lambda: master.counts.asdus == 8, 5.0)
        peer.join(5.0)
    assert (seen[0].cause, seen[0].ioas.tolist(), seen[0].values.tolist()) == (3, [1, 65536], [1.5, -2.0])
    assert seen[0].qualities.tolist() == [0, 0x40]
    assert (seen[1].cause, seen[1].ioas.tolist(), seen[1].values.tolist()) == (20, [10, 11, 12], [7.0, 8.0, 9.0])
    assert master.counts.values == 20
    assert b"".join(heard) == master104.STARTDT_ACT + bytes.fromhex("680401001000")


def test_master_does_not_wait_for_ever() -> None:
    with pytest.raises(TimeoutError, match="did not open"):
        master104.connect(system.free_port(), 0.05)
    assert np.dtype(master104.OBJECT[36]).itemsize == 15
