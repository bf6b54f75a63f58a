"""Plays the devices of one line plan over Modbus TCP (or RTU over TCP), with faults at the turn of a switch.

For demonstration, tests and figures only; it is never part of the gateway's own path. A port of 0 in the plan takes a
free port; `url` then says which.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from gateway.points import Rows, Values
from protocols.modbus.device import DeviceImage
from protocols.modbus.frame import crc16, mbap_frame, rtu_frame
from protocols.modbus.plan import LinePlan, Table, UnitPlan, Url

GATEWAY_TARGET_FAILED: Final = 11
_RTU_REQUEST_SIZE: Final = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 22: 10}


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong from now on. All can be changed while it runs."""

    frozen: bool = False
    """Takes connections and requests, never answers."""
    frozen_units: set[int] = field(default_factory=set)
    """These units never answer; others on the line do."""
    absent_units: set[int] = field(default_factory=set)
    """For these the gateway answers exception 11."""
    delay_s: float = 0.0
    """Every answer comes this much later, in order."""
    lose: float = 0.0
    """This share of answers is lost (0 to 1)."""
    garbage: bool = False
    """Bytes that are no Modbus instead of an answer."""
    wrong_unit: bool = False
    """Answers name another unit."""
    wrong_function: bool = False
    """Answers are to another function."""
    short: bool = False
    """Answers lack their last register, with a length that fits."""
    doubled: bool = False
    """Each answer is sent twice, as by two devices of one number."""
    exception: int = 0
    """Every request is answered with this exception code."""
    exception_functions: dict[int, int] = field(default_factory=dict)
    """Requests of these functions are answered with that exception code."""


