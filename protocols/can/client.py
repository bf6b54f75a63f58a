"""An open bus: frames in batches to the loop, frames out. What touches python-can.

A bus with a file descriptor is read by the loop itself, when something is there, and then left alone for a moment so
that a busy bus is taken in batches (the kernel keeps the frames and their times). Any other is read by a thread that
hands over what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import can

from protocols.can.plan import EXTENDED, Access, Frame

MOST_FRAMES: Final = 256
"""Taken at one go; the loop has other things to do."""
MOST_FAILED_READS: Final = 100
"""In a row: then it is not garbage on the bus, but the bus."""

_THREAD_WAIT_S: Final = 0.1
_SEND_TIMEOUT_S: Final = 0.02
_SLOW_SEND_TIMEOUT_S: Final = 0.5
_CLOCK_TRUST_S: Final = 2.0
_RECEIVE_BUFFER: Final = 4 * 1024 * 1024
_DIRECT: Final = frozenset({"socketcan", "udp_multicast", "virtual"})
"""Interfaces that take a frame at once."""

_LISTEN_ONLY: Final[dict[str, dict[str, Any]]] = {
    "slcan": {"listen_only": True},
    "vector": {"listen_only": True},
    "pcan": {"state": can.BusState.PASSIVE},
    "kvaser": {"driver_mode": False},
}
"""What makes the controller itself silent (no acknowledge bit); elsewhere it is for whoever sets up the interface."""

_READ_ERRORS: Final = (can.CanError, OSError, ValueError, LookupError, TypeError)
_OPEN_ERRORS: Final = (can.CanError, OSError, ValueError, TypeError, ImportError, NotImplementedError)


class BusDown(Exception):
    """The bus cannot be opened, or has failed. The text is for a person."""


class SendFailed(Exception):
    """The frame was not taken by the bus. The text is for a person."""


@dataclass(slots=True)
class Taken:
    """What one reading brought."""

    frames: list[Frame] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    """Error frames: their identifiers (on Linux the class of the error)."""
    garbage: int = 0
    """Reads that gave something that is no frame."""


def multicast_works(channel: str) -> bool:
    """Whether this machine has a way to the multicast group; nothing is sent."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(channel, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.connect(address)
            if family == socket.AF_INET:
                group = socket.inet_aton(channel) + bytes(4)  # on any interface
                probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except OSError:
        return False
    return True


def accessible(access: Access) -> Access:
    """The same, or its fallback where it is on multicast and this machine has none."""
    if access.interface != "udp_multicast" or not access.fallback or multicast_works(access.channel):
        return access
    options = {"sleep_after_open": 0.0}
    return replace(access, interface="slcan", channel=access.fallback, bitrate=None, options=options)


def open_bus(access: Access) -> can.BusABC:
    """Open it; may block. Raises `BusDown`."""
    wanted: dict[str, Any] = {"interface": access.interface, "channel": access.channel, "fd": access.fd}
    if access.bitrate is not None:
        wanted["bitrate"] = access.bitrate
    if access.listen_only:
        wanted |= _LISTEN_ONLY.get(access.interface, {})
    if access.interface == "slcan":
        wanted["timeout"] = 0.0  # never wait for a character
    if access.filters:
        wanted["can_filters"] = [{"can_id": i, "can_mask": m, "extended": e} for i, m, e in access.filters]
    try:
        bus = _make(wanted | access.options)
    except _OPEN_ERRORS as error:
        raise BusDown(f"{access} cannot be opened: {_words(error)}") from None
    _make_room(bus)
    return bus


def _make(wanted: dict[str, Any]) -> can.BusABC:
    if wanted["interface"] != "slcan":
        return can.Bus(ignore_config=True, **wanted)
    from protocols.can.serial import BlockSlcanBus  # noqa: PLC0415 only where there is a serial line

    return BlockSlcanBus(**{name: value for name, value in wanted.items() if name != "interface"})


def _make_room(bus: can.BusABC) -> None:
    """Let the kernel keep more frames while the loop is busy, where the bus is a socket."""
    descriptor = _descriptor(bus)
    if descriptor >= 0 and stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with socket.socket(fileno=os.dup(descriptor)) as same, contextlib.suppress(OSError):
            same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def message_of(key: int, data: bytes, fd: bool = False) -> can.Message:
    """A frame as python-can wants it."""
    return can.Message(
        arbitration_id=key & ~EXTENDED, is_extended_id=bool(key & EXTENDED), data=data, is_fd=fd, check=True
    )


def sort(messages: list[can.Message], now_ns: int, taken: Taken) -> None:
    """Frames with their source time, error frames apart, remote frames left out.

    The time is the one python-can has from the kernel or the adapter, where that is near ours; else now.
    """
    now = now_ns / 1e9
    for message in messages:
        key = message.arbitration_id
        if message.is_error_frame:
            taken.errors.append(key)
        elif not message.is_remote_frame:
            stamp = message.timestamp
            time_ns = min(int(stamp * 1e9), now_ns) if abs(now - stamp) < _CLOCK_TRUST_S else now_ns
            taken.frames.append((key | EXTENDED if message.is_extended_id else key, message.data, time_ns))


