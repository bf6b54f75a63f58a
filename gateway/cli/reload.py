"""`gridgate reload`: a running gateway takes over the changed configuration of its site."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.terminal import Exit, refuse

if TYPE_CHECKING:
    from gateway.site.plan import SitePlan

_WAIT_S: Final = 150.0
Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
Visit = Callable[[Callable[["SitePlan"], int], argparse.Namespace], int]


def add_reload_command(add: Add, add_site: Callable[[argparse.ArgumentParser], None], visit: Visit) -> None:
    """Put the command into the parser; `visit` loads the site and runs what it is given with the plan."""

    def main(arguments: argparse.Namespace) -> int:
        return visit(lambda plan: reload_site(plan, arguments), arguments)

    command = add("reload", main, "take over a changed configuration: what differs is started anew, the rest goes on")
    add_site(command)
    command.add_argument("--reason", default="", help="for the log")
    command.add_argument("--json", action="store_true", help="the answer as one JSON object")


def reload_site(plan: SitePlan, arguments: argparse.Namespace) -> int:
    """Ask the supervisor; 0 when the new configuration serves, 1 when it does not. Raises `NotRunningError`."""
    from gateway.cli.session import NotRunningError  # noqa: PLC0415
    from gateway.processes.port import ask_supervisor  # noqa: PLC0415

    request = {"do": "reload", "who": getpass.getuser(), "reason": arguments.reason}
    try:
        answer = ask_supervisor(plan.state_dir, request, _WAIT_S)
    except (OSError, ValueError):
        raise NotRunningError(f"no gateway runs on {plan.state_dir} (start it with: gridgate run SITE)") from None
    if arguments.json:
        sys.stdout.write(json.dumps(answer) + "\n")
    elif answer.get("ok"):
        words = ("restarted", "added", "removed")
        changed = [f"{word}: {', '.join(answer[word])}" for word in words if answer.get(word)]
        sys.stdout.write("\n".join(changed or ["nothing differs: everything goes on"]) + "\n")
    if not answer.get("ok"):
        return refuse(answer.get("text", "the reload was refused"))
    return Exit.DONE
