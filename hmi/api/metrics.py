"""`/metrics` for Prometheus: the gateway's own figures. With a viewer's right, or from `metrics_addresses`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
from starlette.responses import Response

from gateway import __version__
from gateway.alarms.model import AlarmState, Priority
from gateway.points.quality import UNUSABLE, Quality
from gateway.refusals import refused_point
from hmi.access.inside import Inside
from hmi.access.peers import Peers
from hmi.desk import Desk
from hmi.endpoint import Endpoint, Visit
from hmi.exposition import Family, render
from hmi.plan import HmiPlan
from hmi.plant import Plant
from hmi.processes import expected, running

_COUNTERS_S: Final = 2.0
_MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"


def metrics_endpoints(inside: Inside) -> list[Endpoint]:
    """The one call."""

    async def metrics(visit: Visit) -> Response:
        families = [
            *_points(visit.desk),
            *await _devices(visit.desk),
            *_masters(visit.desk),
            *_control(visit.desk),
            *_history(visit.desk),
            *_alarms(visit.desk),
            *_processes(visit.desk),
            *_own(visit.desk, inside),
        ]
        return Response(render(families), media_type=_MEDIA, headers={"Cache-Control": "no-store"})

    return [
        Endpoint(
            method="GET",
            path="/metrics",
            handler=metrics,
            open_to=_open_to,
            media="text/plain",
            tag="health",
            summary="Figures of the gateway itself in the text format of Prometheus.",
            quiet=True,
        )
    ]


def _open_to(plan: HmiPlan, peer: str) -> bool:
    return Peers(plan.metrics_addresses).named(peer)


def _points(desk: Desk) -> Iterator[Family]:
    mirror = desk.client.mirror
    total = Family("gridgate_points", "gauge", "Points of the site.")
    total.add(len(mirror))
    by_quality = Family("gridgate_points_by_quality", "gauge", "Points that carry this quality; one may carry several.")
    by_quality.add(int((mirror.quality == 0).sum()), quality="good")
    for flag in Quality:
        words = (flag.name or "").lower().replace("_", " ")
        by_quality.add(int(((mirror.quality & np.uint32(flag)) != 0).sum()), quality=words)
    unusable = Family("gridgate_points_unusable", "gauge", "Points whose value is not fit for a decision.")
    unusable.add(int(((mirror.quality & np.uint32(UNUSABLE)) != 0).sum()))
    yield from (total, by_quality, unusable)


async def _devices(desk: Desk) -> list[Family]:
    plant, site = Plant(desk), desk.site
    online = Family("gridgate_device_online", "gauge", "The device answers.")
    for name, rows in site.device_system.items():
        online.add(plant.number(rows.online), device=name, driver=site.device_drivers[name])
    counted = Family("gridgate_device_total", "counter", "What the driver has counted since the core's start.")
    try:
        counters = await desk.client.counters(_COUNTERS_S)
    except TimeoutError:
        counters = {}
    for name, by in sorted(counters.items()):
        for what, count in by.items():
            counted.add(count, device=name, what=what)
    return [online, counted]


def _masters(desk: Desk) -> list[Family]:
    plant = Plant(desk)
    families = {
        "online": Family("gridgate_master_online", "gauge", "The master is connected."),
        "events_waiting": Family("gridgate_master_events_waiting", "gauge", "Events in the master's journal."),
        "events_lost": Family(
            "gridgate_master_events_lost_total", "counter", "Events that the journal could not hold."
        ),
        "overflow": Family(
            "gridgate_master_overflow", "gauge", "Events were lost, and the journal was not empty since."
        ),
    }
    for (server, master), rows in desk.site.master_system.items():
        for key, family in families.items():
            family.add(plant.number(getattr(rows, key)), server=server, master=master)
    return [*families.values(), _refused(desk)]


def _refused(desk: Desk) -> Family:
    plant, rows = Plant(desk), desk.site.catalogue.rows
    family = Family("gridgate_server_refused_total", "counter", "Connections that the server has turned away.")
    for entry in desk.site.servers:
        if (row := rows.get(refused_point(entry.name))) is not None:
            family.add(plant.number(row), server=entry.name)
    return family


def _control(desk: Desk) -> Iterator[Family]:
    plant = Plant(desk)
    if plant.control is None:
        return
    rows = plant.control.rows
    for name, kind, row, factor, words in (
        ("cycle_seconds", "gauge", rows.cycle_us, 1e-6, "Longest step of the control cycle within the last second."),
        ("jitter_seconds", "gauge", rows.jitter_us, 1e-6, "Latest start of the control cycle within the last second."),
        ("cycles_total", "counter", rows.cycles, 1.0, "Control cycles since the core's start."),
        ("overruns_total", "counter", rows.overruns, 1.0, "Control cycles missed since the core's start."),
    ):
        value = plant.number(row)
        family = Family(f"gridgate_control_{name}", "counter" if kind == "counter" else "gauge", words)
        family.add(None if value is None else value * factor)
        yield family
    tripped = Family("gridgate_interlock_tripped", "gauge", "The interlock's effects are in force.")
    for interlock in plant.control.interlocks:
        tripped.add(plant.number(interlock.rows.tripped), interlock=interlock.name)
    yield tripped


def _history(desk: Desk) -> Iterator[Family]:
    plant, names = Plant(desk), desk.catalogue.rows
    for name, kind, point, words in (
        ("recording", "gauge", "recording", "History is recorded."),
        ("samples_total", "counter", "samples", "Samples recorded since start."),
        ("lost_total", "counter", "lost", "Samples lost because the disk could not be written."),
        ("stored_megabytes", "gauge", "stored_mb", "Size of the history."),
        ("influx_online", "gauge", "influx_online", "InfluxDB takes the samples."),
        ("influx_waiting", "gauge", "influx_waiting", "Samples that InfluxDB has not taken yet."),
        ("influx_age_seconds", "gauge", "influx_age_s", "Age of the oldest of them."),
        ("influx_rejected_total", "counter", "influx_rejected", "Samples that InfluxDB refused."),
    ):
        row = names.get(f"system/history/{point}")
        if row is not None:
            family = Family(f"gridgate_history_{name}", "counter" if kind == "counter" else "gauge", words)
            family.add(plant.number(row))
            yield family


def _alarms(desk: Desk) -> Iterator[Family]:
    alarms = desk.client.alarms
    if alarms is None:
        return
    by_state: Counter[AlarmState] = Counter()
    active: Counter[Priority] = Counter()
    for index, record in alarms.records.items():
        by_state[record.state] += 1
        active[alarms.catalogue.priority_of(index)] += record.active and not record.hidden
    states = Family("gridgate_alarms", "gauge", "Alarms by state (ANSI/ISA-18.2).")
    for state in AlarmState:
        normal = len(alarms.catalogue) - sum(by_state.values())
        states.add(by_state[state] + (normal if state is AlarmState.NORMAL else 0), state=state.value)
    priorities = Family("gridgate_alarms_active", "gauge", "Active alarms in sight by priority.")
    for priority in Priority:
        priorities.add(active[priority], priority=priority.word)
    yield from (states, priorities)


def _processes(desk: Desk) -> Iterator[Family]:
    present = running()
    up = Family("gridgate_process_up", "gauge", "The process runs.")
    memory = Family("gridgate_process_resident_bytes", "gauge", "Memory of the process.")
    cpu = Family("gridgate_process_cpu_seconds_total", "counter", "CPU time of the process since its start.")
    for title in expected(desk.site):
        up.add(float(title in present), process=title)
        if title in present:
            memory.add(present[title].resident_bytes, process=title)
            cpu.add(present[title].cpu_s, process=title)
    yield from (up, memory, cpu)


def _own(desk: Desk, inside: Inside) -> Iterator[Family]:
    connected = Family("gridgate_feed_connected", "gauge", "The HMI hears the core.")
    connected.add(float(desk.client.connected))
    age = Family("gridgate_feed_age_seconds", "gauge", "Since the HMI last heard anything of the core.")
    age.add(desk.client.heard_s)
    requests = Family("gridgate_hmi_requests_total", "counter", "Calls answered since start, by status.")
    for status, count in sorted(inside.calls.by_status.items()):
        requests.add(count, status=str(status))
    figures = (
        ("connections", "gauge", inside.door.crowd.total, "Connections now."),
        ("turned_away_total", "counter", inside.door.turned_away, "Connections refused since start."),
        ("sockets", "gauge", len(desk.stream), "WebSockets now."),
        ("sessions", "gauge", len(inside.gatekeeper.sessions), "Sessions of people now."),
        ("tokens", "gauge", len(inside.gatekeeper.tokens.tokens), "Tokens of programs."),
        ("uptime_seconds", "gauge", (time.time_ns() - desk.started_ns) / 1e9, "Since the HMI's process started."),
    )
    yield from (connected, age, requests)
    for name, kind, value, words in figures:
        family = Family(f"gridgate_hmi_{name}", "counter" if kind == "counter" else "gauge", words)
        family.add(value)
        yield family
    info = Family("gridgate_info", "gauge", "1; the labels say what runs here.")
    info.add(1, version=__version__, site=desk.site.name)
    yield info
