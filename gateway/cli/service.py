"""`gridgate service`: the systemd unit of a site, with this machine's paths."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final

from gateway.paths import shipped
from gateway.site.plan import SitePlan
from gateway.terminal import Exit, refuse

_NAME: Final = "gridgate.service"
_STATES: Final = Path("/var/lib")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


def service(plan: SitePlan, user: str, folder: Path | None) -> int:
    """Print the unit, or write it into `folder` and say what to do next."""
    if not _USER.fullmatch(user):
        return refuse(f"{user!r} cannot be a user of this machine: small letters, digits, _ and - expected")
    text = unit(plan.path.absolute(), plan.state_dir, user, _executable())
    if folder is None:
        sys.stdout.write(text)
        return Exit.DONE
    path = folder / _NAME
    if path.exists() and path.read_text() != text:
        return refuse(f"{path} exists and is another: it is not overwritten; compare it with gridgate service SITE")
    path.write_text(text)
    path.chmod(0o644)
    sys.stdout.write(
        f"{path}\nnext: systemd-sysusers {shipped('config/systemd/gridgate.sysusers.conf')}\n"
        f"      systemctl daemon-reload && systemctl enable --now {_NAME}\n"
    )
    return Exit.DONE


def unit(site: Path, state_dir: Path, user: str, executable: str) -> str:
    """The shipped unit with these paths."""
    replaced = {
        "ExecStart=": f"ExecStart={_word(executable)} run {_word(str(site))} --state-dir {_word(str(state_dir))}",
        "User=": f"User={user}",
        "Group=": f"Group={user}",
        "StateDirectory=": _state(state_dir),
        "ProtectHome=": _home(site, state_dir, executable),
    }
    lines = shipped(f"config/systemd/{_NAME}").read_text().splitlines()
    return "".join(_line(line, replaced) + "\n" for line in lines)


def _line(line: str, replaced: dict[str, str]) -> str:
    return next((new for key, new in replaced.items() if line.startswith(key)), line)


def _state(state_dir: Path) -> str:
    """systemd makes what lies below /var/lib; anything else must be there already."""
    if state_dir.is_relative_to(_STATES) and state_dir != _STATES:
        return f"StateDirectory={_word(str(state_dir.relative_to(_STATES)))}"
    return f"ReadWritePaths={_word(str(state_dir))}"


def _home(*paths: Path | str) -> str:
    """Homes are hidden, unless the site or the gateway lies in one."""
    homes = any(str(path).startswith(("/home/", "/root/", "/run/user/")) for path in paths)
    return f"ProtectHome={'read-only' if homes else 'yes'}"


def _word(text: str) -> str:
    """One word of a unit file: specifiers and quotes mean themselves."""
    safe = text.replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    return f'"{safe}"' if any(c in safe for c in " \t'\"\\;") else safe


def _executable() -> str:
    beside = Path(sys.executable).with_name("gridgate")
    return str(beside) if beside.exists() else shutil.which("gridgate") or "/usr/bin/gridgate"
