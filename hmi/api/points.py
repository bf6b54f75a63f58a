"""Points: search, tree, everything about one, force and block, a small trend, and the list as CSV."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import math
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from gateway.contracts.command import Action, Stage
from gateway.points.model import NO_ROW, Kind
from gateway.points.quality import ALL_FLAGS, Quality
from gateway.users.roles import Role
from hmi.api.pointmodels import (
    AlarmOfPoint,
    Done,
    Filter,
    FolderLine,
    Force,
    HeldPoint,
    MasterOfPoint,
    Named,
    Page,
    PointFacts,
    PointLine,
    PointPage,
    Reasoned,
    Reported,
    SmallTrend,
    Tree,
    TreeQuery,
    TrendQuery,
)
from hmi.desk import Desk
from hmi.endpoint import Body, Endpoint, Topic, Visit
from hmi.following import ask_worker
from hmi.heldrecord import Holder, holders
from hmi.pointbook import HELD, PointBook, begin, book_of
from hmi.refusal import Refusal

FOLDERS_SHOWN: Final = 2_000
HELD_SHOWN: Final = 500
_LINES_AT_ONCE: Final = 500
_ASK_S: Final = 2.0

# -- lists -------------------------------------------------------------------------------------------------------------


async def _list(visit: Visit) -> PointPage:
    query: Page = visit.query
    rows = await book_of(visit.desk).find(query.wish, query.quality)
    part = rows[query.offset : query.offset + query.limit].tolist()
    lines = [_line(visit.desk, book_of(visit.desk), row) for row in part]
    return PointPage(total=len(rows), offset=query.offset, points=lines)


def _line(desk: Desk, book: PointBook, row: int) -> PointLine:
    catalogue = desk.catalogue
    return PointLine(
        name=catalogue.names[row],
        description=catalogue.descriptions[row],
        kind=catalogue.kind(row).word,
        unit=catalogue.units[row],
        device=_device(desk, row),
        source=_source(book, row),
        masters=[f"{use.uses.master or use.uses.server}: {use.address}" for use in book.uses(row)],
    )


def _device(desk: Desk, row: int) -> str:
    device = int(desk.catalogue.device[row])
    return desk.catalogue.devices[device] if device >= 0 else ""


def _source(book: PointBook, row: int) -> str:
    sources = book.addresses.sources
    return sources[row] if sources else ""


async def _tree(visit: Visit) -> Tree:
    prefix = visit.query.prefix
    index = await book_of(visit.desk).index()
    found = index.folders(prefix if not prefix or prefix.endswith("/") else f"{prefix}/")
    lines = [FolderLine(path=each.path, points=each.points, folders=each.folders) for each in found[:FOLDERS_SHOWN]]
    return Tree(folders=lines, cut=len(found) > FOLDERS_SHOWN)


async def _export(visit: Visit) -> Response:
    query: Filter = visit.query
    rows = await book_of(visit.desk).find(query.wish, query.quality)
    name = f"{visit.desk.site.name}-points-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.csv"
    return StreamingResponse(
        _csv(visit.desk, rows.tolist()),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


_COLUMNS: Final = (
    *("point", "description", "kind", "unit", "value", "quality", "time_utc", "age_s", "device", "source"),
    "masters",
)


async def _csv(desk: Desk, rows: list[int]) -> AsyncIterator[bytes]:
    yield (",".join(_COLUMNS) + "\r\n").encode()
    for at in range(0, len(rows), _LINES_AT_ONCE):
        text = io.StringIO()
        csv.writer(text).writerows(_cells(desk, row) for row in rows[at : at + _LINES_AT_ONCE])
        yield text.getvalue().encode()


def _cells(desk: Desk, row: int) -> Sequence[object]:
    line, mirror = _line(desk, book_of(desk), row), desk.client.mirror
    quality, time_ns = Quality(int(mirror.quality[row])), int(mirror.time_ns[row])
    never = Quality.NEVER_REPORTED in quality
    when = datetime.datetime.fromtimestamp(time_ns / 1e9, datetime.UTC).isoformat(timespec="milliseconds")
    return (
        *map(_text, (line.name, line.description, line.kind, line.unit)),
        "" if never else f"{float(mirror.value[row]):.10g}",
        quality.words,
        "" if never else when,
        "" if never else f"{max(0.0, (time.time_ns() - int(mirror.seen_ns[row])) / 1e9):.1f}",
        *map(_text, (line.device, line.source, "; ".join(line.masters))),
    )


def _text(value: str) -> str:
    """No cell of text is taken for a formula by a spreadsheet."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t") else value


