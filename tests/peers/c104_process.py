"""The process of `c104_typed_master.py` as a test sees it: orders go in, what c104 read comes out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.contract.server_suite import until

SCRIPT = Path(__file__).with_name("c104_typed_master.py")
TRIES = 3


class TypedMaster:
    """What c104 said so far, in order: `objects`, `frames`, `initialised`, `unexpected`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._done: asyncio.Queue[bool] = asyncio.Queue()
        self.forget()
        self.reading = asyncio.create_task(self._read())

    def forget(self) -> None:
        """What was heard until now no longer counts."""
        self.objects: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.initialised: list[dict[str, Any]] = []
        self.unexpected: list[dict[str, Any]] = []

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            heard = {
                "object": self.objects,
                "frame": self.frames,
                "initialised": self.initialised,
                "unexpected": self.unexpected,
            }
            kind = said.pop("say")
            if kind == "done":
                self._done.put_nowait(said["ok"])
            else:
                heard[kind].append(said)

    async def done(self) -> bool:
        """c104's word on the order it was given."""
        async with asyncio.timeout(20):
            return await self._done.get()

    async def order(self, do: str, ca: int = 1, **facts: object) -> bool:
        """Give an order; c104's word on it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "ca": ca, **facts}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.done()

    async def ask(self, do: str, ca: int = 1, **facts: object) -> None:
        """An order that c104 calls done, and that may be repeated: c104 misses an answer that comes before its own
        call has begun to wait. Only what the last one brought counts."""
        for _ in range(TRIES):
            self.forget()
            if await self.order(do, ca, **facts):
                return
        raise AssertionError(f"c104 calls it undone, {TRIES} times: {do} {facts}, heard {self.frames}")

    def answers(self, type_: str) -> list[tuple[str, bool]]:
        """(cause, negative) of the frames of this type."""
        return [(frame["cause"], frame["negative"]) for frame in self.frames if frame["type"] == type_]

    async def hears(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; what c104 hears it says a little later."""
        try:
            await until(condition)
        except AssertionError as error:
            raise AssertionError(f"in vain; heard {self.frames}, {self.objects}, {self.unexpected}") from error

    async def hears_answers(self, type_: str, *expected: tuple[str, bool]) -> None:
        """Wait until exactly these answers of a type were heard."""
        await self.hears(lambda: len(self.answers(type_)) >= len(expected))
        assert self.answers(type_) == list(expected)


@asynccontextmanager
async def typed_master(port: int, points: Iterable[tuple[int, int, str]]) -> AsyncIterator[TypedMaster]:
    """c104 connected and started, knowing these points (common address, ioa, type), until the end of the block."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, str(SCRIPT), str(port), json.dumps(list(points)))
    environment = os.environ | {"TZ": "UTC"}  # c104 says times in the zone of its machine
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
    master = TypedMaster(process)
    try:
        await master.done()
        yield master
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await master.reading
        assert process.stdin is not None
        process.stdin.close()
