"""The command line: ``gridgate COMMAND ...``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gateway import __version__
from gateway.cli.controlcommands import add_control_commands
from gateway.cli.historycommands import add_history_commands
from gateway.cli.reload import add_reload_command
from gateway.cli.setupcommands import add_setup_commands
from gateway.cli.users import add_user_command
from gateway.terminal import CommandParser, Exit, misused, refuse

if TYPE_CHECKING:
    from gateway.site.plan import SitePlan

# Each command imports what it needs when it runs: `gridgate run` is to stay small.
# ruff: noqa: PLC0415


def _load(arguments: argparse.Namespace) -> SitePlan:
    """The site's plan; prints every error and exits 1 when it is wrong."""
    from gateway.cli.siteof import load

    return load(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from gateway.cli.check import check

    return check(arguments.site, arguments.state_dir, arguments.json)


def _run(arguments: argparse.Namespace) -> int:
    from gateway.supervisor import run_site

    return run_site(arguments.site, arguments.state_dir)


def _demo(arguments: argparse.Namespace) -> int:
    from gateway.demo.command import run_demo

    return run_demo(arguments.site, arguments.state_dir, arguments.seed)


def _points(arguments: argparse.Namespace) -> int:
    from gateway.cli.points import show

    watch_s = arguments.interval if arguments.watch else None
    return _visit(lambda plan: asyncio.run(show(plan, arguments.filter, watch_s, arguments.json)), arguments)


def _act(arguments: argparse.Namespace) -> int:
    from gateway.cli.points import act
    from gateway.contracts.command import Action

    action = Action(arguments.action)
    value = getattr(arguments, "value", 0.0)
    return _visit(lambda plan: asyncio.run(act(plan, arguments.point, value, action, arguments.json)), arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from gateway.cli.doctor import doctor

    return _visit(lambda plan: doctor(plan, arguments.device, arguments.json), arguments)


def _docs(arguments: argparse.Namespace) -> int:
    from gateway.cli.docs import write_documents

    return write_documents(_load(arguments), arguments.out, arguments.json)


def _trace(arguments: argparse.Namespace) -> int:
    from gateway.cli.trace import TraceOptions, trace

    options = TraceOptions(
        master=arguments.master,
        follow=arguments.follow,
        pcap=arguments.pcap,
        as_json=arguments.json,
        full=arguments.full,
    )
    return _visit(lambda plan: trace(plan, options), arguments)


def _pki(arguments: argparse.Namespace) -> int:
    from gateway.cli.pki import PkiOptions, pki

    return pki(
        PkiOptions(
            folder=arguments.folder,
            masters=tuple(arguments.masters),
            hosts=tuple(filter(None, arguments.hosts.split(","))),
            revoke=tuple(filter(None, arguments.revoke.split(","))),
            days=arguments.days,
            as_json=arguments.json,
        )
    )


def _journal(arguments: argparse.Namespace) -> int:
    from gateway.cli.journal import JournalOptions, journal

    options = JournalOptions(arguments.master, arguments.limit, arguments.json)
    return _visit(lambda plan: journal(plan, options), arguments)


def _alarms(arguments: argparse.Namespace) -> int:
    from gateway.cli.alarms import AlarmOptions, alarms

    options = AlarmOptions(
        action=arguments.action,
        names=tuple(arguments.names),
        everything=arguments.all,
        watch_s=arguments.interval if arguments.watch else None,
        as_json=arguments.json,
        duration_s=arguments.duration,
        reason=arguments.reason,
    )
    return _visit(lambda plan: alarms(plan, options), arguments)


def _selftest_soe(arguments: argparse.Namespace) -> int:
    from gateway.cli.selftest import selftest_soe
    from gateway.soetest import SoeOptions

    options = SoeOptions(events=arguments.events, cuts=arguments.cuts, kills=arguments.kills, seed=arguments.seed)
    return _visit(lambda plan: selftest_soe(plan, arguments.master, options, arguments.json), arguments)


def _interlocks(arguments: argparse.Namespace) -> int:
    from gateway.cli.interlocks import InterlockOptions, interlocks

    options = InterlockOptions(
        action=arguments.action,
        name=arguments.name,
        minutes=arguments.minutes,
        reason=arguments.reason,
        as_json=arguments.json,
    )
    return _visit(lambda plan: interlocks(plan, options), arguments)


def _stop_all(arguments: argparse.Namespace) -> int:
    from gateway.cli.interlocks import stop_all

    return _visit(lambda plan: stop_all(plan, arguments.reason, arguments.json), arguments)


def _visit(main: Callable[[SitePlan], int], arguments: argparse.Namespace) -> int:
    """Run a command that visits the running gateway."""
    from gateway.cli.session import NotRunningError
    from gateway.log import setup

    setup("cli", "error")
    try:
        return main(_load(arguments))
    except NotRunningError as error:
        return refuse(error)


_ACTIONS = {
    "force": ("substitute", "force a measured point to a value (quality: substituted)"),
    "release": ("release", "end a force or a block: the field's value shows again"),
    "block": ("block", "hold a measured point at its present value (quality: blocked)"),
    "command": ("execute", "write a set-point or control through the broker, as a person on this machine"),
}
"""Command name -> the broker's action, and what it is for."""


_UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def _add_site(command: argparse.ArgumentParser, optional: bool = False) -> None:
    command.add_argument("site", type=Path, nargs="?" if optional else None, help="the site file (site.yaml)")
    command.add_argument("--state-dir", type=Path, help="use this instead of the site's state_dir")


def _add_action(command: argparse.ArgumentParser, action: str, with_value: bool) -> None:
    _add_site(command)
    command.add_argument("point", help="the point's full name")
    if with_value:
        command.add_argument("value", type=float, help="in engineering units; 0 or 1 for a binary or control")
    command.add_argument("--json", action="store_true", help="one JSON object: how it ended, and why")
    command.set_defaults(action=action)


def _add_operation(add: Callable[..., argparse.ArgumentParser]) -> None:
    checked = add("check", _check, "say what is wrong with a site's configuration, or what the site is")
    _add_site(checked)
    checked.add_argument("--json", action="store_true", help="one JSON object: what the site is, every problem")
    _add_site(add("run", _run, "serve a site in the foreground"))
    demo = add("demo", _demo, "serve a demo site with simulated devices")
    _add_site(demo, optional=True)
    demo.add_argument("--seed", type=int, default=1, help="seed of the simulated plant (default 1)")
    add_reload_command(add, _add_site, _visit)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command line, and each command's own."""
    parser = CommandParser(prog="gridgate", description="SCADA gateway for battery, solar and VPP sites")
    parser.add_argument("--version", action="version", version=f"gridgate {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, main: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(main=main)
        return command

    _add_operation(add)
    points = add("points", _points, "show live values, quality and age")
    _add_site(points)
    points.add_argument("filter", nargs="?", default="", help="part of a point name, or a pattern with * and ?")
    points.add_argument("--watch", action="store_true", help="show again and again until Ctrl-C")
    points.add_argument("--interval", type=float, default=1.0, metavar="S", help="with --watch: seconds (default 1)")
    points.add_argument("--json", action="store_true", help="one JSON object a point")
    examined = add("doctor", _doctor, "say why a device gives no or wrong values; reads only")
    _add_site(examined)
    examined.add_argument("device", help="the device's name")
    examined.add_argument("--json", action="store_true", help="one JSON object")
    docs = add("docs", _docs, "write each server's documents: interoperability statement, signal lists")
    _add_site(docs)
    docs.add_argument("--out", type=Path, default=Path("documents"), metavar="DIR", help="folder (default: documents)")
    docs.add_argument("--json", action="store_true", help="the files as a JSON list")
    _add_links(add)
    _add_pki(add("pki", _pki, "make certificates to try TLS with: an authority, the gateway's, each master's"))
    _add_control(add)
    _add_alarms(add("alarms", _alarms, "list alarms; ack, confirm, comment, shelve, unshelve, out, in"))
    _add_selftest(add("selftest", _selftest_soe, "prove on this machine that the configuration holds what it promises"))
    add_history_commands(add, _add_site)
    add_control_commands(add, _add_site)
    add_user_command(add, _add_site, _load)
    add_setup_commands(add, command_line)
    for name, (action, text) in _ACTIONS.items():
        _add_action(add(name, _act, text), action, with_value=name in ("force", "command"))
    return parser, dict(commands.choices)


def _add_links(add: Callable[..., argparse.ArgumentParser]) -> None:
    """``gridgate trace`` and ``gridgate journal``."""
    traced = add("trace", _trace, "show what went over a master's links, frame by frame, in words")
    _add_site(traced)
    traced.add_argument("master", help="the master's name, or SERVER/NAME")
    traced.add_argument("--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    traced.add_argument("--pcap", default="", metavar="FILE", help="write a capture for Wireshark too (- : only that)")
    traced.add_argument("--json", action="store_true", help="one JSON object a frame")
    traced.add_argument("--full", action="store_true", help="every object of a long frame")
    held = add("journal", _journal, "list what each master has not confirmed yet, from its journal on disk")
    _add_site(held)
    held.add_argument("master", nargs="?", default="", help="show the events of this one: its name, or SERVER/NAME")
    held.add_argument("--limit", type=int, default=20, metavar="N", help="events shown, oldest first (default 20)")
    held.add_argument("--json", action="store_true", help="one JSON object a master, or an event")


def _add_pki(command: argparse.ArgumentParser) -> None:
    """What follows ``gridgate pki``."""
    command.add_argument("folder", type=Path, help="what is missing in it is made")
    command.add_argument("masters", nargs="*", help="names of masters that are to have a certificate")
    command.add_argument("--hosts", default="", metavar="H,...", help="names and addresses of the gateway")
    command.add_argument("--revoke", default="", metavar="NAME,...", help="put these on the revocation list, renew it")
    command.add_argument("--days", type=int, default=365, help="how long new certificates hold (default 365)")
    command.add_argument("--json", action="store_true", help="one JSON object: the files, fingerprints of masters")


def _add_control(add: Callable[..., argparse.ArgumentParser]) -> None:
    """``gridgate interlocks`` and ``gridgate stop-all``."""
    stop = add("stop-all", _stop_all, "stop every unit at once, latched until a person resets it")
    _add_site(stop)
    stop.add_argument("--reason", required=True, help="why: for the record")
    stop.add_argument("--json", action="store_true", help="one JSON object")
    command = add("interlocks", _interlocks, "list interlocks; reset, ack, bypass, unbypass")
    _add_site(command)
    command.add_argument("action", nargs="?", default="", help="reset, ack, bypass, unbypass; left out: list")
    command.add_argument("name", nargs="?", default="", help="the interlock; left out with reset and ack: all")
    command.add_argument("--minutes", type=float, default=0.0, help="of a bypass: how long")
    command.add_argument("--reason", default="", help="of a bypass: why")
    command.add_argument("--json", action="store_true", help="one JSON object an interlock")


def _add_alarms(command: argparse.ArgumentParser) -> None:
    """What follows ``gridgate alarms``."""
    _add_site(command)
    command.add_argument("action", nargs="?", default="", help="what is to be done; nothing: list what is not normal")
    command.add_argument("names", nargs="*", metavar="NAME", help="alarms, or patterns with * for those not normal")
    command.add_argument("--all", action="store_true", help="list normal ones too; ack: every alarm in sight")
    command.add_argument("--watch", action="store_true", help="show again and again until Ctrl-C")
    command.add_argument("--interval", type=float, default=1.0, metavar="S", help="with --watch: seconds (default 1)")
    command.add_argument("--json", action="store_true", help="one JSON object an alarm")
    command.add_argument(
        "--for", dest="duration", type=_duration_s, default=0.0, metavar="T", help="shelve: 90s, 30m, 8h; else one shot"
    )
    command.add_argument("--reason", default="", metavar="TEXT", help="why; shelve and out need one")


def _add_selftest(command: argparse.ArgumentParser) -> None:
    """What follows ``gridgate selftest``."""
    command.add_argument("test", choices=["soe"], help="soe: the event buffer of a master, over cuts of its link")
    command.add_argument("site", type=Path, help="the site file (site.yaml)")
    command.add_argument("master", help="the master's name, or SERVER/NAME")
    command.add_argument("--events", type=_count, default=10_000, metavar="N", help="changes to make (default 10000)")
    command.add_argument("--cuts", type=_count, default=0, metavar="C", help="cuts of the link, at random octets")
    command.add_argument(
        "--kills", type=_count, default=0, metavar="K", help="kill -9 of the server, at random moments"
    )
    command.add_argument("--seed", type=int, default=1, help="decides what is random (default 1)")
    command.add_argument("--json", action="store_true", help="one JSON object")


def _duration_s(text: str) -> float:
    """``90s``, ``30m`` or ``30min``, ``8h`` in s."""
    unit = text.lstrip("0123456789.")
    if unit not in _UNITS_S:
        raise ValueError(text)
    return float(text.removesuffix(unit)) * _UNITS_S[unit]


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _tools(parser: argparse.ArgumentParser, words: list[str]) -> Callable[[list[str]], int] | None:
    """Commands of the protocols, looked for only where the gateway has none of that name: the one asked for, or None.

    They are told at the end of ``gridgate --help``.
    """
    from gateway import registry

    tools = registry.tools()
    if words and words[0] in tools:
        main: Callable[[list[str]], int] = registry.load(tools[words[0]].main)
        return main
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "commands of protocols:\n" + "\n".join(f"  {tool.name:<20}{tool.text}" for tool in tools.values())
    return None


def _unknown(word: str, commands: dict[str, argparse.ArgumentParser]) -> NoReturn:
    from gateway.contracts.places import nearest

    raise SystemExit(misused(f"there is no command {word}{nearest(word, commands)} (see: gridgate --help)"))


def command_line() -> tuple[argparse.ArgumentParser, dict[str, tuple[str, argparse.ArgumentParser]]]:
    """The gateway's parser, and text and parser of each command that a protocol brings."""
    from gateway import registry

    tools = {tool.name: tool for tool in registry.tools().values() if tool.parser}
    return _parser()[0], {name: (tool.text, registry.load(tool.parser)()) for name, tool in tools.items()}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code, see `gateway.terminal.Exit`."""
    words = sys.argv[1:] if argv is None else argv
    parser, commands = _parser()
    if not words or words[0] not in commands:
        tool = _tools(parser, words)
        if tool is not None:
            return tool(words[1:])
        if words and not words[0].startswith("-"):
            _unknown(words[0], commands)
    if words and words[0] in commands:
        # Options may stand between the positional words, which argparse does for a whole command only.
        arguments = commands[words[0]].parse_intermixed_args(words[1:])
    else:
        arguments = parser.parse_args(words)
    run: Callable[[argparse.Namespace], int] = arguments.main
    try:
        return run(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.DONE
    except OSError as error:
        return refuse(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
