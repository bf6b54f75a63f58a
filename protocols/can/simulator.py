"""Plays the devices of one bus plan: their cyclic messages, and an ear for what the gateway sends.

For demonstration, tests and figures only; it is never part of the gateway's own path. Over udp_multicast it answers in
other processes; over `virtual` in this one; over slcan it makes the pseudo-terminal that stands for the adapter.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import time
import tty
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import can
import numpy as np

from gateway.points import Rows, Values
from protocols.can.client import BusDown, accessible, message_of, open_bus
from protocols.can.encode import Unencodable, raw_limits, raw_of, sealed, value_in
from protocols.can.plan import EXTENDED, Access, BusPlan, Frame, Message, Source, Transmit
from protocols.can.slcan import frame_text, parse_line

TICK_S: Final = 0.01
DEFAULT_CYCLE_S: Final = 1.0
_LEAST_STEP_S: Final = 0.005
_SILENT_CYCLES: Final = 5
_SILENT_S: Final = 0.5
"""A message that was not heard for so long begins anew."""
_STRANGER: Final = 0x7EF
_MOST_WAITING: Final = 65_536


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong from now on. All can be changed while it runs."""

    frozen: bool = False
    """Nothing is sent, and nothing that comes is heard."""
    garbage: bool = False
    """Frames that are too short, and frames of an identifier nobody knows."""
    slow_s: float = 0.0
    """Each message comes at most this often."""
    lose: float = 0.0
    """This share of frames is lost (0 to 1)."""


class _End(Protocol):
    """The devices' end of the bus."""

    def send(self, key: int, data: bytes, fd: bool = False) -> None: ...
    def receive(self) -> list[Frame]: ...
    def close(self) -> None: ...


class _BusEnd:
    """A bus of python-can."""

    def __init__(self, bus: can.BusABC) -> None:
        self.bus = bus

    def send(self, key: int, data: bytes, fd: bool = False) -> None:
        with contextlib.suppress(can.CanError):
            self.bus.send(message_of(key, data, fd), 0.02)

    def receive(self) -> list[Frame]:
        out: list[Frame] = []
        with contextlib.suppress(can.CanError):
            while (message := self.bus.recv(0)) is not None:
                key = message.arbitration_id | (EXTENDED if message.is_extended_id else 0)
                out.append((key, bytes(message.data), 0))
        return out

    def close(self) -> None:
        self.bus.shutdown()


