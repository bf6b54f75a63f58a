"""The worker's book of its masters' connections."""

from __future__ import annotations

import socket

from gateway.contracts.server import LinkName
from gateway.linkbook import LinkBook, round_trip_ms

LINK = LinkName("main", 1, ("127.0.0.1", 2404), ("10.0.0.9", 40_000))


def test_a_connection_comes_talks_and_goes() -> None:
    book = LinkBook()
    assert book.facts("main") == {"links": [], "connects": 0, "last_end": None}
    book.opened(LINK, None)
    book.record(LINK, False, 6, 1_000)
    book.record(LINK, True, 100, 2_000)
    facts = book.facts("main")
    (link,) = facts["links"]
    assert (link["octets_in"], link["octets_out"], link["heard_ns"], link["told_ns"]) == (6, 100, 1_000, 2_000)
    assert link["peer"] == ("10.0.0.9", 40_000)
    assert book.facts("other")["links"] == []
    book.closed(LINK, False, "t1 passed without an acknowledgement")
    book.opened(LINK, None)
    facts = book.facts("main")
    assert facts["connects"] == 2
    assert facts["last_end"]["cause"] == "t1 passed without an acknowledgement"


def test_an_end_without_a_word_says_who_ended_it() -> None:
    book = LinkBook()
    book.opened(LINK, None)
    book.closed(LINK, True, "")
    assert book.facts("main")["last_end"]["cause"] == "closed by the gateway"
    book.record(LINK, True, 5, 1)  # octets of a connection that is gone are nobody's


def test_the_kernel_knows_the_round_trip() -> None:
    """Of a TCP connection over loopback: less than a second, and nothing once it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        client.sendall(b"x" * 100)
        assert peer.recv(100)
        found = round_trip_ms(client)
        peer.close()
        client.close()
    assert found is not None
    assert 0 < found < 1000
    assert round_trip_ms(client) is None
    assert round_trip_ms(None) is None
