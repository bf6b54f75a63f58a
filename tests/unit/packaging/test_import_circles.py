"""No module needs another that needs it: the order in which things can be understood, tested and moved."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
ROOTS = ("gateway", "protocols", "hmi")


def modules() -> dict[str, Path]:
    """Every module of ours by name; a package goes by the name of its folder."""
    found = {}
    for root in ROOTS:
        for path in (REPO / root).rglob("*.py"):
            parts = path.relative_to(REPO).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of every import, inside functions too; what is for the type checker alone is none."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(ast.Module(node.orelse, []))
        elif isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole way"
            yield from ((node.module or "", each.name) for each in node.names)
        else:
            yield from imports(node)


def needed(source: str) -> set[str]:
    """Modules of ours that a module imports."""
    pairs = imports(ast.parse(source))
    return {name if (name := f"{module}.{word}") in MODULES else module for module, word in pairs} & set(MODULES)


def test_no_module_needs_one_that_needs_it() -> None:
    graph = {name: needed(path.read_text()) - {name} for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > len(graph), "the imports were read"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


def test_what_an_import_is() -> None:
    source = """
from typing import TYPE_CHECKING
import gateway.core
from gateway import registry
if TYPE_CHECKING:
    from gateway.config import load_site
else:
    from gateway.log import get_log
def late():
    from gateway.points.model import NO_ROW
"""
    assert needed(source) == {"gateway.core", "gateway.registry", "gateway.log", "gateway.points.model"}
