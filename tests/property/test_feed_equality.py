"""Whatever is published, however the links break: every mirror ends equal to the table, and nobody misses a change."""

import asyncio
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_array_equal

from tests.kit.feedkit import CoreSide, ReaderSide, until

SIZE = 6
updates = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, 3)), min_size=1, max_size=12)
steps = st.lists(st.one_of(updates, st.sampled_from(["cut", "new core", "flush", "breathe"])), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_mirrors_equal_the_table_after_any_history(steps):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder) / "run" / "feed.sock", steps))


async def play(path: Path, steps: list) -> None:
    core, epoch, clock = CoreSide(path, SIZE), 1, 0
    await core.hub.start(path)
    readers = [ReaderSide(path, SIZE, name=f"r{i}") for i in range(2)]
    for reader in readers:
        reader.start()
    await until(lambda: all(reader.ready for reader in readers))
    truth: list[tuple[int, float, int]] = []
    whole = True
    for step in steps:
        clock += 1
        if step == "cut":
            for link in list(core.hub._readers):
                link.reader.transport.abort()
        elif step == "new core":
            whole = False
            await core.hub.stop()
            epoch += 1
            core = CoreSide(path, SIZE, epoch=epoch)
            await core.hub.start(path)
        elif step == "flush":
            core.hub.flush()
        elif step == "breathe":
            await asyncio.sleep(0.001)
        else:
            before = core.hub._waiting[:]
            core.publish([row for row, _ in step], [float(value) for _, value in step], clock)
            for batch in core.hub._waiting[len(before) :]:
                truth += [(int(r["row"]), float(r["value"]), int(r["quality"])) for r in batch]
    # Every point once more, so that a new core knows all of them.
    core.publish(list(range(SIZE)), [9.0] * SIZE, clock + 1)
    truth += [(row, 9.0, 0) for row in range(SIZE)]
    core.hub.flush()
    await until(lambda: all(reader.client.seq == core.hub.ring.seq for reader in readers))
    for reader in readers:
        mirror = reader.client.mirror
        assert_array_equal(mirror.value, core.table.value)
        assert_array_equal(mirror.quality, core.table.quality)
        assert_array_equal(mirror.time_ns, core.table.time_ns)
        if whole:
            assert reader.told == truth
        await reader.stop()
    await core.hub.stop()
