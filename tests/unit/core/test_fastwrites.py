"""The control cycle's writes: one in flight per point, the newest next, and a last word on every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import gateway.commanding.fastwrites
from gateway.commanding.fastwrites import FastWrites, Overtaken
from gateway.contracts.driver import OnWritten, Write, WriteLost, WriteRefused

Trouble = WriteRefused | WriteLost | None


class Pcs:
    """A device whose driver takes writes at once (`direct`) or only one awaited task at a time."""

    def __init__(self, direct: bool) -> None:
        self.direct = direct
        self.seen: list[float] = []
        self.open: list[Callable[[Trouble], None]] = []
        self.cancelled = 0

    def take(self, write: Write, on_written: OnWritten) -> Pcs | None:
        if not self.direct:
            return None
        self.seen.append(write.value)
        self.open.append(on_written)
        return self

    async def write(self, write: Write) -> None:
        self.seen.append(write.value)
        done: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        self.open.append(lambda trouble: None if done.done() else done.set_result(trouble))
        try:
            trouble = await done
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if trouble is not None:
            raise trouble

    def cancel(self) -> None:
        self.cancelled += 1

    async def answers(self, trouble: Trouble = None) -> None:
        await asyncio.sleep(0)
        self.open.pop(0)(trouble)
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.mark.parametrize("direct", [True, False])
def test_the_newest_value_follows_the_one_in_flight(direct: bool) -> None:
    async def story() -> None:
        pcs, told = Pcs(direct), dict[float, Trouble]()
        writes = FastWrites(pcs.write, pcs.take)
        for value in (1.0, 2.0, 3.0):
            writes.write(Write(row=7, value=value), lambda trouble, value=value: told.__setitem__(value, trouble))
        await pcs.answers()
        assert isinstance(told[2.0], Overtaken)
        await pcs.answers(WriteRefused("not now"))
        assert pcs.seen == [1.0, 3.0]
        assert told[1.0] is None
        assert "not now" in str(told[3.0])
        assert writes.errors == {7: 1}
        await writes.stop()

    asyncio.run(story())


@pytest.mark.parametrize("direct", [True, False])
def test_a_device_that_says_nothing_has_failed_and_its_late_word_counts_no_more(
    direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.commanding.fastwrites, "WRITE_S", 0.05)
    monkeypatch.setattr(gateway.commanding.fastwrites, "_LOOK_S", 0.01)

    async def story() -> None:
        pcs, told = Pcs(direct), list[Trouble]()
        writes = FastWrites(pcs.write, pcs.take)
        failed: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        writes.write(Write(row=7, value=1.0), failed.set_result)
        assert "did not acknowledge" in str(await asyncio.wait_for(failed, 5))
        writes.write(Write(row=7, value=2.0), told.append)
        await pcs.answers()
        assert (pcs.seen, pcs.cancelled, told) == ([1.0, 2.0], 1, [])
        await pcs.answers()
        assert told == [None]

    asyncio.run(story())


@pytest.mark.parametrize("direct", [True, False])
def test_the_end_of_the_gateway_is_told(direct: bool) -> None:
    async def story() -> None:
        pcs, told = Pcs(direct), list[Trouble]()
        writes = FastWrites(pcs.write, pcs.take)
        writes.write(Write(row=7, value=1.0), told.append)
        await asyncio.sleep(0)
        await writes.stop()
        assert "stopping" in str(told[0])

    asyncio.run(story())


def test_a_driver_that_fails_at_once_is_asked_once() -> None:
    async def story() -> None:
        asked = []

        def take(write: Write, on_written: OnWritten) -> None:
            asked.append(write.value)
            on_written(WriteLost("no line"))

        told = list[Trouble]()
        writes = FastWrites(Pcs(direct=False).write, take)
        writes.write(Write(row=7, value=1.0), told.append)
        assert asked == [1.0]
        assert "no line" in str(told[0])

    asyncio.run(story())
