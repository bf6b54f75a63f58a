"""A thin shell over pymodbus: its transports and its request loop, with our framing of answers.

pymodbus connects, sends, waits and times out. Matching and checking answers is ours (`frame`), because pymodbus takes
an answer of the wrong function or length for values, and ends a connection with a traceback on bytes it cannot decode.
Each connection is a fresh client, so nothing of an old one reaches a new one. Reconnecting is the driver's.
"""

from __future__ import annotations

import asyncio
import logging
import termios
from collections.abc import Callable
from dataclasses import dataclass

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerBase
from pymodbus.pdu import ModbusPDU

from protocols.modbus import frame
from protocols.modbus.frame import ModbusError, OnStray, Request
from protocols.modbus.plan import Url

# pymodbus logs a line per frame that fails; this driver counts them and tells changes of state.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_BUFFER = 4096
"""Bytes kept while an answer is awaited: several late answers may come in one segment."""
_NEVER = 1 << 30


class NoAnswer(ModbusError):
    """Nothing fitting came within the timeout."""


class LineDown(ModbusError):
    """The connection is not there, or ended while the answer was awaited."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The data of an answer and when it arrived (ns since 1970 UTC)."""

    data: bytes
    time_ns: int


class _Message(ModbusPDU):
    """Carries our bytes through pymodbus, out and in."""

    def __init__(self, unit: int, payload: bytes, time_ns: int = 0) -> None:
        super().__init__(dev_id=unit)
        self.payload = payload
        self.time_ns = time_ns


class _Framer(FramerBase):
    """Finds the one answer that is awaited; everything else is a stray."""

    MAX_SIZE = _BUFFER

    def __init__(self, rtu: bool, now_ns: Callable[[], int], stray: OnStray, garbage: Callable[[str], None]) -> None:
        self._rtu, self._now_ns, self._stray, self._garbage = rtu, now_ns, stray, garbage
        self.waiting = False
        self.unasked = 0

    def buildFrame(self, message: ModbusPDU) -> bytes:  # noqa: N802 pymodbus's name
        payload = message.payload if isinstance(message, _Message) else b""
        if self._rtu:
            return frame.rtu_frame(message.dev_id, payload)
        return frame.mbap_frame(message.transaction_id, message.dev_id, payload)

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:  # noqa: N802
        if not self.waiting:
            self.unasked = max(self.unasked, len(data))
        try:
            if self._rtu:
                used, pdu = frame.match_rtu(data, exp_devid if self.waiting else -1, self._stray)
            else:
                used, pdu = frame.match_mbap(data, exp_devid, exp_tid if self.waiting else -1, self._stray)
        except frame.Garbage as error:
            self._garbage(str(error))
            return len(data), None
        if pdu is None:
            return used, None
        self.waiting = False
        answer = _Message(exp_devid, pdu, self._now_ns())
        answer.transaction_id = exp_tid
        return used, answer


class LineClient:
    """One connection to one line. `stray` is told of answers that fit nothing, `closed` when the line goes down."""

    def __init__(self, url: Url, now_ns: Callable[[], int], stray: OnStray, closed: Callable[[], None]) -> None:
        self._url, self._now_ns, self._stray, self._closed = url, now_ns, stray, closed
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._framer = _Framer(url.framed_rtu, now_ns, stray, self._end)
        self._why = ""

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.connected

    @property
    def unasked(self) -> int:
        """Octets at hand at most that came while no answer was awaited."""
        return self._framer.unasked

    async def connect(self, timeout_s: float) -> None:
        """Open the line; raises `LineDown` with the reason in words."""
        self.close()
        self._why = ""
        client = self._make(timeout_s)
        self._framer = _Framer(self._url.framed_rtu, self._now_ns, self._stray, self._end)
        client.ctx.framer = self._framer
        client.ctx.max_buffer_size = _BUFFER
        client.set_max_no_responses(_NEVER)
        try:
            await asyncio.wait_for(client.ctx.call_create(), timeout_s)
        except TimeoutError:
            raise LineDown(f"{self._url} does not take a connection within {timeout_s:g} s") from None
        except (OSError, ValueError, termios.error) as error:
            raise LineDown(f"{self._url}: {error}") from error
        self._client = client
        # A serial transport says that it is open one turn of the loop later.
        for _ in range(3):
            if client.connected:
                return
            await asyncio.sleep(0)

    def _make(self, timeout_s: float) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        url = self._url
        if url.serial:
            return AsyncModbusSerialClient(
                url.host,
                baudrate=url.baudrate,
                parity=url.parity,
                stopbits=url.stopbits,
                bytesize=url.bytesize,
                reconnect_delay=0,
                timeout=timeout_s,
                retries=0,
                trace_connect=self._trace,
            )
        framer = FramerType.RTU if url.framed_rtu else FramerType.SOCKET
        return AsyncModbusTcpClient(
            url.host,
            port=url.port,
            framer=framer,
            reconnect_delay=0,
            timeout=timeout_s,
            retries=0,
            trace_connect=self._trace,
        )

    async def ask(self, unit: int, request: Request, timeout_s: float) -> Answer:
        """Send and await the answer; raises `NoAnswer`, `LineDown`, `frame.Refusal` or `frame.Malformed`."""
        client = self._client
        if client is None or not client.connected:
            raise LineDown(self._why or f"{self._url} is not connected")
        client.ctx.comm_params.timeout_connect = timeout_s
        message = _Message(unit, request.pdu)
        self._framer.waiting = True
        try:
            answer = await client.execute(False, message)
        except ModbusException as error:
            if not client.connected:
                raise LineDown(self._why or f"{self._url} closed the connection") from error
            raise self._silence(client.ctx.recv_buffer, timeout_s) from error
        finally:
            self._framer.waiting = False
        return Answer(request.data(answer.payload), answer.time_ns)

    @staticmethod
    def _silence(rest: bytes, timeout_s: float) -> ModbusError:
        if rest:
            return frame.Malformed(f"only {len(rest)} bytes that are no whole answer came within {timeout_s:g} s")
        return NoAnswer(f"no answer within {timeout_s:g} s")

    def drain(self) -> bytes:
        """What came behind the answer and was not used; it is dropped."""
        if self._client is None:
            return b""
        rest, self._client.ctx.recv_buffer = self._client.ctx.recv_buffer, b""
        return bytes(rest)

    def close(self) -> None:
        """Close at once; what was not sent is dropped."""
        client, self._client = self._client, None
        if client is None:
            return
        transport = client.ctx.transport
        if transport is not None and not self._url.serial:
            transport.abort()  # type: ignore[attr-defined]
        client.close()

    def _trace(self, up: bool) -> None:
        if not up:
            self._fail_waiting(f"{self._url} closed the connection")
            self._closed()

    def _end(self, why: str) -> None:
        """Bytes that are no Modbus: where the next frame begins is unknown, so the connection goes."""
        client = self._client
        self._fail_waiting(f"{self._url} sent garbage: {why}")
        self._stray("garbage", -1)
        if client is not None:
            client.close()
        self._closed()

    def _fail_waiting(self, why: str) -> None:
        self._why = why
        client = self._client
        if client is not None and self._framer.waiting and not client.ctx.response_future.done():
            client.ctx.response_future.set_exception(ModbusException(why))
