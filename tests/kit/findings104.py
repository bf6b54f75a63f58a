"""The plant in which what was found wrong elsewhere is shown right, and how its frames are read."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

from tests.kit.station104 import Station, points, station
from tests.peers.raw104 import Frame, Raw104

PLANT = points(
    "power analog -1000 1000,fault binary,breaker double,tap analog -64 63,"
    "flags analog,energy counter,setpoint setpoint -1000 1000,run control"
)
POWER, FAULT, BREAKER, TAP, FLAGS, ENERGY, SETPOINT, RUN = range(8)
MAP = """
point,ca,ioa,type,group,mode
power,1,4001,M_ME_TF_1,1,
fault,1,1001,M_SP_TB_1,2,
breaker,1,2001,M_DP_TB_1,16,
tap,1,3001,M_ST_TB_1,,
flags,1,8001,M_BO_TB_1,,
energy,1,5001,M_IT_TB_1,1,
setpoint,1,7001,C_SE_NC_1,,direct|select
run,1,6001,C_SC_NA_1,,select
"""
SIZES = {1: 1, 3: 1, 5: 2, 7: 5, 13: 5, 15: 5, 30: 8, 31: 8, 32: 9, 33: 12, 36: 12, 37: 12}


def run(talk: Callable[[Station], Awaitable[None]], map_: str | dict[str, str] = MAP, **keys: object) -> None:
    async def play() -> None:
        async with station(PLANT, map_, **keys) as running:  # type: ignore[arg-type]
            await talk(running)

    asyncio.run(play())


def said(frame: Frame) -> tuple[int, int, bool]:
    return frame.type_id, frame.cause, frame.negative


def objects(frames: list[Frame]) -> list[tuple[int, bytes]]:
    return [one for frame in frames if frame.type_id in SIZES for one in frame.objects(SIZES[frame.type_id])]


def floats(frames: list[Frame]) -> dict[int, float]:
    return {ioa: struct.unpack("<f", element[:4])[0] for ioa, element in objects(frames)}


async def events(master: Raw104, count: int) -> list[tuple[int, bytes]]:
    """So many events, all spontaneous; what comes too much stays unread."""
    found: list[tuple[int, bytes]] = []
    while len(found) < count:
        frame = await master.hear_i()
        assert frame.cause == 3, frame.raw.hex()
        found += objects([frame])
    return found


def numbers(found: list[tuple[int, bytes]]) -> list[int]:
    """The values of floats, which number the events."""
    return [int(struct.unpack("<f", element[:4])[0]) for _, element in found]


# --- Commands


def real(value: float, select: bool = False) -> str:
    return struct.pack("<fB", value, 0x80 if select else 0).hex()
