"""Several masters behind one address: each finds its own traffic in its trace."""

from __future__ import annotations

from gateway.contracts import LinkName
from gateway.tracing.trace import Happening, TraceRing
from protocols.dnp3.linktrace import LinkTrace

HERE, THERE = ("127.0.0.1", 20_000), ("127.0.0.1", 40_001)


def told(ring: TraceRing, master: str) -> list[tuple[Happening, bool, bytes]]:
    return [(record.happening, record.outgoing, record.data) for record in ring.records(master)]


def test_a_connection_of_one_master_is_told_from_its_beginning_octet_by_octet() -> None:
    ring = TraceRing()
    link = LinkTrace(ring, ["main"], 7, HERE, THERE)
    link.received(b"\x05", [])
    link.sent("main", b"answer")
    link.closed(True)
    assert told(ring, "main") == [
        (Happening.OPENED, False, b""),
        (Happening.DATA, False, b"\x05"),
        (Happening.DATA, True, b"answer"),
        (Happening.CLOSED, True, b""),
    ]
    assert {record.link for record in ring.records("main")} == {LinkName("main", 7, HERE, THERE)}


def test_who_speaks_on_a_shared_address_has_the_octets_and_the_others_do_not() -> None:
    ring = TraceRing()
    link = LinkTrace(ring, ["main", "backup"], 8, HERE, THERE)
    link.received(b"half a ", [])
    link.received(b"frame", ["backup"])
    link.sent("backup", b"answer")
    link.closed(False)
    assert told(ring, "main") == []
    assert told(ring, "backup") == [
        (Happening.OPENED, False, b""),
        (Happening.DATA, False, b"half a frame"),
        (Happening.DATA, True, b"answer"),
        (Happening.CLOSED, False, b""),
    ]


def test_what_nobody_owns_is_told_to_all() -> None:
    ring = TraceRing()
    link = LinkTrace(ring, ["main", "backup"], 9, HERE, THERE)
    link.received(b"GET / HTTP/1.1", [])
    link.closed(True)
    for master in ("main", "backup"):
        assert told(ring, master)[1] == (Happening.DATA, False, b"GET / HTTP/1.1")
