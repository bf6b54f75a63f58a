"""`gridgate user`: adds, lists and removes people of a site's users file, and sets their passwords.

A password comes from the terminal (asked for twice, not shown) or from standard input, never from the command line,
where every user of the machine could read it. With `--random` one is made and printed once; the person must choose an
own one at the first login.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.terminal import answer, refuse
from gateway.users.roles import Role

if TYPE_CHECKING:
    from gateway.site.plan import SitePlan
    from gateway.users.store import User

# ruff: noqa: PLC0415 - argon2 and YAML are loaded when the command runs

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
AddSite = Callable[[argparse.ArgumentParser], None]
Load = Callable[[argparse.Namespace], "SitePlan"]


def add_user_command(add: Add, add_site: AddSite, load: Load) -> None:
    """Put the command into the command line's parser."""
    command = add("user", lambda arguments: user(load(arguments), _options(arguments)), "people who may log in")
    command.add_argument("action", choices=list(_ACTIONS), help="what is to be done")
    add_site(command)
    command.add_argument("name", nargs="?", default="", help="the person's user name")
    command.add_argument(
        "--role", action="append", choices=[role.value for role in Role], help="add: may be given again; default viewer"
    )
    command.add_argument("--certificate", type=Path, metavar="FILE", help="add: of a user who logs in by certificate")
    command.add_argument(
        "--random", action="store_true", help="add, passwd: make a password and print it; it must be changed at login"
    )
    command.add_argument("--json", action="store_true", help="list: one JSON object a user")
    command.add_argument("--server", default="", help="whose users file, where the site has several; hmi: the HMI's")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserOptions:
    """What the person asked for."""

    action: str
    name: str = ""
    roles: frozenset[str] = frozenset()
    certificate: Path | None = None
    server: str = ""
    random: bool = False
    as_json: bool = False
    password: str = field(default="", repr=False)


def _options(arguments: argparse.Namespace) -> UserOptions:
    return UserOptions(
        action=arguments.action,
        name=arguments.name,
        roles=frozenset(arguments.role or ()),
        certificate=arguments.certificate,
        server=arguments.server,
        random=arguments.random,
        as_json=arguments.json,
    )


def user(plan: SitePlan, options: UserOptions) -> int:
    """Do it; returns the exit code."""
    from gateway.users.store import UserFileError, changed_users

    try:
        path = _users_file(plan, options.server)
        if options.action == "passwd" or (options.action == "add" and (options.random or not options.certificate)):
            # Before the file is locked: a person types as slowly as they like.
            options = replace(options, password=_password(options))
        with changed_users(path) as users:
            done = _ACTIONS[options.action](path, users, options)
    except UserFileError as error:
        return refuse(error)
    if options.as_json and options.action != "list":
        made = {"password": options.password} if options.random else {}
        answer("", {"user": options.name, "action": options.action, "file": str(path), **made}, options.as_json)
    else:
        sys.stdout.write(done)
    return 0


def screen_users(plan: SitePlan) -> Path | None:
    """The HMI's file of users; None: the site has no HMI."""
    if plan.screen is None:
        return None
    return Path(plan.screen.users) if plan.screen.users else plan.state_dir / "users.yaml"


def _users_file(plan: SitePlan, server: str) -> Path:
    from gateway.users.store import UserFileError

    named = {entry.name: getattr(entry.plan, "users", "") for entry in plan.servers}
    screen = screen_users(plan)
    if screen is not None:
        named["hmi"] = str(screen)
    files = {path for name, path in named.items() if path and server in ("", name)}
    if len(files) == 1:
        return Path(files.pop())
    if not files:
        raise UserFileError(f"{plan.path}: no server {server} with a key users:".replace("  ", " "))
    names = ", ".join(name for name, path in named.items() if path)
    raise UserFileError(f"{plan.path}: say whose users file with --server (one of {names})")


def _add(path: Path, users: dict[str, User], options: UserOptions) -> str:
    from gateway.users.store import NAME, User, UserFileError, hash_password

    if not NAME.fullmatch(options.name):
        raise UserFileError(
            "a user name has letters, digits and . _ @ - only, 64 at most, and begins with one of the first"
        )
    if options.name in users:
        raise UserFileError(f"user {options.name} exists already; gridgate user passwd sets another password")
    prints = (_fingerprint(options.certificate),) if options.certificate else ()
    roles = options.roles or frozenset((Role.VIEWER.value,))
    users[options.name] = User(
        name=options.name,
        roles=roles,
        password=hash_password(options.password) if options.password or not prints else "",
        certificates=prints,
        must_change=options.random,
    )
    return f"user {options.name} added: {', '.join(sorted(roles))} ({path})\n{_shown(options)}"


def _passwd(path: Path, users: dict[str, User], options: UserOptions) -> str:
    from gateway.users.store import hash_password

    known = _known(path, users, options.name)
    users[options.name] = replace(known, password=hash_password(options.password), must_change=options.random)
    return f"password of {options.name} set ({path})\n{_shown(options)}"


def _list(path: Path, users: dict[str, User], options: UserOptions) -> str:
    lines = []
    for name in sorted(users):
        known = _known(path, users, name)
        roles = [role.value for role in Role if role.value in known.roles]
        ways = ["password to be changed" if known.must_change else "password"] if known.password else []
        ways += ["certificate"] * len(known.certificates)
        if options.as_json:
            lines.append(json.dumps({"user": name, "roles": roles, "logs_in_by": ways}) + "\n")
            continue
        lines.append(f"{name:<24} {', '.join(roles):<24} {', '.join(ways) or 'cannot log in'}\n")
    return "".join(lines)


def _remove(path: Path, users: dict[str, User], options: UserOptions) -> str:
    _known(path, users, options.name)
    del users[options.name]
    return f"user {options.name} removed ({path})\n"


_ACTIONS: dict[str, Callable[[Path, dict[str, User], UserOptions], str]] = {
    "add": _add,
    "passwd": _passwd,
    "list": _list,
    "remove": _remove,
}


def _known(path: Path, users: dict[str, User], name: str) -> User:
    from gateway.users.store import UserFileError

    if name not in users:
        raise UserFileError(f"{path}: no user {name}")
    return users[name]


def _password(options: UserOptions) -> str:
    from gateway.users.store import random_password

    return random_password() if options.random else _asked_password()


def _shown(options: UserOptions) -> str:
    if not options.random:
        return ""
    return f"password, shown once: {options.password}\nat the first login an own one must be chosen\n"


def _asked_password() -> str:
    from gateway.users.store import UserFileError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise UserFileError("the two are not the same; nothing was changed")
    return password


def _fingerprint(path: Path) -> str:
    """SHA-256 over the DER of a certificate file, DER or PEM."""
    import hashlib
    import ssl

    from gateway.users.store import UserFileError

    try:
        data = path.read_bytes()
        der = ssl.PEM_cert_to_DER_cert(data.decode("ascii").strip()) if b"-----BEGIN" in data else data
    except (OSError, ValueError) as error:
        raise UserFileError(f"{path} cannot be read as a certificate: {error}") from None
    return hashlib.sha256(der).hexdigest()
