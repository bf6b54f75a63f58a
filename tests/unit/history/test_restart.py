"""The historian is killed while devices come and go: its store is as if it had lived on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from gateway.feed.address import socket_path
from gateway.history.reader import HistoryReader
from gateway.points.quality import Quality
from tests.kit.feedkit import CoreSide, until
from tests.kit.historykit import HistorianProcess, core_side, history_plan

SIZE, START_NS, SECOND = 4 + 9, 1_700_000_000_000_000_000, 1_000_000_000
LOST = int(Quality.COMM_LOST)


def lose(core: CoreSide, *rows: int) -> None:
    core.hub.append(core.table.degrade(np.array(rows, np.uint32), LOST))


def stored(state_dir: Path) -> list[list[tuple[float, int]]]:
    """(value, quality) of each point in order of time."""
    try:
        reader = HistoryReader(state_dir / "history")
    except FileNotFoundError:
        return []
    found = [reader.range(f"p{row}", 0, 1 << 62) for row in range(4)]
    reader.close()
    for samples in found:
        assert len(np.unique(samples.time_ns)) == len(samples), "two samples of a series share a time"
    return [list(zip(samples.value.tolist(), samples.quality.tolist(), strict=True)) for samples in found]


def test_a_historian_that_lags_tells_a_loss_when_the_core_did(tmp_path: Path) -> None:
    """Lost and back within seconds, while the historian was held up: in its store the return follows the loss."""

    async def scene() -> None:
        core = core_side(tmp_path, SIZE)
        clock = [START_NS]
        core.hub.clock_ns = lambda: clock[0]
        await core.hub.start(socket_path(tmp_path))
        historian = HistorianProcess(tmp_path, core.table_catalogue, history_plan(SIZE))
        historian.start()
        await until(historian.is_ready, 60)
        core.publish([0, 1, 2, 3], [10.0, 11.0, 12.0, 13.0], START_NS)
        await until(lambda: all(map(len, stored(tmp_path) or [[]])), 60)
        for held_up in (lambda: None, historian.stop):
            held_up()
            for step, change in enumerate((lambda: lose(core, 0), lambda: core.publish([0], [10.0], clock[0])), 1):
                clock[0] += step * SECOND
                change()
                core.hub.flush()
        historian.start()
        expected = [(10.0, 0), (10.0, LOST), (10.0, 0), (10.0, LOST), (10.0, 0)]
        try:
            await until(lambda: stored(tmp_path)[0] == expected, 60)
        except TimeoutError:
            assert stored(tmp_path)[0] == expected
        reader = HistoryReader(tmp_path / "history")
        seconds = (reader.range("p0", 0, 1 << 62).time_ns - START_NS) // SECOND
        reader.close()
        assert seconds.tolist() == [0, 1, 3, 4, 6]
        historian.stop()
        await core.hub.stop()

    asyncio.run(scene())


def test_killed_between_a_value_and_the_loss_of_its_device(tmp_path: Path) -> None:
    async def scene() -> None:
        core = core_side(tmp_path, SIZE)
        await core.hub.start(socket_path(tmp_path))
        historian = HistorianProcess(tmp_path, core.table_catalogue, history_plan(SIZE))
        historian.start()
        await until(historian.is_ready, 60)
        core.publish([0, 1, 2, 3], [10.0, 11.0, 12.0, 13.0], START_NS)
        lose(core, 0, 1)
        expected = [[(10.0, 0), (10.0, LOST)], [(11.0, 0), (11.0, LOST)], [(12.0, 0)], [(13.0, 0)]]
        await until(lambda: stored(tmp_path) == expected, 60)

        historian.stop()
        lose(core, 2)
        core.publish([1], [21.0], START_NS + SECOND)
        historian.start()
        await until(historian.is_ready, 60)
        lose(core, 3)
        core.publish([0], [20.0], START_NS + 2 * SECOND)
        # The loss has the time at which the core told it, today; the values have theirs, and what stands stands last.
        expected[0] = [(10.0, 0), (20.0, 0), (10.0, LOST), (20.0, 0)]
        expected[1] = [(11.0, 0), (21.0, 0), (11.0, LOST), (21.0, 0)]
        expected[2].append((12.0, LOST))
        expected[3].append((13.0, LOST))
        try:
            await until(lambda: stored(tmp_path) == expected, 60)
        except TimeoutError:
            assert stored(tmp_path) == expected
        finally:
            historian.stop()
            await core.hub.stop()

    asyncio.run(scene())
