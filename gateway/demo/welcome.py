"""What `gridgate demo` tells a person who has never seen it: where to connect, what to try, how to stop."""

from __future__ import annotations

import csv
import math
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.cli.users import screen_users
from gateway.site.plan import ServerEntry, SitePlan
from gateway.users.roles import FIRST_USER

SHOWN: Final = (
    ("M_ME_TF_1", 4),
    ("M_SP_TB_1", 1),
    ("M_DP_TB_1", 1),
    ("C_SC_NA_1", 1),
    ("C_SE_NC_1", 1),
    ("AI", 2),
    ("BI", 1),
    ("BO", 1),
    ("AO", 1),
)
"""Of these types so many points are shown; the map holds the rest."""

C104_MASTER: Final = """\
      import c104, time
      client = c104.Client()
      link = client.add_connection(ip="{host}", port={port}, init=c104.Init.INTERROGATION)
      station = link.add_station(common_address={ca})
      setpoint = station.add_point(io_address={ioa}, type=c104.Type.C_SE_NC_1)
      client.start()
      while not link.is_connected:
          time.sleep(0.1)
      setpoint.value = {value}
      print("confirmed:", setpoint.transmit(cause=c104.Cot.ACTIVATION))
"""

BMS_ORDERS: Final = ("  cell_temp 62           a battery cell gets hot: derated, tripped; `cell_temp free` ends it",)
"""Where the site has the battery of the demo."""

Row = Mapping[str, str]


def first_password(plan: SitePlan, state_dir: Path | None = None) -> str:
    """Make the file of the HMI's users if there is none; returns the password of its first user, else an empty text.

    Raises `OSError` when it cannot be written.
    """
    users = screen_users(plan if state_dir is None else replace(plan, state_dir=state_dir.absolute()))
    if users is None:
        return ""
    from gateway.users.store import UserFileError, first_administrator  # noqa: PLC0415 - loads argon2

    try:
        return first_administrator(users)
    except UserFileError as error:
        raise OSError(str(error)) from None


def welcome(plan: SitePlan, state_dir: Path | None = None, password: str = "") -> str:
    """The text for this site; `state_dir` as given on the command line, `password` of a first user just made.

    Raises `OSError` for a file that is gone.
    """
    maps, links = _maps(plan.path), _link_addresses(plan.path)
    device = next(reversed(plan.device_drivers), "DEVICE")
    parts = [
        f"GridGate demo: site {plan.name}",
        f"  simulated devices  {', '.join(plan.device_drivers)}",
        "",
        *_page(plan, state_dir, password),
        "Connect to",
        *(
            line
            for server in plan.servers
            for line in _server(plan, server, maps.get(server.name, []), links.get(server.name, ""))
        ),
        "",
        "Try, in another terminal",
        *_tries(plan, state_dir, maps),
        "",
        "Type here, then Enter, to make something happen in the plant",
        "  frequency -0.5 10      the grid frequency falls by 0.5 Hz for 10 s; `frequency 49.5` holds it, then `free`",
        "  estop press            the emergency stop, latched: `estop release` here, then in another terminal",
        "                         `gridgate interlocks` with ack estop, with reset, and a start command",
        *(BMS_ORDERS if "bms1" in plan.device_drivers else ()),
        f"  unplug {device:<15} the device drops off the network; `plug {device}` brings it back",
        "",
        "Stop with Ctrl-C.",
        "",
    ]
    return "\n".join(parts)


def _page(plan: SitePlan, state_dir: Path | None, password: str) -> Iterator[str]:
    """Where the HMI is, and how to come in."""
    if plan.screen is None:
        return
    yield "Open in a browser"
    yield f"  {plan.screen.where}"
    if password:
        yield f"    user {FIRST_USER}, password {password} (shown this once; the page asks for one of your own)"
    else:
        yield f"    user {FIRST_USER}, with the password that you chose; one is forgotten? In another terminal:"
        yield f"    {_command()} user passwd {_site_words(plan, state_dir)} {FIRST_USER} --random --server hmi"
    yield ""


def _site_words(plan: SitePlan, state_dir: Path | None) -> str:
    """The site as a command takes it."""
    where = f" --state-dir {shlex.quote(str(_short(state_dir.absolute())))}" if state_dir is not None else ""
    return f"{shlex.quote(str(_short(plan.path)))}{where}"


