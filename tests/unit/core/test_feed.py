"""The core and its readers talk over the feed."""

import asyncio
import socket
import stat
import time
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from gateway.contracts.command import Action, Command, Origin, Outcome, Reason, Stage
from gateway.feed.frames import HEADER_BYTES, FeedError, FrameKind, FrameReader, frame, json_frame
from gateway.points import Quality
from tests.kit.feedkit import CoreSide, ReaderSide, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "feed.sock"


def command(command_id: int, server: str = "srv") -> Command:
    return Command(
        id=command_id,
        row=0,
        value=1.0,
        action=Action.EXECUTE,
        origin=Origin(protocol="iec104", server=server, master="m"),
        deadline_ns=time.time_ns() + 5_000_000_000,
    )


def test_a_reader_gets_the_table_and_then_every_change(path):
    async def talk():
        core = CoreSide(path, 3)
        core.publish([0, 1, 2], [1, 2, 3], 10)
        await core.hub.start(path)
        reader = ReaderSide(path, 3)
        reader.start()
        await until(lambda: reader.ready)
        assert_array_equal(reader.client.mirror.value, [1, 2, 3])
        core.publish([1], [20], 11)
        core.publish([1], [21], 12)
        await until(lambda: len(reader.told) == 2)
        assert reader.told == [(1, 20.0, 0), (1, 21.0, 0)]
        assert reader.client.seq == core.hub.ring.seq
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_reader_that_lags_and_one_that_reads_again_know_when_the_core_published(path):
    async def talk():
        core = CoreSide(path, 1)
        clock = [1_000]
        core.hub.clock_ns = lambda: clock[0]
        await core.hub.start(path)
        told: list[tuple[float, int]] = []

        class Watcher(ReaderSide):
            def feed_changes(self, batch, seq):
                super().feed_changes(batch, seq)
                told.append((float(batch["value"][-1]), self.client.told_ns))

        reader = Watcher(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        reader.client.confirm("main", core.hub.ring.seq)
        await until(lambda: "srv" in core.hub.confirmed)
        for at in (2_000, 3_000):
            clock[0] = at
            core.publish([0], [float(at)], 1)
            clock[0] = at + 1  # the loop comes to it later
            core.hub.flush()
        clock[0] = 9_000
        await until(lambda: len(told) == 2)
        assert told == [(2_000.0, 2_000), (3_000.0, 3_000)]
        await reader.stop()
        again = Watcher(path, 1)
        again.start()
        await until(lambda: again.ready)
        assert told[2:] == [(2_000.0, 2_000), (3_000.0, 3_000)]
        assert again.client.told_ns == 9_000
        await again.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_the_socket_is_for_its_owner_only(path):
    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        await core.hub.stop()

    asyncio.run(talk())


def test_a_path_too_long_for_a_socket_address_still_works(tmp_path):
    path = tmp_path / ("d" * 60) / ("e" * 60) / "run" / "feed.sock"

    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_cut_reader_resumes_without_a_lost_or_doubled_change(path):
    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        for i in range(50):
            core.publish([0], [float(i)], i + 1)
            await asyncio.sleep(0.002)
            if i in (10, 30):
                for link in list(core.hub._readers):
                    link.reader.transport.abort()
        await until(lambda: reader.client.seq == core.hub.ring.seq)
        assert [value for _, value, _ in reader.told] == [float(i) for i in range(50)]
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_reader_that_was_away_too_long_knows_how_much_it_missed(path):
    async def talk():
        core = CoreSide(path, 1, capacity=100)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        for link in list(core.hub._readers):
            link.reader.transport.abort()
        for i in range(1_000):
            core.publish([0], [float(i)], i + 1)
            core.hub.flush()
        await until(lambda: reader.client.seq == core.hub.ring.seq)
        assert 0 < reader.missed <= 1_000
        assert reader.told[-1] == (0, 999.0, 0), "what stands follows"
        assert len(reader.told) + reader.missed >= 1_000, "nothing goes uncounted"
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_reader_that_stalls_is_told_what_it_missed_and_gets_the_table(path):
    async def talk():
        core = CoreSide(path, 2000, capacity=10_000)
        await core.hub.start(path)
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(json_frame(FrameKind.HELLO, {"name": "slow", "server": "", "resume": 0, "replay": False}))
        await reader.readexactly(HEADER_BYTES)
        for i in range(400):
            core.publish(list(range(2000)), [float(i)] * 2000, i + 1)
            core.hub.flush()
            if i % 20 == 0:
                await asyncio.sleep(0)
        frames = FrameReader(1 << 28)
        # The first header was read alone: put it back.
        kinds: list[FrameKind] = []
        lost = 0
        frames_data = b""
        async with asyncio.timeout(20):
            while FrameKind.OVERRUN not in kinds or kinds[-1] is not FrameKind.SNAPSHOT:
                frames_data = await reader.read(1 << 20)
                if not kinds:
                    # Skip the rest of WELCOME, whose header is gone, up to the snapshot's header.
                    cut = frames_data.index(b"}") + 2
                    frames_data = frames_data[frames_data.index(b"}", cut - 1) + 1 :]
                for kind, _, _, payload in frames.feed(frames_data):
                    kinds.append(kind)
                    lost += int(payload.split(b":")[1].rstrip(b"}")) if kind is FrameKind.OVERRUN else 0
        assert lost > 0
        assert "feed reader overrun" in core.log.events()
        writer.close()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_new_worker_is_given_again_what_its_masters_had_not_confirmed(path):
    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        first = ReaderSide(path, 1)
        first.start()
        await until(lambda: first.ready)
        for i in range(5):
            core.publish([0], [float(i)], i + 1)
            core.hub.flush()
        await until(lambda: len(first.batches) >= 5)
        confirmed_seq = first.batches[2][1]
        first.client.confirm("main", confirmed_seq)
        await until(lambda: core.hub.confirmed.get("srv") == {"main": confirmed_seq})
        await first.stop()

        second = ReaderSide(path, 1)
        second.start()
        await until(lambda: second.ready)
        assert second.confirmed == {"main": confirmed_seq}
        assert [value for _, value, _ in second.told] == [3.0, 4.0]
        assert second.client.mirror.value[0] == 4.0
        await second.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_new_core_that_knows_nothing_yet_turns_no_value_into_zero(path):
    async def talk():
        core = CoreSide(path, 2)
        await core.hub.start(path)
        reader = ReaderSide(path, 2)
        reader.start()
        await until(lambda: reader.ready)
        core.publish([0, 1], [50.0, 60.0], 7)
        await until(lambda: len(reader.told) == 2)
        await core.hub.stop()
        reader.told.clear()

        newborn = CoreSide(path, 2, epoch=2)
        await newborn.hub.start(path)
        await until(lambda: len(reader.told) == 2)
        assert reader.told == [(0, 50.0, Quality.NOT_TOPICAL), (1, 60.0, Quality.NOT_TOPICAL)]
        newborn.hub.append(newborn.table.degrade(reader.client.mirror.seen_ns[:1].astype("u4") * 0, Quality.COMM_LOST))
        newborn.publish([1], [61.0], 9)
        await until(lambda: len(reader.told) == 4)
        assert reader.told[2] == (0, 50.0, Quality.COMM_LOST | Quality.NOT_TOPICAL)
        assert reader.told[3] == (1, 61.0, 0)
        await reader.stop()
        await newborn.hub.stop()

    asyncio.run(talk())


def test_a_reader_that_is_late_to_a_new_core_hears_all_that_it_has_told(path):
    async def talk():
        core = CoreSide(path, 3)
        await core.hub.start(path)
        reader = ReaderSide(path, 3)
        reader.start()
        await until(lambda: reader.ready)
        core.publish([0, 1, 2], [50.0, 60.0, 70.0], 7)
        await until(lambda: len(reader.told) == 3)
        await core.hub.stop()
        reader.told.clear()

        newborn = CoreSide(path, 3, epoch=2)
        for step, value in enumerate([51.0, 52.0, 53.0]):
            newborn.publish([0], [value], 8 + step)
        newborn.publish([1], [60.0], 11)
        newborn.hub.flush()
        await newborn.hub.start(path)
        await until(lambda: len(reader.told) == 5)
        assert reader.told == [
            (0, 51.0, 0),
            (0, 52.0, 0),
            (0, 53.0, 0),
            (1, 60.0, 0),
            (2, 70.0, Quality.NOT_TOPICAL),  # of which the new one has not heard yet
        ]
        newborn.publish([2], [71.0], 12)
        await until(lambda: len(reader.told) == 6)
        assert reader.told[5] == (2, 71.0, 0)
        assert_array_equal(reader.client.mirror.value, [53.0, 60.0, 71.0])
        await reader.stop()
        await newborn.hub.stop()

    asyncio.run(talk())


def test_a_snapshot_asked_for_by_a_reader_that_is_behind_takes_nothing_from_it(path):
    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        (link,) = core.hub._readers
        link.pause_writing()  # as if its socket were full
        for value in range(100):
            core.publish([0], [float(value)], 100 + value)
            core.hub.flush()
        reader.client.refresh()
        await until(lambda: link.reader.snapshot_due)
        link.resume_writing()
        await until(lambda: len(reader.told) >= 100)
        assert [value for _, value, _ in reader.told] == [float(value) for value in range(100)]
        assert not link.reader.snapshot_due
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_a_command_goes_over_and_its_outcomes_come_back(path):
    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        heard: list[Outcome] = []
        sent = command(reader.client.next_id())
        reader.client.submit(sent, heard.append)
        await until(lambda: len(heard) == 2)
        assert [outcome.stage for outcome in heard] == [Stage.ACCEPTED, Stage.COMPLETED]
        assert core.commands == [("srv", sent)]
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_without_a_core_a_command_is_refused_and_one_under_way_fails(path):
    async def talk():
        core = CoreSide(path, 1)
        core.submit = lambda server, command, on_outcome: None
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        heard: list[Outcome] = []
        reader.client.submit(command(1), heard.append)
        await asyncio.sleep(0.02)
        await core.hub.stop()
        await until(lambda: len(heard) == 1)
        assert (heard[0].stage, heard[0].reason) == (Stage.FAILED, Reason.CORE_LOST)
        reader.client.submit(command(2), heard.append)
        assert (heard[1].stage, heard[1].reason) == (Stage.REFUSED, Reason.CORE_LOST)
        await reader.stop()

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("an unknown kind", b"\x00\x00\x00\x00\xff\x02\x00\x00" + bytes(16)),
        ("a giant frame", b"\xff\xff\xff\x7f\x01\x02\x00\x00" + bytes(16)),
        ("the feed of an older gateway", b"\x0a\x00\x00\x00\x01\x00\x00\x00" + bytes(8) + b'{"name":1}'),
        ("a frame that only a core sends", frame(FrameKind.SNAPSHOT)),
        ("a broken command", json_frame(FrameKind.COMMAND, {"id": 1})),
        ("no JSON", frame(FrameKind.HELLO, b"{")),
        ("a row beyond the table", frame(FrameKind.PUBLISH, b"\xff" * 24)),
        ("half a record", frame(FrameKind.PUBLISH, b"\xff" * 23)),
        ("a strange resume", json_frame(FrameKind.HELLO, {"resume": "x"})),
    ],
)
def test_nonsense_closes_its_own_connection_and_nothing_else(path, name, data):
    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        good = ReaderSide(path, 1)
        good.start()
        await until(lambda: good.ready)
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(data)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(5):
                while True:
                    await reader.readexactly(1)
        writer.close()
        core.publish([0], [3.0], 1)
        await until(lambda: len(good.told) == 1)
        assert "feed reader closed" in core.log.events()
        await good.stop()
        await core.hub.stop()

    asyncio.run(talk())


def test_the_reader_limits_a_frame():
    with pytest.raises(FeedError, match="announced"):
        FrameReader(100).feed(frame(FrameKind.HELLO, bytes(101)))


def test_a_dead_cores_socket_file_is_replaced(path):
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def talk():
        core = CoreSide(path, 1)
        await core.hub.start(path)
        reader = ReaderSide(path, 1)
        reader.start()
        await until(lambda: reader.ready)
        await reader.stop()
        await core.hub.stop()

    asyncio.run(talk())
