"""Test sheets on disk: one JSON file each, replaced in one step, mode 0600. What is ticked survives everything."""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hmi.commissioning.sheet import Sheet
from hmi.refusal import Refusal

MOST: Final = 200
_ID: Final = re.compile(r"[0-9]{8}-[0-9a-f]{8}")


class SheetStore:
    """Of one site."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fresh_id(self) -> str:
        """A name for a new sheet: its day and chance."""
        return f"{time.strftime('%Y%m%d')}-{secrets.token_hex(4)}"

    def names(self) -> list[str]:
        """All sheets, the newest first."""
        if not self._folder.is_dir():
            return []
        return sorted((path.stem for path in self._folder.glob("*.json") if _ID.fullmatch(path.stem)), reverse=True)

    def load(self, name: str) -> Sheet:
        """One sheet. Raises `Refusal`: 404 if there is none, 409 if its file is damaged."""
        if not _ID.fullmatch(name):
            raise Refusal(404, f"there is no test {name[:40]}")
        path = self._folder / f"{name}.json"
        try:
            return Sheet.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise Refusal(404, f"there is no test {name}") from None
        except (OSError, ValidationError) as error:
            raise Refusal(409, f"{path.name} cannot be read: {str(error).splitlines()[0]}") from None

    def save(self, sheet: Sheet) -> None:
        """Raises `Refusal` (507) when it cannot be written, or when there are too many already."""
        path = self._folder / f"{sheet.id}.json"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists() and len(self.names()) >= MOST:
                raise Refusal(409, f"there are {MOST} tests already: remove some")
            fresh = path.with_suffix(".new")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
                file.write(sheet.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise Refusal(507, f"the test cannot be kept: {error.strerror}") from None

    def remove(self, name: str) -> None:
        """Raises `Refusal` (404)."""
        self.load(name)
        (self._folder / f"{name}.json").unlink(missing_ok=True)
