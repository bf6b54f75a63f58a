"""python-can's serial adapter (slcan), read in blocks: stock it makes two system calls for every character."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import can
import serial
from can.interfaces.slcan import slcanBus

MOST_LINE: Final = 256
"""Characters without an end: no line of an adapter is so long (64 bytes of CAN FD are 138)."""

_ENDS: Final = b"\r\a"
_FRAMES: Final = b"tTxrRdDbB"


class BlockSlcanBus(slcanBus):
    """The same, but `_read` takes all that waits at once."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._lines: deque[bytes] = deque()
        super().__init__(*arguments, **named)

    def _read(self, timeout: float | None) -> str | None:
        if not self._lines:
            self._take_block(timeout)
        return self._lines.popleft().decode("ascii") if self._lines else None

    def _take_block(self, timeout: float | None) -> None:
        port = self.serialPortOrig
        waited = serial.Timeout(timeout)
        try:
            while not self._lines:
                block = port.read(max(1, port.in_waiting))
                self._cut(block)
                if not block and waited.expired():
                    return
                if block and timeout == 0 and not port.in_waiting:
                    return
        except OSError as error:
            raise can.CanOperationError(f"Could not read from serial device: {error}") from error

    def _cut(self, block: bytes) -> None:
        """Lines with their end; what is left waits for the rest."""
        self._buffer += block
        start = 0
        for at, character in enumerate(self._buffer):
            if character in _ENDS:
                if self._buffer[start] in _FRAMES:  # what an adapter answers to orders is of no interest
                    self._lines.append(bytes(self._buffer[start : at + 1]))
                start = at + 1
        del self._buffer[:start]
        if len(self._buffer) > MOST_LINE:
            self._buffer.clear()
            raise can.CanOperationError("a line without an end")