# -- one point ---------------------------------------------------------------------------------------------------------


async def _facts(visit: Visit) -> PointFacts:
    desk, row = visit.desk, visit.desk.row(visit.query.name)
    point, book = desk.catalogue.point(row), book_of(desk)
    limits = {"ll": point.alarm_ll, "l": point.alarm_l, "h": point.alarm_h, "hh": point.alarm_hh}
    held = await _held_points(desk, [row]) if int(desk.client.mirror.quality[row]) & int(HELD) else []
    return PointFacts(
        name=point.name,
        description=point.description,
        kind=point.kind.word,
        unit=point.unit,
        commanded=point.kind.commanded,
        device=point.device,
        driver=desk.site.device_drivers.get(point.device, ""),
        source=_source(book, row),
        place=book.addresses.place(row),
        low=_number(point.low),
        high=_number(point.high),
        limits={name: value for name, value in limits.items() if not math.isnan(value)},
        max_age_s=_number(point.max_age_s),
        feedback=desk.catalogue.names[point.feedback] if point.feedback != NO_ROW else "",
        feedback_tolerance=_number(point.feedback_tolerance),
        feedback_s=_number(point.feedback_s),
        alarms=_alarms(desk, row),
        masters=[
            _master(desk, use.uses.server, use.uses.protocol, use.uses.master, use.address) for use in book.uses(row)
        ],
        calculated=[
            desk.catalogue.names[each.row] for each in desk.site.calculated if row in each.expression.inputs.tolist()
        ],
        held=held[0] if held else None,
        history=desk.site.history is not None,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _alarms(desk: Desk, row: int) -> list[AlarmOfPoint]:
    alarms, mirror = desk.site.alarms, desk.client.alarms
    if alarms is None or mirror is None:
        return []
    return [
        AlarmOfPoint(
            name=alarms.name(index),
            message=alarms.message(index),
            priority=alarms.priority_of(index).word,
            limit=_number(float(alarms.limit[index])),
            state=mirror.record(index).state.value,
        )
        for index in alarms.of_row(row)
    ]


def _master(desk: Desk, server: str, protocol: str, master: str, address: str) -> MasterOfPoint:
    rows = desk.site.master_system.get((server, master))
    online = "" if rows is None else desk.catalogue.names[rows.online]
    return MasterOfPoint(server=server, protocol=protocol, master=master, address=address, online=online)


async def _reported(visit: Visit) -> list[Reported]:
    """Of every master that has the point; the servers' own processes are asked."""
    row = visit.desk.row(visit.query.name)
    uses = [use.uses for use in book_of(visit.desk).uses(row) if use.uses.master]
    servers = list(dict.fromkeys(each.server for each in uses))
    request = {"get": "reported", "row": row}
    asked = (ask_worker(visit.desk.site.state_dir, server, request, _ASK_S) for server in servers)
    told = dict(zip(servers, await asyncio.gather(*asked), strict=True))
    return [_told(each.server, each.master, told[each.server]) for each in uses]


def _told(server: str, master: str, told: dict[str, Any] | None) -> Reported:
    found = ((told or {}).get("reported") or {}).get(master)
    if not found:
        return Reported(server=server, master=master, known=False)
    value = float(found[0])
    return Reported(
        server=server,
        master=master,
        known=True,
        value=value if math.isfinite(value) else None,
        quality=Quality(int(found[1]) & int(ALL_FLAGS)).words,
    )


async def _trend(visit: Visit) -> SmallTrend:
    query: TrendQuery = visit.query
    visit.desk.row(query.name)
    try:
        return await visit.desk.on_disk(_read_trend, visit.desk, query)
    except (OSError, ValueError) as error:
        raise Refusal(409, f"the history cannot be read: {error}") from None


def _read_trend(desk: Desk, query: TrendQuery) -> SmallTrend:
    end_ns = time.time_ns()
    start_ns = end_ns - int(query.minutes * 60e9)
    buckets = desk.history().buckets(query.name, start_ns, end_ns, query.buckets)
    columns = {name: [_number(each) for each in getattr(buckets, name).tolist()] for name in ("low", "high", "mean")}
    return SmallTrend(start_ms=(buckets.start_ns / 1e6).tolist(), known=buckets.known.tolist(), **columns)


# -- force and block ---------------------------------------------------------------------------------------------------


async def _held(visit: Visit) -> list[HeldPoint]:
    return await _held_points(visit.desk, book_of(visit.desk).held()[:HELD_SHOWN])


async def _held_points(desk: Desk, rows: list[int]) -> list[HeldPoint]:
    names = {desk.catalogue.names[row] for row in rows}
    try:
        found = await desk.on_disk(holders, desk.site.state_dir / "audit", names) if names else {}
    except OSError:
        found = {}
    return [_held_point(desk, row, found.get(desk.catalogue.names[row])) for row in rows]


def _held_point(desk: Desk, row: int, holder: Holder | None) -> HeldPoint:
    mirror, catalogue = desk.client.mirror, desk.catalogue
    return HeldPoint(
        name=catalogue.names[row],
        value=_number(float(mirror.value[row])),
        unit=catalogue.units[row],
        kind=catalogue.kind(row).word,
        quality=Quality(int(mirror.quality[row])).words,
        by="" if holder is None else holder.by,
        reason="" if holder is None else holder.reason,
        since_ms=(int(mirror.time_ns[row]) if holder is None else holder.time_ns) / 1e6,
    )


_STATES: Final = {Kind.BINARY: (0.0, 1.0), Kind.DOUBLE: (0.0, 1.0, 2.0, 3.0)}


async def _force(visit: Visit) -> Done:
    body: Force = visit.body
    row = visit.desk.row(body.name)
    states = _STATES.get(visit.desk.catalogue.kind(row))
    if states is not None and body.value not in states:
        expected = ", ".join(f"{state:g}" for state in states)
        raise Refusal(422, f"{body.name} is never {body.value:g}: one of {expected} is expected")
    return await _hold(visit, Action.SUBSTITUTE, row, body.value)


def _held_by(action: Action) -> Any:
    async def handler(visit: Visit) -> Done:
        return await _hold(visit, action, visit.desk.row(visit.body.name), 0.0)

    return handler


async def _hold(visit: Visit, action: Action, row: int, value: float) -> Done:
    outcome = await visit.desk.command(visit.person, action, row=row, value=value, text=visit.body.reason)
    if outcome.stage is not Stage.COMPLETED:
        raise Refusal(409, outcome.text or outcome.reason.value)
    return Done(stage=outcome.stage.value, text=outcome.text)


_TAG: Final = "points"
_UNKNOWN: Final = {404: "there is no such point"}


def _action(name: str, handler: Any, body: type[Body], summary: str) -> Endpoint:
    return Endpoint(
        method="POST",
        path=f"/api/points/{name}",
        handler=handler,
        body=body,
        answer=Done,
        tag=_TAG,
        summary=summary,
        right=Role.ENGINEER,
        responses={**_UNKNOWN, 409: "the broker refused, in its words"},
    )


def _reading(path: str, handler: Any, query: type[Body], answer: Any, summary: str, **more: Any) -> Endpoint:
    return Endpoint(
        method="GET", path=path, handler=handler, query=query, answer=answer, tag=_TAG, summary=summary, **more
    )


TOPIC: Final = Topic(
    begin=begin,
    endpoints=[
        _reading("/api/points", _list, Page, PointPage, "Points that match, a page of them, in natural order."),
        _reading("/api/points/tree", _tree, TreeQuery, Tree, "Folders of a path, with how many points lie in each."),
        _reading(
            "/api/points/export",
            _export,
            Filter,
            None,
            "Points that match, with their values, as CSV.",
            media="text/csv",
        ),
        _reading("/api/points/facts", _facts, Named, PointFacts, "Everything about one point.", responses=_UNKNOWN),
        _reading(
            "/api/points/reported",
            _reported,
            Named,
            list[Reported],
            "What each master was last told of a point.",
            responses=_UNKNOWN,
            quiet=True,
        ),
        _reading(
            "/api/points/trend",
            _trend,
            TrendQuery,
            SmallTrend,
            "The last minutes of a point from the history.",
            responses={**_UNKNOWN, 409: "nothing is recorded, or it cannot be read"},
        ),
        Endpoint(
            method="GET",
            path="/api/points/held",
            handler=_held,
            answer=list[HeldPoint],
            tag=_TAG,
            summary=f"Points that are forced or blocked now, with who and why; the first {HELD_SHOWN}.",
            quiet=True,
        ),
        _action("force", _force, Force, "Force a measured point to a value; it says substituted until released."),
        _action("release", _held_by(Action.RELEASE), Reasoned, "End a force: the field's own value shows again."),
        _action("block", _held_by(Action.BLOCK), Reasoned, "Hold a measured point at its present value."),
        _action("unblock", _held_by(Action.UNBLOCK), Reasoned, "End a block."),
    ],
)