def _maps(site: Path) -> dict[str, list[Row]]:
    """Rows of the map of the first master of each server."""
    described: Any = yaml.safe_load(site.read_text(encoding="utf-8-sig"))
    return {
        str(server["name"]): _rows(site.parent / server["masters"][0]["map"])
        for server in described.get("servers") or []
        if server.get("masters")
    }


def _link_addresses(site: Path) -> dict[str, str]:
    """Of servers that tell their masters apart by link address."""
    described: Any = yaml.safe_load(site.read_text(encoding="utf-8-sig"))
    return {
        str(server["name"]): f", outstation {server['outstation']}, master address {server['masters'][0]['address']}"
        for server in described.get("servers") or []
        if "outstation" in server and server.get("masters")
    }


def _rows(path: Path) -> list[Row]:
    lines = [
        line
        for line in path.read_text(encoding="utf-8-sig").splitlines()
        if line.strip(",; \t") and not line.startswith("#")
    ]
    delimiter = ";" if lines and ";" in lines[0] else ","
    return list(csv.DictReader(lines, delimiter=delimiter))


def _server(plan: SitePlan, server: ServerEntry, rows: list[Row], link: str) -> Iterator[str]:
    addresses = ", ".join(dict.fromkeys(row["ca"] for row in rows if row.get("ca")))
    common = f", common address {addresses}" if addresses else ""
    yield f"  {server.protocol:<8} {server.listen}{common}{link}, as master {' or '.join(server.masters)}"
    for row in _examples(rows):
        known = plan.catalogue.rows.get(row["point"])
        unit = plan.catalogue.units[known] if known is not None else ""
        yield f"    {_address(row)} {row['point']}{f' [{unit}]' if unit else ''}"
    shown = len(_examples(rows))
    if rows and len(rows) > shown:
        yield f"    and {len(rows) - shown} more"


def _address(row: Row) -> str:
    """Where a point stands: object address of IEC 104, or type and index of DNP3."""
    if row.get("ioa"):
        return f"ioa {row['ioa']:>6}  {row['type']:<10}"
    return f"{row['type']:<3} {row['index']:>6}  {row.get('event') or '':<10}"


def _examples(rows: list[Row]) -> list[Row]:
    with_address = [row for row in rows if (row.get("ioa") or row.get("index")) and row.get("type")]
    return [row for kind, most in SHOWN for row in [row for row in with_address if row["type"] == kind][:most]]


def _tries(plan: SitePlan, state_dir: Path | None, maps: dict[str, list[Row]]) -> Iterator[str]:
    site, command = _site_words(plan, state_dir), _command()
    yield f"  {command} points {site} --watch"
    yield "      live values, quality and age"
    setpoints = [row for rows in maps.values() for row in rows if row.get("type") == "C_SE_NC_1"]
    if not setpoints:
        return
    point = setpoints[0]["point"]
    value = _example_value(plan, point)
    yield f"  {command} command {site} {point} {value:g}"
    yield "      a set-point through the gateway: watch the power follow"
    for server in plan.servers:
        if setpoints[0] in maps.get(server.name, []):
            yield "  the same from a master of IEC 60870-5-104 (pip install c104), in python:"
            host, _, port = server.listen.rpartition(":")
            yield C104_MASTER.format(
                host=host, port=port, ca=setpoints[0]["ca"], ioa=setpoints[0]["ioa"], value=value
            ).rstrip()


def _command() -> str:
    """How this installation's `gridgate` is called from here: by name only where the search path leads to it."""
    script = Path(sys.executable).with_name("gridgate")
    if not script.exists():
        return f"{shlex.quote(str(_short(Path(sys.executable))))} -m gateway"
    found = shutil.which("gridgate")
    return "gridgate" if found is not None and Path(found) == script else shlex.quote(str(_short(script)))


def _example_value(plan: SitePlan, point: str) -> float:
    """Three fifths of the way up the range: something to see, and allowed."""
    row = plan.catalogue.rows.get(point)
    high = math.nan if row is None else float(plan.catalogue.high[row])
    return round(0.6 * high, 1) if math.isfinite(high) else 1.0


def _short(path: Path) -> Path:
    """Relative to the working directory where that is shorter to type."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
