"""A module is an idea, a function is a thought: what grows beyond that is to be taken apart."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
MODULE_LINES = 400
FUNCTION_LINES = 60


@pytest.fixture(scope="module")
def sources():
    paths = [path for part in ("gateway", "protocols", "hmi") for path in (REPO / part).rglob("*.py")]
    assert len(paths) > 400
    return {str(path.relative_to(REPO)): path.read_text(encoding="utf-8") for path in paths}


def test_no_module_is_longer_than_400_lines(sources):
    long = {name: lines for name, text in sources.items() if (lines := len(text.splitlines())) > MODULE_LINES}
    assert long == {}


def test_no_script_of_a_page_is_longer_than_400_lines():
    scripts = sorted((REPO / "hmi" / "static").rglob("*.js"))
    assert len(scripts) > 40
    long = {path.name: lines for path in scripts if (lines := len(path.read_text().splitlines())) > MODULE_LINES}
    assert long == {}


def test_no_function_is_longer_than_60_lines(sources):
    long = {
        f"{name}:{node.lineno} {node.name}": lines
        for name, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}
