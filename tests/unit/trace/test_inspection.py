"""A worker's inspection socket, and the person who looks through it. The worker behind it is the test's."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.contracts import LinkName
from gateway.tracing import inspection
from gateway.tracing.inspection import Inspection, inspection_path
from gateway.tracing.trace import RECORD_COST, TraceRing
from tests.contract.server_suite import QuietLog, until

LINK = LinkName("main", 7, ("127.0.0.1", 2404), ("127.0.0.1", 40_001))
OTHER = LinkName("other", 8, ("127.0.0.1", 2404), ("127.0.0.1", 40_002))


class Person:
    """Somebody with `gridgate trace`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, **request: Any) -> None:
        await self.say(json.dumps({"get": "trace", "master": "main", "follow": False, **request}))

    async def say(self, line: str) -> None:
        self.writer.write(line.encode() + b"\n")
        await self.writer.drain()

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            line = await self.reader.readline()
        told: dict[str, Any] = json.loads(line) if line else {}
        return told

    async def hear_all(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            return [json.loads(line) for line in (await self.reader.read()).splitlines()]


class Worker:
    def __init__(self, path: Path, ring: TraceRing) -> None:
        self.path, self.ring, self.log = path, ring, QuietLog()
        self.inspection = Inspection(path, ["main", "other"], ring, self.log)
        self._people: list[Person] = []

    async def person(self) -> Person:
        person = Person(*await asyncio.open_unix_connection(str(self.path)))
        self._people.append(person)
        return person

    async def end(self) -> None:
        await self.inspection.stop()
        for person in self._people:
            person.writer.close()
            try:
                await person.writer.wait_closed()
            except ConnectionError:
                continue


@asynccontextmanager
async def worker(folder: Path, ring: TraceRing | None = None) -> AsyncIterator[Worker]:
    made = Worker(inspection_path(folder, "sldc"), ring or TraceRing())
    await made.inspection.start()
    try:
        yield made
    finally:
        await made.end()


def play(folder: Path, story: Callable[[Worker], Awaitable[None]], ring: TraceRing | None = None) -> None:
    async def run() -> None:
        async with worker(folder, ring) as made:
            await story(made)

    asyncio.run(run())


def test_what_is_held_is_told_and_that_is_the_end(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        worker.ring.opened(LINK)
        worker.ring.record(LINK, False, b"\x68\x04")
        worker.ring.record(OTHER, True, b"not for you")
        worker.ring.closed(LINK, True)
        person = await worker.person()
        await person.ask()
        introduced, opened, data, closed = await person.hear_all()
        assert introduced == {"link": 7, "local": ["127.0.0.1", 2404], "peer": ["127.0.0.1", 40001], "whole": True}
        assert (opened["is"], closed["is"], closed["out"]) == ("opened", "closed", True)
        assert (data["is"], data["link"], data["out"], data["data"]) == ("data", 7, False, "6804")

    play(tmp_path, story)


def test_the_socket_is_for_its_owner_and_gone_in_the_end(tmp_path: Path) -> None:
    path = inspection_path(tmp_path, "sldc")

    async def story(worker: Worker) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    play(tmp_path, story)
    assert not path.exists()


def test_what_was_dropped_is_told_with_its_count(tmp_path: Path) -> None:
    ring = TraceRing(bytes_held=2 * RECORD_COST + 2)

    async def story(worker: Worker) -> None:
        worker.ring.opened(LINK)
        for octet in b"abcd":
            worker.ring.record(LINK, True, bytes([octet]))
        person = await worker.person()
        await person.ask()
        dropped, introduced, *rest = await person.hear_all()
        assert dropped == {"dropped": 3}
        assert introduced["whole"] is False
        assert [line["data"] for line in rest] == ["63", "64"]

    play(tmp_path, story, ring)


def test_who_follows_misses_nothing_and_hears_nothing_twice(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        for number in range(1_000):
            worker.ring.record(LINK, True, number.to_bytes(2, "big"))
        person = await worker.person()
        await person.ask(follow=True)
        assert (await person.hear())["link"] == 7
        for number in range(1_000, 2_000):
            worker.ring.record(LINK, True, number.to_bytes(2, "big"))
            if number % 100 == 0:
                await asyncio.sleep(0)
        assert [int((await person.hear())["data"], 16) for _ in range(2_000)] == list(range(2_000))

    play(tmp_path, story)


def test_who_leaves_is_forgotten(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        person = await worker.person()
        await person.ask(follow=True)
        await until(lambda: len(worker.ring._watchers) == 1)
        person.writer.close()
        await until(lambda: worker.ring._watchers == [])

    play(tmp_path, story)


def test_who_is_too_slow_is_told_so_and_the_worker_never_waits(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(inspection, "BYTES_WAITING", 200_000)

    async def story(worker: Worker) -> None:
        person = await worker.person()
        await person.ask(follow=True)
        await until(lambda: len(worker.ring._watchers) == 1)
        for _ in range(400):
            worker.ring.record(LINK, True, bytes(10_000))
            await asyncio.sleep(0)
        await until(lambda: worker.ring._watchers == [])
        assert (await person.hear_all())[-1] == {"error": "this reader is too slow: its trace ends here"}

    play(tmp_path, story)


def test_wrong_questions_are_answered_in_words(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        for line, words in (
            ("", "expected"),
            ("[" * 50_000, "expected"),
            ('{"get": "secrets"}', "expected"),
            ('{"get": "trace", "master": "nobody"}', "no master 'nobody' here: one of main, other expected"),
        ):
            person = await worker.person()
            await person.say(line)
            (answer,) = await person.hear_all()
            assert words in answer["error"]

    play(tmp_path, story)


def test_more_readers_than_places(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        for _ in range(inspection.READERS):
            await (await worker.person()).ask(follow=True)
        await until(lambda: len(worker.ring._watchers) == inspection.READERS)
        late = await worker.person()
        await late.ask(follow=True)
        assert "readers are served already" in (await late.hear())["error"]

    play(tmp_path, story)


def test_a_folder_that_cannot_be_written_costs_the_trace_only(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")

    async def story() -> None:
        worker = Worker(inspection_path(tmp_path, "sldc"), TraceRing())
        await worker.inspection.start()
        await worker.inspection.stop()
        assert worker.log.said("trace cannot be served")

    asyncio.run(story())
