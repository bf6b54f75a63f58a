"""Sessions over an orderly restart of this process, such as a changed configuration asks for: nobody must log in again.

A file of mode 0600 below ``run``, read once and removed; it holds digests of the sessions' tokens, never the tokens.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

from gateway.contracts.log import Log
from hmi.access.sessions import Sessions

_YOUNG_S: Final = 60.0
_NAME: Final = "sessions.json"


def hand_over(sessions: Sessions, run: Path, log: Log) -> None:
    """Keep the sessions for the next process."""
    path = run / _NAME
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"at_s": time.monotonic(), "sessions": sessions.facts()}, file)
    except OSError as error:
        log.warning("sessions are not handed over: people log in again", cause=str(error))


def take_over(sessions: Sessions, run: Path) -> None:
    """Sessions of the process before, if it ended just now; by the machine's monotonic clock."""
    path = run / _NAME
    try:
        told = json.loads(path.read_text())
        path.unlink()
        if 0 <= time.monotonic() - float(told["at_s"]) <= _YOUNG_S:
            sessions.restore(told["sessions"])
    except (OSError, ValueError, KeyError, TypeError):
        return
