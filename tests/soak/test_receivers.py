"""What the soak's receivers write down themselves: a 104 master before a station that cuts, and who commands."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.ledger import EVENT, LINK_LOST, LINK_UP, read_ledger
from tests.soak.plan import Peer, SoakPlan
from tests.soak.receivers import commander as commanding
from tests.soak.receivers.commander import Commander
from tests.soak.receivers.master104 import records
from tests.soak.receivers.process import TIME_INVALID

CLOCK = bytes.fromhex("d430 1e 0a 1a 0b 1a")
"""2026-11-26 10:30:12.500."""
CLOCK_NS = 1_795_689_012_500_000_000
SPONTANEOUS = 3


def asdu(kind: int, cause: int, ioa: int, element: bytes) -> bytes:
    return struct.pack("<BBBBH", kind, 1, cause, 0, 1) + ioa.to_bytes(3, "little") + element


def measured(ioa: int, value: float, quality: int = 0) -> bytes:
    return asdu(36, SPONTANEOUS, ioa, struct.pack("<fB", value, quality) + CLOCK)


def plan_of(folder: Path, port: int, commands_per_s: float = 0.0) -> SoakPlan:
    return SoakPlan(
        seed=1,
        folder=str(folder),
        seconds=1.0,
        points=100,
        devices=5,
        changes_per_s=1.0,
        commands_per_s=commands_per_s,
        scan_ms=100,
        peers=[Peer("sldc", "iec104", port, count=100, commander=1), Peer("rldc", "dnp3", 0, count=100, commander=2)],
        field_ports=[],
        field_relays=[],
        listen={},
    )


class Station:
    """The station's side of one connection."""

    def __init__(self, listener: socket.socket) -> None:
        self._socket, _ = listener.accept()
        self._socket.settimeout(30)
        self._stream = self._socket.makefile("rb")
        self._sent = 0

    def hear(self) -> bytes:
        head = self._stream.read(2)
        assert len(head) == 2 and head[0] == 0x68, head
        return head + self._stream.read(head[1])

    def start(self) -> None:
        """It hears STARTDT and an interrogation."""
        assert self.hear().hex() == "680407000000"
        self._socket.sendall(bytes.fromhex("68040b000000"))
        assert self.hear()[6] == 100

    def tell(self, data: bytes) -> None:
        self._socket.sendall(struct.pack("<BBHH", 0x68, len(data) + 4, self._sent << 1, 0) + data)
        self._sent += 1

    def acknowledged(self) -> int:
        return int.from_bytes(self.hear()[4:6], "little") >> 1

    def cut(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.close()
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(30)
        yield made


def test_what_the_master_acknowledges_is_in_its_book_and_it_comes_back_after_a_cut(
    tmp_path: Path, listener: socket.socket
) -> None:
    path = plan_of(tmp_path, listener.getsockname()[1]).save()
    book = tmp_path / "ledgers" / "sldc.bin"
    command = [sys.executable, "-m", "tests.soak.receivers.master104", str(path), "sldc"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as master:
        station = Station(listener)
        station.start()
        for number in range(8):
            station.tell(measured(number + 1, 7.0))
        assert station.acknowledged() == 8
        assert (read_ledger(book)["kind"] == EVENT).sum() == 8
        station.cut()
        station = Station(listener)
        station.start()
        station.tell(measured(3, 8.0))
        assert station.acknowledged() == 1
        said, _ = master.communicate(timeout=30)
        station.cut()
    assert master.returncode == 0
    assert said.startswith("ready\n") and json.loads(said.splitlines()[-1])["values"] == 9
    written = read_ledger(book)
    assert written["kind"].tolist() == [LINK_UP, *[EVENT] * 8, LINK_LOST, LINK_UP, EVENT, LINK_LOST]
    assert written["point"].tolist() == [-1, *range(8), -1, -1, 2, -1]


def test_a_measured_value_a_state_and_a_sequence_are_read_as_they_were_sent() -> None:
    (told,) = records(measured(5, 3.0, quality=0x40), 1)
    assert told.tolist() == (4, EVENT, 3.0, 0x40, CLOCK_NS, 1)
    doubted = CLOCK[:2] + bytes([CLOCK[2] | 0x80]) + CLOCK[3:]
    (state,) = records(asdu(30, SPONTANEOUS, 6, b"\x81" + doubted), 2)
    assert state.tolist() == (5, EVENT, 1.0, 0x80 | TIME_INVALID, CLOCK_NS, 2)
    answer = struct.pack("<BBBBH", 13, 0x82, 20, 0, 1) + b"\x07\0\0" + struct.pack("<fBfB", 1.0, 0, 2.0, 1)
    assert [(row["point"], row["value"], row["quality"]) for row in records(answer, 3)] == [(6, 1, 0), (7, 2, 1)]


def test_a_command_without_an_answer_is_written_down_as_unknown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commanding, "ANSWER_S", 0.0)
    plan = plan_of(tmp_path, 0, commands_per_s=10_000.0)
    plan.ledgers.mkdir()
    commander = Commander(plan, plan.peers[0])
    orders = [order for _ in range(10_000) for order in commander.due()]
    commander.close()
    lines = [json.loads(line) for line in (plan.ledgers / "sldc.commands.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [order.id for order in orders]
    assert {line["answer"] for line in lines} == {"unknown"}
    assert len({line["value"] for line in lines}) == len(lines)
    assert {line["sort"] for line in lines} == set(commanding.WEIGHTS)
    own = set(plan.allowed(plan.peers[0]))
    assert all((line["point"] in own) is (line["sort"] != commanding.FOREIGN) for line in lines)
    commander.settle(orders[0], commanding.CONFIRMED)
    assert len((plan.ledgers / "sldc.commands.jsonl").read_text().splitlines()) == len(lines)
