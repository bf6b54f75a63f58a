"""A controlling station in a thread, for stories told in a browser: starts, interrogates, acknowledges."""

from __future__ import annotations

import contextlib
import socket
import threading

STARTDT, TESTFR_ACT, TESTFR_CON = "680407000000", "680443000000", "680483000000"


class Threaded104:
    """Connected for as long as the block lasts."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port), timeout=20)
        self._socket.settimeout(None)
        self._sent = self._received = 0
        self._lock = threading.Lock()
        self.frames: list[bytes] = []
        """I frames as they came."""
        self._thread = threading.Thread(target=self._hear, daemon=True)

    def __enter__(self) -> Threaded104:
        self._socket.sendall(bytes.fromhex(STARTDT))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def interrogate(self, common_address: int = 1) -> None:
        """C_IC_NA_1, the whole station."""
        self.send(bytes((100, 1, 6, 0)) + common_address.to_bytes(2, "little") + bytes((0, 0, 0, 20)))

    def send(self, asdu: bytes) -> None:
        """One I frame."""
        with self._lock:
            numbers = (self._sent << 1).to_bytes(2, "little") + (self._received << 1).to_bytes(2, "little")
            self._sent += 1
            self._socket.sendall(bytes((0x68, len(asdu) + 4)) + numbers + asdu)

    def _hear(self) -> None:
        buffer = b""
        while True:
            try:
                data = self._socket.recv(65_536)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while len(buffer) >= 2 and len(buffer) >= buffer[1] + 2:
                frame, buffer = buffer[: buffer[1] + 2], buffer[buffer[1] + 2 :]
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            if frame.hex() == TESTFR_ACT:
                self._socket.sendall(bytes.fromhex(TESTFR_CON))
            elif not frame[2] & 1:
                self.frames.append(frame)
                self._received = (self._received + 1) % 32_768
                self._socket.sendall(bytes((0x68, 4, 1, 0)) + (self._received << 1).to_bytes(2, "little"))
