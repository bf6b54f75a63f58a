"""node-opcua's client in a process of its own, spoken to in JSON lines (tests/peers/nodeopcua/points.js)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "peers" / "nodeopcua"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules" / "node-opcua-client").is_dir(),
    reason="node-opcua-client is not installed (npm ci in tests/peers/nodeopcua)",
)


class NodeClient:
    """One client. `ask` raises `AssertionError` with what node-opcua says when it fails."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, **what: Any) -> dict[str, Any]:
        answer = await self.try_to(do, **what)
        assert "error" not in answer, answer["error"]
        return answer

    async def try_to(self, do: str, **what: Any) -> dict[str, Any]:
        await self.send(do, **what)
        return await self.answer()

    async def send(self, do: str, **what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}).encode() + b"\n")

    async def answer(self) -> dict[str, Any]:
        """The next line that is JSON; node-opcua talks on stdout now and then."""
        assert self._process.stdout is not None
        while True:
            line = await asyncio.wait_for(self._process.stdout.readline(), 60)
            assert line, "node-opcua's process has ended"
            if line.startswith(b"{"):
                found: dict[str, Any] = json.loads(line)
                return found


@contextlib.asynccontextmanager
async def node_client(folder: Path) -> AsyncIterator[NodeClient]:
    """A client process; it keeps its certificates below `folder`."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(FOLDER / "points.js"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL if not os.environ.get("NODE_STDERR") else None,
        limit=1 << 26,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        made = NodeClient(process)
        await made.answer()
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
