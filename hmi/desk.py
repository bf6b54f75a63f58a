"""What all pages and calls work with: the site, its live values and alarms, its past, and the way to the broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.alarms.model import AlarmRecord
from gateway.audit import AuditLog
from gateway.contracts.command import PROGRAM, Action, Command, Origin, Outcome
from gateway.contracts.log import Log
from gateway.contracts.screen import SCREEN
from gateway.feed.client import FeedClient
from gateway.history.reader import HistoryReader
from gateway.points.change import Changes
from gateway.points.model import NO_ROW, PointCatalogue
from gateway.site.plan import SitePlan
from hmi.access.person import Person
from hmi.plan import HmiPlan
from hmi.refusal import Refusal
from hmi.stream import Stream

COMMAND_S: Final = 15.0
_Read = TypeVar("_Read")


class Desk:
    """One per process. `client` keeps the mirrors; `audit` records what people do here that is no command."""

    def __init__(self, site: SitePlan, plan: HmiPlan, client: FeedClient, audit: AuditLog, log: Log) -> None:
        self.site, self.plan, self.client, self.audit, self.log = site, plan, client, audit, log
        self.catalogue: PointCatalogue = site.catalogue
        self.started_ns = time.time_ns()
        self.stream: Stream = Stream(self)
        self.on_changes: list[Callable[[Changes, int], None]] = [lambda batch, seq: self.stream.changes(batch)]
        """Called with every batch of the feed and its sequence number; must be quick."""
        self.on_alarms: list[Callable[[list[AlarmRecord]], None]] = []
        """Called with alarm events in order."""
        self.on_records: list[Callable[[dict[str, Any]], None]] = []
        """Called with every step of a command, and of what control does by itself; see `gateway.commanding.record`."""
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = [self.stream.refresh_ages]
        """Run for as long as the process serves; none of them is to end."""
        self._disk = ThreadPoolExecutor(1, "hmi-disk")
        self._history: HistoryReader | None = None

    @property
    def history_folder(self) -> Path | None:
        """Where the historian records; None: this site records nothing."""
        history = self.site.history
        return None if history is None else self.site.state_dir / history.folder

    def row(self, name: str) -> int:
        """The row of a point. Raises `Refusal` (404)."""
        row = self.catalogue.rows.get(name)
        if row is None:
            raise Refusal(404, f"there is no point {name}")
        return row

    async def command(
        self,
        person: Person,
        action: Action,
        *,
        row: int = NO_ROW,
        value: float = 0.0,
        subject: str = "",
        text: str = "",
        test: bool = False,
        told: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        """Ask the broker in this person's name and wait for the final word; `told` hears every stage."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def hear(outcome: Outcome) -> None:
            if told is not None:
                told(outcome)
            if outcome.stage.final and not done.done():
                done.set_result(outcome)

        now_ns = time.time_ns()
        command = Command(
            id=self.client.next_id(),
            row=row,
            value=value,
            action=action,
            origin=Origin(
                protocol=PROGRAM if person.program else "hmi",
                server=SCREEN,
                master=person.role.value,
                peer=person.who,
            ),
            deadline_ns=now_ns + int(COMMAND_S * 1e9),
            received_ns=now_ns,
            subject=subject,
            text=text,
            test=test,
        )
        self.client.submit(command, hear)
        return await done

    async def on_disk(self, work: Callable[..., _Read], *arguments: Any) -> _Read:
        """Run what reads files in the one thread for it. What it raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    def history(self) -> HistoryReader:
        """The store's reader; for `on_disk` alone. Raises `Refusal` (409) when nothing is recorded."""
        if self._history is None:
            folder = self.history_folder
            if folder is None:
                raise Refusal(409, "this site records no history: a section history: in site.yaml is expected")
            try:
                self._history = HistoryReader(folder)
            except FileNotFoundError:
                raise Refusal(409, "nothing has been recorded yet") from None
        return self._history

    def close(self) -> None:
        """At the process's end."""
        self._disk.shutdown(wait=True)
        if self._history is not None:
            self._history.close()
