"""A serial line on the loop: no thread, the port's descriptor is watched."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import serial

from protocols.dnp3.channel import Channel
from protocols.dnp3.plan import SerialPlan

if TYPE_CHECKING:
    from protocols.dnp3.server import Dnp3Server

_READ: Final = 4_096
REOPEN_S: Final = 3.0
MAX_WAITING: Final = 65_536
"""Octets that wait for the line; what comes beyond them is not sent, for nobody could take it in time."""


class SerialChannel(Channel):
    """One opened port, shared by every master of the server."""

    stream = False

    def __init__(self, server: Dnp3Server, plan: SerialPlan) -> None:
        """Raises `OSError` when the port cannot be opened."""
        super().__init__(server, plan.path)
        self._loop = asyncio.get_running_loop()
        self._port = serial.Serial(
            plan.path,
            baudrate=plan.baudrate,
            bytesize=plan.bytesize,
            parity=plan.parity,
            stopbits=plan.stopbits,
            timeout=0,
            write_timeout=0,
        )
        self._descriptor: int = self._port.fileno()
        self._waiting = bytearray()
        self._open = True
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._loop.add_reader(self._descriptor, self._readable)

    def drop(self, cause: str) -> None:
        self._end(cause, outgoing=True)

    def close(self) -> None:
        self._end("closed by the gateway", outgoing=True)

    def _write(self, data: bytes) -> None:
        if not self._open or len(self._waiting) + len(data) > MAX_WAITING:
            return
        if not self._waiting:
            self._loop.add_writer(self._descriptor, self._writable)
        self._waiting += data

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error))
            return
        if data:
            self.received(data)
        else:
            self._end("the device is gone")

    def _writable(self) -> None:
        try:
            written = os.write(self._descriptor, self._waiting)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error))
            return
        del self._waiting[:written]
        if not self._waiting:
            self._loop.remove_writer(self._descriptor)

    def _ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return (self.peer, 0), (self.peer, 0)

    def _end(self, cause: str, outgoing: bool = False) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._port.close()
        self.ended(outgoing, cause)
        if not self.closed.done():
            self.closed.set_result(cause)
