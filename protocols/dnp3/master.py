"""The master's side of one connection, as little of it as a test needs. Pure.

Send what `data_to_send` gives. A request is answered by one response of one or more fragments; unsolicited responses
may come at any time. Whoever feeds it confirms what asks for it.
"""

from __future__ import annotations

from typing import Final

from protocols.dnp3.application import SEQUENCES, AppControl, Fragment, parse_fragment
from protocols.dnp3.errors import Dnp3Error
from protocols.dnp3.function import Function
from protocols.dnp3.headers import all_head
from protocols.dnp3.link import DIR, PRM, LinkFrame, LinkReader, Primary, Secondary, encode_frame
from protocols.dnp3.transport import Reassembler, encode_fragment

_DATA: Final = DIR | PRM | Primary.UNCONFIRMED_USER_DATA
_CLASS_GROUP: Final = 60


def class_objects(classes: tuple[int, ...]) -> bytes:
    """Object headers of event classes."""
    return b"".join(all_head(_CLASS_GROUP, number + 1) for number in classes)


class Master:
    """Addresses as in the plan; `receive_size` is the largest fragment that is expected."""

    def __init__(self, address: int, outstation: int, receive_size: int) -> None:
        self._address, self._outstation = address, outstation
        self.alive = False
        """The outstation has answered a request for the link status."""
        self.waiting = False
        """The response to the last request is not whole yet."""
        self._reader = LinkReader()
        self._reassembler = Reassembler(receive_size)
        self._seq = self._transport = 0
        self._out: list[bytes] = []

    def ask_link(self) -> None:
        """Ask for a sign of life."""
        self._out.append(encode_frame(DIR | PRM | Primary.REQUEST_LINK_STATUS, self._outstation, self._address))

    def request(self, function: Function, objects: bytes) -> None:
        """Ask for something."""
        self._seq = (self._seq + 1) % SEQUENCES
        self.waiting = True
        self._send(Fragment(AppControl(self._seq), function, None, objects))

    def confirm(self, fragment: Fragment) -> None:
        """Acknowledge one fragment."""
        head = AppControl(fragment.control.seq, uns=fragment.control.uns)
        self._send(Fragment(head, Function.CONFIRM))

    def data_to_send(self) -> bytes:
        """Octets for the transport; each is given once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> list[Fragment]:
        """Fragments that these octets complete. Raises `Dnp3Error` when the outstation breaks the protocol."""
        frames = self._reader.feed(data)
        if self._reader.bad or self._reader.skipped:
            raise Dnp3Error("octets that belong to no frame")
        found = (self._frame(frame) for frame in frames)
        return [fragment for fragment in found if fragment is not None]

    def _frame(self, frame: LinkFrame) -> Fragment | None:
        if not frame.data:
            self._link(frame)
            return None
        octets = self._reassembler.receive(frame.data)
        if self._reassembler.discarded:
            raise Dnp3Error("a segment out of place")
        return None if octets is None else self._response(octets)

    def _link(self, frame: LinkFrame) -> None:
        if not frame.primary:
            self.alive = True
        elif frame.function == Primary.REQUEST_LINK_STATUS:
            self._out.append(encode_frame(DIR | Secondary.LINK_STATUS, self._outstation, self._address))

    def _response(self, octets: bytes) -> Fragment:
        fragment = parse_fragment(octets)
        if not fragment.response:
            raise Dnp3Error(f"function {fragment.function} from an outstation")
        if fragment.function == Function.RESPONSE:
            if fragment.control.seq != self._seq:
                raise Dnp3Error(f"response with sequence number {fragment.control.seq}: {self._seq} expected")
            self.waiting = not fragment.control.fin
            if self.waiting:
                self._seq = (self._seq + 1) % SEQUENCES
        return fragment

    def _send(self, fragment: Fragment) -> None:
        octets, self._transport = encode_fragment(
            fragment.encode(), self._outstation, self._address, self._transport, _DATA
        )
        self._out.append(octets)
