"""Finds protocol packages: folders of the `protocols` package and entry points of group `gridgate.protocols`.

A package names what it offers in its ``__init__``: ``FIELD = FieldProtocol(...)`` and/or ``GRID = GridProtocol(...)``.
An entry point names such a module. Only these small modules are imported to know the names; settings, driver and
server are imported when they are asked for with `load`. A folder wins over an entry point of the same name.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, TypeVar

from gateway.contracts import FieldProtocol, GridProtocol, Tool, nearest
from gateway.contracts.screen import Screen

PACKAGE: Final = "protocols"
GROUP: Final = "gridgate.protocols"
SCREEN_OFFER: Final = "hmi:SCREEN"

_Offer = TypeVar("_Offer", FieldProtocol, GridProtocol)


class UnknownProtocol(LookupError):
    """No installed package offers this; the text names those that do."""


def field(name: str) -> FieldProtocol:
    """The field protocol `name`; raises `UnknownProtocol`."""
    offer = getattr(_folder(name), "FIELD", None)
    return offer if isinstance(offer, FieldProtocol) else _get(name, "driver", _offers("FIELD", FieldProtocol))


def grid(name: str) -> GridProtocol:
    """The grid protocol `name`; raises `UnknownProtocol`."""
    offer = getattr(_folder(name), "GRID", None)
    return offer if isinstance(offer, GridProtocol) else _get(name, "server protocol", _offers("GRID", GridProtocol))


def field_names() -> list[str]:
    """Names of the installed drivers, sorted."""
    return sorted(_offers("FIELD", FieldProtocol))


def grid_names() -> list[str]:
    """Names of the installed server protocols, sorted."""
    return sorted(_offers("GRID", GridProtocol))


def screen() -> Screen:
    """The HMI; raises `UnknownProtocol` when it is not installed."""
    try:
        found: Screen = load(SCREEN_OFFER)
    except ImportError as error:
        raise UnknownProtocol(f"the HMI is not installed: {error}") from None
    return found


def tools() -> dict[str, Tool]:
    """Commands that field protocols bring along, by name."""
    offers = _offers("FIELD", FieldProtocol)
    return {tool.name: tool for name in sorted(offers) for tool in offers[name].tools}


def load(target: str) -> Any:
    """Import ``module:attribute``. Raises `ImportError`, also when the attribute is missing."""
    module_name, _, attribute = target.partition(":")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ImportError(f"module {module_name} has no {attribute}") from None


def forget() -> None:
    """Look again at the next question (after packages were added or removed)."""
    _modules.cache_clear()


def _folder(name: str) -> Any:
    """The package of this name in our own folder, which wins; None when there is none, or it cannot be imported."""
    module_name = f"{PACKAGE}.{name}"
    try:
        there = name.isidentifier() and importlib.util.find_spec(module_name)
        return importlib.import_module(module_name) if there else None
    except ImportError:
        return None


def _get(name: str, what: str, offers: Mapping[str, _Offer]) -> _Offer:
    if name in offers:
        return offers[name]
    broken = _modules()[1]
    if name in broken:
        raise UnknownProtocol(f"the package of {what} {name} cannot be imported: {broken[name]}")
    installed = ", ".join(sorted(offers)) or "none"
    raise UnknownProtocol(f"no {what} {name} is installed{nearest(name, offers)}; installed: {installed}")


def _offers(attribute: str, kind: type[_Offer]) -> dict[str, _Offer]:
    modules = _modules()[0]
    offers = ((name, getattr(module, attribute, None)) for name, module in modules.items())
    return {name: offer for name, offer in offers if isinstance(offer, kind)}


def _sources() -> Iterator[tuple[str, str]]:
    import importlib.metadata  # noqa: PLC0415 - a process that asks for one folder of ours does without it

    for entry in importlib.metadata.entry_points(group=GROUP):
        yield entry.name, entry.module
    try:
        package = importlib.import_module(PACKAGE)
    except ImportError:
        return
    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            yield module.name, f"{PACKAGE}.{module.name}"


@cache
def _modules() -> tuple[dict[str, Any], dict[str, str]]:
    """Modules by protocol name, and why others could not be imported."""
    found: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for name, module_name in _sources():
        try:
            found[name] = importlib.import_module(module_name)
        except ImportError as error:
            broken[name] = str(error)
    return found, {name: why for name, why in broken.items() if name not in found}