class BusLine:
    """One open bus. `take` gets what is read and `failed` is told once when it cannot be read any more, in the loop."""

    def __init__(
        self,
        bus: can.BusABC,
        access: Access,
        gather_s: float,
        now_ns: Callable[[], int],
        take: Callable[[Taken], None],
        failed: Callable[[str], None],
    ) -> None:
        self._bus, self._access, self._gather_s, self._now_ns = bus, access, gather_s, now_ns
        self._take, self._failed = take, failed
        self._loop = asyncio.get_running_loop()
        self._descriptor = _descriptor(bus)
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._handed: deque[can.Message | BaseException] = deque()
        self._handing = False
        self._failures = 0
        self._executor = None if access.interface in _DIRECT else ThreadPoolExecutor(1, "can-send")
        self.open = True
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._readable)
        else:
            self._thread = threading.Thread(target=self._read_for_ever, name="can-read", daemon=True)
            self._thread.start()

    # -- reading by the loop ------------------------------------------------------------------------------------

    def _readable(self) -> None:
        messages: list[can.Message] = []
        taken = Taken()
        for _ in range(MOST_FRAMES):
            try:
                message = self._bus.recv(0)
            except _READ_ERRORS as error:
                if self._unreadable(error, taken):
                    break
                continue
            if message is None:
                break
            messages.append(message)
        if len(messages) == MOST_FRAMES:
            self._loop.call_soon(self._again)  # more may wait on this side of the descriptor
        else:
            self._pause(self._gather_s)
        self._deliver(messages, taken)

    def _again(self) -> None:
        if self.open:
            self._readable()

    def _pause(self, seconds: float) -> None:
        """Leave a busy bus alone so that the next batch is worth while."""
        if seconds and self.open:
            self._loop.remove_reader(self._descriptor)
            self._timer = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self.open:
            self._loop.add_reader(self._descriptor, self._readable)

    def _deliver(self, messages: list[can.Message], taken: Taken) -> None:
        if messages:
            self._failures = 0
        sort(messages, self._now_ns(), taken)
        if taken.frames or taken.errors or taken.garbage:
            self._take(taken)

    def _unreadable(self, error: BaseException, taken: Taken) -> bool:
        """Count what is no frame; whether the bus itself has failed."""
        self._failures += 1
        cause = error.__cause__ if isinstance(error, can.CanError) else error
        if not isinstance(cause, OSError) and self._failures < MOST_FAILED_READS:
            taken.garbage += 1
            return False
        self._fail(f"{self._access} has failed: {_words(error)}")
        return True

    def _fail(self, why: str) -> None:
        if self.open:
            self._leave()
            self._failed(why)

    # -- reading by a thread ------------------------------------------------------------------------------------

    def _read_for_ever(self) -> None:
        """Wait for frames and hand them over, until the bus is closed or fails for good; then shut it down."""
        failures = 0
        while self.open and failures < MOST_FAILED_READS:
            try:
                message = self._bus.recv(_THREAD_WAIT_S)
            except _READ_ERRORS as error:
                failures += 1
                self._hand_over(error)
                continue
            if message is not None:
                failures = 0
                self._hand_over(message)
        _shut_down(self._bus)

    def _hand_over(self, what: can.Message | BaseException) -> None:
        self._handed.append(what)
        if not self._handing and self.open:
            self._handing = True
            try:
                self._loop.call_soon_threadsafe(self._taken_over)
            except RuntimeError:  # the loop has closed: nobody listens any more
                self.open = False

    def _taken_over(self) -> None:
        self._handing = False
        messages: list[can.Message] = []
        taken = Taken()
        while self._handed and self.open:
            what = self._handed.popleft()
            if isinstance(what, can.Message):
                messages.append(what)
            elif self._unreadable(what, taken):
                break
        self._deliver(messages, taken)

    # -- sending ------------------------------------------------------------------------------------------------

    async def send(self, key: int, data: bytes, fd: bool) -> None:
        """Hand a frame to the bus. Raises `SendFailed`."""
        if self._executor is None:
            self.send_now(key, data, fd)
        else:
            await self._loop.run_in_executor(self._executor, self._send, key, data, fd, _SLOW_SEND_TIMEOUT_S)

    def send_now(self, key: int, data: bytes, fd: bool) -> None:
        """The same without waiting for other frames on their way out. Raises `SendFailed`."""
        self._send(key, data, fd, _SEND_TIMEOUT_S)

    def _send(self, key: int, data: bytes, fd: bool, timeout_s: float) -> None:
        if not self.open:
            raise SendFailed(f"{self._access} is closed")
        try:
            self._bus.send(message_of(key, data, fd), timeout_s)
        except _OPEN_ERRORS as error:
            raise SendFailed(_words(error)) from None

    # -- state --------------------------------------------------------------------------------------------------

    def bus_off(self) -> bool:
        """Whether the controller says of itself that it has left the bus."""
        try:
            return self._bus.state is can.BusState.ERROR
        except _OPEN_ERRORS:
            return False

    def _leave(self) -> None:
        self.open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)

    def close(self) -> None:
        """Close it; where a thread reads, it does so a moment later."""
        self._leave()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        if self._thread is None:
            _shut_down(self._bus)


def _shut_down(bus: can.BusABC) -> None:
    with contextlib.suppress(*_OPEN_ERRORS):  # it may have failed already
        bus.shutdown()


def _descriptor(bus: can.BusABC) -> int:
    """What the loop can wait for; -1: nothing."""
    try:
        found = bus.fileno()
        os.set_blocking(found, os.get_blocking(found))
    except _OPEN_ERRORS:
        return -1
    return found


def _words(error: BaseException) -> str:
    cause = error.__cause__
    text = str(error) or type(error).__name__
    return f"{text} ({cause})" if cause is not None and str(cause) and str(cause) not in text else text
