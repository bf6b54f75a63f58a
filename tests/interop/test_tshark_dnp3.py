"""Debian's tshark, an independent decoder, reads a long mixed conversation: nothing malformed, no complaint."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gateway.contracts import LinkName
from gateway.points import Quality
from gateway.tracing.pcap import PcapWriter
from protocols.dnp3.link import LinkFrame, LinkReader
from protocols.dnp3.plan import Mode, UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType as T
from tests.conformance.dnp3.conversation import NOON, Conversation, table
from tests.kit.dnp3kit import BOTH, NOON_TAG, Row, columns, master
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASSES, INTEGRITY

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed here")

COUNT = 40
STATIC = {T.BI: (1, 2), T.DBI: (1, 2), T.BO: (1, 2), T.CTR: (1, 2, 5, 6), T.FCTR: (1, 2, 5, 6, 9, 10)}
STATIC |= {T.AI: (1, 2, 3, 4, 5, 6), T.AO: (1, 2, 3, 4)}
EVENT = {T.BI: (1, 2, 3), T.DBI: (1, 2), T.BO: (1, 2), T.CTR: (1, 2, 5, 6), T.FCTR: (1, 2, 5, 6)}
EVENT |= {T.AI: tuple(range(1, 9)), T.AO: tuple(range(1, 9))}
"""Default variations by type; frozen analogs and g4v3 are left out, tshark 4.0 does not know them."""


NOT_SYNCHRONISED = {Quality.TIME_INVALID}
"""Brings g51v2, which tshark 4.0 does not know."""


def rows() -> list[Row]:
    """Points of every type, with gaps between the indices, every default variation in turn."""
    out = []
    for at in range(COUNT):
        for kind in STATIC:
            row = at % 10 if kind is T.FCTR else at % 10 + 10 * list(STATIC).index(kind)
            row = at % 10 + 10 * list(STATIC).index(T.CTR) if kind is T.FCTR else row
            static, event = STATIC[kind], EVENT[kind]
            out.append(
                Row(
                    row=row,
                    type=kind,
                    index=at * 3 if at % 2 else at * 600,
                    event_class=1 + at % 3,
                    static_var=static[at % len(static)],
                    event_var=event[at % len(event)],
                    command_event_var=1 + at % 2 if kind is T.BO else 0,
                    mode=int(BOTH) if kind in (T.BO, T.AO) else int(Mode.MONITORED),
                )
            )
    return out


class Session:
    """A long working day of one master."""

    def __init__(self) -> None:
        self.chance = random.Random(1815)
        plan = master(
            bindings=columns(rows()),
            unsolicited=UnsolicitedPlan(),
            parameters={
                "restart": True,
                "need_time_s": 3_600.0,
                "attributes": ((252, "GridGate"), (250, "demo")),
                "octet_strings": ("Kurnool", "PSS 2"),
            },
        )
        self.talk = Conversation((plan,), table(100))

    def hear(self) -> None:
        """Confirm what asks for it, until nothing more comes."""
        while self.talk.heard and self.talk.heard[-1].con:
            last = self.talk.heard[-1]
            self.talk.confirms(last)
            if self.talk.heard[-1] is last:
                break

    def ask(self, function: int, objects: str = "") -> None:
        self.talk.request(function, objects)
        self.hear()

    def day(self) -> list[tuple[bool, bytes]]:
        talk = self.talk
        self.hear()
        talk.links_back(raw.RESET_LINK)
        # No test of the link states: tshark 4.0 looks for data in that frame.
        talk.links_back(raw.LINK_STATUS)
        self.ask(raw.READ, INTEGRITY)
        for function, objects in REQUESTS:
            self.ask(function, objects)
            self.changes()
        self.ask(raw.ENABLE, CLASSES)
        for _ in range(30):
            self.changes()
            self.hear()
        self.ask(raw.READ, INTEGRITY)
        return talk.said

    def changes(self) -> None:
        """Some points change, some only in quality, with times near and far."""
        qualities = [0, 0, 0, *(int(flag) for flag in Quality if flag not in NOT_SYNCHRONISED)]
        self.talk.wall_ns += 70_000_000_000
        self.talk.change(
            *(
                (
                    row,
                    float(self.chance.randrange(4)),
                    self.chance.choice(qualities),
                    NOON + self.chance.randrange(10**13),
                )
                for row in self.chance.sample(range(100), 25)
            )
        )


RELAY = "0c011702" + "".join(f"{index:02x}0301" + "64000000" + "c8000000" + "00" for index in (0, 3))
SETPOINTS = ["29011701" + "000a000000" + "00", "29021701" + "000a00" + "00", "29031701" + "000000a041" + "00"]
SETPOINTS.append("29041701" + "00" + "0000000000003440" + "00")
REQUESTS = [
    (raw.WRITE, "500100070700"),
    (raw.WRITE, "32010701" + NOON_TAG),
    (raw.RECORD, ""),
    (raw.DELAY, ""),
    *((function, order) for order in (RELAY, *SETPOINTS) for function in (raw.SELECT, raw.OPERATE, raw.DIRECT)),
    (raw.DIRECT_NO_ACK, RELAY),
    (raw.FREEZE, "140006"),
    (raw.FREEZE_NO_ACK, "140006"),
    (raw.FREEZE_CLEAR, "140006"),
    (raw.ASSIGN, "3c0206" + "1e0006"),
    (raw.DISABLE, CLASSES),
    (raw.READ, "00fe06"),
    (raw.READ, "6e0006"),
    (raw.READ, "500106"),
    (raw.READ, "320106"),
    (raw.READ, "220306"),
    *((raw.READ, f"{group:02x}0006") for group in (1, 3, 10, 20, 21, 30, 40, 2, 4, 11, 22, 23, 32, 42)),
    (raw.READ, CLASSES),
    (raw.READ, "0d0106" + "0d0206"),
    (raw.READ, "1e0101" + "0000ffff"),
    (120, ""),
    (raw.WARM_RESTART, ""),
]


def tshark(path: Path, *arguments: str) -> list[str]:
    command = ["tshark", "-r", str(path), "-d", "tcp.port==20000,dnp3", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def complaints(path: Path) -> list[str]:
    """Malformed frames and warnings, but that some request was refused."""
    shown = '(_ws.malformed || _ws.expert.severity >= 6291456) && !(_ws.expert.message == "IIN Abnormality")'
    return tshark(path, "-Y", shown, "-T", "fields", *FIELDS)


FIELDS = [
    part for name in ("frame.number", "dnp3.al.func", "dnp3.al.obj", "_ws.expert.message") for part in ("-e", name)
]


def cells(path: Path, name: str) -> list[int]:
    lines = tshark(path, "-Y", name, "-T", "fields", "-e", name)
    return [int(cell, 0) for line in lines for cell in line.split(",") if cell]


def fragments(octets: bytes) -> list[bytes]:
    """Frames of one fragment together, its segments numbered from 0: tshark 4.0 loses those that go from 63 to 0."""
    out: list[bytes] = []
    number = 0
    for frame in LinkReader().feed(octets):
        first = not out or not frame.data or bool(frame.data[0] & 0x40)
        number = 0 if first else number + 1
        data = bytes([frame.data[0] & 0xC0 | number]) + frame.data[1:] if frame.data else b""
        again = LinkFrame(frame.control, frame.dest, frame.source, data).encode()
        out[len(out) if first else -1 :] = [again if first else out[-1] + again]
    return out


def write(path: Path, said: list[tuple[bool, bytes]]) -> None:
    """Another address of the master's per fragment: tshark 4.0 joins what has the same segment numbers."""
    with path.open("wb") as file:
        writer = PcapWriter(file)
        pieces = [(outgoing, piece) for outgoing, octets in said for piece in fragments(octets)]
        for number, (outgoing, octets) in enumerate(pieces):
            link = LinkName("main", number + 1, ("127.0.0.1", 20_000), (f"10.0.{number >> 8}.{number & 255}", 50_000))
            writer.opened(link, number * 10**6)
            writer.data(link, number * 10**6, outgoing=outgoing, data=octets)


def test_a_long_mixed_conversation_is_read_without_complaint(tmp_path: Path) -> None:
    day = Session()
    said = day.day()
    path = tmp_path / "day.pcap"
    write(path, said)
    assert complaints(path) == []
    functions = Counter(cells(path, "dnp3.al.func"))
    heard = Counter(answer.octets[1] for answer in day.talk.heard)
    assert (functions[129], functions[130]) == (heard[129], heard[130])
    assert heard[129] > 60 and heard[130] > 30
    objects = {(code >> 8, code & 0xFF) for code in cells(path, "dnp3.al.obj")}
    groups = {group for group, _ in objects}
    assert {0, 1, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 23, 30, 32, 34, 40, 41, 42, 50, 51, 52, 60, 80, 110} <= groups
    sent = np.array([len(octets) for outgoing, octets in said if outgoing])
    assert sent.sum() > 50_000
