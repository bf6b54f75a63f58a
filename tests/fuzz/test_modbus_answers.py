"""Bytes that no device should send: only the package's own errors escape, nothing becomes a value, the driver lives."""

from __future__ import annotations

import asyncio
import random
import struct

from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import DeviceState
from protocols.modbus import frame
from protocols.modbus.device import DeviceImage
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.frame import Garbage, Malformed, Refusal
from protocols.modbus.plan import Table, Url
from tests.kit.modbuskit import at, line
from tests.kit.recordingport import RecordingPort, until

MAP = """
point,kind,table,address,type
a,analog,holding,0,uint16
b,analog,holding,1,uint16
run,control,coil,0,bit
"""
ANSWER = bytes.fromhex("03 04 0001 0002")


def nothing(kind: str, unit: int) -> None:
    return None


@given(st.binary(max_size=600))
def test_random_bytes_to_the_tcp_framing(data: bytes) -> None:
    try:
        used, pdu = frame.match_mbap(data, 1, 1, nothing)
    except Garbage:
        return
    assert 0 <= used <= len(data)
    assert pdu is None or data.endswith(pdu) or pdu in data


@given(st.binary(max_size=300))
def test_random_bytes_to_the_rtu_framing(data: bytes) -> None:
    used, pdu = frame.match_rtu(data, 1, nothing)
    assert 0 <= used <= len(data)
    assert pdu is None or pdu in data


@given(st.binary(max_size=260))
def test_random_answers_never_become_data_by_accident(pdu: bytes) -> None:
    try:
        data = frame.read(Table.HOLDING, 0, 2).data(pdu)
    except (Refusal, Malformed):
        return
    assert pdu[:2] == b"\x03\x04" and len(data) == 4


@given(st.binary(max_size=260))
def test_random_requests_to_the_simulated_device(pdu: bytes) -> None:
    device = DeviceImage(line(MAP).units[0], lambda *_: None)
    answer = device.answer(pdu)
    assert 2 <= len(answer) <= 253


def mutated(rng: random.Random, request: bytes) -> bytes:
    """A right answer to a right header, then something done to it."""
    (transaction,) = struct.unpack_from(">H", request)
    data = bytearray(frame.mbap_frame(transaction, 1, ANSWER))
    for _ in range(rng.randint(1, 4)):
        match rng.randrange(5):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(1, len(data)) :]
            case 2:
                data += rng.randbytes(rng.randint(1, 300))
            case 3:
                data[rng.randrange(len(data))] = rng.randrange(256)
            case _:
                data[:0] = rng.randbytes(rng.randint(0, 12))
    return bytes(data)


class Liar(asyncio.Protocol):
    """Answers every other request with mutated bytes while it lies, and truthfully otherwise."""

    lying = True
    told = 0
    asked = 0
    rng = random.Random(7)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        Liar.asked += 1
        if Liar.lying and Liar.asked % 2:
            Liar.told += 1
            self.transport.write(mutated(self.rng, data))
            return
        transaction, _, _, unit = struct.unpack_from(">HHHB", data)
        answer = ANSWER if data[7] == 3 else b"\x01\x01\x00"
        self.transport.write(frame.mbap_frame(transaction, unit, answer))


def test_the_driver_survives_a_device_that_lies() -> None:
    async def story() -> None:
        Liar.lying, Liar.told = True, 0
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        server = await asyncio.get_running_loop().create_server(Liar, "127.0.0.1", 0)
        url = Url(scheme="tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        plan = at(line(MAP, scan_ms=10, timeout_ms=20, retries=10, reconnect_max_s=0.2), url)
        port = RecordingPort(3)
        task = asyncio.create_task(ModbusDriver(plan, port).run())
        try:
            await until(lambda: Liar.told > 150, "many lies", timeout_s=60)
            Liar.lying = False
            await until(lambda: port.value.tolist() == [1.0, 2.0, 0.0] and not port.quality.any(), "the truth")
            assert port.states[-1][1] is DeviceState.ONLINE
            assert not errors
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])
            server.close()
            await server.wait_closed()

    asyncio.run(story())
