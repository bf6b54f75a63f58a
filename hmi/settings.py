"""The `hmi:` section of site.yaml. Imported only while a site is checked."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.contracts.places import Report
from gateway.contracts.settings import Strict
from gateway.sitesection import Section
from hmi.plan import HmiPlan


class HmiSettings(Strict):
    """`hmi:`."""

    listen: str = "127.0.0.1:8080"
    users: str = ""
    idle_min: Annotated[float, Field(ge=1, le=24 * 60)] = 15
    longest_h: Annotated[float, Field(gt=0, le=24 * 7)] = 12
    hosts: list[str] = Field(default_factory=list)
    drawing: str = ""


class HmiSection:
    """How the section is read; see `gateway.contracts.screen.ScreenSettings`."""

    model = HmiSettings

    @staticmethod
    def compile(settings: HmiSettings, section: Section, folder: Path, report: Report) -> HmiPlan:
        """The plan; problems go to `report`."""
        host, port = _endpoint(settings.listen, section, report)
        drawing = _file(settings.drawing, folder, "drawing", section, report)
        return HmiPlan(
            host=host,
            port=port,
            users=str((folder / settings.users).resolve()) if settings.users else "",
            idle_s=settings.idle_min * 60,
            longest_s=settings.longest_h * 3600,
            hosts=tuple(settings.hosts),
            drawing=drawing,
        )


def _endpoint(listen: str, section: Section, report: Report) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        if not 0 <= int(port) <= 65_535:
            raise ValueError
    except ValueError:
        report.error(section.key_place("listen"), f"listen is {listen!r}: an IP address and a port, as 127.0.0.1:8080")
        return "127.0.0.1", 0
    return host, int(port)


def _file(name: str, folder: Path, key: str, section: Section, report: Report) -> str:
    if not name:
        return ""
    path = (folder / name).resolve()
    if not path.is_file():
        report.error(section.key_place(key), f"{key}: no file {path}")
    return str(path)
