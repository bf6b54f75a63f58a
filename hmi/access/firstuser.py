"""The first administrator of a new gateway: shown once to whoever starts it, never kept in clear."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway.contracts.log import Log
from gateway.users.roles import FIRST_USER
from gateway.users.store import UserFileError, first_administrator


def first_user(path: Path, where: str, site: Path, log: Log) -> None:
    """Make the first administrator where there are no users yet, if the password can be shown to a person.

    It goes to the terminal alone. A log (of systemd, of a container, a file) keeps what it is given: there it is left
    to `gridgate user`, on the terminal of a person.
    """
    if path.exists():
        return
    if not sys.stderr.isatty() or os.environ.get("GRIDGATE_LOG", "text") != "text":
        command = f"gridgate user add {site} {FIRST_USER} --role administrator --random --server hmi"
        log.warning("nobody can log in yet", make_the_first_administrator=command)
        return
    try:
        password = first_administrator(path)
    except UserFileError as error:
        log.error("the first user cannot be made", cause=str(error))
        return
    if password:
        sys.stderr.write(
            f"\n  The page for technicians: {where}\n  First user: {FIRST_USER}   password: {password}\n"
            "  Shown this once. The first login asks for an own password.\n\n"
        )
        sys.stderr.flush()
        log.info("first administrator made", user=FIRST_USER)
