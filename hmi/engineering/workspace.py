"""The candidate: a copy of the configuration's files to be changed, checked and compared. Reads and writes files."""

from __future__ import annotations

import difflib
import io
import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from gateway.processes.childprocess import child_command, compile_environment
from gateway.site.files import common_root, config_files, digest_of
from hmi.engineering.secrets import is_private, masked, unmasked
from hmi.refusal import Refusal

KINDS: Final = frozenset({".yaml", ".yml", ".csv", ".dbc", ".svg", ".json", ".txt", ".md", ".xml"})
FILE_BYTES: Final = 4 << 20
FILES: Final = 500
_CANDIDATE: Final = "candidate"
_INSTALLED: Final = "installed"
"""Names of one length: then the octets of plans that name them compare (see `gateway.site.check`)."""
_ABOUT: Final = ".about.json"
_CHECK_S: Final = 60.0


class Workspace:
    """Of one site. Every method may raise `Refusal`."""

    def __init__(self, site: Path, state_dir: Path) -> None:
        self.site, self.state_dir = site, state_dir
        self.folder = state_dir / _CANDIDATE

    # -- what runs -------------------------------------------------------------------------------------------------

    def running(self) -> tuple[Path, dict[str, Path]]:
        """The common root and every file below it by name."""
        try:
            files = [path.resolve() for path in config_files(self.site)]
        except (OSError, yaml.YAMLError) as error:
            raise Refusal(409, f"the site's files cannot be read: {error}") from None
        root = common_root(files)
        return root, {str(path.relative_to(root)): path for path in sorted(set(files))}

    def digest(self) -> str:
        """SHA-256 of the configuration that lies in the site's folder."""
        return digest_of(self.running()[1])

    # -- the candidate ---------------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether there is a candidate."""
        return (self.folder / _ABOUT).is_file()

    def about(self) -> dict[str, Any]:
        """Who began it and when."""
        if not self.begun:
            return {}
        found: dict[str, Any] = json.loads((self.folder / _ABOUT).read_text())
        return found

    def begin(self, who: str) -> None:
        """A fresh candidate: the files as they run."""
        self.discard()
        self._copy_running(self.folder)
        (self.folder / _ABOUT).write_text(json.dumps({"by": who, "time_ns": time.time_ns()}))

    def discard(self) -> None:
        """No candidate."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def names(self) -> list[str]:
        """Files of the candidate."""
        self._must_be_begun()
        found = (path for path in self.folder.rglob("*") if path.is_file() and path.name != _ABOUT)
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def text(self, name: str, which: str) -> str:
        """A file's text without its secrets."""
        path = self._file(name) if which == "candidate" else self.running()[1].get(name)
        if path is None or not path.is_file():
            raise Refusal(404, f"there is no file {name}")
        data = path.read_bytes()
        if is_private(name, data):
            raise Refusal(403, f"{name} holds keys or passwords: it is not shown here")
        if len(data) > FILE_BYTES:
            raise Refusal(413, f"{name} has more than {FILE_BYTES >> 20} MB")
        try:
            return masked(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            return masked(data.decode("cp1252", "replace"))

    def write(self, name: str, text: str) -> None:
        """Replace a file of the candidate, or add one."""
        self._must_be_begun()
        path = self._file(name)
        if path.suffix.lower() not in KINDS:
            raise Refusal(422, f"{name}: files of a configuration end in {', '.join(sorted(KINDS))}")
        if path.is_file() and is_private(name, path.read_bytes()):
            raise Refusal(403, f"{name} holds keys or passwords: it is not changed here")
        if not path.exists() and len(self.names()) >= FILES:
            raise Refusal(409, f"a configuration has at most {FILES} files here")
        before = path.read_bytes().decode("utf-8-sig", "replace") if path.is_file() else ""
        try:
            whole = unmasked(text, before)
        except ValueError as error:
            raise Refusal(422, str(error)) from None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole.encode())

    def remove(self, name: str) -> None:
        """Take a file out of the candidate."""
        path = self._file(name)
        if not path.is_file():
            raise Refusal(404, f"there is no file {name}")
        path.unlink()

    def upload(self, octets: bytes) -> list[str]:
        """Files of a ZIP archive into the candidate; all or none. Returns their names."""
        try:
            with zipfile.ZipFile(io.BytesIO(octets)) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
                if len(entries) > FILES or sum(entry.file_size for entry in entries) > 8 * FILE_BYTES:
                    raise Refusal(413, "the archive is too large for a configuration")
                texts = {entry.filename: archive.read(entry).decode("utf-8-sig") for entry in entries}
        except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise Refusal(422, f"this is no ZIP archive of text files: {error}") from None
        for name in texts:
            self._file(name)
        for name, text in texts.items():
            self.write(name, text)
        return sorted(texts)

    def load(self, files: Mapping[str, Path], who: str) -> None:
        """A candidate from other files, such as those of an earlier version."""
        self.begin(who)
        for name in self.names():
            if name not in files:
                (self.folder / name).unlink()
        for name, path in files.items():
            target = self._file(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def changes(self) -> dict[str, bytes | None]:
        """Files that differ from those that run: their contents, None where the candidate has none."""
        running = self.running()[1]
        found: dict[str, bytes | None] = {}
        for name in self.names():
            data = (self.folder / name).read_bytes()
            if name not in running or running[name].read_bytes() != data:
                found[name] = data
        return found | {name: None for name in running if not (self.folder / name).is_file()}

    def diff(self) -> list[dict[str, str]]:
        """Unified differences, file by file, without secrets."""
        running, found = self.running()[1], []
        for name, data in self.changes().items():
            old = running[name].read_bytes() if name in running else b""
            if is_private(name, old) or is_private(name, data or b""):
                found.append({"name": name, "diff": "(not shown: it holds keys or passwords)"})
                continue
            found.append({"name": name, "diff": difference(name, old, data or b"")})
        return found

    def _must_be_begun(self) -> None:
        if not self.begun:
            raise Refusal(409, "there is no candidate: begin one first")

    def _file(self, name: str) -> Path:
        """Where a file of the candidate lies; never outside of it."""
        pure = PurePosixPath(name)
        parts = pure.parts
        if not name or pure.is_absolute() or ".." in parts or "\\" in name or "\0" in name or name == _ABOUT:
            raise Refusal(422, f"{name[:80]!r} is no name of a file of the configuration")
        if any(part.startswith(".") for part in parts) or len(name) > 200:
            raise Refusal(422, f"{name[:80]!r} is no name of a file of the configuration")
        path = self.folder / pure
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise Refusal(422, f"{name[:80]!r} leads out of the configuration")
        return path

    def _copy_running(self, folder: Path) -> None:
        _, files = self.running()
        try:
            for name, path in files.items():
                target = folder / name
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                target.chmod(0o600)
        except OSError as error:
            raise Refusal(507, f"the candidate cannot be written: {error.strerror}") from None

    # -- its check -------------------------------------------------------------------------------------------------

    def check(self) -> dict[str, Any]:
        """Problems of the candidate, and what would become of the running gateway."""
        self._must_be_begun()
        root, _ = self.running()
        name = str(self.site.resolve().relative_to(root))
        installed = self.state_dir / _INSTALLED
        shutil.rmtree(installed, ignore_errors=True)
        try:
            self._copy_running(installed)
            found, now = self._checked(self.folder / name, self.folder), self._checked(installed / name, installed)
        finally:
            shutil.rmtree(installed, ignore_errors=True)
        if found.get("ok") and now.get("ok"):
            found["impact"] = impact(now, found)
        for key in ("points", "digests", "rights", "bindings"):
            found.pop(key, None)
        return found

    @staticmethod
    def _checked(site: Path, root: Path) -> dict[str, Any]:
        command = child_command("gateway.process", "check", str(site), str(root))
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=compile_environment(),
                timeout=_CHECK_S,
                check=False,
            )
            found: dict[str, Any] = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            raise Refusal(504, f"the check took more than {_CHECK_S:.0f} s") from None
        except ValueError:
            text = done.stderr.decode(errors="replace").strip().splitlines()
            raise Refusal(409, f"the check itself failed: {text[-1] if text else 'no word'}") from None
        return found


