"""A raw RTU and our controlling side, frame by frame; the clocks are the test's."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

from gateway.contracts import Pulse
from gateway.points import Quality
from protocols.iec104.apci import FrameReader, IFrame
from protocols.iec104.field.controlling import COUNTER_NAMES, Controlling, Effect, Started
from protocols.iec104.field.decode import Batch, Decoder
from protocols.iec104.field.tags import Tags
from protocols.iec104.time56 import Zone
from tests.kit.rtukit import rtu
from tests.peers.raw104 import STARTDT_ACT, STARTDT_CON, asdu

RECEIVED = 1_700_000_000_500_000_000
"""2023-11-14 22:13:20.5 UTC."""
NOON_TAG = "7b 00 0d 16 4e 0b 17"
"""22:13:00.123 on 14 November 2023 (Tuesday is 2: 0x4e), UTC."""
NOON = 1_699_999_980_123_000_000

MAP = """
point,kind,ca,ioa,type,bit,scale,offset,low,high,mode,pulse,end
breaker,double,1,1,M_DP_TB_1,,,,,,,,
fault,binary,1,2,M_SP_TB_1,,,,,,,,
power,analog,1,3,M_ME_TF_1,,0.5,10,,,,,
share,analog,1,4,M_ME_NA_1,,,,0,100,,,
energy,counter,1,5,M_IT_TB_1,,,,,,,,
bit3,binary,1,6,M_BO_NA_1,3,,,,,,,
bit4,binary,1,6,M_BO_NA_1,4,,,,,,,
trip,double,1,7,M_EP_TD_1,,,,,,,,
stage,binary,1,8,M_PS_NA_1,15,,,,,,,
run,control,1,11,C_SC_NA_1,,,,,,direct,short,
close,control,1,12,C_DC_NA_1,,,,,,select,,confirmation
limit,setpoint,1,13,C_SE_NC_1,,0.5,,,,direct,,confirmation
"""
ROW = {line.split(",")[0]: row for row, line in enumerate(MAP.strip().splitlines()[1:])}


class Talk:
    """The RTU says ASDUs; we answer effects and ASDUs."""

    def __init__(self, text: str = MAP, **keys: Any) -> None:
        given: dict[str, Any] = {"counters": "none", "apci": {"t1_s": 15, "t2_s": 10, "t3_s": 20}}
        self.plan = rtu(text, **{**given, **keys})
        self.counters = Counter(dict.fromkeys(COUNTER_NAMES, 0))
        zone = Zone(self.plan.time_zone)
        self.decoder = Decoder(self.plan.points, Tags(zone), self.plan.untimed_marked, self.counters)
        self.session = Controlling(self.plan, zone, self.decoder, self.counters, 0.0)
        self._reader, self._vs, self._vr = FrameReader(), 0, 0

    def octets(self, data: str, at: float = 0.0) -> list[Effect]:
        return self.session.receive(bytes.fromhex(data), at, RECEIVED)

    def start(self) -> None:
        """Up to the end of the first interrogation."""
        self.session.begin(0.0)
        assert self.session.data_to_send().hex() == STARTDT_ACT
        assert self.octets(STARTDT_CON) == [Started()]
        assert self.sent() == [asdu(100, 6, 1, 0, "14")]
        self.says(asdu(100, 7, 1, 0, "14"), asdu(100, 10, 1, 0, "14"))

    def says(self, *asdus: bytes, at: float = 0.0) -> list[Effect]:
        frames = b""
        for each in asdus:
            frames += struct.pack("<BBHH", 0x68, len(each) + 4, self._vs << 1, self._vr << 1) + each
            self._vs += 1
        return self.session.receive(frames, at, RECEIVED)

    def sent(self) -> list[bytes]:
        """ASDUs of ours since the last look."""
        frames = list(self._reader.feed(self.session.data_to_send()))
        asdus = [frame.asdu for frame in frames if isinstance(frame, IFrame)]
        self._vr += len(asdus)
        return asdus

    def batch(self, *asdus: bytes) -> Batch:
        (batch,) = [effect for effect in self.says(*asdus) if isinstance(effect, Batch)]
        return batch

    def one(self, *asdus: bytes) -> tuple[int, float, Quality, int]:
        batch = self.batch(*asdus)
        assert len(batch.rows) == 1
        return int(batch.rows[0]), float(batch.values[0]), Quality(int(batch.qualities[0])), int(batch.times_ns[0])

    def command(self, point: str, value: float, pulse: Pulse = Pulse.DEFAULT, ticket: int = 1) -> list[Effect]:
        (binding,) = [order for order in self.plan.orders if order.row == ROW[point]]
        return self.session.command(ticket, binding, value, pulse, 0.0, RECEIVED)


def started(**keys: Any) -> Talk:
    talk = Talk(**keys)
    talk.start()
    return talk
