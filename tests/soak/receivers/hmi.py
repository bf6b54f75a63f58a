"""Three pages of the HMI as their sockets see it (websockets, httpx), one process, one book.

Each shows a third of the peer's points. The first values after a connect are `ANSWERED`, what comes later is `EVENT`;
a point's value is told again when only its quality changed. Marks of the link carry the socket's number as value.
Quality in the ledger: the gateway's flags; times are ms in a float, so exact to about a microsecond.
A commander selects and executes over HTTP, as the page does: it always selects, and
its user may command everything: only what is out of range must be refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, Final

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.soak.ledger import ANSWERED, EVENT, LINK_LOST, LINK_UP, RECORD
from tests.soak.receivers.commander import CONFIRMED, GOOD, OUT_OF_RANGE, REFUSED, UNKNOWN, Commander, Order
from tests.soak.receivers.process import Receiver, end_event

SOCKETS: Final = 3
PERIOD_MS: Final = 250
VALUES: Final = 1
HEAD: Final = 16
RECONNECT_S: Final = 0.5
SILENT_S: Final = 10.0
"""Ages come every 2 s: a page that hears nothing for so long connects anew."""
REFUSALS: Final = frozenset({400, 403, 404, 409, 422})


class Session:
    """One login for all, made anew when it no longer holds."""

    def __init__(self, receiver: Receiver) -> None:
        self._plan = receiver.plan
        self.where = f"127.0.0.1:{receiver.peer.port}"
        self._lock = asyncio.Lock()
        self._csrf = ""
        self._http = httpx.AsyncClient(base_url=f"http://{self.where}", timeout=15.0)

    async def cookie(self) -> str:
        """For a socket. Raises `httpx.HTTPError`."""
        async with self._lock:
            if not self._csrf or (await self._http.get("/api/session")).status_code == 401:
                who = {"name": self._plan.user, "password": self._plan.password}
                answer = await self._http.post("/api/login", json=who)
                answer.raise_for_status()
                self._csrf = answer.json()["csrf"]
        return "; ".join(f"{name}={value}" for name, value in self._http.cookies.items())

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return await self._http.post(path, json=body, headers={"X-CSRF-Token": self._csrf})

    async def close(self) -> None:
        await self._http.aclose()


class Page:
    """One socket, for ever."""

    def __init__(self, receiver: Receiver, session: Session, number: int) -> None:
        self._receiver, self._session, self._number = receiver, session, number
        peer = receiver.peer
        each = peer.count // SOCKETS
        self._points = range(peer.first + number * each, peer.first + (number + 1) * each)
        self._point_of_row = np.full(0, -1, np.int64)
        self._first = True
        self.up = False

    async def run(self) -> None:
        while True:
            try:
                await self._connected()
            except (OSError, httpx.HTTPError, WebSocketException, TimeoutError) as error:
                self._receiver.trouble(error)
            if self.up:
                self.up = False
                self._receiver.ledger.mark(LINK_LOST, self._number)
            await asyncio.sleep(RECONNECT_S)

    async def _connected(self) -> None:
        cookie = {"Cookie": await self._session.cookie()}
        where = f"ws://{self._session.where}/api/stream"
        async with connect(where, additional_headers=cookie, max_size=None, compression=None) as socket:
            names = [self._receiver.plan.name(point) for point in self._points]
            await socket.send(json.dumps({"points": names, "period_ms": PERIOD_MS}))
            self._first = True
            await self._hear(socket)

    async def _hear(self, socket: ClientConnection) -> None:
        while True:
            message = await asyncio.wait_for(socket.recv(), SILENT_S)
            if isinstance(message, bytes):
                self._values(message)
            else:
                self._said(json.loads(message))

    def _said(self, told: dict[str, Any]) -> None:
        if told.get("topic") != "points":
            return
        numbers = {self._receiver.plan.name(point): point for point in self._points}
        rows = {row: numbers[name] for row, name, *_ in told["points"]}
        self._point_of_row = np.full(max(rows, default=-1) + 1, -1, np.int64)
        self._point_of_row[list(rows)] = list(rows.values())
        if told["unknown"]:
            self._receiver.counts["unknown points"] += len(told["unknown"])

    def _values(self, data: bytes) -> None:
        kind, count = np.frombuffer(data, np.uint32, 2).tolist()
        if kind != VALUES:
            return
        rows = np.frombuffer(data, np.uint32, count, HEAD)
        told = np.zeros(count, RECORD)
        told["point"], told["kind"] = self._point_of_row[rows], ANSWERED if self._first else EVENT
        told["quality"] = np.frombuffer(data, np.uint32, count, HEAD + 4 * count)
        told["value"] = np.frombuffer(data, np.float64, count, HEAD + 8 * count)
        told["time_ns"] = (
            np.round(np.frombuffer(data, np.float64, count, HEAD + 16 * count) * 1e3).astype(np.int64) * 1000
        )
        told["at_ns"] = time.time_ns()
        self._receiver.ledger.extend(told)
        self._receiver.ledger.flush()
        self._receiver.counts["values"] += count
        if self._first:
            self._first, self.up = False, True
            self._receiver.ledger.mark(LINK_UP, self._number)


async def command(session: Session, commander: Commander, plan: Any, order: Order) -> None:
    """Select, then execute."""
    asked = {"point": plan.setpoint_name(order.point), "value": order.value}
    try:
        selected = await session.post("/api/control/select", asked)
        if selected.status_code != 200 or not selected.json()["select"]:
            commander.settle(
                order, REFUSED if selected.status_code in REFUSALS | {200} else UNKNOWN, selected.text[:200]
            )
            return
        done = await session.post("/api/control/execute", asked | {"select": selected.json()["select"]})
    except httpx.HTTPError as error:
        commander.settle(order, UNKNOWN, type(error).__name__)
        return
    if done.status_code != 200:
        commander.settle(order, REFUSED if done.status_code in REFUSALS else UNKNOWN, done.text[:200])
    else:
        told = done.json()["told"]
        answer = CONFIRMED if told["done"] else REFUSED if told["stage"] == "refused" else UNKNOWN
        commander.settle(order, answer, told["words"][:200])


async def _commanding(receiver: Receiver, session: Session, pages: list[Page]) -> None:
    commander, tasks = Commander(receiver.plan, receiver.peer, (GOOD, OUT_OF_RANGE)), set()
    try:
        while True:
            await asyncio.sleep(commander.next_s())
            if any(page.up for page in pages):
                for order in commander.due():
                    task = asyncio.create_task(command(session, commander, receiver.plan, order))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
    finally:
        commander.close()


async def run(receiver: Receiver) -> None:
    ended, session = end_event(), Session(receiver)
    pages = [Page(receiver, session, number) for number in range(SOCKETS)]
    tasks = [asyncio.create_task(page.run()) for page in pages]
    tasks.append(asyncio.create_task(_commanding(receiver, session, pages)))
    ready = asyncio.create_task(_ready(receiver, pages))
    await ended.wait()
    for task in (*tasks, ready):
        task.cancel()
    await asyncio.gather(*tasks, ready, return_exceptions=True)
    with contextlib.suppress(httpx.HTTPError):
        await session.close()
    receiver.finish()


async def _ready(receiver: Receiver, pages: list[Page]) -> None:
    while not all(page.up for page in pages):
        await asyncio.sleep(0.05)
    receiver.say_ready()


if __name__ == "__main__":
    asyncio.run(run(Receiver.from_arguments()))
