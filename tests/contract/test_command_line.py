"""Every command speaks alike: help, exit codes, errors of one form, JSON. Whoever adds a command is held to it here."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import terminal
from gateway.__main__ import command_line, main
from gateway.cli.tree import Branch, whole
from gateway.paths import shipped
from gateway.terminal import EXIT_WORDS, Exit
from tests.kit.gateway import ENVIRONMENT, REPO, DemoSite, wait_until

BRANCHES = whole(command_line())
COMMANDS = [branch for branch in BRANCHES if branch.words and not branch.further]
ERROR = re.compile(r"gridgate: \S.*\n")


def ended(words: list[str]) -> int:
    """Run in this process; the exit code, however the command ends."""
    try:
        return int(main(words))
    except SystemExit as error:
        return int(error.code or 0)


def named(branch: Branch) -> str:
    return branch.name.replace(" ", "-")


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: named(branch) or "gridgate")
def test_every_command_helps(branch: Branch, capsys: pytest.CaptureFixture[str]):
    assert ended([*branch.words, "--help"]) == Exit.DONE
    said = capsys.readouterr()
    assert said.out.startswith("usage: gridgate")
    assert said.err == ""
    assert branch.text
    for option in branch.options:
        assert option.text, f"{branch.name} {option.flags or option.value} says nothing of itself"


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: named(branch) or "gridgate")
def test_a_wrong_option_is_one_line_and_2(branch: Branch, capsys: pytest.CaptureFixture[str]):
    needed = [word for option in branch.options if not option.flags for word in (option.choices[:1] or ("1",))]
    assert ended([*branch.words, *needed, "--no-such-option"]) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert ERROR.fullmatch(said.err), said.err
    assert " ".join(branch.words[:1]) in said.err


@pytest.mark.parametrize(
    "branch", [each for each in BRANCHES if any(option.needed for option in each.options)], ids=named
)
def test_what_is_missing_is_one_line_and_2(branch: Branch, capsys: pytest.CaptureFixture[str]):
    assert ended(list(branch.words)) == Exit.USAGE
    said = capsys.readouterr()
    assert ERROR.fullmatch(said.err), said.err
    assert "required" in said.err


@pytest.mark.parametrize("branch", [each for each in COMMANDS if each.options[1:]], ids=named)
def test_a_site_or_file_that_is_not_there_is_told_without_a_traceback(
    branch: Branch, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    if branch.name in ELSEWHERE:
        pytest.skip(ELSEWHERE[branch.name])
    needed = [_impossible(option.value, option.choices) for option in branch.options if option.needed]
    forced = ["--reason", "x"] if branch.name == "stop-all" else []
    words = needed[: len(needed) - len(forced) // 2]
    assert ended([*branch.words, *words, *forced]) == Exit.FAILED
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "nowhere" in said.err
    assert len(said.err.splitlines()) <= 2


ELSEWHERE = {
    "completion": "asks for no file",
    "demo": "starts processes: tests/unit/demo",
    "run": "starts processes: tests/e2e/test_supervisor.py",
    "pki": "makes what is not there",
    "init": "makes what is not there",
    "probe": "asks a device: tests/unit/modbus/test_probe.py",
    "sunspec scan": "asks a device: tests/unit/sunspec/test_sunspec_scan.py",
    "sunspec map": "asks for no file",
}


def _impossible(value: str, choices: tuple[str, ...]) -> str:
    return choices[0] if choices else {"value": "1"}.get(value, "nowhere/site.yaml")


def test_exit_codes_are_told_in_words_and_in_the_readme():
    assert set(EXIT_WORDS) == set(Exit)
    readme = (REPO / "README.md").read_text()
    for code, words in EXIT_WORDS.items():
        assert f"| {int(code)} | {words} |" in readme


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """A gateway that serves, on its simulated devices."""
    with DemoSite(tmp_path_factory.mktemp("commandline")) as site:
        text = site.site.read_text().rstrip() + "\n\nhistory: {store: {retention_days: 1}}\n"
        site.site.write_text(text.replace("servers:", "hmi: {listen: '127.0.0.1:0'}\n\nservers:", 1))
        site.start_simulator()
        site.start()
        wait_until(lambda: site.point("bess1/pcs/active_power")["quality"] == "good", "values")
        yield site


Asked = Callable[[DemoSite, Path], list[str]]


def at(*words: str) -> Asked:
    """A command on the demo site, its state directory given."""
    name, *rest = words
    return lambda demo, folder: [name, str(demo.site), "--state-dir", str(demo.state_dir), *rest]


SCAN = ["tcp://127.0.0.1:1", "--timeout", "0.1"]
JSON: dict[str, tuple[Asked, int]] = {
    "check": (at("check"), 0),
    "points": (at("points", "pcs"), 0),
    "doctor": (at("doctor", "pcs1"), 0),
    "docs": (lambda demo, folder: ["docs", str(demo.site), "--out", str(folder)], 0),
    "trace": (at("trace", "sldc-main"), 0),
    "journal": (at("journal"), 0),
    "pki": (lambda demo, folder: ["pki", str(folder / "pki"), "sldc", "--revoke", "sldc"], 0),
    "interlocks": (at("interlocks"), 0),
    "reload": (at("reload"), 0),
    "stop-all": (at("stop-all", "--reason", "a test"), 0),
    "alarms": (at("alarms", "--all"), 0),
    "selftest": (
        lambda demo, folder: ["selftest", "soe", str(demo.site), "sldc-main", "--events", "20"],
        0,
    ),
    "archive": (at("archive", "verify"), 0),
    "backup": (lambda demo, folder: at("backup", str(folder / "b.tar.gz"))(demo, folder), 0),
    "restore": (lambda demo, folder: ["restore", str(_saved(demo, folder)), str(folder / "r")], 0),
    "droop-report": (at("droop-report"), 1),
    "droop-test": (at("droop-test"), 1),
    "user": (lambda demo, folder: ["user", "list", *at("x")(demo, folder)[1:]], 0),
    "init": (lambda demo, folder: ["init", str(folder / "new"), "--yes"], 0),
    "force": (at("force", "poi/frequency", "50.01"), 0),
    "release": (at("release", "poi/frequency"), 0),
    "block": (at("block", "poi/voltage"), 0),
    "command": (at("command", "bess1/pcs/power_setpoint", "10"), -1),
    "probe": (lambda demo, folder: ["probe", f"tcp://127.0.0.1:{demo.meter_port}"], 0),
    "sunspec scan": (lambda demo, folder: ["sunspec", "scan", f"tcp://127.0.0.1:{demo.meter_port}"], -1),
}
"""Command with ``--json`` -> how it is asked, and its exit code; -1: as the plant stands."""


def _saved(demo: DemoSite, folder: Path) -> Path:
    file = folder / "saved.tar.gz"
    assert demo.cli("backup", str(file)).returncode == 0
    return file


def test_every_command_with_json_is_tried_here():
    assert set(JSON) == {branch.name for branch in COMMANDS if any("--json" in each.flags for each in branch.options)}


@pytest.mark.parametrize("name", JSON)
def test_json_is_json(name: str, demo: DemoSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked, code = JSON[name]
    words = asked(demo, tmp_path)
    capsys.readouterr()
    assert ended([*words, "--json"]) in ((0, 1) if code < 0 else (code,))
    said = capsys.readouterr()
    values: list[Any] = [json.loads(line, parse_constant=_no_json) for line in said.out.splitlines()]
    assert all(isinstance(value, dict | list) for value in values)
    assert values or name in MAYBE_NOTHING or said.err
    assert "Traceback" not in said.err
    assert "\x1b" not in said.out + said.err


MAYBE_NOTHING = ("trace", "user", "alarms")


def _no_json(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def test_a_wrong_site_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "site.yaml").write_text("site: x\ndevicess: []\n")
    assert ended(["check", str(tmp_path / "site.yaml"), "--json"]) == Exit.FAILED
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert problem["line"] == 2 and problem["fatal"] and "devices" in problem["text"]


ON_A_TERMINAL = """
import sys
from gateway.terminal import Colour, Progress, paint
with Progress("export", 3) as progress:
    for _ in range(3):
        progress.step()