class _Peer(asyncio.Protocol):
    """One connection; answers every request of a segment, in order."""

    def __init__(self, simulator: ModbusSimulator) -> None:
        self._simulator = simulator
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._simulator.peers.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._simulator.peers.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        step = self._rtu if self._simulator.url.framed_rtu else self._mbap
        out = []
        while (answer := step()) is not None:
            out.append(answer)
        self._send(b"".join(out))

    def _send(self, data: bytes) -> None:
        if not data or self._transport is None:
            return
        if self._simulator.faults.delay_s:
            asyncio.get_running_loop().call_later(self._simulator.faults.delay_s, self._late, data)
        else:
            self._transport.write(data)

    def _late(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _mbap(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 8:
            return None
        transaction, protocol, length, unit = struct.unpack_from(">HHHB", buffer)
        if (protocol or not 2 <= length <= 254) and self._transport is not None:
            self._transport.abort()
            self._buffer = b""
            return None
        if len(buffer) < 6 + length:
            return None
        self._buffer = buffer[6 + length :]
        return self._simulator.serve(unit, buffer[7 : 6 + length], lambda u, pdu: mbap_frame(transaction, u, pdu))

    def _rtu(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 8:
            return None
        size = _RTU_REQUEST_SIZE.get(buffer[1], 9 + buffer[6])
        if len(buffer) < size:
            return None
        self._buffer = buffer[size:]
        if crc16(buffer[: size - 2]) != buffer[size - 2 : size]:
            self._buffer = b""
            return None
        return self._simulator.serve(buffer[0], buffer[1 : size - 2], rtu_frame)


class ModbusSimulator:
    """The devices of a `LinePlan`, on its address (`gateway.contracts.FieldSimulator`).

    `values` holds the engineering values by table row (NaN for rows that are not of this line); a command that a
    client writes shows in it, and in what is read back.
    """

    def __init__(self, plan: LinePlan) -> None:
        self._plan = plan
        self.url: Url = plan.url
        self.faults = Faults()
        self.peers: set[asyncio.Transport] = set()
        self.requests = 0
        self.values: Values = np.full(int(plan.rows.max()) + 1 if len(plan.rows) else 0, np.nan)
        self.values[plan.rows] = 0.0
        self._written: list[tuple[int, float]] = []
        self._devices: dict[int, Any] = {unit.unit: self.make_device(unit) for unit in plan.units}
        self._server: asyncio.Server | None = None
        self._random = random.Random(0)  # noqa: S311 which answers a test loses, not a secret

    def make_device(self, plan: UnitPlan) -> Any:
        """What answers for one unit: `answer(pdu)`, `paint(values)`, `bindings`."""
        return DeviceImage(plan, self.on_write)

    async def start(self) -> None:
        """Listen at the plan's address. `OSError` when it is taken, `ValueError` for a serial line."""
        if self.url.serial:
            raise ValueError(f"{self.url}: the simulator plays tcp:// and rtuovertcp:// lines only")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Peer(self), self.url.host, self.url.port, reuse_address=True)
        if not self.url.port:
            self.url = replace(self.url, port=self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every socket; `start` serves the same port again."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.cut()
        await server.wait_closed()

    def cut(self) -> None:
        """Drop every connection, as a pulled plug that is put back at once."""
        for transport in list(self.peers):
            transport.abort()

    def say(self, data: bytes) -> None:
        """Send bytes to whoever is connected, unasked."""
        for transport in self.peers:
            transport.write(data)

    def set(self, rows: Rows, values: Values) -> None:
        """What the devices answer from now on, in engineering units; cut off at what the registers can hold."""
        self.values[rows] = values
        for device in self._devices.values():
            device.paint(self.values[device.bindings.row])

    def written(self) -> list[tuple[int, float]]:
        """Commands received since the last call: (row, engineering value), in order."""
        written, self._written = self._written, []
        return written

    def on_write(self, row: int, value: float, commanded: bool) -> None:
        self.values[row] = value
        if commanded:
            self._written.append((row, value))

    def refuse(self, table: Table, *addresses: int, unit: int | None = None) -> None:
        """These addresses answer exception 2 from now on; none given: all of them answer again."""
        for device in self._chosen(unit):
            image = device.tables[table]
            image.refused = image.refused | set(addresses) if addresses else set()

    def refuse_gaps(self, strict: bool = True, unit: int | None = None) -> None:
        """Addresses that no point is bound to answer exception 2 instead of 0."""
        for device in self._chosen(unit):
            for image in device.tables.values():
                image.strict = strict

    def unlearn(self, *functions: int, unit: int | None = None) -> None:
        """The devices do not know these functions (exception 1)."""
        for device in self._chosen(unit):
            device.unknown_functions.update(functions)

    def _chosen(self, unit: int | None) -> list[Any]:
        return list(self._devices.values()) if unit is None else [self._devices[unit]]

    def serve(self, unit: int, pdu: bytes, wrap: Callable[[int, bytes], bytes]) -> bytes:
        """The bytes to send for one request; empty when nothing is to be sent."""
        self.requests += 1
        faults, device = self.faults, self._devices.get(unit)
        if faults.frozen or unit in faults.frozen_units or device is None:
            return b""
        code = faults.exception or faults.exception_functions.get(pdu[0], 0)
        if unit in faults.absent_units:
            code = GATEWAY_TARGET_FAILED
        answer = bytes((pdu[0] | 0x80, code)) if code else device.answer(pdu)
        if faults.lose and self._random.random() < faults.lose:
            return b""
        return self._spoil(unit, answer, wrap)

    def _spoil(self, unit: int, answer: bytes, wrap: Callable[[int, bytes], bytes]) -> bytes:
        faults = self.faults
        if faults.garbage:
            return b"\xde\xad\xbe\xef" * 4
        if faults.short and answer[0] < 5:
            answer = bytes((answer[0], answer[1] - 2)) + answer[2:-2]
        if faults.wrong_function:
            answer = bytes((answer[0] ^ 7,)) + answer[1:]
        frame = wrap(unit ^ 0x40 if faults.wrong_unit else unit, answer)
        return frame + frame if faults.doubled else frame
