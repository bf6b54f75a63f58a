"""What a busy CAN bus costs: decoding beside cantools, and the whole driver on 3,500 frames/s from another process.

3,500 frames/s are a bus of 500 kbit/s at about 80 %. The peer of the whole driver does the same work with what
python-can and cantools bring: a Notifier on the loop and `decode_message`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import can
import cantools.database

from bench import system
from bench.modbus_poll import CountingPort
from bench.result import Result
from gateway.config import load_site
from gateway.paths import shipped
from protocols.can.client import multicast_works
from protocols.can.decode import Decoder
from protocols.can.driver import CanDriver
from protocols.can.plan import BusPlan, Frame

GROUP = "239.74.163.2"
RATE = 3500
BATCH = 17
"""Frames of 5 ms."""
FRAMES = 40_000
DURATION_S = 6.0
DECODE_PEER = "cantools decode_message, frame by frame"
DRIVER_PEER = "python-can Notifier on the loop and cantools decode_message"

_SENDER = """
import sys, time, can
bus = can.Bus(interface="udp_multicast", channel=sys.argv[1], port=int(sys.argv[2]))
keys = [*range(0x100, 0x104), 0x110, 0x111, *range(0x120, 0x123), *range(0x130, 0x133)]
n, start = 0, time.monotonic()
while True:
    due = int((time.monotonic() - start) * int(sys.argv[3]))
    while n < due:
        n += 1
        data = (n * 2654435761 % (1 << 64)).to_bytes(8, "little")
        bus.send(can.Message(arbitration_id=keys[n % len(keys)], data=data, is_extended_id=False))
    time.sleep(0.0005)
"""


def _site(folder: Path, port: int) -> BusPlan:
    site = folder / "can.yaml"
    site.write_text(
        f"site: bench\ndevices:\n  - {{name: bms, driver: can, interface: udp_multicast, channel: {GROUP},\n"
        f"     prefix: bms, options: {{port: {port}}}, dbc: {shipped('pointmaps/dbc/gridgate_bms.dbc')},\n"
        f"     map: {shipped('pointmaps/devices/gridgate_bms.csv')}}}\n"
    )
    plan: BusPlan = load_site(site).drivers[0][1]
    return plan


def _frames(plan: BusPlan) -> list[Frame]:
    chance = random.Random(1)
    keys = [message.key for message in plan.messages]
    return [(keys[n % len(keys)], chance.randbytes(8), n) for n in range(FRAMES)]


def _per_frame(work: Callable[[list[Frame]], None], frames: list[Frame]) -> float:
    start = time.process_time()
    work(frames)
    return 1e6 * (time.process_time() - start) / len(frames)


def _decode(plan: BusPlan) -> Result:
    database: Any = cantools.database.load_file(shipped("pointmaps/dbc/gridgate_bms.dbc"))
    decoder = Decoder(plan)

    def ours(frames: list[Frame]) -> None:
        for at in range(0, len(frames), BATCH):
            decoder.take(frames[at : at + BATCH])

    def theirs(frames: list[Frame]) -> None:
        for key, data, _ in frames:
            database.decode_message(key, data, decode_choices=False)

    frames = _frames(plan)
    peer, value = _per_frame(theirs, frames), _per_frame(ours, frames)
    note = f"batches of {BATCH} frames; cantools makes a dict a frame, ours columns ready to publish"
    return Result(name="can_decode", value=value, unit="us CPU/frame", peer=DECODE_PEER, peer_value=peer, note=note)


@contextlib.contextmanager
def _sender(port: int) -> Iterator[None]:
    child = subprocess.Popen([sys.executable, "-c", _SENDER, GROUP, str(port), str(RATE)])
    try:
        yield
    finally:
        child.kill()
        child.wait()


async def _driver(plan: BusPlan) -> tuple[float, float]:
    """(share of a core, frames/s) of the driver."""
    driver = CanDriver(plan, CountingPort())
    task = asyncio.create_task(driver.run())

    def frames() -> int:
        return driver.counters()["bms"]["frames"]

    await asyncio.sleep(1.0)
    found = await _watched(frames)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return found


async def _watched(frames: Callable[[], int]) -> tuple[float, float]:
    used_s, before, start = time.process_time(), frames(), time.monotonic()
    await asyncio.sleep(DURATION_S)
    took_s = time.monotonic() - start
    return (time.process_time() - used_s) / took_s, (frames() - before) / took_s


async def _plain(port: int) -> tuple[float, float]:
    """The same with python-can and cantools alone."""
    database: Any = cantools.database.load_file(shipped("pointmaps/dbc/gridgate_bms.dbc"))
    bus = can.Bus(interface="udp_multicast", channel=GROUP, port=port)
    count = 0

    def take(message: can.Message) -> None:
        nonlocal count
        count += 1
        database.decode_message(message.arbitration_id, message.data, decode_choices=False)

    notifier = can.Notifier(bus, [take], loop=asyncio.get_running_loop())
    await asyncio.sleep(1.0)
    found = await _watched(lambda: count)
    notifier.stop()
    bus.shutdown()
    return found


def measure() -> Iterator[Result]:
    """CPU a frame of decoding, and of the whole driver on a busy bus, each beside its peer."""
    port = system.free_port()
    with system.workspace() as folder:
        plan = _site(folder, port)
    yield _decode(plan)
    if not multicast_works(GROUP):
        raise RuntimeError("this machine has no multicast: the whole driver was not measured")
    with _sender(port):
        plain, plain_rate = asyncio.run(_plain(port))
        ours, rate = asyncio.run(_driver(plan))
    note = f"{rate:.0f} frames/s of {RATE} sent (peer {plain_rate:.0f}); values to the table's door, udp_multicast"
    yield Result(
        name="can_driver",
        value=100 * ours,
        unit="% of a core",
        budget=25,
        peer=DRIVER_PEER,
        peer_value=100 * plain,
        note=note,
    )
