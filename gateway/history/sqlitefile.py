"""SQLite files of the history: opened, checked, and their troubles named."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_FULL: Final = frozenset({sqlite3.SQLITE_FULL})
_WAL_BYTES: Final = 16 << 20


class DamagedHistory(Exception):
    """A file of the history is not what it should be. The text names it and says what was found."""


class DiskFull(OSError):
    """Nothing more can be written; what was written is whole."""


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """`DiskFull`, `DamagedHistory` or `OSError` in place of SQLite's own."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code & 0xFF in _FULL:
            raise DiskFull(f"{path}: {error}") from None
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise DamagedHistory(f"{path}: {error}") from None
        raise OSError(f"{path}: {error}") from None


def open_file(path: Path, kind: int, schema: Sequence[str], *, read_only: bool, durable: bool) -> sqlite3.Connection:
    """Open or create. `kind` marks the file (`PRAGMA application_id`); `durable`: a commit is on disk when it returns.

    Raises `FileNotFoundError`, `DamagedHistory`, `DiskFull` or `OSError`.
    """
    if read_only and not path.exists():
        raise FileNotFoundError(path)
    with named_errors(path):
        uri = path.absolute().as_uri() + ("?mode=ro" if read_only else "")
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            _prepare(db, path, kind, schema, read_only=read_only, durable=durable)
        except BaseException:
            db.close()
            raise
    return db


def _prepare(
    db: sqlite3.Connection, path: Path, kind: int, schema: Sequence[str], *, read_only: bool, durable: bool
) -> None:
    found, tables = _mark(db)
    if found != kind and tables:
        raise DamagedHistory(f"{path} is no file of the history of this version")
    if read_only and not tables:  # it is being made at this moment
        raise FileNotFoundError(path)
    if read_only:
        return
    path.chmod(0o600)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    if not tables:
        with transaction(db):
            for statement in schema:
                db.execute(statement)
            db.execute(f"PRAGMA application_id={kind}")


def _mark(db: sqlite3.Connection) -> tuple[int, int]:
    """Whose file it is and how many tables it has, both of one moment: somebody may be making it."""
    db.execute("BEGIN")
    try:
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (found,) = db.execute("PRAGMA application_id").fetchone()
        return int(found), int(tables)
    finally:
        db.execute("ROLLBACK")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


def set_aside(path: Path) -> Path:
    """Rename a file and its log out of the way; its new name."""
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.replace(aside)
    for ending in ("-wal", "-shm"):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + ending))
    return aside
