"""node-opcua in a process of its own, driven over a pipe; see `nodeopcua/peer.js` for its verbs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.opcuaapp import App
from tests.kit.opcuakit import PASSWORD, Plant

FOLDER = Path(__file__).parent / "nodeopcua"


def skip_if_absent() -> None:
    """Skip, with a word why."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed: apt-get install nodejs npm")
    if not (FOLDER / "node_modules" / "node-opcua-client").is_dir():
        pytest.skip("node-opcua-client is not installed: make test does it where npm is present")


class NodeClient:
    """One node process with at most one session."""

    def __init__(self, process: asyncio.subprocess.Process, pki: Path) -> None:
        self._process, self._pki = process, pki

    async def ask(self, verb: str, timeout_s: float = 60.0, **keys: Any) -> dict[str, Any]:
        """The answer to a verb; `ok` says whether it could be done."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write((json.dumps({"verb": verb, **keys}) + "\n").encode())
        async with asyncio.timeout(timeout_s):
            line = await self._process.stdout.readline()
        assert line, "the node process has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def done(self, verb: str, **keys: Any) -> dict[str, Any]:
        """The same, and it could be done."""
        answer = await self.ask(verb, **keys)
        assert answer["ok"], answer
        return answer

    async def connect(
        self, plant: Plant, app: App, user: str = "operator", password: str = PASSWORD, **keys: Any
    ) -> dict[str, Any]:
        """Log in; `policy`, `mode` and further keys of the verb as they are."""
        return await self.ask(
            "connect",
            **{
                "url": plant.url,
                "policy": "Basic256Sha256",
                "mode": 3,
                "certificate": str(app.certificate_pem),
                "key": str(app.pem),
                "pki": str(self._pki),
                "uri": app.uri,
                "user": user,
                "password": password,
                **keys,
            },
        )


@contextlib.asynccontextmanager
async def node_client(folder: Path) -> AsyncIterator[NodeClient]:
    """A node process for this test. Skips where node-opcua is absent."""
    skip_if_absent()
    process = await asyncio.create_subprocess_exec(
        "node",
        str(FOLDER / "peer.js"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 26,
    )
    try:
        yield NodeClient(process, folder / "node-pki")
    finally:
        assert process.stdin
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
