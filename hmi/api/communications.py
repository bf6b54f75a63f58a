"""Devices and masters: state, counters, last error in words, round trip, and what their links carry."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from pydantic import Field
from starlette.responses import Response

from gateway.contracts.doctor import Verdict
from gateway.contracts.server import DescribedFrame
from gateway.examination import examine
from gateway.points.quality import UNUSABLE
from gateway.site.plan import ServerEntry
from gateway.tracing.reader import CaptureFile, ServerNotRunning, TraceError, describers, lines, tell
from gateway.users.roles import Role
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.following import ask_worker
from hmi.refusal import Refusal
from hmi.traffic import Traffic

_ASK_S: Final = 2.0
_EVERY_S: Final = 2.0
_EXAMINE_S: Final = 60.0
_TOPIC: Final = "communications"
_ROUND_TRIP: Final = "round_trip_us"


class DeviceState(Answer):
    name: str
    driver: str
    state: str
    """connecting, online, lost; empty: the core has not said yet."""
    cause: str
    since_ms: float
    counters: dict[str, int]
    round_trip_ms: float | None
    points: int
    unusable: int
    """Points without a usable value."""
    online: str
    """Name of the point that says whether it answers."""


class LinkState(Answer):
    peer: str
    since_ms: float
    octets_in: int
    octets_out: int
    heard_ms: float
    told_ms: float
    round_trip_ms: float | None


class LinkEnd(Answer):
    time_ms: float
    peer: str
    cause: str


class MasterState(Answer):
    server: str
    protocol: str
    master: str
    listen: str
    bindings: int
    links: list[LinkState]
    connects: int
    last_end: LinkEnd | None
    serving: bool
    """Whether the server's process answers."""
    points: dict[str, str]
    """Names of its system points: online, events_waiting, events_lost, overflow; empty where it has none."""
    may_command: int


class Communications(Answer):
    devices: list[DeviceState]
    masters: list[MasterState]
    core: bool
    """Whether the core answers."""


class MasterName(Body):
    server: str = Field(max_length=64)
    master: str = Field(max_length=64)


class FrameQuestion(MasterName):
    out: bool
    """From the gateway to the master."""
    octets: str = Field(max_length=8_192, pattern="^([0-9a-f][0-9a-f])*$")
    """Hexadecimal."""


class FrameReason(Answer):
    text: str
    """The frame in words, all of it."""
    why: list[str]


class FindingFacts(Answer):
    verdict: str
    says: str
    evidence: list[str]
    advice: str


class Examination(Answer):
    device: str
    well: bool
    findings: list[FindingFacts]


async def _communications(visit: Visit) -> Communications:
    return await facts(visit.desk)


async def facts(desk: Desk) -> Communications:
    """Everything as it stands; what does not answer is left empty."""
    states, counters = await asyncio.gather(_asked(desk.client.devices), _asked(desk.client.counters))
    links = await asyncio.gather(*(_links(desk, entry) for entry in desk.site.servers))
    return Communications(
        devices=[_device(desk, name, states or {}, counters or {}) for name in desk.site.device_drivers],
        masters=[
            _master(desk, entry, master, told)
            for entry, told in zip(desk.site.servers, links, strict=True)
            for master in entry.masters
        ],
        core=states is not None,
    )


async def _asked(question: Any) -> dict[str, dict[str, Any]] | None:
    try:
        answer: dict[str, dict[str, Any]] = await question(_ASK_S)
    except TimeoutError:
        return None
    return answer


def _device(desk: Desk, name: str, states: Mapping[str, Any], counters: Mapping[str, Any]) -> DeviceState:
    site, state, counted = desk.site, states.get(name, {}), dict(counters.get(name, {}))
    micros = counted.pop(_ROUND_TRIP, 0)
    rows = site.device_rows[name]
    quality = desk.client.mirror.quality[rows]
    return DeviceState(
        name=name,
        driver=site.device_drivers[name],
        state=state.get("state", ""),
        cause=state.get("cause", ""),
        since_ms=state.get("since_ns", 0) / 1e6,
        counters=counted,
        round_trip_ms=micros / 1e3 if micros else None,
        points=len(rows),
        unusable=int(np.count_nonzero(quality & np.uint32(UNUSABLE))),
        online=desk.catalogue.names[site.device_system[name].online],
    )


async def _links(desk: Desk, entry: ServerEntry) -> dict[str, Any] | None:
    """What a server's process says of its masters; None: it does not answer."""
    told = await ask_worker(desk.site.state_dir, entry.name, {"get": "links"}, _ASK_S)
    found: dict[str, Any] | None = None if told is None else told.get("links")
    return found


def _master(desk: Desk, entry: ServerEntry, master: str, told: dict[str, Any] | None) -> MasterState:
    site, names = desk.site, desk.catalogue.names
    rows = site.master_system.get((entry.name, master))
    of_it = (told or {}).get(master) or {}
    end = of_it.get("last_end")
    shown = ("online", "events_waiting", "events_lost", "overflow")
    return MasterState(
        server=entry.name,
        protocol=entry.protocol,
        master=master,
        listen=entry.listen,
        bindings=entry.bindings.get(master, 0),
        links=[_link(link) for link in of_it.get("links", ())],
        connects=of_it.get("connects", 0),
        last_end=None
        if end is None
        else LinkEnd(time_ms=end["time_ns"] / 1e6, peer=_end(end["peer"]), cause=end["cause"]),
        serving=told is not None,
        points={} if rows is None else {name: names[getattr(rows, name)] for name in shown},
        may_command=len(site.rights.get((entry.name, master), ())),
    )