def difference(name: str, old: bytes, new: bytes) -> str:
    """One file's unified difference, without secrets."""
    texts = [masked(data.decode("utf-8-sig", "replace")).splitlines(keepends=True) for data in (old, new)]
    lines = difflib.unified_diff(texts[0], texts[1], f"running/{name}", f"candidate/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def impact(now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """What differs between two checked sites."""
    old, new = now["digests"], then["digests"]
    before, after = now["points"], then["points"]
    return {
        "restarted": [title for title in new if title in old and old[title] != new[title]],
        "added": [title for title in new if title not in old],
        "removed": [title for title in old if title not in new],
        "unchanged": [title for title in new if old.get(title) == new[title]],
        "points_added": sorted(after.keys() - before.keys())[:1_000],
        "points_removed": sorted(before.keys() - after.keys())[:1_000],
        "points_changed": sorted(name for name in after.keys() & before.keys() if after[name] != before[name])[:1_000],
        "rights": _differences(now["rights"], then["rights"]),
        "bindings": _differences(now["bindings"], then["bindings"]),
    }


def _differences(old: Mapping[str, int], new: Mapping[str, int]) -> list[str]:
    return [
        f"{name}: {old.get(name, 0):,} -> {new.get(name, 0):,}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def restrict(path: Path) -> None:
    """A folder for its owner only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(path, 0o700)  # noqa: PTH101 - also where it was there already
