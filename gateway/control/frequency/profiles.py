"""Profiles of frequency response: defaults of a droop entry, rules to warn by, clauses to test; `config/profiles`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.paths import shipped

DEFAULT: Final = "iegc"
_FOLDER: Final = "profiles"


class ProfileError(Exception):
    """The profile cannot be used. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One step of a test: `hz` is shown for `hold_s`; from `within_s` on the change of power must be as said."""

    clause: str
    hz: float
    hold_s: float
    within_s: float = 0.0
    tolerance_percent: float | None = None
    at_least_percent: float | None = None
    at_most_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the settings should hold: at `deviation_hz` below nominal at least `at_least_percent`; and so on."""

    text: str
    deviation_hz: float = 0.0
    at_least_percent: float = 0.0
    droop_percent: tuple[float, float] | None = None
    deadband_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`droop`: keys of a droop entry that hold where the site says nothing."""

    name: str
    title: str
    droop: dict[str, Any]
    rules: tuple[Rule, ...]
    clauses: tuple[Clause, ...]


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the gateway."""
    return sorted(path.stem for path in (shipped("config") / _FOLDER).glob("*.yaml"))


def load_profile(name: str, folder: Path) -> Profile:
    """A shipped profile by its name, or a file (relative to `folder`). Raises `ProfileError`."""
    own = name.endswith((".yaml", ".yml"))
    path = folder / name if own else shipped("config") / _FOLDER / f"{name}.yaml"
    if not own and name not in shipped_profiles():
        raise ProfileError(f"there is no profile {name}: expected {', '.join(shipped_profiles())} or a file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Profile(
            name=name,
            title=str(content["title"]),
            droop=dict(content["droop"]),
            rules=tuple(_rule(rule) for rule in content.get("rules", ())),
            clauses=tuple(Clause(**clause) for clause in content.get("clauses", ())),
        )
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ProfileError(f"{path} is no profile: {error}") from None


def _rule(content: dict[str, Any]) -> Rule:
    pair = content.get("droop_percent")
    return Rule(**(content | {"droop_percent": None if pair is None else (float(pair[0]), float(pair[1]))}))
