"""Why a CAN device gives no or wrong values: lets the driver listen to the bus for a while, silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, cast

import numpy as np

from gateway.contracts.doctor import Finding, Observation, Patient, Verdict, fault, note, observe
from gateway.points import Quality
from protocols.can.client import Taken
from protocols.can.driver import CanDriver
from protocols.can.integrity import checksums, counters
from protocols.can.plan import BusPlan, key_words

_SHARED: Final = frozenset({"socketcan", "udp_multicast", "virtual"})
"""Interfaces that more than one program can open."""
_CYCLES: Final = 3.0
_FRAMES: Final = 20.0
"""Of the quickest message so many are listened to, to know its counter and checksum."""
_LEAST_WATCH_S: Final = 1.0
_MOST_WATCH_S: Final = 12.0
_SHOWN: Final = 8
_REMEMBERED: Final = 500


async def examine(patient: Patient) -> list[Finding]:
    """Findings about one device on a bus (`gateway.contracts.doctor.Doctor`)."""
    plan = cast(BusPlan, patient.plan)
    if patient.live is not None and plan.access.interface not in _SHARED:
        advice = "stop the gateway and ask again to have the bus itself listened to"
        held = note("held", f"the running gateway has {plan.access}: it was not listened to", advice=advice)
        return [held, *_trouble(patient.live.counters)]
    seen = Observation(patient.catalogue)
    driver = _Listener(_silent(plan), seen)
    device = plan.devices.index(patient.device)
    cycles = [message.cycle_s for message in plan.messages if message.device == device and message.cycle_s > 0]
    wanted_s = (_CYCLES * max(cycles, default=1.0), _FRAMES * min(cycles, default=0.0), _LEAST_WATCH_S)
    watch_s = min(max(wanted_s), _MOST_WATCH_S)
    await observe(driver, watch_s)
    figures = driver.counters()[patient.device]
    if not figures["opens"]:
        advice = (
            "is the interface up (ip link set can0 up type can bitrate ...), the adapter plugged in, the name right?"
        )
        return [fault("bus", f"the bus {plan.access} cannot be opened", seen.lost(patient.device), advice)]
    return [
        *_bus(plan, figures, watch_s),
        *_messages(plan, device, driver, figures),
        *_integrity(plan, device, driver.heard),
        *_values(patient, seen, figures),
    ]


class _Listener(CanDriver):
    """The driver, and a memory of the frames."""

    def __init__(self, plan: BusPlan, port: Observation) -> None:
        super().__init__(plan, port)
        self.heard: dict[int, list[bytes]] = {message.key: [] for message in plan.messages}

    def take(self, taken: Taken) -> None:
        for key, data, _ in taken.frames:
            frames = self.heard.get(key)
            if frames is not None and len(frames) < _REMEMBERED:
                frames.append(bytes(data))
        super().take(taken)


def _integrity(plan: BusPlan, device: int, heard: Mapping[int, list[bytes]]) -> Iterator[Finding]:
    """Counters that jump, checksums that are wrong."""
    for message in plan.messages:
        frames = heard[message.key]
        if message.device != device or message.shared:
            continue
        where = f"{key_words(message.key)} {message.name}"
        for found in counters(frames):
            if found.wrong:
                evidence = f"{where}: {found.what} counts, but not by one in {found.wrong} of {found.seen} steps"
                advice = "frames are lost on the way, sent twice, or two nodes send the same identifier"
                yield fault("counter", "a counter jumps", evidence, advice)
        for found in checksums(frames):
            if found.wrong:
                evidence = f"{where}: {found.what} is wrong in {found.wrong} of {found.seen} frames"
                advice = "two nodes send the same identifier, or the device's firmware is at fault"
                yield fault("checksum", "a checksum is wrong", evidence, advice)


def _silent(plan: BusPlan) -> BusPlan:
    """The same bus, listened to only."""
    return replace(plan, access=replace(plan.access, listen_only=True), transmit=[], targets=[])


def _bus(plan: BusPlan, counters: Mapping[str, int], watch_s: float) -> Iterator[Finding]:
    rate = "" if plan.access.bitrate is None else f" ({plan.access.bitrate:,} bit/s)"
    if counters["frames"] == 0 and counters["error_frames"]:
        evidence = f"{counters['error_frames']} error frames in {watch_s:.0f} s, no good frame"
        advice = f"is the bit rate{rate} that of the bus; is CAN FD in use; are CAN high and low swapped?"
        yield fault(
            "bit_rate", "somebody sends, but no frame is understood: the bit rate is probably wrong", evidence, advice
        )
    elif counters["frames"] == 0:
        advice = f"is the device on and wired here, is the bus terminated, is the bit rate{rate} right?"
        yield fault("nothing_heard", f"nothing at all came on {plan.access} in {watch_s:.0f} s", "", advice)
    yield from _trouble(counters)


_TROUBLE: Final = (
    ("bus_off", "times the controller left the bus (wiring, termination, bit rate, nobody who acknowledges)"),
    ("error_frames", "error frames (wiring, termination, a node with another bit rate)"),
    ("bus_failures", "times the bus could not be read any more"),
    ("garbage", "times something came that is no frame"),
    ("send_failures", "frames could not be sent"),
    ("unknown_multiplexer", "frames had a multiplexer value that the DBC does not know"),
)


def _trouble(counters: Mapping[str, int]) -> Iterator[Finding]:
    for name, words in _TROUBLE:
        count = counters.get(name, 0)
        if count:
            yield note(name, f"{count:,} {words}; {counters.get('frames', 0):,} frames in all")


def _messages(plan: BusPlan, device: int, driver: CanDriver, counters: Mapping[str, int]) -> Iterator[Finding]:
    mine = {message.name: message for message in plan.messages if message.device == device}
    if counters["short_frames"]:
        lengths = ", ".join(f"{key_words(m.key)} {m.name} {m.length}" for m in list(mine.values())[:_SHOWN])
        advice = "does the DBC belong to this firmware? frames shorter than its messages are not used"
        evidence = f"{counters['short_frames']} frames; octets by the DBC: {lengths}"
        yield fault("short_frames", "frames are shorter than the DBC says", evidence, advice)
    if counters["long_frames"]:
        yield note("long_frames", f"{counters['long_frames']} frames are longer than the DBC says; the rest is ignored")
    if not counters["frames"]:
        return
    silent = [(words, name) for words, name in driver.silent_messages() if name in mine]
    unknown = driver.unknown_identifiers()
    if silent:
        yield Finding(
            verdict=Verdict.FAULT,
            code="silent_messages",
            says=f"{len(silent)} of {len(mine)} messages that points are bound to did not come",
            evidence=tuple(f"{words} {name}" for words, name in silent[:_SHOWN]),
            advice=_offset([mine[name].key for _, name in silent], unknown)
            or "does the device send them (configuration, state), and is the DBC the right one?",
        )
    if unknown:
        shown = tuple(f"{words}: {count} frames" for words, count in unknown[:_SHOWN])
        more = (f"... and {len(unknown) - _SHOWN} more",) if len(unknown) > _SHOWN else ()
        yield note(
            "unknown_identifiers", f"{len(unknown)} identifiers come that no DBC of this bus knows", *shown, *more
        )


def _offset(silent: list[int], unknown: list[tuple[str, int]]) -> str:
    """The one distance at which every silent message is found among the unknown, as advice."""
    seen = {int(words.split()[0], 16) for words, _ in unknown if "29" not in words}
    apart = {other - silent[0] for other in seen} if silent else set()
    fitting = sorted((d for d in apart if d and all(key + d in seen for key in silent)), key=abs)
    return f"all of them come {fitting[0]:+#x} away: put id_offset: {fitting[0]} into the site file" if fitting else ""


def _values(patient: Patient, seen: Observation, counters: Mapping[str, int]) -> Iterator[Finding]:
    quality = seen.quality[patient.rows]
    invalid = patient.rows[(quality & np.uint32(Quality.INVALID)) != 0]
    if len(invalid):
        names = tuple(patient.catalogue.names[row] for row in invalid[:_SHOWN])
        yield note("invalid", f"the device says itself that {len(invalid)} values are not valid", *names)
    good = int(((quality & np.uint32(Quality.NEVER_REPORTED | Quality.INVALID)) == 0).sum())
    if good:
        says = f"{counters['frames']:,} frames came; {good} of {len(patient.rows)} points have a value"
        yield Finding(verdict=Verdict.WELL, code="frames", says=says)
