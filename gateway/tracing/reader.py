"""The traffic of a master as its worker's inspection socket tells it, read by whoever looks: command line or HMI."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gateway import registry
from gateway.contracts.server import FrameDescriber, LinkName
from gateway.feed.address import short_path
from gateway.site.plan import ServerEntry, SitePlan
from gateway.tracing.inspection import inspection_path
from gateway.tracing.pcap import PcapWriter
from gateway.tracing.trace import Happening


class TraceError(Exception):
    """The trace cannot be had. The text is for a person."""


class ServerNotRunning(Exception):
    """No worker serves it. The text is for a person."""


class Listener:
    """Hears every line of the worker, in order."""

    def link(self, link: LinkName, whole: bool) -> None:
        """A link is introduced; `whole`: its beginning is known."""

    def opened(self, link: LinkName, time_ns: int) -> None:
        """It began."""

    def data(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes) -> None:
        """Octets of it."""

    def closed(self, link: LinkName, time_ns: int, outgoing: bool) -> None:
        """It ended; by the gateway if `outgoing`."""

    def dropped(self, records: int) -> None:
        """So many older records are not held any more."""

    def end(self) -> None:
        """No more comes."""


class CaptureFile(Listener):
    """Writes the capture file."""

    def __init__(self, file: BinaryIO) -> None:
        self._writer = PcapWriter(file)

    def opened(self, link: LinkName, time_ns: int) -> None:
        self._writer.opened(link, time_ns)

    def data(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes) -> None:
        self._writer.data(link, time_ns, outgoing, data)

    def closed(self, link: LinkName, time_ns: int, outgoing: bool) -> None:
        self._writer.closed(link, time_ns, outgoing)


class Described(Listener):
    """Cuts each link into frames and has them described."""

    def __init__(self, make: Callable[[], FrameDescriber]) -> None:
        self._make = make
        self._describers: dict[int, FrameDescriber] = {}

    def link(self, link: LinkName, whole: bool) -> None:
        self._describers[link.number] = self._make()

    def data(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes) -> None:
        for frame in self._describers[link.number].feed(outgoing, data):
            self.frame(link, time_ns, outgoing, frame.data, frame.text)

    def closed(self, link: LinkName, time_ns: int, outgoing: bool) -> None:
        del self._describers[link.number]

    def frame(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes, text: str) -> None:
        """One frame."""


def tell(listener: Listener, line: dict[str, Any], links: dict[int, LinkName], master: str) -> None:
    if "dropped" in line:
        listener.dropped(int(line["dropped"]))
    elif "is" not in line:
        number = int(line["link"])
        links[number] = LinkName(master, number, _address(line["local"]), _address(line["peer"]))
        listener.link(links[number], bool(line["whole"]))
    else:
        link, time_ns, outgoing = links[int(line["link"])], int(line["time_ns"]), bool(line["out"])
        match Happening(line["is"]):
            case Happening.OPENED:
                listener.opened(link, time_ns)
            case Happening.DATA:
                listener.data(link, time_ns, outgoing, bytes.fromhex(line["data"]))
            case Happening.CLOSED:
                listener.closed(link, time_ns, outgoing)


def _address(end: list[Any]) -> tuple[str, int]:
    return str(end[0]), int(end[1])


def describers(plan: SitePlan, server: ServerEntry, master: str, full: bool) -> Callable[[], FrameDescriber]:
    """Makes a describer for each link."""
    target = registry.grid(server.protocol).describe
    if not target:
        raise TraceError(f"protocol {server.protocol} cannot describe its frames: --pcap - writes them as they are")
    kind: Callable[..., FrameDescriber] = registry.load(target)
    return lambda: kind(server.plan, plan.catalogue, master, full=full)


def lines(state_dir: Path, server: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The worker's answer. Raises `ServerNotRunning` when none serves."""
    path = inspection_path(state_dir, server)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            with short_path(path) as address:
                sock.connect(address)
        except OSError:
            raise ServerNotRunning(
                f"server {server} does not run on {state_dir} (start it with: gridgate run SITE)"
            ) from None
        sock.sendall(json.dumps(request).encode() + b"\n")
        # A server that is killed leaves half a line, or resets the connection: what came before counts.
        with sock.makefile("rb") as file, contextlib.suppress(ConnectionError):
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)
