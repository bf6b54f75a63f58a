"""Where the feed's socket lies, also under a path too long for a Unix socket address."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SOCKET_NAME: Final = "feed.sock"
_LONGEST: Final = 100


def socket_path(state_dir: Path) -> Path:
    """The feed's socket of the gateway that runs on this state directory."""
    return state_dir / "run" / SOCKET_NAME


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A path for bind or connect: `path` itself, or a way round by a directory handle when it is too long."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def listening_socket(path: Path) -> socket.socket:
    """A Unix socket at `path`, mode 0600 in a directory of mode 0700; one left by a dead process is replaced."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(path) as address:
        sock.bind(address)
    path.chmod(0o600)
    return sock
