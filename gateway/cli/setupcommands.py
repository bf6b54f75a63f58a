"""The commands that set a machine up: init, service, completion, man; their arguments and their mains."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.cli.tree import CommandLine

# Each command imports what it needs when it runs.
# ruff: noqa: PLC0415

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add_setup_commands(add: Add, command_line: Callable[[], CommandLine]) -> None:
    """Put the commands into the command line's parser; `command_line` gives the whole of it."""
    _add_init(add("init", _init, "write a starter site into a new folder: asks, or takes what the options say"))
    unit = add("service", _service, "print the systemd unit that serves a site, or install it")
    unit.add_argument("site", type=Path, help="the site file (site.yaml); its state_dir is where the unit may write")
    unit.add_argument("--user", default="gridgate", metavar="NAME", help="who runs it (default gridgate)")
    unit.add_argument("--install", type=Path, metavar="DIR", help="write it there, for example /etc/systemd/system")
    shell = add("completion", partial(_completion, command_line), "print the completion script of a shell")
    shell.add_argument("shell", choices=["bash", "zsh", "fish"], help="whose")
    add("man", partial(_man, command_line), "print the manual page (roff): gridgate man | man -l -")


def _add_init(command: argparse.ArgumentParser) -> None:
    """What follows ``gridgate init``. An option that is given is not asked for."""
    command.add_argument("folder", type=Path, metavar="DIR", help="a folder that does not exist or is empty")
    command.add_argument("--yes", action="store_true", help="ask nothing: what is not given is as in the demo plant")
    command.add_argument("--site", metavar="NAME", help="name of the site (default: the folder's)")
    command.add_argument("--state-dir", type=Path, metavar="DIR", help="where the site keeps its state (default: var)")
    command.add_argument(
        "--device",
        action="append",
        metavar="NAME=PROFILE@URL",
        help="a device, or none; again for more; profiles: pcs, meter, pv_inverter, pmu",
    )
    command.add_argument(
        "--iec104", action="append", metavar="NAME@ADDRESS,...", help="an IEC 104 master, or none; again for more"
    )
    command.add_argument("--iec104-listen", metavar="HOST:PORT", help="default: port 2404")
    command.add_argument(
        "--dnp3", action="append", metavar="NAME=LINK@ADDRESS,...", help="a DNP3 master, or none; again for more"
    )
    command.add_argument("--dnp3-listen", metavar="HOST:PORT", help="default: port 20000")
    command.add_argument("--opcua", metavar="HOST:PORT", help="where OPC UA clients come in, or no")
    command.add_argument("--history", action=argparse.BooleanOptionalAction, help="record every change")
    command.add_argument("--hmi", metavar="HOST:PORT", help="where the page for technicians is served, or no")
    command.add_argument("--json", action="store_true", help="one JSON object: the files")


def _init(arguments: argparse.Namespace) -> int:
    from gateway.cli.init import init

    return init(arguments)


def _service(arguments: argparse.Namespace) -> int:
    from gateway.cli.service import service
    from gateway.cli.siteof import load

    return service(load(arguments), arguments.user, arguments.install)


def _completion(command_line: Callable[[], CommandLine], arguments: argparse.Namespace) -> int:
    from gateway.cli.completion import SCRIPTS
    from gateway.cli.tree import whole

    sys.stdout.write(SCRIPTS[arguments.shell](whole(command_line())))
    return 0


def _man(command_line: Callable[[], CommandLine], arguments: argparse.Namespace) -> int:
    from gateway.cli.manpage import page
    from gateway.cli.tree import whole

    sys.stdout.write(page(whole(command_line())))
    return 0
