"""`gridgate backup`: configuration, state, journals, users in one file, with a hash of each part."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.site.files import common_root, config_files
from gateway.site.plan import SitePlan
from gateway.terminal import Progress, answer

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
_NOT_STATE: Final = frozenset({"run", "gateway.lock"})
_SQLITE: Final = b"SQLite format 3\x00"


class BackupError(Exception):
    """It cannot be saved or restored. The text says why."""


def backup(plan: SitePlan, out: Path, with_history: bool, as_json: bool = False) -> int:
    """Write the backup, mode 0600; a gateway that runs goes on. Raises `BackupError`, `OSError`."""
    # What lies in the state directory is saved as state, also where the site file names it.
    config = sorted(path for path in config_files(plan.path) if not path.is_relative_to(plan.state_dir))
    root = common_root(config)
    files = {f"config/{path.relative_to(root)}": path for path in config}
    left_out = "" if with_history or plan.history is None else str(plan.history.folder)
    files |= {f"state/{path.relative_to(plan.state_dir)}": path for path in _state_files(plan.state_dir, left_out)}
    fresh = out.with_name(out.name + ".new")
    hashes: dict[str, str] = {}
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
        with Progress("backup", len(files)) as progress:
            for name, path in files.items():
                hashes[name] = _add(tar, name, path)
                progress.step()
        about = {
            "format": FORMAT,
            "gridgate": __version__,
            "site": plan.name,
            "site_file": str(plan.path.relative_to(root)),
            "state_dir": os.path.relpath(plan.state_dir, plan.path.parent),
            "files": hashes,
        }
        _add_bytes(tar, MANIFEST, json.dumps(about, indent=1).encode(), 0o600)
    fresh.replace(out)
    size = out.stat().st_size
    words = f"{len(files):,} files in {out} ({size / 1e6:.1f} MB); it holds keys and users"
    answer(words, {"file": str(out), "files": len(files), "octets": size}, as_json)
    return 0


def _state_files(state_dir: Path, left_out: str) -> Iterator[Path]:
    for path in sorted(state_dir.rglob("*")):
        top = path.relative_to(state_dir).parts[0]
        if top in _NOT_STATE or (left_out and top == left_out) or not path.is_file() or path.is_symlink():
            continue
        if not path.name.endswith(("-wal", "-shm", ".new")):
            yield path


def _add(tar: tarfile.TarFile, name: str, path: Path) -> str:
    data = _content(path)
    _add_bytes(tar, name, data, path.stat().st_mode & 0o777)
    return hashlib.sha256(data).hexdigest()


def _content(path: Path) -> bytes:
    """A database as one whole copy, also while it is written to."""
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            file.seek(0)
            return file.read()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        uri = path.absolute().as_uri() + "?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy.read_bytes()


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))
