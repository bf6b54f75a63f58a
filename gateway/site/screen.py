"""The `hmi:` section, checked with the model of the HMI's package; and the rights of the roles of its people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway import registry
from gateway.contracts import Report
from gateway.contracts.screen import SCREEN
from gateway.contracts.settings import Strict
from gateway.points.model import Kind, PointCatalogue
from gateway.site.section import Section
from gateway.users.roles import Role

_HOLDERS: Final = (Role.ENGINEER, Role.ADMINISTRATOR)


class ScreenSettings(Protocol):
    """How the section `hmi:` is read."""

    model: type[Strict]

    def compile(self, settings: Any, section: Section, folder: Path, catalogue: PointCatalogue, report: Report) -> Any:
        """Check; return a picklable plan with a `listen: str`. `folder` is that of the site file."""
        ...


def check_screen(top: Section, folder: Path, catalogue: PointCatalogue, report: Report) -> Any:
    """The HMI's own plan; None without the section, or when it is wrong (reported)."""
    if top.value.get("hmi") is None:
        return None
    try:
        settings: ScreenSettings = registry.load(registry.screen().settings)
    except (registry.UnknownProtocol, ImportError) as error:
        report.error(top.key_place("hmi"), str(error))
        return None
    section = top.inner("hmi")
    checked = section.validate(settings.model, report)
    return None if checked is None else settings.compile(checked, section, folder, catalogue, report)


def screen_rights(catalogue: PointCatalogue) -> dict[tuple[str, str], NDArray[np.uint32]]:
    """Rows that each role may command: every role but the viewer's all of them."""
    commanded = [kind for kind in Kind if kind.commanded]
    rows = np.flatnonzero(np.isin(catalogue.kinds, commanded)).astype(np.uint32)
    return {(SCREEN, role.value): rows for role in Role if role.commands}


def screen_holders() -> frozenset[tuple[str, str]]:
    """Roles that may force and block measured points."""
    return frozenset((SCREEN, role.value) for role in _HOLDERS)
