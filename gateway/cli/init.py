"""`gridgate init`: asks a few questions, or takes flags, and writes a starter site into an empty folder."""

from __future__ import annotations

import argparse
import ipaddress
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from gateway.cli.check import check
from gateway.cli.starter import PROFILES, Device, Master, Wishes, files
from gateway.paths import shipped
from gateway.terminal import Exit, answer, refuse

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
DEMO: Final = ("pcs1=pcs@tcp://127.0.0.1:5020", "meter=meter@tcp://127.0.0.1:5021")
IEC104: Final = ("sldc-main@127.0.0.1",)
DNP3: Final = ("rldc-main=1@127.0.0.1",)
OPCUA: Final = "127.0.0.1:4840"
HMI: Final = "127.0.0.1:8080"


_Named = TypeVar("_Named", Device, Master)


class InitError(Exception):
    """Not to be made from this. The text is for a person."""


def init(arguments: argparse.Namespace) -> int:
    """Write the site and check it; returns the exit code."""
    folder: Path = arguments.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return refuse(f"{folder} is not empty: a site is written into a new or empty folder, nothing is overwritten")
    try:
        asking = not arguments.yes and sys.stdin.isatty()
        wishes = _wishes(arguments, _asked if asking else _default)
    except InitError as error:
        return refuse(error)
    maps = {profile.map: shipped(f"pointmaps/devices/{profile.map}").read_text() for profile in PROFILES.values()}
    written = [_write(folder / name, text) for name, text in files(wishes, maps).items()]
    site = folder / "site.yaml"
    if arguments.json:
        answer("", {"site": str(site), "files": [str(path) for path in written]}, as_json=True)
        return Exit.DONE
    sys.stdout.write("".join(f"{path}\n" for path in written) + "\n")
    code = check(site, None, as_json=False)
    if code != Exit.DONE:
        return code
    sys.stdout.write(f"\nnext: gridgate run {site}\n      gridgate points {site} --watch\n")
    if wishes.hmi or wishes.opcua:
        sys.stdout.write(f"users: gridgate user add {site} admin --role administrator --random\n")
    return code


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path


# -- what is wished ------------------------------------------------------------------------------------------------

Ask = Callable[[str, str], str]
"""(question, default) -> the person's word."""


def _asked(question: str, default: str) -> str:
    sys.stderr.write(f"{question} [{default or 'none'}]: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise InitError("the answers ended: nothing was written")
    return line.strip() or default


def _default(question: str, default: str) -> str:
    return default


def _wishes(arguments: argparse.Namespace, ask: Ask) -> Wishes:
    site = arguments.site or ask("name of the site", _named(arguments.folder))
    kinds = ", ".join(PROFILES)
    devices = _several(arguments.device, ask, f"devices, NAME=PROFILE@URL ({kinds})", DEMO)
    iec104 = _several(arguments.iec104, ask, "IEC 104 masters, NAME@ADDRESS,...", IEC104)
    dnp3 = _several(arguments.dnp3, ask, "DNP3 masters, NAME=LINK@ADDRESS,...", DNP3)
    return Wishes(
        site=_name(site, "the site"),
        state_dir=str(arguments.state_dir or "var"),
        devices=_distinct(tuple(map(device, devices))),
        iec104=_distinct(tuple(master(word, linked=False) for word in iec104)),
        dnp3=_distinct(tuple(master(word, linked=True) for word in dnp3)),
        iec104_listen=_listen(arguments.iec104_listen),
        dnp3_listen=_listen(arguments.dnp3_listen),
        opcua=_listen(_where(arguments.opcua, ask, "OPC UA server at", OPCUA)),
        history=_yes(arguments.history, ask, "record a history"),
        hmi=_listen(_where(arguments.hmi, ask, "page for technicians at", HMI)),
    )


def _named(folder: Path) -> str:
    name = folder.absolute().name
    return name if NAME.fullmatch(name) else "site"


def _several(given: list[str] | None, ask: Ask, question: str, default: tuple[str, ...]) -> list[str]:
    words = given if given is not None else ask(f"{question}; blanks between, none for none", " ".join(default)).split()
    return [] if words in (["none"], ["no"]) else words


def _where(given: str | None, ask: Ask, question: str, default: str) -> str:
    word = given if given is not None else ask(f"{question} (HOST:PORT, or no)", default)
    return "" if word in ("no", "none", "n") else default if word in ("yes", "y") else word


def _yes(given: bool | None, ask: Ask, question: str) -> bool:
    if given is not None:
        return given
    word = ask(f"{question} (yes, no)", "yes").lower()
    if word not in ("yes", "y", "no", "n"):
        raise InitError(f"{question}: {word} is neither yes nor no")
    return word.startswith("y")


# -- words checked -------------------------------------------------------------------------------------------------


def device(text: str) -> Device:
    """``NAME=PROFILE@URL``; an address alone is given the scheme and the usual port."""
    name, has_name, rest = text.partition("=")
    profile, has_url, url = rest.partition("@")
    if not (has_name and has_url and url):
        raise InitError(f"device {text}: expected NAME=PROFILE@URL, for example {DEMO[0]}")
    if profile not in PROFILES:
        raise InitError(f"device {text}: there is no profile {profile}; one of {', '.join(PROFILES)} is expected")
    if "://" not in url:
        url = f"tcp://{url}" if ":" in url else f"tcp://{url}:{PROFILES[profile].port}"
    return Device(name=_name(name, f"device {text}"), profile=profile, url=url)


def master(text: str, linked: bool) -> Master:
    """``NAME@ADDRESS,...``, with ``NAME=LINK`` before the ``@`` for DNP3."""
    shape = "NAME=LINK@ADDRESS,..." if linked else "NAME@ADDRESS,..."
    head, has_address, rest = text.partition("@")
    name, _, link = head.partition("=")
    addresses = tuple(filter(None, rest.split(",")))
    if not has_address or not addresses or (link and not linked):
        raise InitError(f"master {text}: expected {shape}")
    for address in addresses:
        try:
            ipaddress.ip_network(address)
        except ValueError:
            raise InitError(f"master {text}: {address} is no address or network, such as 10.1.2.0/24") from None
    if link and not (link.isdigit() and int(link) <= 65519):
        raise InitError(f"master {text}: {link} is no link address, 0 to 65519")
    return Master(name=_name(name, f"master {text}"), addresses=addresses, link=int(link or 1))


def _distinct(named: tuple[_Named, ...]) -> tuple[_Named, ...]:
    names = [each.name for each in named]
    for name in names:
        if names.count(name) > 1:
            raise InitError(f"{name} is there twice: each needs a name of its own")
    return named


def _name(text: str, of: str) -> str:
    if not NAME.fullmatch(text):
        raise InitError(f"{of}: {text!r} is no name: a letter, then letters, digits, _ . - are expected")
    return text


def _listen(text: str | None) -> str:
    host, colon, port = (text or "").rpartition(":")
    if text and not (colon and host and port.isdigit() and 0 <= int(port) < 65536):
        raise InitError(f"{text}: expected HOST:PORT, for example {HMI}")
    return text or ""
