"""A short visit of a command line to a running gateway."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from gateway.commands import LOCAL_SERVER
from gateway.contracts.command import Action, Command, Origin, Outcome
from gateway.feed.address import socket_path
from gateway.feed.client import FeedClient
from gateway.log import get_log
from gateway.points.change import Changes
from gateway.points.model import NO_ROW
from gateway.site.plan import SitePlan

CONNECT_S: Final = 3.0
COMMAND_S: Final = 15.0


class NotRunningError(Exception):
    """No gateway answers on this site's state directory."""


class _Quiet:
    """Hears when the mirror is right."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        """Nothing to resume."""

    def feed_changes(self, batch: Changes, seq: int) -> None:
        """The mirror has it."""

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """Of no interest here."""

    def feed_ready(self) -> None:
        self.ready.set()


@asynccontextmanager
async def connected(plan: SitePlan, who: str, *, alarms: bool = False) -> AsyncIterator[FeedClient]:
    """A feed client whose mirror is right. Raises `NotRunningError`."""
    listener = _Quiet()
    path = socket_path(plan.state_dir)
    client = FeedClient(
        path,
        f"{who} command",
        LOCAL_SERVER,
        len(plan.catalogue),
        listener,
        get_log(process="cli"),
        alarms=plan.alarms if alarms else None,
    )
    task = asyncio.create_task(client.run())
    try:
        try:
            await asyncio.wait_for(listener.ready.wait(), CONNECT_S)
        except TimeoutError:
            raise NotRunningError(f"no gateway runs on {plan.state_dir} (start it with: gridgate run SITE)") from None
        yield client
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def subject_command(
    client: FeedClient, action: Action, subject: str, text: str, value: float, person: str
) -> Outcome:
    """The same about something that is no point, such as an alarm; see `Command.subject`."""
    return await _sent(client, row=NO_ROW, value=value, action=action, person=person, subject=subject, text=text)


async def command(client: FeedClient, row: int, value: float, action: Action, person: str) -> Outcome:
    """Send one command as a person on this machine and wait for its final word."""
    return await _sent(client, row=row, value=value, action=action, person=person)


async def _sent(client: FeedClient, *, person: str, **facts: Any) -> Outcome:
    done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    now_ns = time.time_ns()
    client.submit(
        Command(
            id=client.next_id(),
            **facts,
            origin=Origin(protocol="cli", server=LOCAL_SERVER, master=person),
            deadline_ns=now_ns + int(COMMAND_S * 1e9),
            received_ns=now_ns,
        ),
        lambda outcome: done.set_result(outcome) if outcome.stage.final and not done.done() else None,
    )
    return await done
