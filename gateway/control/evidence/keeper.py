"""Keeps evidence on disk: excursions, and which settings held. A thread of its own touches the disk."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.contracts.log import Log
from gateway.control.evidence.files import FOLDER, StoredExcursion, name_of, save

_STOP_S: Final = 2.0
_HELD: Final = 100
ATTESTATION: Final = "settings.json"


class EvidenceKeeper:
    """In ``<state_dir>/control``: `excursions/` and `settings.json`, the settings of the last start with their hash."""

    def __init__(self, directory: Path, log: Log) -> None:
        self._directory, self._log = directory, log
        self._waiting: queue.Queue[StoredExcursion | None] = queue.Queue(_HELD)
        self._thread = threading.Thread(target=self._write_all, name="evidence", daemon=True)

    def start(self, attestation: str, settings: Mapping[str, Any]) -> None:
        """Attest the settings, in the log and on disk; begin to keep. Raises `OSError`."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self._before()
        self._log.info("control settings", sha256=attestation)
        if before is not None and before.get("sha256") != attestation:
            changed = _changed(before.get("settings", {}), settings)
            self._log.warning("control settings have changed since the last start", changed=changed)
        self._attest({"sha256": attestation, "settings": settings})
        self._thread.start()

    def keep(self, excursions: Sequence[StoredExcursion]) -> None:
        """Take what is complete; what does not fit is told and given up."""
        for stored in excursions:
            try:
                self._waiting.put_nowait(stored)
            except queue.Full:
                self._log.error("an excursion was not kept: the disk is too slow", excursion=name_of(stored.excursion))

    def stop(self, excursions: Sequence[StoredExcursion] = ()) -> None:
        """Write what is waiting, and these."""
        self.keep(excursions)
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _before(self) -> dict[str, Any] | None:
        try:
            content = json.loads((self._directory / ATTESTATION).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def _attest(self, content: Mapping[str, Any]) -> None:
        fresh = self._directory / "settings.new"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=1, default=str)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._directory / ATTESTATION)

    def _write_all(self) -> None:
        while (stored := self._waiting.get()) is not None:
            try:
                path = save(self._directory / FOLDER, stored)
            except OSError as error:
                self._log.error("an excursion was not kept", excursion=name_of(stored.excursion), cause=str(error))
            else:
                self._log.info("excursion kept", excursion=path.stem)


def _changed(before: Any, now: Any, at: str = "") -> str:
    """Which settings differ, with both values."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = sorted({*before, *now}, key=str)
        parts = [_changed(before.get(key), now.get(key), f"{at}.{key}".lstrip(".")) for key in keys]
        return "; ".join(part for part in parts if part)
    before, now = json.loads(json.dumps(before, default=str)), json.loads(json.dumps(now, default=str))
    return "" if before == now else f"{at}: {before} -> {now}"
