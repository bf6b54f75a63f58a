"""One master on one connection: link and transport layer around its outstation. Pure.

`now` is monotonic s, `wall_ns` ns UTC. A session dies with its connection, the outstation does not.
"""

from __future__ import annotations

import math
from collections import deque

from gateway.contracts import Outcome
from protocols.dnp3.effects import Confirmed, Effect, Send, Submit, TimeWritten
from protocols.dnp3.link import LinkFrame, LinkLayer, LinkParameters
from protocols.dnp3.outstation import Outstation
from protocols.dnp3.transport import Reassembler, encode_fragments

Rest = Submit | TimeWritten | Confirmed
"""Effects that are for the shell."""


class Session:
    """Feed `receive`, `outcome` and `on_time`; send what `data_to_send` gives after each.

    Only the session that holds the outstation (`begin` to `end`) speaks; any other waits to be spoken to.
    """

    def __init__(self, outstation: Outstation, now: float) -> None:
        plan = outstation.plan
        self.outstation = outstation
        self.link = LinkLayer(
            LinkParameters(
                local=plan.outstation,
                remote=plan.address,
                self_address=plan.parameters.self_address,
                keep_alive_s=plan.parameters.keep_alive_s,
            ),
            now,
        )
        self.heard = False
        """The master has spoken on this connection."""
        self._reassembler = Reassembler(plan.parameters.receive_size)
        self._transport_seq = 0
        self._out: list[bytes] = []
        self._ahead: deque[tuple[bytes, bytes, int]] = deque()
        """Fragments that may follow, with their frames and the transport sequence number after these."""

    @property
    def lost(self) -> bool:
        """The master does not answer any more."""
        return self.link.lost

    @property
    def malformed(self) -> int:
        """Frames and segments that could not be used."""
        return self.link.ignored + self._reassembler.discarded

    def begin(self, now: float, wall_ns: int) -> list[Rest]:
        """This connection is the outstation's from now on."""
        self.outstation.connect()
        return self.apply(self.outstation.work(now, wall_ns))

    def end(self) -> None:
        """The outstation loses this connection."""
        self.outstation.cut()
        self._out.clear()

    def receive(self, frame: LinkFrame, now: float, wall_ns: int) -> list[Rest]:
        """A frame that `link.accepts`."""
        self.heard = True
        found = self.link.receive(frame, now)
        if found.reply:
            self._out.append(found.reply)
        fragment = self._reassembler.receive(found.segment) if found.segment else None
        if fragment is None:
            return []
        return self.apply(self.outstation.receive(fragment, now, wall_ns, found.broadcast))

    def outcome(self, ticket: int, outcome: Outcome, now: float, wall_ns: int) -> list[Rest]:
        """A step of a command."""
        return self.apply(self.outstation.outcome(ticket, outcome, now, wall_ns))

    def happened(self, now: float, wall_ns: int) -> list[Rest]:
        """What the plant gave cause for; the master's own words may lie unread, so nothing of its is overdue."""
        return self.apply(self.outstation.work(now, wall_ns, unread=True))

    def on_time(self, now: float, wall_ns: int) -> list[Rest]:
        """What is due: keep-alive, and the outstation's own. To be called when everything that came was read."""
        probe = self.link.poll(now)
        if probe:
            self._out.append(probe)
        return self.apply(self.outstation.work(now, wall_ns))

    def next_deadline(self, now: float, wall_ns: int) -> float:
        """When `on_time` is next to be called; infinity for never."""
        link = math.inf if self.lost else self.link.deadline
        return min(link, self.outstation.next_deadline(now, wall_ns))

    def apply(self, effects: list[Effect]) -> list[Rest]:
        """Frames for what is to be sent; the rest, in order, is for the shell."""
        rest: list[Rest] = []
        for effect in effects:
            if isinstance(effect, Send):
                self._send(effect.octets)
            else:
                rest.append(effect)
        return rest

    def _send(self, fragment: bytes) -> None:
        ahead = self._ahead.popleft() if self._ahead else None
        if ahead is None or ahead[0] != fragment:
            self._ahead.clear()
            ahead = fragment, *self._encode([fragment])[0]
        self._out.append(ahead[1])
        self._transport_seq = ahead[2]

    def _encode(self, fragments: list[bytes]) -> list[tuple[bytes, int]]:
        plan = self.outstation.plan
        return encode_fragments(fragments, plan.address, plan.outstation, self._transport_seq)

    def prepare(self) -> None:
        """Nothing else to do just now: make what the next confirmations will be answered with, if nothing changes."""
        fragments = self.outstation.prepare()
        if fragments:
            encoded = self._encode(fragments)
            self._ahead = deque((fragment, *frames) for fragment, frames in zip(fragments, encoded, strict=True))

    def data_to_send(self) -> bytes:
        """Frames to be written, all at once."""
        data = b"".join(self._out)
        self._out.clear()
        return data