class SlcanLine:
    """A pseudo-terminal that plays the adapter; `path` links to the end that the gateway opens."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` when the link cannot be made."""
        self._path = path
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self._buffer = b""
        self._heard: deque[tuple[int, bytes]] = deque()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(os.ttyname(self._theirs))
        except OSError:
            self.close()
            raise

    def send(self, key: int, data: bytes, fd: bool = False) -> None:
        """Say a frame; it is lost when nobody reads (the line is full)."""
        self.say(frame_text(key, data))

    def say(self, text: bytes) -> None:
        """Any text of the adapter."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._ours, text)

    def receive(self) -> list[Frame]:
        """Frames the gateway wants sent since the last call; their time is not known (0)."""
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 4096):
                self._buffer += data
                *lines, self._buffer = self._buffer[-_MOST_WAITING:].split(b"\r")
                self._heard.extend(found for line in lines if (found := parse_line(line)) is not None)
        frames: list[Frame] = [(key, data, 0) for key, data in self._heard]
        self._heard.clear()
        return frames

    def close(self) -> None:
        """Take the adapter away."""
        if self._ours >= 0:
            if self._path.is_symlink():
                self._path.unlink()
            os.close(self._ours)
            os.close(self._theirs)
            self._ours = self._theirs = -1


@dataclass(slots=True)
class _Cycle:
    """One message on its way round: with every step the next of its multiplexer values."""

    message: Message
    variants: list[tuple[tuple[int, ...], list[Source]]]
    step_s: float
    next_at: float = 0.0
    at: int = 0
    frames: list[bytes] = field(default_factory=list)


class CanSimulator:
    """The devices of a `BusPlan` (`gateway.contracts.FieldSimulator`).

    `values` holds the engineering values by table row (NaN for rows that are not of this bus).
    """

    def __init__(self, plan: BusPlan) -> None:
        self._plan = plan
        self.faults = Faults()
        self.values: Values = np.full(int(plan.rows.max()) + 1 if len(plan.rows) else 0, np.nan)
        self.values[plan.rows] = 0.0
        self.spoilt = 0
        """Frames of the gateway whose checksum or length was wrong."""
        self._cycles = [_cycle(plan, index) for index in range(len(plan.messages))]
        self._targets = [[t for t in plan.targets if t.message == index] for index in range(len(plan.transmit))]
        self._sent = {message.key: index for index, message in enumerate(plan.transmit)}
        self._shown = {t.row: value_in(t, plan.transmit[t.message].initial) for t in plan.targets}
        self._written: list[tuple[int, float]] = []
        self._counted: dict[int, int] = {}
        self._heard_at: dict[int, float] = {}
        self._alive: list[str] = []
        self._end: _End | None = None
        self._task: asyncio.Task[None] | None = None
        self._random = random.Random(0)  # noqa: S311 which frames a test loses, not a secret

    async def start(self) -> None:
        """Come onto the bus. Raises `OSError` when it cannot be opened."""
        access = accessible(self._plan.access)
        self._end = await asyncio.to_thread(_open_end, access)
        self._paint()
        self._task = asyncio.create_task(self._play())

    async def stop(self) -> None:
        """Leave the bus; `start` comes back."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        end, self._end = self._end, None
        if end is not None:
            end.close()

    def set(self, rows: Rows, values: Values) -> None:
        """What the devices measure from now on, in engineering units; cut off at what the signals can hold."""
        self.values[rows] = values
        self._paint()

    def written(self) -> list[tuple[int, float]]:
        """Commands received since the last call: (row, engineering value), in order."""
        self._listen()
        written, self._written = self._written, []
        return written

    def alive(self) -> frozenset[str]:
        """Names of devices that were sent a sound frame with a counter that went on, since the last call."""
        self._listen()
        alive, self._alive = self._alive, []
        return frozenset(alive)

    def send(self, key: int, data: bytes, fd: bool = False) -> None:
        """Any frame, at once."""
        if self._end is not None:
            self._end.send(key, data, fd)

    # -- what goes out ------------------------------------------------------------------------------------------

    def _paint(self) -> None:
        for cycle in self._cycles:
            cycle.frames = [_frame(cycle.message, key, there, self.values) for key, there in cycle.variants]

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            for cycle in self._cycles:
                if cycle.next_at <= now:
                    cycle.next_at = max(cycle.next_at + max(cycle.step_s, self.faults.slow_s), now)
                    self._step(cycle)
            self._listen()
            await asyncio.sleep(TICK_S)

    def _step(self, cycle: _Cycle) -> None:
        if self.faults.frozen or self._random.random() < self.faults.lose or not cycle.frames:
            return
        cycle.at = (cycle.at + 1) % len(cycle.frames)
        data, fd = cycle.frames[cycle.at], cycle.message.fd
        if self.faults.garbage:
            self.send(cycle.message.key, self._random.randbytes(max(len(data) - 1, 0)), fd)
            self.send(_STRANGER, data, fd)
        else:
            self.send(cycle.message.key, data, fd)

    # -- what comes in ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        frames = [] if self._end is None else self._end.receive()
        for key, data, _ in frames:
            index = self._sent.get(key)
            if index is not None and not self.faults.frozen:
                self._obey(index, bytes(data))

    def _obey(self, index: int, data: bytes) -> None:
        message = self._plan.transmit[index]
        right = len(data) == len(message.initial)
        if not right or (message.checksum is not None and not sealed(data, message.checksum)):
            self.spoilt += 1
            return
        anew = self._hear(index, message, data)
        for target in self._targets[index]:
            value = value_in(target, data)
            if not math.isnan(value) and (anew or value != self._shown[target.row]):
                self._shown[target.row] = self.values[target.row] = value
                self._written.append((target.row, value))

    def _hear(self, index: int, message: Transmit, data: bytes) -> bool:
        """Note a sign of life; whether the message comes anew, after a silence: then its orders are new orders."""
        if message.counter is not None:
            count = message.counter.read(data)
            if count != self._counted.get(index):
                self._counted[index] = count
                self._alive.append(self._plan.members[message.device].name)
        now, before = time.monotonic(), self._heard_at.get(index)
        self._heard_at[index] = now
        return before is not None and now - before > max(_SILENT_CYCLES * message.cycle_s, _SILENT_S)


def _open_end(access: Access) -> _End:
    if access.interface == "slcan":
        return SlcanLine(Path(access.channel))
    try:
        return _BusEnd(open_bus(replace(access, listen_only=False, filters=())))
    except BusDown as error:
        raise OSError(str(error)) from None


def _cycle(plan: BusPlan, index: int) -> _Cycle:
    message = plan.messages[index]
    variants = [(key, variant) for key, variant in message.variants.items() if -1 not in key]
    variants = variants or list(message.variants.items())
    sources = [(key, _in_order(plan, variant)) for key, variant in variants]
    cycle_s = message.cycle_s or DEFAULT_CYCLE_S
    return _Cycle(message, sources, max(cycle_s / max(len(sources), 1), _LEAST_STEP_S))


def _in_order(plan: BusPlan, variant: int) -> list[Source]:
    """Of two points that show one signal the one that shows all of it is painted last: its word counts."""
    return sorted((plan.sources[i] for i in _members(plan, variant)), key=lambda source: not source.states)


def _members(plan: BusPlan, variant: int) -> list[int]:
    members: list[int] = plan.members_of[plan.starts[variant] : plan.starts[variant + 1]].tolist()
    return members


def _frame(message: Message, key: tuple[int, ...], there: list[Source], values: Values) -> bytes:
    data = bytearray(message.length)
    used = [{each[i] for each in message.variants} for i in range(len(message.selectors))]
    for selector, value, taken in zip(message.selectors, key, used, strict=True):
        selector.write(data, value if value >= 0 else next(raw for raw in range(len(taken) + 1) if raw not in taken))
    for source in there:
        source.field.write(data, _raw(source, float(values[source.row])))
        if source.guard is not None:
            source.guard[0].write(data, source.guard[1])
    return bytes(data)


def _raw(source: Source, value: float) -> int:
    """Raw bits of an engineering value, cut off at what the signal can hold."""
    if source.states:
        return next((raw for known, raw in source.states if known == value), source.states[0][1])
    number = ((value - source.row_offset) / source.row_scale - source.offset) / source.scale
    if not source.field.floating:
        low, high = raw_limits(source.field)
        number = 0.0 if math.isnan(number) else min(max(number, low), high)
    try:
        return raw_of(source.field, number)
    except Unencodable:
        return 0
