"""Configurations of before: kept with who, when and why; and the change of files that a reload has to confirm."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

from gateway.processes.reloads import RESULT
from gateway.site.files import digest_of, recover, replace_files
from hmi.engineering.secrets import is_private
from hmi.engineering.workspace import Workspace, difference
from hmi.refusal import Refusal

KEPT: Final = 50
_PENDING: Final = "pending.json"
_META: Final = "about.json"


class Versions:
    """Below ``<state_dir>/versions``. Every method may raise `Refusal`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.folder = workspace.state_dir / "versions"

    def numbers(self) -> list[int]:
        """All that are kept, the newest first."""
        if not self.folder.is_dir():
            return []
        return sorted((int(path.name) for path in self.folder.iterdir() if path.name.isdigit()), reverse=True)

    def about(self, number: int) -> dict[str, Any]:
        """Who replaced it, when, why, by what."""
        try:
            found: dict[str, Any] = json.loads((self._place(number) / _META).read_text())
        except (OSError, ValueError):
            raise Refusal(404, f"there is no version {number}") from None
        return found

    def files(self, number: int) -> dict[str, Path]:
        """Its files by name."""
        self.about(number)
        root = self._place(number) / "files"
        return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}

    def diff(self, number: int) -> list[dict[str, str]]:
        """From what runs to that version, file by file."""
        running, old, found = self._workspace.running()[1], self.files(number), []
        for name in sorted(running.keys() | old.keys()):
            now = running[name].read_bytes() if name in running else b""
            then = old[name].read_bytes() if name in old else b""
            if now == then:
                continue
            hidden = is_private(name, now) or is_private(name, then)
            found.append({"name": name, "diff": "(not shown)" if hidden else difference(name, now, then)})
        return found

    def put_in_place(self, who: str, reason: str) -> int:
        """Save what is there, put the candidate's files in its place. Returns the number of what was saved.

        Until `settle`, the change is pending: a reload has to take it over.
        """
        workspace = self._workspace
        changes = workspace.changes()
        if not changes:
            raise Refusal(409, "the candidate does not differ from what runs")
        root, running = workspace.running()
        number = max(self.numbers(), default=0) + 1
        try:
            saved = self._save(number, running, who, reason, sorted(changes))
            self._write_pending(number)
            kept = {name: data for name, data in changes.items() if data is not None}
            replace_files(workspace.site, root, kept, saved)
        except OSError as error:
            recover(workspace.site)
            (self.folder / _PENDING).unlink(missing_ok=True)
            raise Refusal(507, f"the files cannot be written: {error.strerror}") from None
        self._forget_old()
        return number

    def pending(self) -> int:
        """The number of the version to go back to while a change waits for its reload; 0: none waits."""
        try:
            return int(json.loads((self.folder / _PENDING).read_text())["number"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def settle(self) -> dict[str, Any] | None:
        """If the reload has come to its end: keep the files when it took them over, bring back the old ones otherwise.

        Returns the reload's result, None while it is not there.
        """
        number = self.pending()
        result = self.last_result()
        if not number:
            return result
        began = int(json.loads((self.folder / _PENDING).read_text())["time_ns"])
        if result is None or int(result.get("time_ns", 0)) < began:
            return None
        if not result.get("ok"):
            self._bring_back(number)
        (self.folder / _PENDING).unlink(missing_ok=True)
        if result.get("ok"):
            self._workspace.discard()
        return result

    def last_result(self) -> dict[str, Any] | None:
        """What became of the last reload."""
        try:
            found = json.loads((self._workspace.state_dir / "run" / RESULT).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def give_up(self) -> None:
        """Nobody takes the change over: the files of before come back."""
        number = self.pending()
        if number:
            self._bring_back(number)
            (self.folder / _PENDING).unlink(missing_ok=True)

    def _bring_back(self, number: int) -> None:
        root, _ = self._workspace.running()
        names = self.about(number)["changed"]
        saved = self._place(number) / "files"
        contents = {name: (saved / name).read_bytes() for name in names if (saved / name).is_file()}
        replace_files(self._workspace.site, root, contents, saved)

    def _save(self, number: int, running: dict[str, Path], who: str, reason: str, changed: list[str]) -> Path:
        place = self._place(number)
        files = place / "files"
        for name, path in running.items():
            target = files / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(path, target)
        meta = {
            "number": number,
            "time_ns": time.time_ns(),
            "by": who,
            "reason": reason,
            "changed": changed,
            "digest": digest_of(running),
        }
        with os.fdopen(os.open(place / _META, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(meta, file)
        return files

    def _write_pending(self, number: int) -> None:
        path = self.folder / _PENDING
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"number": number, "time_ns": time.time_ns()}, file)

    def _forget_old(self) -> None:
        for number in self.numbers()[KEPT:]:
            shutil.rmtree(self._place(number), ignore_errors=True)

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:06d}"