def _link(link: Mapping[str, Any]) -> LinkState:
    return LinkState(
        peer=_end(link["peer"]),
        since_ms=link["since_ns"] / 1e6,
        octets_in=link["octets_in"],
        octets_out=link["octets_out"],
        heard_ms=link["heard_ns"] / 1e6,
        told_ms=link["told_ns"] / 1e6,
        round_trip_ms=link["round_trip_ms"],
    )


def _end(peer: Any) -> str:
    host, port = peer
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _entry(desk: Desk, server: str, master: str) -> ServerEntry:
    entry = next((each for each in desk.site.servers if each.name == server and master in each.masters), None)
    if entry is None:
        raise Refusal(404, f"there is no master {server}/{master}")
    return entry


async def _why(visit: Visit) -> FrameReason:
    asked: FrameQuestion = visit.body
    entry = _entry(visit.desk, asked.server, asked.master)
    try:
        describer = describers(visit.desk.site, entry, asked.master, True)()
    except TraceError as error:
        raise Refusal(409, str(error)) from None
    octets = bytes.fromhex(asked.octets)
    frames: list[DescribedFrame] = describer.feed(asked.out, octets)
    return FrameReason(text="\n".join(frame.text for frame in frames), why=describer.why(asked.out, octets))


async def _pcap(visit: Visit) -> Response:
    asked: MasterName = visit.query
    entry = _entry(visit.desk, asked.server, asked.master)
    data = await visit.desk.on_disk(_capture, visit.desk, entry, asked.master)
    visit.desk.audit.record(step="capture", user=visit.person.name, peer=visit.person.peer, master=asked.master)
    name = f"{visit.desk.site.name}-{asked.server}-{asked.master}.pcap"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(data, media_type="application/vnd.tcpdump.pcap", headers=headers)


def _capture(desk: Desk, entry: ServerEntry, master: str) -> bytes:
    """What the worker holds of this master, as a capture file (at most some MB)."""
    file, links = io.BytesIO(), dict[int, Any]()
    writer = CaptureFile(file)
    try:
        for line in lines(desk.site.state_dir, entry.name, {"get": "trace", "master": master, "follow": False}):
            if "error" in line:
                raise Refusal(409, str(line["error"]))
            tell(writer, line, links, master)
    except ServerNotRunning as error:
        raise Refusal(409, str(error)) from None
    return file.getvalue()


async def _examine(visit: Visit) -> Examination:
    name = visit.path["device"]
    if name not in visit.desk.site.device_drivers:
        raise Refusal(404, f"there is no device {name}")
    visit.desk.audit.record(step="examine", user=visit.person.name, peer=visit.person.peer, device=name)
    try:
        async with asyncio.timeout(_EXAMINE_S):
            _, findings = await examine(visit.desk.site, name)
    except TimeoutError:
        raise Refusal(504, f"the examination of {name} took more than {_EXAMINE_S:.0f} s") from None
    return Examination(
        device=name,
        well=not any(finding.verdict is Verdict.FAULT for finding in findings),
        findings=[
            FindingFacts(
                verdict=finding.verdict.value,
                says=finding.says,
                evidence=list(finding.evidence),
                advice=finding.advice,
            )
            for finding in findings
        ],
    )


def _begin(desk: Desk) -> None:
    traffic = Traffic(desk.site, desk.stream)
    desk.background.append(traffic.run)

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            if desk.stream.listened(_TOPIC):
                desk.stream.tell(_TOPIC, facts=(await facts(desk)).model_dump())

    desk.background.append(keep_telling)


TOPIC: Final = Topic(
    begin=_begin,
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/communications",
            handler=_communications,
            answer=Communications,
            tag="communications",
            summary="State, counters and last error of every device and every master.",
            quiet=True,
        ),
        Endpoint(
            method="POST",
            path="/api/communications/why",
            handler=_why,
            body=FrameQuestion,
            answer=FrameReason,
            tag="communications",
            summary="One frame of a master's link in words, and why it was sent.",
            responses={404: "no such master", 409: "the protocol cannot describe its frames"},
        ),
        Endpoint(
            method="GET",
            path="/api/communications/pcap",
            handler=_pcap,
            query=MasterName,
            right=Role.OPERATOR,
            media="application/vnd.tcpdump.pcap",
            tag="communications",
            summary="What the links of a master carried lately, as a capture file.",
            responses={404: "no such master", 409: "its server does not run"},
        ),
        Endpoint(
            method="POST",
            path="/api/communications/examine/{device}",
            handler=_examine,
            right=Role.OPERATOR,
            answer=Examination,
            tag="communications",
            summary="Why a device gives no or wrong values: the doctor's findings. Reads only.",
            responses={404: "no such device", 504: "it took too long"},
        ),
    ],
)
