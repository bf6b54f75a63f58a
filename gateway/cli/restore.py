"""`gridgate restore`: a backup into an empty folder; everything is checked before anything is written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from gateway.cli.backup import FORMAT, MANIFEST, BackupError
from gateway.config import load_site, render
from gateway.contracts.places import ConfigError
from gateway.terminal import Progress, answer


def restore(file: Path, folder: Path, as_json: bool = False) -> int:
    """Restore and check the site; 1 when its configuration has errors here. Raises `BackupError`, `OSError`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupError(f"{folder} is not empty: a backup is restored into an empty folder, then moved or run there")
    about = _check(file)
    site = folder / "config" / about["site_file"]
    state_dir = (site.parent / about["state_dir"]).resolve()
    if not state_dir.is_relative_to(folder.resolve()):
        state_dir = folder.resolve() / "state"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = len(about["files"])
    with tarfile.open(file) as tar, Progress("restore", count) as progress:
        for member in tar:
            if member.name != MANIFEST:
                _write(tar, member, folder, state_dir)
                progress.step()
    words = f"{count:,} files of site {about['site']} restored\nsite file {site}\nstate in {state_dir}"
    facts = {"site": about["site"], "files": count, "site_file": str(site), "state_dir": str(state_dir)}
    answer(words, facts, as_json)
    return _check_site(site)


def _check(file: Path) -> dict[str, Any]:
    """Read the whole backup against its manifest."""
    try:
        with tarfile.open(file) as tar:
            hashes = {member.name: _hash(tar, member) for member in tar}
            manifest = tar.extractfile(MANIFEST)
            about: dict[str, Any] = json.loads(manifest.read()) if manifest is not None else {}
        files = dict(about["files"])
        site_file = str(about["site_file"])
    except (tarfile.TarError, zlib.error, EOFError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{file} is no whole backup: {error}") from None
    if about.get("format") != FORMAT:
        raise BackupError(f"{file} is a backup of format {about.get('format')}, this gateway reads {FORMAT}")
    hashes.pop(MANIFEST, None)
    for name in sorted(hashes.keys() | files.keys()):
        if not _safe(name):
            raise BackupError(f"{file} holds a file that would lie elsewhere: {name}")
        if hashes.get(name) != files.get(name):
            raise BackupError(f"{file} is damaged: {name} is not what was saved")
    if f"config/{site_file}" not in files:
        raise BackupError(f"{file} holds no site file {site_file}")
    return about


def _safe(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        not path.is_absolute()
        and ".." not in path.parts
        and path.parts[0] in ("config", "state")
        and len(path.parts) > 1
    )


def _hash(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = tar.extractfile(member) if member.isfile() else None
    if content is None:
        raise ValueError(f"{member.name} is no file")
    digest = hashlib.sha256()
    while chunk := content.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, state_dir: Path) -> None:
    top, _, rest = member.name.partition("/")
    path = state_dir / rest if top == "state" else folder / "config" / rest
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = tar.extractfile(member)
    if content is None:
        raise BackupError(f"{member.name} is no file")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o700 | 0o600)
    with os.fdopen(handle, "wb") as out:
        shutil.copyfileobj(content, out)
        out.flush()
        os.fsync(out.fileno())


def _check_site(site: Path) -> int:
    try:
        load_site(site)
    except ConfigError as error:
        sys.stderr.write(f"restored, but the configuration has errors here:\n{render(error.report)}\n")
        return 1
    return 0
