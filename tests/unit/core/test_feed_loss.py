"""A core that goes, hangs or comes back: what its readers say of the points meanwhile."""

import asyncio
import time
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from gateway.feed import client as feed_client
from gateway.points import Quality
from tests.kit.feedkit import CoreSide, ReaderSide, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "feed.sock"


def test_without_a_core_everything_becomes_not_topical(path, monkeypatch):
    monkeypatch.setattr(feed_client, "STALE_AFTER_S", 0.05)

    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        core.publish([0], [5.0], 99)
        await until(lambda: len(reader.told) == 1)
        await core.hub.stop()
        await until(lambda: len(reader.told) == 2)
        assert reader.told[1] == (0, 5.0, Quality.NOT_TOPICAL)
        assert reader.client.mirror.time_ns[0] == 99
        await reader.stop()

    asyncio.run(talk())


def test_a_core_lost_twice_and_back_in_time_leaves_nothing_stale(path, monkeypatch):
    monkeypatch.setattr(feed_client, "STALE_AFTER_S", 0.3)

    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        core.publish([0], [5.0], 99)
        await until(lambda: reader.ready and reader.client.mirror.quality[0] == 0)
        await core.hub.stop()
        path.unlink(missing_ok=True)

        dying = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
        await until(lambda: reader.log.events().count("feed lost") >= 2)
        dying.close()
        path.unlink(missing_ok=True)
        newborn = CoreSide(path, 1, epoch=2)
        newborn.publish([0], [5.0], 99)
        await newborn.hub.start(path)
        await until(lambda: "feed resumed" in reader.log.events())
        await asyncio.sleep(0.5)  # longer than a reader without a core would wait
        assert "no core: all points not topical" not in reader.log.events()
        assert reader.client.mirror.quality[0] == 0
        await reader.stop()
        await newborn.hub.stop()

    asyncio.run(talk())


def test_a_core_that_was_only_held_up_says_again_what_stands(path, monkeypatch):
    monkeypatch.setattr(feed_client, "SILENCE_S", 0.1)
    monkeypatch.setattr(feed_client, "STALE_AFTER_S", 0.05)
    monkeypatch.setattr("gateway.feed.hub.HEARTBEAT_S", 0.02)

    async def talk():
        deaf = pytest.MonkeyPatch()
        core = CoreSide(path, 2)
        core.publish([0, 1], [5.0, 6.0], 99)
        await core.hub.start(path)
        reader = ReaderSide(path, 2)
        reader.start()
        await until(lambda: reader.ready)
        seq = reader.client.seq

        deaf.setattr("gateway.feed.hub._Link.data_received", lambda link, data: None)
        core.hub._beat.cancel()
        await until(lambda: "no core: all points not topical" in reader.log.events())
        deaf.undo()
        core.hub._beat = asyncio.create_task(core.hub._heartbeat())
        core.publish([1], [7.0], 100)
        await until(lambda: not reader.client.mirror.quality.any())
        assert_array_equal(reader.client.mirror.value, [5.0, 7.0])
        assert (0, 5.0, 0) in reader.told
        assert (1, 7.0, 0) in reader.told
        assert reader.client.seq == core.hub.ring.seq > seq
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_reader_that_is_slow_itself_does_not_take_it_for_silence(path, monkeypatch):
    monkeypatch.setattr(feed_client, "SILENCE_S", 0.2)

    class Slow(ReaderSide):
        def feed_changes(self, batch, seq):
            time.sleep(0.3)  # its loop is held up, as on a machine that does much else
            super().feed_changes(batch, seq)

    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = Slow(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        link = reader.client._link
        core.publish([0], [1.0], 10)
        await until(lambda: len(reader.told) == 1)
        link._check_silence()  # its time may come in the very turn of the loop that took so long
        core.publish([0], [2.0], 11)
        await until(lambda: len(reader.told) == 2)
        assert "feed lost" not in reader.log.events()
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_silent_core_counts_as_gone(path, monkeypatch):
    monkeypatch.setattr(feed_client, "SILENCE_S", 0.1)

    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        core.hub._beat.cancel()
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: "feed lost" in reader.log.events())
        assert "silent" in str(reader.log.lines)
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())
