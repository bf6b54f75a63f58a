"""Commands as a DNP3 master says them, and what the broker heard of them."""

from __future__ import annotations

from typing import Any

from gateway.contracts import Command, OnOutcome, Outcome, Pulse, Reason, Stage
from tests.kit.dnp3kit import Site

LATCH_ON, LATCH_OFF, PULSE_ON, PULSE_OFF, CLOSE, TRIP = 0x03, 0x04, 0x01, 0x02, 0x41, 0x81
SUCCESS, TIMEOUT, NO_SELECT, FORMAT, NOT_SUPPORTED, ACTIVE, HARDWARE, LOCAL, TOO_MANY, NOT_AUTHORISED = range(10)


def crob(index: int, code: int, *, count: int = 1, on_ms: int = 0, off_ms: int = 0, status: int = 0) -> str:
    """g12v1 with a one-octet index."""
    body = bytes([index, code, count]) + on_ms.to_bytes(4, "little") + off_ms.to_bytes(4, "little") + bytes([status])
    return "0c011701" + body.hex()


def analog(index: int, value: str, variation: int = 3, status: int = 0) -> str:
    """g41 with a one-octet index; `value` as octets."""
    return f"29{variation:02x}1701{index:02x}{value}{status:02x}"


def statuses(objects: str) -> list[int]:
    """The last octet of an answer with one object."""
    return [bytes.fromhex(objects)[-1]]


def heard(site: Site) -> list[tuple[int, float, Pulse]]:
    return [(command.row, command.value, command.pulse) for command in site.port.commands.received]


ON, OFF = crob(0, LATCH_ON), crob(0, LATCH_OFF)


LATER = list[tuple[Command, OnOutcome]]


def keep(kept: LATER) -> Any:
    """A broker that accepts, and tells the end when the test says so."""

    def script(command: Command, tell: OnOutcome) -> None:
        tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
        kept.append((command, tell))

    return script


def done(kept: LATER) -> None:
    command, tell = kept.pop()
    tell(Outcome(id=command.id, stage=Stage.COMPLETED))


def fail(reason: Reason) -> Any:
    def script(command: Command, tell: OnOutcome) -> None:
        tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
        tell(Outcome(id=command.id, stage=Stage.FAILED, reason=reason))

    return script
