"""Why a PMU stream gives no or wrong values: lets the driver listen for a while, and looks for who answers instead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final, cast

import numpy as np

from gateway.contracts.doctor import Finding, Observation, Patient, Verdict, fault, note, observe, reach_tcp
from gateway.points import Quality
from protocols.c37118.client import open_link
from protocols.c37118.driver import PmuDriver
from protocols.c37118.frame import REQUEST, C37Error, Splitter, command, head_of
from protocols.c37118.plan import TCP, StreamPlan

_WATCH_FRAMES: Final = 60
_LEAST_WATCH_S: Final = 2.0
_MOST_WATCH_S: Final = 8.0
_OTHER_IDS: Final = (*range(1, 65), 100, 200, 1000, 65534)
_SEARCH_S: Final = 1.0
_SHOWN: Final = 8


async def examine(patient: Patient) -> list[Finding]:
    """Findings about one stream (`gateway.contracts.doctor.Doctor`)."""
    plan = cast(StreamPlan, patient.plan)
    if patient.live is not None and plan.url.scheme != TCP:
        advice = "stop the gateway and ask again to have the stream itself examined"
        held = note("held", f"the running gateway has this UDP stream: {plan.url} was not asked", advice=advice)
        return [held, *_counted(patient.live.counters)]
    if plan.url.scheme == TCP:
        closed = await reach_tcp(plan.url.host, plan.url.port, max(plan.timeout_s, 1.0))
        if closed is not None:
            return [closed]
    seen = Observation(patient.catalogue)
    driver = PmuDriver(plan, seen)
    watch_s = min(max(_WATCH_FRAMES / plan.rate, _LEAST_WATCH_S, 3 * plan.timeout_s), _MOST_WATCH_S)
    await observe(driver, watch_s, lambda: driver.counters()[plan.device]["frames"] >= _WATCH_FRAMES)
    counters = driver.counters()[plan.device]
    findings = list(_stream(plan, counters, seen))
    if not counters["configurations"] and plan.url.scheme == TCP:
        other = await _who_answers(plan)
        findings = [other, *findings] if other is not None else findings
    return [*findings, *_values(patient, seen, counters)]


def _stream(plan: StreamPlan, counters: Mapping[str, int], seen: Observation) -> Iterator[Finding]:
    for facts in seen.of("frames of another id")[:1]:
        says = f"frames of IDCODE {facts['id']} come, {plan.id} is configured"
        yield fault("wrong_id", says, f"{counters['wrong_id']} frames", f"put id: {facts['id']} into the site file")
    if not counters["configurations"]:
        advice = f"does the PMU take commands, has it a {plan.configuration.name} frame, is the IDCODE right?"
        yield fault("no_configuration", "no configuration frame comes", seen.lost(plan.device), advice)
    elif not counters["frames"]:
        advice = "is the stream switched on in the PMU, and does it go here?"
        yield fault("no_data", "the configuration came, but no data frame", seen.lost(plan.device), advice)
    missing = seen.of("channel missing")
    if missing:
        yield Finding(
            verdict=Verdict.FAULT,
            code="channel_missing",
            says=f"{len(missing)} channels of the map are not in the PMU's configuration",
            evidence=tuple(f"{each['point']}: {each['channel']}: {each['why']}" for each in missing[:_SHOWN]),
            advice="correct the columns pmu and channel; a tshark or the PMU's own page shows its names",
        )
    for facts in seen.of("rate differs")[:1]:
        says = f"the stream has {facts['frames_per_s']:g} frames/s, {plan.rate:g} are configured"
        advice = "correct rate in the site file: it sets after what silence points are not topical"
        yield note("rate", says, advice=advice)
    for facts in seen.of("clocks differ")[:1]:
        advice = "has the PMU a GPS fix; is the gateway's clock synchronised?"
        yield fault("clock", f"the PMU's clock is {facts['pmu_ahead_s']} s ahead of this machine's", "", advice)
    yield from _counted(counters)


_COUNTED: Final = (
    ("frames_lost", "frames are missing (network, or a PMU that leaves frames out)"),
    ("out_of_order", "frames came out of order"),
    ("duplicates", "frames came twice"),
    ("malformed", "frames were broken (CHK, size)"),
    ("wrong_size", "frames did not have the size of the configuration"),
    ("late", "frames came much later than before"),
    ("disconnects", "times the connection ended"),
)


def _counted(counters: Mapping[str, int]) -> Iterator[Finding]:
    for name, words in _COUNTED:
        count = counters.get(name, 0)
        if count:
            yield note(name, f"{count:,} {words}; {counters.get('frames', 0):,} frames in all")


def _values(patient: Patient, seen: Observation, counters: Mapping[str, int]) -> Iterator[Finding]:
    """What the values said of themselves."""
    if not counters["frames"]:
        return
    quality = seen.quality[patient.rows]
    unsure = patient.rows[(quality & np.uint32(Quality.TIME_INVALID)) != 0]
    if len(unsure):
        advice = "has the PMU a GPS fix? its time quality says that its clock is not locked"
        yield fault("time_quality", f"the time of {len(unsure)} points is not to be trusted", "", advice)
    invalid = patient.rows[(quality & np.uint32(Quality.INVALID | Quality.REFERENCE_ERROR)) != 0]
    if len(invalid) and not seen.of("channel missing"):
        names = tuple(patient.catalogue.names[row] for row in invalid[:_SHOWN])
        yield note("invalid", f"the PMU says itself that {len(invalid)} values are not valid (STAT)", *names)
    if not len(unsure) and not len(invalid):
        yield Finding(verdict=Verdict.WELL, code="data", says=f"{counters['frames']} good data frames came")


async def _who_answers(plan: StreamPlan) -> Finding | None:
    """Ask for a configuration in the name of other streams; a PMU answers to its own IDCODE only."""
    found: set[int] = set()
    splitter = Splitter()

    def hear(data: bytes) -> None:
        found.update(head_of(frame).id for frame in splitter.feed(data))

    try:
        async with asyncio.timeout(plan.timeout_s):
            link = await open_link(plan.url, hear)
    except (OSError, TimeoutError):
        return None
    try:
        for other in _OTHER_IDS:
            link.send(command(other, REQUEST[plan.configuration]))
        await asyncio.sleep(_SEARCH_S)
    except C37Error:
        pass
    finally:
        link.close()
    found.discard(plan.id)
    if not found:
        return None
    ids = ", ".join(map(str, sorted(found)))
    return fault(
        "wrong_id", f"nobody answers to IDCODE {plan.id}, but {ids} does", "", f"put id: {ids} into the site file"
    )
