"""What a field-side protocol package implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.command import Pulse
from gateway.contracts.log import Log
from gateway.points.change import Qualities, Rows, Times, Values


class DeviceState(StrEnum):
    """A device as a technician sees it."""

    CONNECTING = "connecting"
    ONLINE = "online"
    LOST = "lost"


class WriteRefused(Exception):
    """The device answered and said no (for example a Modbus exception). The text is for a person."""


class WriteLost(Exception):
    """The device did not answer in time: whether it acted is not known. The text is for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One value for one commanded point; `value` in engineering units."""

    row: int
    value: float
    pulse: Pulse = Pulse.DEFAULT


class DriverPort(Protocol):
    """What the core gives a driver."""

    log: Log

    def now_ns(self) -> int:
        """Source time for values read now: ns since 1970 UTC."""
        ...

    def publish(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int) -> None:
        """Hand over one scan's values. All arrays are of one length; a single time serves for all rows."""
        ...

    def degrade(self, rows: Rows, flags: int) -> None:
        """Add quality flags to rows, keeping value and time (for example COMM_LOST of a whole device)."""
        ...

    def state(self, device: str, state: DeviceState, text: str = "") -> None:
        """Tell a change of a device's state once; `text` says why in words."""
        ...

    def controlled(self) -> bool:
        """Whether the control cycle runs; always, where a site has none.

        While it stands still a driver keeps nothing up by itself: no heartbeat, no set-point sent again and again.
        The devices are to fall back.
        """
        ...


OnWritten = Callable[[WriteRefused | WriteLost | None], None]
"""Called once: None when the device acknowledged."""


class WriteTicket(Protocol):
    """A write that was taken."""

    def cancel(self) -> object:
        """Nobody waits any more: what was not sent is not sent, and `OnWritten` is not called."""
        ...


class DirectWriter(Protocol):
    """What a driver may have beside `FieldDriver.write`: writes without a task for each of them.

    For the control cycle, which may write to a hundred devices fifty times a second.
    """

    def take_write(self, write: Write, on_written: OnWritten) -> WriteTicket | None:
        """Put a write into the queue; the same as `write`, but told by a call.

        `on_written` may be called before this returns. None: this one is for `write` (a pulse).
        """
        ...


class FieldDriver(Protocol):
    """One task in the core for one device, or for the devices that share a line.

    Built as ``Driver(plan, port)`` from the plan that `FieldSettings.compile` returned.
    """

    async def run(self) -> None:
        """Poll or listen until cancelled. A device that fails is retried for ever; nothing else ends this."""
        ...

    async def write(self, write: Write) -> None:
        """Write and wait for the device's acknowledgement. Raises `WriteRefused` or `WriteLost`."""
        ...

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Per device name: requests, errors by kind, and so on, since start; `errors` is the sum of all that failed."""
        ...


class FieldSettings(Protocol):
    """How the configuration of one field protocol is read and compiled. Lives in `protocols.X.settings`."""

    device_model: type[Any]
    """Subclass of `gateway.contracts.settings.DeviceSettings` with the protocol's own keys."""
    row_model: type[Any]
    """Subclass of `gateway.contracts.settings.DeviceRow` with the protocol's own columns."""

    def compile(self, devices: list[Any], report: Any) -> list[Any]:
        """Check `gateway.contracts.settings.DeviceSource`s; return one picklable plan per driver to be made.

        Every plan has `devices: list[str]` (device names it serves) and `rows: NDArray[uint32]`.
        Problems go to `report` (`gateway.contracts.places.Report`); never raises for a bad configuration.
        """
        ...


class DriverPlan(Protocol):
    """What the core needs to know of any plan."""

    devices: list[str]
    rows: NDArray[np.uint32]


class FieldSimulator(Protocol):
    """A device of this protocol, played for the demo and for tests over the real protocol.

    Built as ``Simulator(plan)``; `values` holds engineering values by table row.
    """

    async def start(self) -> None:
        """Begin to serve at the addresses of the plan's devices."""
        ...

    def set(self, rows: Rows, values: Values) -> None:
        """What the devices answer from now on, in engineering units."""
        ...

    def written(self) -> list[tuple[int, float]]:
        """Commands received since the last call: (row, engineering value), in order."""
        ...

    async def stop(self) -> None:
        """Close every socket."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command of its own, ``gridgate NAME ...``: `main` (``module:attribute``) takes the words behind the name."""

    name: str
    main: str
    text: str
    parser: str = ""
    """Makes its `argparse.ArgumentParser`: for the manual page and for completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProtocol:
    """What a field package's ``__init__`` names; each value is ``module:attribute``, imported only when needed."""

    settings: str
    driver: str
    simulator: str = ""
    doctor: str = ""
    """A `gateway.contracts.doctor.Doctor`: why a device gives no or wrong values."""
    tools: tuple[Tool, ...] = ()
