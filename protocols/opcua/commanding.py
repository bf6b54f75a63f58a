"""Commands on their way from a session to the broker, and selections (select before operate)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from gateway.contracts import Action, Command, CommandPort, Origin, Outcome, Reason
from protocols.opcua.commandcodes import CODES
from protocols.opcua.uastack import Codes, ua
from protocols.opcua.valueencode import BOOLEAN

COMMAND_S: Final = 30.0
"""From the request to the device's word."""
_LAST_WORD_S: Final = 2.0
"""After the deadline: how long the broker's own word about it is awaited."""
SELECT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Selection:
    session: Any
    value: float
    until_s: float


class Selections:
    """Who has selected which point, with which value. `now_s` is a monotonic clock."""

    def __init__(self) -> None:
        self._by_row: dict[int, _Selection] = {}
        self._known: set[int] = set()

    def taken(self, row: int, session: Any, now_s: float) -> bool:
        """Whether another session holds it."""
        found = self._by_row.get(row)
        return found is not None and found.session is not session and now_s < found.until_s

    def put(self, row: int, session: Any, value: float, now_s: float) -> bool:
        """Select. True the first time for this session: `ended` is to be called when it is gone."""
        self._by_row[row] = _Selection(session, value, now_s + SELECT_S)
        new = id(session) not in self._known
        self._known.add(id(session))
        return new

    def pop(self, row: int, session: Any, value: float | None, now_s: float) -> bool:
        """End a selection of this session; whether there was one, in time and with this value (None: any)."""
        found = self._by_row.get(row)
        if found is None or found.session is not session:
            return False
        del self._by_row[row]
        return now_s < found.until_s and (value is None or value == found.value)

    def ended(self, session: Any) -> None:
        """A session is gone, and so is what it had selected."""
        self._known.discard(id(session))
        self._by_row = {row: found for row, found in self._by_row.items() if found.session is not session}


UNSECURED: Final = "the channel is not secured"


class Commander:
    """Hands commands over and waits for their last word."""

    def __init__(self, server: str, port: CommandPort) -> None:
        self._server, self._port = server, port

    async def run(
        self, session: Any, row: int, value: float, action: Action = Action.EXECUTE, refusal: Reason = Reason.OK
    ) -> int:
        """The status code. With a `refusal` the command is only put on record, and refused."""
        future: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()

        def on_outcome(outcome: Outcome) -> None:
            if outcome.stage.final and not future.done():
                future.set_result(outcome.reason)

        now_ns = time.time_ns()
        command = Command(
            id=self._port.next_id(),
            row=row,
            value=value,
            action=action,
            origin=Origin(protocol="opcua", server=self._server, master=session.role, peer=session.origin_peer),
            deadline_ns=now_ns + int(COMMAND_S * 1e9),
            received_ns=now_ns,
            refusal=refusal,
            refusal_text=UNSECURED if refusal is Reason.NOT_AUTHORISED and session.read_only else "",
        )
        self._port.submit(command, on_outcome)
        try:
            async with asyncio.timeout(COMMAND_S + _LAST_WORD_S):
                return CODES[await future]
        except TimeoutError:
            return int(Codes.BadTimeout)


def commanded_value(variant: Any, kind: int) -> float | None:
    """The number in a Variant of exactly the point's type; None when it is another type, an array, or empty."""
    wanted = ua.VariantType.Boolean if kind == BOOLEAN else ua.VariantType.Double
    if variant is None or variant.VariantType != wanted or isinstance(variant.Value, list) or variant.Value is None:
        return None
    return float(variant.Value)
