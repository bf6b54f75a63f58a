"""Only the shell touches the world: everything else is bytes, numbers and `now` in, bytes and events out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "protocols" / "iec104"
SHELL = {"server", "link", "selftest", "memoryfile", "systemclock"}
FIELD_SHELL = {"driver", "simulator"}
WORLD = {"asyncio", "socket", "ssl", "time", "threading", "os", "select", "random"}
MODULES = sorted(path for path in PACKAGE.glob("*.py") if path.stem not in SHELL)
MODULES += sorted(path for path in (PACKAGE / "field").glob("*.py") if path.stem not in FIELD_SHELL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_pure_module_imports_nothing_of_the_world(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.partition(".")[0] for name in imported} & WORLD
