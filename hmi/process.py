"""The HMI's process: the feed on one side, browsers on the other."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn

from gateway.alarms.model import AlarmRecord
from gateway.audit import AuditLog
from gateway.contracts.log import Log
from gateway.contracts.screen import SCREEN
from gateway.feed.address import socket_path
from gateway.feed.client import FeedClient
from gateway.log import get_log
from gateway.points.change import Changes
from gateway.processes.child import Child
from gateway.processes.plans import ScreenPlan
from gateway.site.plan import SitePlan
from gateway.tls.door import TlsDoor
from gateway.tls.findings import findings
from hmi.access.door import Door
from hmi.access.firstuser import first_user
from hmi.access.handover import hand_over, take_over
from hmi.access.http import Http, Socket
from hmi.access.inside import Inside
from hmi.access.login import Gatekeeper
from hmi.access.peers import Peers
from hmi.access.sessions import Sessions
from hmi.access.tokens import TokenStore
from hmi.api.tables import TOPICS, all_endpoints
from hmi.app import build_app
from hmi.desk import Desk
from hmi.dispatch import Calls
from hmi.plan import HmiPlan

_KEEP_ALIVE_S: Final = 20
_LAST_WORDS_S: Final = 1
_RENEW_S: Final = 6 * 3600.0
_MESSAGE_BYTES: Final = 256 << 10
_HEAD_BYTES: Final = 32 << 10


class _Server(uvicorn.Server):
    """Signals are the child's business; every connection comes through the door."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        def http() -> Http:
            return Http(self._door, self.config, self.server_state, {})

        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(lambda: self._door.entry(http), sock=each, backlog=self.config.backlog)
            for each in sockets or ()
        ]
        await self.lifespan.startup()
        self.started = True


class _Uvicorn(logging.Handler):
    """What uvicorn has to say: an error in a call is a line of our log, what a peer does wrong is none."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        cause = "".join(traceback.format_exception(error)) if error is not None else ""
        self._log.error("error in a call", text=record.getMessage().strip(), cause=cause)


class Hmi:
    """Listens to its `FeedClient` and serves."""

    def __init__(self, site: SitePlan, plan: HmiPlan, log: Log) -> None:
        self.site, self.plan, self._log = site, plan, log
        size = len(site.catalogue)
        self.client = FeedClient(
            socket_path(site.state_dir), "hmi", SCREEN, size, self, log.bind(part="feed"), alarms=site.alarms
        )
        self.audit = AuditLog(site.state_dir / "audit", log.bind(part="audit"), "hmi", ": nothing can be changed here")
        self.desk = Desk(site, plan, self.client, self.audit, log)
        users = Path(plan.users) if plan.users else site.state_dir / "users.yaml"
        tokens = TokenStore(site.state_dir / "tokens.json", log)
        self.gatekeeper = Gatekeeper(users, Sessions(plan.idle_s, plan.longest_s), tokens, self.audit, log)
        tls = plan.tls_files(site.state_dir)
        self.door = Door(Peers(plan.addresses), None if tls is None else TlsDoor(tls, log), log)
        self.calls = Calls()
        self._ready = asyncio.Event()
        for topic in TOPICS:
            if topic.begin is not None:
                topic.begin(self.desk)

    # -- the feed --------------------------------------------------------------------------------------------------

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        """The HMI has no journal: nothing to resume."""

    def feed_changes(self, batch: Changes, seq: int) -> None:
        for take in self.desk.on_changes:
            take(batch, seq)

    def feed_ready(self) -> None:
        self._ready.set()

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A set-point's own change tells."""

    def feed_alarms(self, records: list[AlarmRecord]) -> None:
        for take in self.desk.on_alarms:
            take(records)

    def feed_record(self, record: dict[str, Any]) -> None:
        for take in self.desk.on_records:
            take(record)

    # -- the web ---------------------------------------------------------------------------------------------------

    async def run(self, child: Child) -> None:
        """Serve until told to stop. Raises `OSError` when the address cannot be had."""
        self.audit.start()
        self._prepare()
        take_over(self.gatekeeper.sessions, self.site.state_dir / "run")
        listening = self._listen()
        server = _Server(self._config(), self.door)
        stopping = asyncio.create_task(child.stopping.wait())
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self.client.run()), stopping]
        try:
            ready = asyncio.create_task(self._ready.wait())
            tasks.append(ready)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                serving = asyncio.create_task(server.serve([listening]))
                own = (self.door.watch, self.gatekeeper.watch, self._renew)
                tasks += [serving, *(asyncio.create_task(work()) for work in (*own, *self.desk.background))]
                child.ready()
                await asyncio.wait({*tasks} - {ready}, return_when=asyncio.FIRST_COMPLETED)
                server.should_exit = True
                if not serving.done():
                    await asyncio.wait({serving}, timeout=_LAST_WORDS_S + 1)
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.result()
        finally:
            hand_over(self.gatekeeper.sessions, self.site.state_dir / "run", self._log)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listening.close()
            await self.door.close()
            self.gatekeeper.close()
            self.desk.close()
            self.audit.stop()

    def _prepare(self) -> None:
        """Certificate, tokens, and the first user. Raises `OSError`."""
        if self.door.tls is not None:
            self._keep_own()
            self.door.tls.open()
        self.gatekeeper.tokens.open()
        first_user(self.gatekeeper.users.path, self.plan.where, self.site.path, self._log)
        self.gatekeeper.refresh()

    def _keep_own(self) -> None:
        from hmi.owncertificate import keep_own  # noqa: PLC0415 - loads cryptography, which plain HTTP does without

        keep_own(self.plan, self.site.state_dir, self.site.name, self._log)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            if self.door.tls is not None:
                await self.desk.on_disk(self._keep_own)
                for finding in await self.desk.on_disk(findings, self.door.tls.plan):
                    self._log.warning("tls files", finding=finding.text)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.plan.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self.plan.host, self.plan.port))
        except OSError as error:
            listening.close()
            raise OSError(f"{self.plan.host}:{self.plan.port} cannot be listened on: {error.strerror}") from None
        return listening

    def _config(self) -> uvicorn.Config:
        endpoints = all_endpoints(Inside(gatekeeper=self.gatekeeper, door=self.door, calls=self.calls))
        logger = logging.getLogger("uvicorn")
        logger.handlers, logger.propagate = [_Uvicorn(self._log)], False
        return uvicorn.Config(
            build_app(self.desk, self.gatekeeper, endpoints, self.calls),
            http=Http,
            ws=functools.partial(Socket, self.door),  # type: ignore[arg-type]
            ws_max_size=_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_LAST_WORDS_S,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )


async def hmi_main(plan: ScreenPlan, child: Child) -> None:
    """The process from start to orderly end."""
    log = get_log(process="hmi")
    try:
        await Hmi(plan.site, plan.screen, log).run(child)
    except OSError as error:
        log.error("HMI cannot start", cause=str(error))
        raise SystemExit(1) from None
