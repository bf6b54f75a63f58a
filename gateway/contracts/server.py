"""What a grid-side protocol package implements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gateway.contracts.command import CommandPort
from gateway.contracts.history import HistoryReader
from gateway.contracts.log import Log
from gateway.points.change import Changes, Qualities, Rows, Times, Values
from gateway.points.model import PointCatalogue

if TYPE_CHECKING:
    from gateway.alarms.catalogue import AlarmCatalogue
    from gateway.alarms.model import AlarmRecord


class TableView(Protocol):
    """The worker's mirror of the point table, indexed by row. Read only for servers."""

    value: Values
    quality: Qualities
    time_ns: Times


class AlarmsView(Protocol):
    """The worker's copy of the site's alarms. Read only for servers."""

    catalogue: AlarmCatalogue

    @property
    def records(self) -> Mapping[int, AlarmRecord]:
        """Every alarm that is not plainly normal, by its index in the catalogue."""
        ...

    def record(self, index: int) -> AlarmRecord:
        """The alarm as it was last told."""
        ...


class LinkSocket(Protocol):
    """Of a connection's socket: what may be asked of it."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


class FrameTrace(Protocol):
    """Where a server leaves the octets of its links for whoever looks; bounded, cheap, never decoded here."""

    def opened(self, link: LinkName, sock: LinkSocket | None = None) -> None:
        """The link begins: a connection was accepted for this master. `sock`: where its round trip can be asked."""
        ...

    def record(self, link: LinkName, outgoing: bool, data: bytes) -> None:
        """Octets of the link (as they are before TLS hides them), in any chunking, in order per link."""
        ...

    def closed(self, link: LinkName, outgoing: bool, cause: str = "") -> None:
        """The link has ended; `outgoing` when this side ended it. `cause` is for a person."""
        ...


@dataclass(frozen=True, slots=True)
class LinkName:
    """One connection in a trace: the master's name, a number that is not used twice, both TCP addresses."""

    master: str
    number: int
    local: tuple[str, int]
    peer: tuple[str, int]


class ServerPort(Protocol):
    """What the worker gives a server."""

    log: Log
    catalogue: PointCatalogue
    table: TableView
    commands: CommandPort
    trace: FrameTrace
    alarms: AlarmsView
    """As they stand; a server that wants to be told has a method ``alarms(records: list[AlarmRecord]) -> None``."""
    history: HistoryReader | None
    """What was recorded; None where the site records nothing."""
    state_dir: Path
    """For what must survive this process: journals."""

    def confirm(self, master: str, seq: int) -> None:
        """This master has confirmed every event that came of feed records up to and including `seq`.

        The core keeps it: after a crash the worker is given the records behind it again.
        """
        ...

    def publish(self, rows: Rows, values: Values) -> None:
        """Set system points owned by this server (see `system_points` of its settings)."""
        ...


class OutputServer(Protocol):
    """One server process's protocol part. Built as ``Server(plan, port)``.

    Order of calls: `resume` once, `changes` for what is replayed, `start` once the table is right, then
    `changes` as they come, `stop` at the end.
    """

    def resume(self, confirmed: dict[str, int]) -> None:
        """Feed sequence numbers that each master had confirmed before this process started; may be empty."""
        ...

    def changes(self, batch: Changes, seq: int) -> None:
        """Records in the order in which they happened; `seq` is the feed sequence number of the last one.

        Records up to a master's confirmed number are not for that master. `port.table` already shows
        the newest state and may be ahead of the batch during a replay.
        """
        ...

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A command for the point in `row` was written to the field just now.

        `feedback` is the row that shows its effect (or `NO_ROW`); `remote` tells a master from a person at the site
        or the gateway's own control. What changes there next is return information.
        """
        ...

    # A server that keeps events has ``missed(count: int)``: so many changes, of all points together, never reached this
    # process. Every master is told as of an overflow, and ``events_lost`` counts them: rather too many than too few.

    # A server that counts the connections it turns away has ``refused: int``: told as ``system/server/NAME/refused``.
    # A server that knows it has ``reported(master: str, row: int) -> tuple[float, int] | None``: value and quality that
    # this master was last told of a row; None for a row that it was never told, or does not have.

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address is taken."""
        ...

    async def stop(self) -> None:
        """Close in order: no new connections, pending answers flushed, sockets closed."""
        ...


class GridSettings(Protocol):
    """How the configuration of one grid protocol is read and compiled. Lives in `protocols.X.settings`."""

    server_model: type[Any]
    """Subclass of `gateway.contracts.settings.ServerSettings`."""
    master_model: type[Any]
    """Subclass of `gateway.contracts.settings.MasterSettings`."""
    row_model: type[Any]
    """Subclass of `gateway.contracts.settings.MasterRow`."""

    def compile(self, server: Any, catalogue: PointCatalogue, report: Any) -> Any:
        """Check one `gateway.contracts.settings.ServerSource`; return a picklable plan.

        The plan has `commands: dict[str, NDArray[uint32]]`: rows that each master may command.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GridProtocol:
    """What a grid package's ``__init__`` names; each value is ``module:attribute``, imported only when needed.

    `describe`: a `FrameDescriber` class for `gridgate trace`; `documents`: a `DocumentWriter` for `gridgate docs`;
    `selftest`: a `SoeSelftest` for `gridgate selftest soe`. Empty: the protocol has none.
    """

    settings: str
    server: str
    describe: str = ""
    documents: str = ""
    selftest: str = ""


@dataclass(frozen=True, slots=True)
class DescribedFrame:
    """One frame of a link in words. `data` is the frame as it went over the wire."""

    data: bytes
    text: str


class FrameDescriber(Protocol):
    """Cuts the octets of one link into frames and says what each means.

    Built as ``Describer(plan, catalogue, master, full=False)``; one per link. `full`: every object of a long frame.
    """

    def feed(self, outgoing: bool, data: bytes) -> list[DescribedFrame]:
        """Complete frames in these octets and what was left of earlier ones; never raises for what a peer sent."""
        ...

    def why(self, outgoing: bool, data: bytes) -> list[str]:
        """Why one whole frame was sent, in sentences; empty where the protocol has no word on it. Never raises."""
        ...


class DocumentWriter(Protocol):
    """Writes a server's documents from its plan. Built as ``Documents(plan, catalogue, site)``."""

    def write(self, folder: Path) -> list[Path]:
        """Write every document into `folder` (it exists); returns the files written."""
        ...
