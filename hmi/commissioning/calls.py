"""What the calls of a point-to-point test do."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field
from starlette.responses import Response

from gateway import __version__
from gateway.contracts.command import Action, Stage
from gateway.points.quality import Quality
from gateway.site.plan import ServerEntry
from gateway.users.roles import Role
from hmi.access.person import Person
from hmi.commissioning.doing import awaited_command, items_of, soe_selftest
from hmi.commissioning.observe import observe
from hmi.commissioning.page import write_sheet
from hmi.commissioning.sheet import Drive, Item, Report, Sheet, Text, Verdict, tick, values_to_drive
from hmi.commissioning.store import SheetStore
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Visit
from hmi.refusal import Refusal

_SELF: Final = Person(name="commissioning", role=Role.ENGINEER)
_SHOW_S: Final = 3.0
"""How long after a drive a frame about the point is waited for."""
_MORE_S: Final = 0.4
_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-modals"


class SheetFacts(Answer):
    id: str
    title: str
    kind: str
    server: str
    master: str
    began_ms: float
    began_by: str
    closed_ms: float
    counts: dict[str, int]


class NewSheet(Body):
    server: str = Field(max_length=64)
    master: str = Field(max_length=64)
    kind: Literal["FAT", "SAT"] = "SAT"
    title: Text = ""
    tester: Text = ""
    witness: Text = ""
    operator: Text = ""


class People(Body):
    title: Text | None = None
    tester: Text | None = None
    witness: Text | None = None
    operator: Text | None = None
    remark: Text | None = None
    closed: bool | None = None


class DriveOrder(Body):
    item: int = Field(ge=0, le=200_000)
    value: float
    test: bool = True
    """With quality *test* where the protocol has it."""
    hold_s: float = Field(default=10, ge=1, le=600)
    """The point is released by itself after this."""
    accept: bool = False
    """The gateway acts on this point by itself, and that is wanted."""


class ItemNumber(Body):
    item: int = Field(ge=0, le=200_000)


class AwaitOrder(ItemNumber):
    wait_s: float = Field(default=30, ge=1, le=120)


class Tick(Body):
    item: int = Field(ge=0, le=200_000)
    verdict: Verdict
    comment: Text = ""
    seen: Text = ""


class SoeOrder(Body):
    events: int = Field(default=10_000, ge=100, le=150_000)
    cuts: int = Field(default=20, ge=0, le=1_000)
    kills: int = Field(default=0, ge=0, le=50)


class ItemAnswer(Answer):
    item: Item
    values: list[float]
    """Worth driving."""


class Commissioning:
    """The handlers of the calls, with what they share."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._held: dict[int, asyncio.Task[None]] = {}
        self._soe = asyncio.Lock()

    def begin_topic(self, desk: Desk) -> None:
        """Test values that a process before this one put in, and whose time nobody keeps any more, are released."""

        async def release_forgotten() -> None:
            flags = np.uint32(Quality.TEST | Quality.SUBSTITUTED)
            for row in np.flatnonzero((desk.client.mirror.quality & flags) == flags).tolist():
                if row not in self._held:
                    text = "the test value's time is not kept any more: the HMI was started anew"
                    await desk.command(_SELF, Action.RELEASE, row=row, text=text)
                    desk.log.warning("a forgotten test value is released", point=desk.catalogue.names[row])
            await asyncio.Event().wait()  # no background work is to end

        desk.background.append(release_forgotten)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def list_all(self, visit: Visit) -> list[SheetFacts]:
        return await visit.desk.on_disk(_all_facts, _store(visit.desk))

    async def begin(self, visit: Visit) -> Sheet:
        order: NewSheet = visit.body
        desk, entry = visit.desk, _entry(visit.desk, order.server, order.master)
        store = _store(desk)
        sheet = Sheet(
            id=store.fresh_id(),
            title=order.title or f"{desk.site.name} {order.server}/{order.master}",
            kind=order.kind,
            site=desk.site.name,
            server=order.server,
            protocol=entry.protocol,
            master=order.master,
            listen=entry.listen,
            version=__version__,
            began_ms=time.time() * 1e3,
            began_by=visit.person.name,
            tester=order.tester,
            witness=order.witness,
            operator=order.operator,
            items=items_of(desk, order.server, order.master),
        )
        await desk.on_disk(store.save, sheet)
        _record(visit, "begin", sheet)
        return sheet

    async def load(self, visit: Visit) -> Sheet:
        return await visit.desk.on_disk(_store(visit.desk).load, visit.path["id"])

    async def remove(self, visit: Visit) -> dict[str, str]:
        sheet = await self.load(visit)
        await visit.desk.on_disk(_store(visit.desk).remove, sheet.id)
        _record(visit, "remove", sheet)
        return {}

    async def people(self, visit: Visit) -> Sheet:
        order: People = visit.body
        async with self._lock(visit.path["id"]):
            sheet = await self.load(visit)
            for name in ("title", "tester", "witness", "operator", "remark"):
                text = getattr(order, name)
                if text is not None:
                    setattr(sheet, name, text)
            if order.closed is not None:
                sheet.closed_ms = time.time() * 1e3 if order.closed else 0.0
                sheet.closed_by = visit.person.name if order.closed else ""
            await visit.desk.on_disk(_store(visit.desk).save, sheet)
        _record(visit, "close" if order.closed else "change", sheet)
        return sheet

    async def drive(self, visit: Visit) -> ItemAnswer:
        """Force the point, see what the master's connections carry, keep it; it is released by itself."""
        order: DriveOrder = visit.body
        desk = visit.desk
        async with self._lock(visit.path["id"]):
            sheet = await self._open(visit)
            item = _item(sheet, order.item)
            if item.commanded:
                raise Refusal(409, f"{item.point} is commanded by the master: await its command instead")
            if item.used_by and not order.accept:
                acts = ", ".join(item.used_by)
                raise Refusal(409, f"the gateway acts on {item.point} by itself ({acts}): say that this is wanted")
            row, began_ns = desk.row(item.point), time.time_ns()
            told = await desk.command(
                visit.person,
                Action.SUBSTITUTE,
                row=row,
                value=order.value,
                text=f"point-to-point test {sheet.id}",
                test=order.test,
            )
            done = told.stage is Stage.COMPLETED
            if done:
                self._release_later(visit, row, order.hold_s)
            entry = _entry(desk, sheet.server, sheet.master)
            seen = observe(desk.site, entry, sheet.master, item.point, began_ns, _SHOW_S, _MORE_S)
            frames = await seen if done else []
            outcome = "driven" if done else f"{told.reason.value}: {told.text}"
            item.drives.append(
                Drive(
                    time_ms=began_ns / 1e6,
                    by=visit.person.name,
                    value=order.value,
                    test=order.test,
                    outcome=outcome,
                    frames=frames,
                )
            )
            await desk.on_disk(_store(desk).save, sheet)
        if not done:
            raise Refusal(409, outcome)
        return _answer(desk, item)

    async def release(self, visit: Visit) -> ItemAnswer:
        """End the test value now."""
        sheet = await self.load(visit)
        item = _item(sheet, visit.body.item)
        row = visit.desk.row(item.point)
        task = self._held.pop(row, None)
        if task is not None:
            task.cancel()
        await visit.desk.command(visit.person, Action.RELEASE, row=row, text=f"point-to-point test {sheet.id}")
        return _answer(visit.desk, item)

    def _release_later(self, visit: Visit, row: int, hold_s: float) -> None:
        before = self._held.pop(row, None)
        if before is not None:
            before.cancel()

        async def wait_and_release() -> None:
            await asyncio.sleep(hold_s)
            self._held.pop(row, None)
            await visit.desk.command(visit.person, Action.RELEASE, row=row, text="the test value's time is over")

        self._held[row] = asyncio.create_task(wait_and_release())

    async def await_command(self, visit: Visit) -> ItemAnswer:
        """Wait for the master's command of a point; what came, and what became of it, is kept."""
        order: AwaitOrder = visit.body
        desk = visit.desk
        sheet = await self._open(visit)
        item = _item(sheet, order.item)
        if not item.commanded:
            raise Refusal(409, f"{item.point} is measured: drive it instead")
        began_ns = time.time_ns()
        found = await awaited_command(desk, f"{sheet.server}/{sheet.master}", item.point, began_ns, order.wait_s)
        if found is None:
            raise Refusal(504, f"no command of {sheet.master} for {item.point} came within {order.wait_s:.0f} s")
        entry = _entry(desk, sheet.server, sheet.master)
        frames = await observe(desk.site, entry, sheet.master, item.point, began_ns, _SHOW_S, _MORE_S)
        async with self._lock(sheet.id):
            sheet = await self._open(visit)
            item = _item(sheet, order.item)
            item.drives.append(
                Drive(
                    time_ms=found["time"] / 1e6,
                    by=str(found.get("origin", ""))[:200],
                    value=_number(found.get("value")),
                    outcome=" ".join(str(found.get(key) or "") for key in ("step", "reason", "text")).strip()[:400],
                    frames=frames,
                )
            )
            await desk.on_disk(_store(desk).save, sheet)
        return _answer(desk, item)

    async def ticked(self, visit: Visit) -> ItemAnswer:
        """A person's verdict on a point."""
        order: Tick = visit.body
        async with self._lock(visit.path["id"]):
            sheet = await self._open(visit)
            item = _item(sheet, order.item)
            try:
                tick(item, order.verdict, order.comment, order.seen, visit.person.name, time.time() * 1e3)
            except ValueError as error:
                raise Refusal(422, str(error)) from None
            await visit.desk.on_disk(_store(visit.desk).save, sheet)
        return _answer(visit.desk, item)

    async def item(self, visit: Visit) -> ItemAnswer:
        sheet = await self.load(visit)
        return _answer(visit.desk, _item(sheet, visit.query.item))

    async def soe(self, visit: Visit) -> Report:
        """The SOE buffer test of this master, on a gateway of its own beside this one."""
        order: SoeOrder = visit.body
        if self._soe.locked():
            raise Refusal(409, "an SOE buffer test runs already")
        async with self._soe:
            sheet = await self._open(visit)
            _record(visit, "soe", sheet)
            passed, text = await soe_selftest(visit.desk, sheet, order.events, order.cuts, order.kills)
        report = Report(
            name="SOE buffer test", time_ms=time.time() * 1e3, by=visit.person.name, passed=passed, text=text[:20_000]
        )
        async with self._lock(sheet.id):
            sheet = await self._open(visit)
            sheet.reports.append(report)
            await visit.desk.on_disk(_store(visit.desk).save, sheet)
        return report

    async def page(self, visit: Visit) -> Response:
        """The sheet to be printed."""
        sheet = await self.load(visit)
        data = await visit.desk.on_disk(_page, sheet)
        headers = {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-store"}
        return Response(data, media_type="text/html; charset=utf-8", headers=headers)

    async def _open(self, visit: Visit) -> Sheet:
        sheet = await self.load(visit)
        if sheet.closed_ms:
            raise Refusal(409, "this test is closed: open it again first")
        return sheet


def _store(desk: Desk) -> SheetStore:
    return SheetStore(desk.site.state_dir / "commissioning")


def _all_facts(store: SheetStore) -> list[SheetFacts]:
    out = []
    for name in store.names():
        try:
            sheet = store.load(name)
        except Refusal:
            continue  # a damaged file is told when it is asked for by name
        out.append(
            SheetFacts(
                id=sheet.id,
                title=sheet.title,
                kind=sheet.kind,
                server=sheet.server,
                master=sheet.master,
                began_ms=sheet.began_ms,
                began_by=sheet.began_by,
                closed_ms=sheet.closed_ms,
                counts=sheet.counts(),
            )
        )
    return out


def _entry(desk: Desk, server: str, master: str) -> ServerEntry:
    entry = next((each for each in desk.site.servers if each.name == server and master in each.masters), None)
    if entry is None:
        raise Refusal(404, f"there is no master {server}/{master}")
    return entry


def _item(sheet: Sheet, number: int) -> Item:
    if number >= len(sheet.items):
        raise Refusal(404, f"this test has {len(sheet.items)} points")
    return sheet.items[number]


def _answer(desk: Desk, item: Item) -> ItemAnswer:
    row = desk.catalogue.rows.get(item.point)
    if row is None or item.commanded:
        return ItemAnswer(item=item, values=[])
    low, high = float(desk.catalogue.low[row]), float(desk.catalogue.high[row])
    return ItemAnswer(item=item, values=values_to_drive(item.kind, float(desk.client.mirror.value[row]), low, high))


def _record(visit: Visit, step: str, sheet: Sheet) -> None:
    person = visit.person
    visit.desk.audit.record(step=f"test {step}", user=person.name, peer=person.peer, test=sheet.id, master=sheet.master)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _page(sheet: Sheet) -> bytes:
    with tempfile.TemporaryDirectory(prefix="gridgate-sheet-") as folder:
        return write_sheet(Path(folder) / "sheet.html", sheet).read_bytes()
