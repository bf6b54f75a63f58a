"""The SOE buffer test: a private gateway that makes events, and a master whose link is cut while it receives them.

Everything that matters is real: the server's own process, sockets, journal and feed. Only the drivers are left out: the
core here makes the changes itself. It runs on a directory and a port of its own, beside a gateway that serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gateway import registry
from gateway.contracts.command import Command, OnOutcome, Outcome, Reason, Stage
from gateway.contracts.selftest import SoeSelftest, SoeTally
from gateway.core import RING_CHANGES, next_epoch
from gateway.events import journal_path
from gateway.events.store import Cursor, JournalStore
from gateway.feed.address import socket_path
from gateway.feed.hub import FeedHub
from gateway.feed.ring import ChangeRing
from gateway.log import get_log
from gateway.points.change import Changes
from gateway.points.table import PointTable
from gateway.processes.child import PLAN_FD, READY, STATUS_FD
from gateway.processes.childprocess import child_command, child_environment
from gateway.processes.plans import WorkerPlan
from gateway.site.plan import ServerEntry, SitePlan

BATCH: Final = 500
"""Changes that come at once, as from a busy site."""
START_S: Final = 60.0
SETTLE_S: Final = 60.0
OCTETS_AN_EVENT: Final = 20
"""About what an event takes on the wire; only sets how far apart the cuts lie."""


class SoeTestError(Exception):
    """The test cannot be made, or could not be finished. The text is for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoeOptions:
    """`events` changes are made; the link is cut `cuts` times, the server's process killed `kills` times."""

    events: int
    cuts: int = 0
    kills: int = 0
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class SoeResult:
    """What came of it."""

    tally: SoeTally
    buffered: int
    """Events that waited for the master at once, while there was no link."""
    cuts: int
    kills: int
    seconds: float
    log: str
    """What the server said on its standard error."""
    trouble: str = ""
    """Why the test ended early; empty when it did not."""

    @property
    def passed(self) -> bool:
        return self.tally.passed and not self.trouble


class _Core:
    """What the hub needs of a core: nobody commands here, and nobody looks at system points."""

    def submit(self, server: str, command: Command, on_outcome: OnOutcome) -> None:
        on_outcome(Outcome(id=command.id, stage=Stage.REFUSED, reason=Reason.NOT_AUTHORISED, text="a self-test"))

    def publish_system(self, server: str, batch: Changes) -> None:
        """They would be events that the test did not make."""

    def refresh_ages(self) -> None:
        """Ages do not matter here."""


