"""The commands about what is kept: export, archive, backup, restore; their arguments and their mains."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from gateway.terminal import refuse

# Each command imports what it needs when it runs.
# ruff: noqa: PLC0415

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
AddSite = Callable[[argparse.ArgumentParser], None]


def add_history_commands(add: Add, add_site: AddSite) -> None:
    """Put the commands into the command line's parser."""
    exported = add("export", _export, "write recorded samples to a file: CSV, Excel or Parquet")
    add_site(exported)
    exported.add_argument(
        "--points", default="*", metavar="P,...", help="names or patterns with * and ? (default: all)"
    )
    _add_range(exported)
    exported.add_argument("--format", choices=["csv", "xlsx", "parquet"], default="csv", help="default: csv")
    exported.add_argument("--every", type=float, metavar="S", help="mean, lowest and highest of every so many seconds")
    exported.add_argument("--out", type=Path, metavar="FILE", help="default: standard output (csv)")
    kept = add("archive", _archive, "read the archive of events, alarms and actions, or verify that nobody edited it")
    add_site(kept)
    kept.add_argument("what", choices=["soe", "alarm", "action", "verify"], help="what to list, or verify")
    _add_range(kept)
    kept.add_argument("--json", action="store_true", help="one JSON object a line (default: CSV)")
    saved = add("backup", _backup, "save configuration, state, journals and users into one file")
    add_site(saved)
    saved.add_argument("file", type=Path, help="the file to write, for example backup.tar.gz")
    saved.add_argument("--history", action="store_true", help="with the recorded history")
    saved.add_argument("--json", action="store_true", help="one JSON object")
    restored = add("restore", _restore, "put a backup into an empty folder, checked before anything is written")
    restored.add_argument("file", type=Path, help="the backup")
    restored.add_argument("folder", type=Path, help="a folder that does not exist or is empty")
    restored.add_argument("--json", action="store_true", help="one JSON object")


def _add_range(command: argparse.ArgumentParser) -> None:
    text = "2026-11-25, 2026-11-25T10:00:00Z (without a zone: this machine's), 24h, 30m, 7d (ago), now"
    command.add_argument("--from", dest="start", default="24h", metavar="T", help=f"{text} (default: 24h)")
    command.add_argument("--to", dest="end", default="now", metavar="T", help="the same (default: now)")


def _told(error: Exception) -> int:
    return refuse(error)


def _export(arguments: argparse.Namespace) -> int:
    from gateway.cli.export import ExportError, ExportOptions, export
    from gateway.cli.siteof import load
    from gateway.cli.timespan import TimeError, span
    from gateway.history.sqlitefile import DamagedHistory

    plan = load(arguments)
    try:
        start_ns, end_ns = span(arguments.start, arguments.end)
        options = ExportOptions(
            patterns=tuple(filter(None, arguments.points.split(","))),
            start_ns=start_ns,
            end_ns=end_ns,
            format=arguments.format,
            every_s=arguments.every,
            out=arguments.out,
        )
        return export(plan, options)
    except (ExportError, TimeError, DamagedHistory, OSError) as error:
        return _told(error)


def _archive(arguments: argparse.Namespace) -> int:
    from gateway.cli.archive import list_events, verify
    from gateway.cli.siteof import load
    from gateway.cli.timespan import TimeError, span
    from gateway.history.sqlitefile import DamagedHistory

    plan = load(arguments)
    try:
        if arguments.what == "verify":
            return verify(plan, arguments.json)
        return list_events(plan, arguments.what, *span(arguments.start, arguments.end), arguments.json)
    except (TimeError, DamagedHistory, OSError, ValueError) as error:
        return _told(error)


def _backup(arguments: argparse.Namespace) -> int:
    from gateway.cli.backup import BackupError, backup
    from gateway.cli.siteof import load

    try:
        return backup(load(arguments), arguments.file, arguments.history, arguments.json)
    except (BackupError, OSError) as error:
        return _told(error)


def _restore(arguments: argparse.Namespace) -> int:
    from gateway.cli.backup import BackupError
    from gateway.cli.restore import restore

    try:
        return restore(arguments.file, arguments.folder, arguments.json)
    except (BackupError, OSError) as error:
        return _told(error)