print(paint("FAULT", Colour.RED))
"""


def seen_on_a_terminal(**environment: str) -> str:
    ours, theirs = pty.openpty()
    known = {key: value for key, value in ENVIRONMENT.items() if key != "NO_COLOR"}
    try:
        subprocess.run(
            [sys.executable, "-c", ON_A_TERMINAL],
            stdout=theirs,
            stderr=theirs,
            env={**known, "TERM": "xterm", **environment},
            check=True,
        )
        return os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_colours_and_bars_are_for_terminals_only():
    assert "export [" in seen_on_a_terminal() and "\x1b[31mFAULT" in seen_on_a_terminal()
    assert "\x1b[31m" not in seen_on_a_terminal(NO_COLOR="1")
    assert "\x1b[31m" not in seen_on_a_terminal(TERM="dumb")
    piped = subprocess.run([sys.executable, "-c", ON_A_TERMINAL], capture_output=True, env=ENVIRONMENT, check=True)
    assert piped.stdout == b"FAULT\n" and piped.stderr == b""


def test_a_line_that_is_cut_loses_its_colour_with_its_end():
    line = "x" * 10 + "\x1b[31mred\x1b[0m"
    assert terminal.fitted(line, 13) == line
    assert terminal.fitted(line, 12) == "xxxxxxxxxxre"


def test_shipped_demo_is_where_the_installed_package_looks():
    assert shipped("config/systemd/gridgate.service").is_file()
