"""A core keeps for a server's next process what its masters' journals do not have yet, from the first welcome on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.feed.client import FeedClient
from tests.kit.feedkit import CoreSide, ReaderSide, until

SIZE = 4


def server(path: Path) -> ReaderSide:
    """A server with two masters."""
    reader = ReaderSide(path, SIZE)
    reader.client = FeedClient(path, "test server", "srv", SIZE, reader, reader.log, ["main", "standby"])
    return reader


def test_a_server_that_dies_before_it_wrote_anything_down_is_given_it_again(tmp_path: Path) -> None:
    async def talk() -> None:
        core = CoreSide(tmp_path / "feed.sock", SIZE)
        await core.hub.start(core.path)
        core.publish([0], [1.0], 1)
        first = server(core.path)
        first.start()
        await until(lambda: first.ready and "srv" in core.hub.confirmed)
        begun = core.hub.ring.seq
        assert first.confirmed == {"main": begun, "standby": begun}
        assert core.hub.confirmed == {"srv": {"main": begun, "standby": begun}}
        core.publish([1], [2.0], 2)
        core.publish([1], [3.0], 3)
        await until(lambda: len(first.told) == 2)
        first.client.confirm("main", begun + 1)
        await until(lambda: core.hub.confirmed["srv"]["main"] == begun + 1)
        await first.stop()

        second = server(core.path)
        second.start()
        await until(lambda: second.ready)
        assert second.confirmed == {"main": begun + 1, "standby": begun}
        assert second.told == [(1, 2.0, 0), (1, 3.0, 0)], "for the master that has least"
        await second.stop()
        await core.hub.stop()

    asyncio.run(talk())
