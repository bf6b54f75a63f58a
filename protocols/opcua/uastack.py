"""asyncua's `ua` types and binary writer, without its client and its server.

``import asyncua`` loads both, 18 MB and 0.15 s that this process never uses. The package is opened here as a bare
folder while its types are imported, and then forgotten: whoever imports asyncua itself later gets all of it, on the
same types. Every module of this package takes `ua` from here.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any, Final

_PARTS: Final = ("asyncua", "asyncua.common")


def _bare(name: str) -> None:
    spec = importlib.util.find_spec(name)
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations or ()) if spec else []
    sys.modules[name] = module


@contextlib.contextmanager
def bare_packages(names: Iterable[str]) -> Iterator[None]:
    """Within: these packages are folders whose own code has not run, unless somebody has imported them whole."""
    missing = [name for name in names if name not in sys.modules]
    for name in missing:
        _bare(name)
    with contextlib.suppress(KeyError):
        vars(sys.modules["asyncua"]).setdefault("ua", sys.modules["asyncua.ua"])
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)


def _load() -> tuple[Any, Any]:
    with bare_packages(_PARTS):
        return importlib.import_module("asyncua.ua"), importlib.import_module("asyncua.ua.ua_binary")


ua, _binary = _load()
Ids: Final = ua.ObjectIds
Codes: Final = ua.StatusCodes


def encode(structure: Any) -> bytes:
    """A structure in OPC UA Binary (Part 6, 5.2)."""
    encoded: bytes = _binary.struct_to_binary(structure)
    return encoded


def encode_type_id(identifier: int) -> bytes:
    """The node id in front of a message body, as asyncua writes it: four octets."""
    return bytes((1, 0)) + identifier.to_bytes(2, "little")


def type_hints(structure: type[Any]) -> dict[str, Any]:
    """Field name -> type, resolved, of one of asyncua's structures."""
    hints: dict[str, Any] = _binary.get_safe_type_hints(structure, {"ua": ua})
    return hints
