"""One event, one line, and no secret in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway import log


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    yield
    logger = logging.getLogger(log.NAME)
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def lines_of(monkeypatch: pytest.MonkeyPatch, style: str, level: str = "info") -> io.StringIO:
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setenv("GRIDGATE_LOG", style)
    log.setup("core", level)
    return out


def test_text_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = lines_of(monkeypatch, "text")
    log.get_log(device="pcs1").info("device online", cause="it answered", after_s=1.5)
    assert out.getvalue()[12:] == ' INFO core device online device=pcs1 cause="it answered" after_s=1.5\n'


def test_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    out = lines_of(monkeypatch, "json")
    log.get_log(device="pcs1").bind(unit=1).warning("device lost", level="x", value=float("nan"))
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "process": "core",
        "event": "device lost",
        "device": "pcs1",
        "unit": 1,
        "fact_level": "x",
        "value": "nan",
    }


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_peer_cannot_write_lines_of_its_own(monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    out = lines_of(monkeypatch, style)
    log.get_log().error("bad frame", peer="10.0.0.1\n12:00:00 INFO all is well\x1b[2J\u2028\u202e")
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().rstrip("\n").isprintable()


@pytest.mark.parametrize("style", ["text", "json"])
def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    out = lines_of(monkeypatch, style)
    log.get_log(token="swordfish").info("up", password="swordfish", url="mqtt://joe:swordfish@broker:1883/x")
    assert "swordfish" not in out.getvalue()
    assert "mqtt://***@broker:1883/x" in out.getvalue()


def test_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    out = lines_of(monkeypatch, "text", "warning")
    log.get_log().info("quiet")
    log.get_log().error("loud")
    assert [line.split()[1:] for line in out.getvalue().splitlines()] == [["ERROR", "core", "loud"]]
    with pytest.raises(ValueError, match="unknown log level"):
        log.setup("core", "shout")
