"""The supervisor's own socket, ``<state_dir>/run/supervisor.sock``: one JSON line asks, one answers.

``{"do": "status"}`` -> ``{"processes": [{"title", "pid", "ready", "age_s", "starts"}]}``
``{"do": "reload", "who": "...", "reason": "..."}`` -> ``{"ok": bool, "text": "...", "restarted": [...], ...}``, once it
is decided. Mode 0600; small; a client that is slow or talks nonsense is closed.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.feed.address import listening_socket, short_path

SOCKET: Final = "supervisor.sock"
_REQUEST_BYTES: Final = 4_096
_CLIENTS: Final = 8
_ASK_S: Final = 5.0


def supervisor_path(state_dir: Path) -> Path:
    """The supervisor's socket of the gateway that runs on this state directory."""
    return state_dir / "run" / SOCKET


class Caller:
    """One client."""

    def __init__(self, port: SupervisorPort, sock: socket.socket) -> None:
        self._port, self.sock = port, sock
        self.buffer = b""
        self.asked = False
        self.since = time.monotonic()

    def answer(self, facts: dict[str, Any]) -> None:
        """Say this and close; a client that does not take it has gone."""
        with contextlib.suppress(OSError):
            self.sock.setblocking(False)
            self.sock.send(json.dumps(facts).encode() + b"\n")
        self._port.drop(self)


class SupervisorPort:
    """Lives on the supervisor's selector. `ask` is called with every whole request; it answers when it can."""

    def __init__(
        self, path: Path, selector: selectors.BaseSelector, ask: Callable[[dict[str, Any], Caller], None]
    ) -> None:
        """Raises `OSError`."""
        self._selector, self._ask = selector, ask
        self._listening = listening_socket(path)
        self._listening.listen(_CLIENTS)
        self._listening.setblocking(False)
        self._path = path
        self._callers: set[Caller] = set()
        selector.register(self._listening, selectors.EVENT_READ, self)

    def close(self) -> None:
        """No more."""
        for caller in list(self._callers):
            self.drop(caller)
        self._selector.unregister(self._listening)
        self._listening.close()
        self._path.unlink(missing_ok=True)

    def ready(self, data: object) -> None:
        """Something is to be read: a new client, or what one has to say."""
        if isinstance(data, Caller):
            self._read(data)
            return
        with contextlib.suppress(OSError):
            sock, _ = self._listening.accept()
            sock.setblocking(False)
            caller = Caller(self, sock)
            if len(self._callers) >= _CLIENTS:
                sock.close()
                return
            self._callers.add(caller)
            self._selector.register(sock, selectors.EVENT_READ, caller)

    def sweep(self, now: float) -> None:
        """Clients that did not ask in time."""
        for caller in [each for each in self._callers if not each.asked and now - each.since > _ASK_S]:
            self.drop(caller)

    def drop(self, caller: Caller) -> None:
        """Close a client."""
        if caller in self._callers:
            self._callers.discard(caller)
            self._selector.unregister(caller.sock)
            caller.sock.close()

    def _read(self, caller: Caller) -> None:
        try:
            data = caller.sock.recv(_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or caller.asked:
            self.drop(caller)
            return
        caller.buffer += data
        if b"\n" not in caller.buffer:
            if len(caller.buffer) > _REQUEST_BYTES:
                self.drop(caller)
            return
        try:
            request = json.loads(caller.buffer.partition(b"\n")[0])
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            caller.answer({"ok": False, "text": 'a line like {"do": "status"} is expected'})
            return
        caller.asked = True
        self._ask(request, caller)


def ask_supervisor(state_dir: Path, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """One question from another process. Raises `OSError` when nobody answers, `ValueError` for nonsense."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        with short_path(supervisor_path(state_dir)) as address:
            sock.connect(address)
        sock.sendall(json.dumps(request).encode() + b"\n")
        with sock.makefile("rb") as file:
            line = file.readline(1 << 20)
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("the supervisor's answer is no JSON object")
    return answer
