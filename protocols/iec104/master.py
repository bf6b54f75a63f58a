"""The controlling side of one link, as little of it as a test needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.iec104 import apci
from protocols.iec104.apci import MODULUS, FrameReader, IFrame, U, UFrame
from protocols.iec104.errors import Iec104Error


@dataclass(slots=True)
class ControllingLink:
    """Starts the data transfer, checks the numbers of what comes, acknowledges every `w` frames, answers tests.

    Send what `data_to_send` gives. `started` and `tested` say whether STARTDT and the last TESTFR were confirmed.
    """

    w: int = 8
    started: bool = False
    tested: bool = True
    acknowledged: bool = True
    """Everything that came."""
    _reader: FrameReader = field(default_factory=FrameReader)
    _out: list[bytes] = field(default_factory=list)
    _vr: int = 0
    _waiting: int = 0

    def start(self) -> None:
        """Ask for data transfer."""
        self._out.append(apci.encode_u(U.STARTDT_ACT))

    def test(self) -> None:
        """Ask for a sign of life: what the station had to say before it comes before its answer."""
        self.tested = False
        self._out.append(apci.encode_u(U.TESTFR_ACT))

    def acknowledge(self) -> None:
        """Acknowledge all that came."""
        if self._waiting:
            self._out.append(apci.encode_s(self._vr))
        self._waiting, self.acknowledged = 0, True

    def data_to_send(self) -> bytes:
        """Octets for the transport; each is given once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> list[bytes]:
        """ASDUs that these octets complete. Raises `Iec104Error` when the station breaks the protocol."""
        asdus: list[bytes] = []
        for frame in self._reader.feed(data):
            if isinstance(frame, IFrame):
                asdus.append(self._information(frame))
            elif isinstance(frame, UFrame):
                self._unnumbered(frame.function)
        return asdus

    def _information(self, frame: IFrame) -> bytes:
        if not self.started:
            raise Iec104Error("I frame before STARTDT was confirmed")
        if frame.ssn != self._vr:
            raise Iec104Error(f"I frame with N(S) {frame.ssn}: {self._vr} expected")
        self._vr = (self._vr + 1) % MODULUS
        self._waiting += 1
        self.acknowledged = False
        return frame.asdu

    @property
    def acknowledgement_due(self) -> bool:
        """`w` frames came."""
        return self._waiting >= self.w

    def _unnumbered(self, function: U) -> None:
        if function is U.STARTDT_CON:
            self.started = True
        elif function is U.TESTFR_CON:
            self.tested = True
        elif function is U.TESTFR_ACT:
            self._out.append(apci.encode_u(U.TESTFR_CON))
        else:
            raise Iec104Error(f"{function.name.replace('_', ' ')} from a controlled station")
