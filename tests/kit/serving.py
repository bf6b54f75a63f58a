"""A grid server on a port that stands for the gateway, as the kits of 104 and DNP3 begin it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

from gateway.points import PointCatalogue
from tests.contract.server_suite import FakePort

NOON: Final = 1_700_000_000_123_000_000


class Ends(Protocol):
    """A site of a kit."""

    def end(self) -> Awaitable[None]: ...


_Site = TypeVar("_Site", bound=Ends)


def filled(points: PointCatalogue) -> FakePort:
    """Every point is good since noon, its row its value."""
    port = FakePort(points)
    for row in range(len(points)):
        port.set(row, float(row), NOON)
    return port


async def begin(server: Any, port: FakePort, confirmed: dict[str, int] | None) -> None:
    """As the worker does, with what each master had confirmed before."""
    port.server = server
    server.resume(confirmed or {})
    await server.start()


@asynccontextmanager
async def until_done(running: _Site) -> AsyncIterator[_Site]:
    """The site; it ends whatever happens."""
    try:
        yield running
    finally:
        await running.end()
