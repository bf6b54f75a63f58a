"""The files that a site's configuration is made of, and their replacement as a whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

JOURNAL: Final = ".gridgate-replacing.json"
"""Beside the site file while its files are being replaced: where the ones from before lie."""


def config_files(site: Path) -> Iterator[Path]:
    """The site file and every file or folder that a text in it names. Raises `OSError`, `yaml.YAMLError`."""
    yield site
    document = yaml.safe_load(site.read_text(encoding="utf-8-sig"))
    for text in _texts(document):
        path = (site.parent / text).resolve() if text and len(text) < 1_000 and "\n" not in text else None
        if path is None or path == site:
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and text not in (".", "/") and (path / "..").resolve() == site.parent.resolve():
            yield from (inner for inner in path.rglob("*") if inner.is_file() and not _is_state(path))


def common_root(files: list[Path]) -> Path:
    """The folder below which all of them lie."""
    return Path(os.path.commonpath([path.parent for path in files]))


def digest_of(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def replace_files(site: Path, root: Path, contents: Mapping[str, bytes], saved: Path) -> None:
    """Put `contents` (by name below `root`) in the place of the files there.

    `saved` is a folder that holds the files of before, by the same names. Whenever this is cut off, `recover` brings
    them back. Raises `OSError`.
    """
    journal = site.parent / JOURNAL
    names = sorted(contents)
    _write(journal, json.dumps({"root": str(root), "saved": str(saved), "names": names}).encode(), 0o600)
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        _write(target, contents[name], mode)
    journal.unlink()


def recover(site: Path) -> bool:
    """Undo a replacement that was cut off; True if there was one. Raises `OSError`, `ValueError`."""
    journal = site.parent / JOURNAL
    try:
        told: dict[str, Any] = json.loads(journal.read_bytes())
    except FileNotFoundError:
        return False
    root, saved = Path(told["root"]), Path(told["saved"])
    for name in told["names"]:
        before = saved / name
        if before.is_file():
            _write(root / name, before.read_bytes(), before.stat().st_mode & 0o777)
        else:
            (root / name).unlink(missing_ok=True)
    journal.unlink()
    return True


def _write(path: Path, data: bytes, mode: int) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_state(folder: Path) -> bool:
    return (folder / "gateway.lock").exists() or (folder / "run").is_dir()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