@dataclass(slots=True)
class PrivateGateway:
    """One server of a site on a directory and port of its own, and the core that it hears."""

    state_dir: Path
    worker_plan: WorkerPlan
    hub: FeedHub
    log_path: Path
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    async def start(cls, plan: SitePlan, entry: ServerEntry, server_plan: Any, state_dir: Path) -> PrivateGateway:
        """Open the feed; the server's process is started by `start_server`."""
        ring = ChangeRing(next_epoch(state_dir), RING_CHANGES)
        hub = FeedHub(plan.name, PointTable(plan.catalogue), ring, _Core(), get_log(process="selftest"))
        await hub.start(socket_path(state_dir))
        private = replace(entry, plan=server_plan, masters=[master.name for master in server_plan.masters])
        worker = WorkerPlan(
            site=plan.name, state_dir=state_dir, log_level="info", catalogue=plan.catalogue, server=private
        )
        return cls(state_dir, worker, hub, state_dir / "server.log")

    def publish(self, batch: Changes) -> None:
        """The field changes."""
        columns = (batch["row"], batch["value"], batch["quality"], batch["time_ns"])
        self.hub.append(self.hub.table.publish(*columns, time.monotonic_ns()))

    async def start_server(self) -> None:
        """Start the server's process and wait until it serves. Raises `SoeTestError`."""
        plan = os.memfd_create("gridgate-selftest")
        status, child_status = os.pipe()
        try:
            with os.fdopen(os.dup(plan), "wb") as file:
                pickle.dump(self.worker_plan, file, pickle.HIGHEST_PROTOCOL)
            environment = child_environment() | {PLAN_FD: str(plan), STATUS_FD: str(child_status)}
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter and module
                    child_command("gateway.process", "worker"),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(plan, child_status),
                    env=environment,
                )
        finally:
            os.close(plan)
            os.close(child_status)
        try:
            await _ready(status)
        finally:
            # The heartbeats go nowhere from now on, which a child takes with patience.
            os.close(status)

    async def everything_on_disk(self, server: str, master: str) -> None:
        """Wait until the server has all that was published, in its journal. Raises `SoeTestError`."""
        self.hub.flush()
        end = time.monotonic() + SETTLE_S
        while self.hub.confirmed.get(server, {}).get(master, 0) < self.hub.ring.seq:
            if time.monotonic() > end:
                raise SoeTestError(f"the server did not write the events down within {SETTLE_S:g} s")
            await asyncio.sleep(0.01)

    def kill_server(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    async def stop(self) -> None:
        """End the server in order, then the feed."""
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 10.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._reap()
        await self.hub.stop()

    def server_log(self) -> str:
        """What the server said on its standard error."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def cursor(self, server: str, master: str) -> Cursor:
        """Where the journal on the disk stands."""
        store = JournalStore(journal_path(self.state_dir, server, master), read_only=True)
        try:
            return store.load().cursor
        finally:
            store.close()


async def _ready(status: int) -> None:
    """Wait for the child's first word that it serves. Raises `SoeTestError` when it ends before."""
    os.set_blocking(status, False)
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            words = os.read(status, 4096)
            if READY in words:
                return
            if not words:
                raise SoeTestError("the server's process ended before it served")
        await asyncio.sleep(0.01)
    raise SoeTestError(f"the server did not serve within {START_S:g} s")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _nobody(count: int) -> None:
    """Nobody looks on."""


@dataclass(slots=True)
class _Run:
    """One test under way."""

    gateway: PrivateGateway
    test: SoeSelftest
    server: str
    master: str
    port: int
    options: SoeOptions
    random: random.Random
    time_ns: int
    made: int = 0
    buffered: int = 0
    cuts: int = 0
    kills: int = 0
    trouble: str = ""
    log: str = ""
    began: float = field(default_factory=time.monotonic)
    told: Callable[[int], None] = _nobody
    """Hears how many more events have come."""

    async def play(self) -> None:
        """Fill the buffer without a link, then let the master fetch it, with cuts and further changes."""
        await self.test.visit(self.port, None)
        rounds = self.options.cuts + self.options.kills
        first = self.options.events if not rounds else max(1, self.options.events // 2)
        self.buffered = min(first, self.test.capacity)
        await self.make(self.buffered)
        await self.gateway.everything_on_disk(self.server, self.master)
        kill_at = set(self.random.sample(range(rounds), self.options.kills))
        for turn in range(rounds):
            await self.make(self._portion(rounds - turn))
            octets = self._octets(rounds - turn)
            if turn in kill_at:
                await self._kill_during(octets)
            else:
                await self._visit(octets)
                self.cuts += 1
        while self.made < self.options.events:
            await self.make(self._portion(1))
            await self._visit(None)
        await self._visit(None)

    async def _visit(self, octets: int | None) -> None:
        received = self.test.tally.received
        await self.test.visit(self.port, octets)
        self.told(self.test.tally.received - received)

    def _portion(self, rounds_left: int) -> int:
        """Changes to make now: an even share of what is left, never more than the buffer takes."""
        room = self.test.capacity - (self.made - self.test.tally.received)
        return max(0, min(-(-(self.options.events - self.made) // rounds_left), room))

    def _octets(self, rounds_left: int) -> int:
        """Where to cut: so that the rounds that are left share what is left to fetch."""
        outstanding = self.options.events - self.test.tally.received
        return self.random.randint(1, max(2, 2 * OCTETS_AN_EVENT * outstanding // (rounds_left + 1)))

    async def make(self, count: int) -> None:
        """Let the field change, in batches."""
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            self.gateway.publish(self.test.changes(size, self.time_ns + (self.made + start) * 1_000_000))
            await asyncio.sleep(0)
        self.made += count

    async def _kill_during(self, octets: int) -> None:
        """kill -9 the server while it sends; then start it again."""
        visit = asyncio.create_task(self._visit(octets))
        await asyncio.sleep(self.random.random() * 0.05)
        await self.make(self._portion(2))
        await asyncio.sleep(self.random.random() * 0.05)
        self.gateway.kill_server()
        with contextlib.suppress(OSError):
            await visit
        cursor = self.gateway.cursor(self.server, self.master)
        self.test.killed(cursor.spans[0][0] if cursor.spans else cursor.next_number)
        self.kills += 1
        await self.gateway.start_server()


def soe_test(
    plan: SitePlan, entry: ServerEntry, master: str, options: SoeOptions, told: Callable[[int], None] = _nobody
) -> SoeResult:
    """Make the test; returns when it is over. `told` hears how many more events have come to the master.

    Raises `SoeTestError` when it cannot be made.
    """
    return asyncio.run(_soe_test(plan, entry, master, options, told))


async def _soe_test(
    plan: SitePlan, entry: ServerEntry, master: str, options: SoeOptions, told: Callable[[int], None]
) -> SoeResult:
    target = registry.grid(entry.protocol).selftest
    if not target:
        raise SoeTestError(f"server {entry.name}: {entry.protocol} has no SOE buffer test")
    try:
        test: SoeSelftest = registry.load(target)(entry.plan, plan.catalogue, master, options.seed)
    except ValueError as error:
        raise SoeTestError(str(error)) from None
    if not options.cuts + options.kills and options.events > test.capacity:
        words = f"{options.events:,} events do not fit the capacity of {test.capacity:,} (events: {{capacity: ...}})"
        raise SoeTestError(f"{words}: without cuts all of them must")
    async with _running(plan, entry, master, test, options) as run:
        run.told = told
        try:
            await run.play()
        except (OSError, TimeoutError) as error:
            run.trouble = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - run.began
    return SoeResult(
        tally=test.tally,
        buffered=run.buffered,
        cuts=run.cuts,
        kills=run.kills,
        seconds=seconds,
        log=run.log,
        trouble=run.trouble,
    )


@contextlib.asynccontextmanager
async def _running(
    plan: SitePlan, entry: ServerEntry, master: str, test: SoeSelftest, options: SoeOptions
) -> AsyncIterator[_Run]:
    folder = Path(tempfile.mkdtemp(prefix="gridgate-selftest-"))
    port = _free_port()
    gateway = await PrivateGateway.start(plan, entry, test.private_plan(port), folder)
    chance = random.Random(options.seed)  # noqa: S311 - to be repeatable, not secret
    run = _Run(gateway, test, entry.name, master, port, options, chance, time.time_ns())
    try:
        start = test.start_values()
        start["time_ns"] = run.time_ns
        gateway.publish(start)
        await gateway.start_server()
        yield run
    except SoeTestError as error:
        raise SoeTestError(f"{error}\n{gateway.server_log()}".rstrip()) from None
    finally:
        await gateway.stop()
        run.log = gateway.server_log()
        shutil.rmtree(folder, ignore_errors=True)
