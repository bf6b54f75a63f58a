"""Indications of a DNP3 response, and a master that has cleared the first of them."""

from __future__ import annotations

from tests.kit.dnp3kit import Site
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import RawDnp3

RESTART, NEED_TIME, CLASS_1, CLASS_2, CLASS_3 = 0x80, 0x10, 0x02, 0x04, 0x08
NO_FUNCTION, NO_OBJECT, BAD_PARAMETER, OVERFLOW = 0x100, 0x200, 0x400, 0x800

STATIC = (
    "010200000081"  # g1v2 0-0: fault 2, on
    "0302000000c1"  # g3v2 0-0: breaker 3, indeterminate
    "0a0200000081"  # g10v2 0-0: run 6, on
    "0a0200050581"  # g10v2 5-5: the index is as in the map
    "14010000000104000000"  # g20v1: energy 4
    "15050000000200000000000000000000"  # g21v5: never frozen, RESTART
    "1e050000010100000000010000803f"  # g30v5 0-1: power 0, frequency 1
    "2803000001010000a040010000a040"  # g40v3 0-1: set-point 5
)


async def ready(site: Site, **keys: object) -> RawDnp3:
    """A master that has cleared the restart indication."""
    connected = await site.connect(**keys)
    answer = await connected.ask(raw.WRITE, "500100" + "0707" + "00")
    assert not answer.iin & RESTART
    return connected
