"""`gridgate trace`: what the links of one master carried, frame by frame, in words, as JSON or as a capture file."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.cli.session import NotRunningError
from gateway.contracts.places import nearest
from gateway.contracts.server import FrameDescriber, LinkName
from gateway.site.plan import ServerEntry, SitePlan
from gateway.terminal import refuse
from gateway.tracing.reader import (
    CaptureFile,
    Described,
    Listener,
    ServerNotRunning,
    TraceError,
    describers,
    lines,
    tell,
)

STANDARD_OUTPUT: Final = "-"
_ARROWS: Final = {True: "->", False: "<-"}
"""From the gateway to the master, and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """What the person asked for. `pcap` is a file, or ``-`` for standard output."""

    master: str
    follow: bool = False
    pcap: str = ""
    as_json: bool = False
    full: bool = False


def trace(plan: SitePlan, options: TraceOptions) -> int:
    """Print the traffic of a master; returns the exit code. Raises `NotRunningError`."""
    try:
        server, master = find_master(plan, options.master)
        with contextlib.ExitStack() as stack:
            listeners = _listeners(plan, server, master, options, stack)
            # With --follow there is no other end than Ctrl-C: it is an orderly one.
            with contextlib.suppress(KeyboardInterrupt):
                _read(plan, server, master, options.follow, listeners)
    except TraceError as error:
        return refuse(error)
    except ServerNotRunning as error:
        raise NotRunningError(str(error)) from None
    return 0


def find_master(plan: SitePlan, name: str) -> tuple[ServerEntry, str]:
    """The server and name of a master given as ``server/master``, or as ``master`` where that is enough.

    Raises `TraceError`.
    """
    known = {f"{server.name}/{master}": (server, master) for server in plan.servers for master in server.masters}
    fitting = [found for path, found in known.items() if name in (path, found[1])]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ways = " or ".join(f"{server.name}/{master}" for server, master in fitting)
        raise TraceError(f"there are {len(fitting)} masters {name}: write {ways}")
    words = [*known, *(master for _, master in known.values())]
    raise TraceError(f"there is no master {name}{nearest(name, words)}; this site has {', '.join(known) or 'none'}")


class _Pcap(CaptureFile):
    """Writes the capture file."""

    def dropped(self, records: int) -> None:
        sys.stderr.write(f"{records} older records are no longer held: the capture begins behind them\n")


class _Json(Described):
    """One JSON object a frame; ``{"dropped": n}`` first when the ring has lost older ones."""

    def dropped(self, records: int) -> None:
        _print(json.dumps({"dropped": records}))

    def frame(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes, text: str) -> None:
        _print(
            json.dumps(
                {
                    "time_ns": time_ns,
                    "link": link.number,
                    "peer": _end(link.peer),
                    "outgoing": outgoing,
                    "data": data.hex(),
                    "text": text,
                }
            )
        )


class _Text(Described):
    """One line a frame, and a line where a link begins and ends."""

    def __init__(self, make: Callable[[], FrameDescriber], zone: datetime.tzinfo) -> None:
        super().__init__(make)
        self._zone = zone
        self._frames = 0

    def link(self, link: LinkName, whole: bool) -> None:
        super().link(link, whole)
        if not whole:
            _print(f"-- link {link.number} from {_end(link.peer)}: its beginning is no longer held")

    def opened(self, link: LinkName, time_ns: int) -> None:
        day = self._moment(time_ns).strftime("%Y-%m-%d")
        _print(f"{self._clock(time_ns)} == link {link.number} from {_end(link.peer)} connected, {day} {self._zone}")

    def closed(self, link: LinkName, time_ns: int, outgoing: bool) -> None:
        super().closed(link, time_ns, outgoing)
        by = "the gateway" if outgoing else "the master"
        _print(f"{self._clock(time_ns)} == link {link.number} from {_end(link.peer)} closed by {by}")

    def dropped(self, records: int) -> None:
        _print(f"-- {records} older records are no longer held")

    def frame(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes, text: str) -> None:
        self._frames += 1
        _print(f"{self._clock(time_ns)} {link.number} {_ARROWS[outgoing]} {text}")

    def end(self) -> None:
        if not self._frames:
            sys.stderr.write("no traffic is held: this master has not been connected since its server started\n")

    def _moment(self, time_ns: int) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, self._zone)

    def _clock(self, time_ns: int) -> str:
        return f"{self._moment(time_ns):%H:%M:%S}.{time_ns // 1_000_000 % 1_000:03d}"


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


def _end(end: tuple[str, int]) -> str:
    host, port = end
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listeners(
    plan: SitePlan, server: ServerEntry, master: str, options: TraceOptions, stack: contextlib.ExitStack
) -> list[Listener]:
    listeners: list[Listener] = []
    if options.pcap:
        listeners.append(_Pcap(_capture_file(options.pcap, stack)))
    if options.pcap != STANDARD_OUTPUT:
        make = describers(plan, server, master, options.full)
        listeners.append(_Json(make) if options.as_json else _Text(make, _zone(server)))
    return listeners


def _capture_file(name: str, stack: contextlib.ExitStack) -> BinaryIO:
    if name == STANDARD_OUTPUT:
        return sys.stdout.buffer
    try:
        return stack.enter_context(Path(name).open("wb"))
    except OSError as error:
        raise TraceError(f"the capture cannot be written: {error}") from None


def _zone(server: ServerEntry) -> datetime.tzinfo:
    """The zone of the server's time tags, where it has one: what is compared should look alike."""
    try:
        return ZoneInfo(str(getattr(server.plan, "time_zone", "UTC")))
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.UTC


def _read(plan: SitePlan, server: ServerEntry, master: str, follow: bool, listeners: list[Listener]) -> None:
    request = {"get": "trace", "master": master, "follow": follow}
    links: dict[int, LinkName] = {}
    for line in lines(plan.state_dir, server.name, request):
        if "error" in line:
            raise TraceError(str(line["error"]))
        for listener in listeners:
            tell(listener, line, links, master)
        if follow:
            sys.stdout.flush()
    for listener in listeners:
        listener.end()
    if follow:
        raise TraceError("the server has ended: start the trace again")
