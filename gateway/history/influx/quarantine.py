"""Samples that the server refuses, with its reason, in a file for a person: nothing is lost, nothing is blocked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FILE_NAME: Final = "refused.lp"
MAX_BYTES: Final = 50 << 20


class Quarantine:
    """Line protocol below comments with the reason; a full file makes way for a new one, the one before is kept."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._reason = ""

    def put(self, line: str, reason: str) -> None:
        """Append. Raises `OSError`."""
        if self.path.exists() and self.path.stat().st_size > MAX_BYTES:
            self.path.replace(self.path.with_suffix(".old.lp"))
            self._reason = ""
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            if reason != self._reason:
                file.write(f"# {' '.join(reason.split())}\n")
                self._reason = reason
            file.write(line + "\n")
