"""Completion in real shells, and a manual page that man and mandoc take: both made from the command line itself."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.__main__ import command_line, main
from gateway.cli.completion import SCRIPTS
from gateway.cli.manpage import page
from gateway.cli.tree import whole
from tests.kit.gateway import wait_until

BRANCHES = whole(command_line())
NO_SHELL = {shell: f"no {shell} here (package {shell})" for shell in SCRIPTS if shutil.which(shell) is None}


@pytest.fixture
def script(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    shell = request.param
    if shell in NO_SHELL:
        pytest.skip(NO_SHELL[shell])
    path = tmp_path / f"gridgate.{shell}"
    path.write_text(SCRIPTS[shell](BRANCHES))
    return path


@pytest.mark.parametrize("script", ["bash", "zsh", "fish"], indirect=True)
def test_the_shell_takes_its_script(script: Path):
    shell = script.suffix[1:]
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr


BASH = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={at}
_gridgate
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(script: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in ("gridgate", *words))
    text = BASH.format(script=script, words=quoted, at=len(words))
    done = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_commands_options_and_choices(script: Path):
    every = bash(script, "")
    assert every == {branch.words[0] for branch in BRANCHES if branch.words}
    assert bash(script, "ex") == {"export"}
    assert {"--json", "--watch"} <= bash(script, "points", "site.yaml", "--")
    assert bash(script, "export", "site.yaml", "--format", "") == {"csv", "xlsx", "parquet"}
    assert bash(script, "sunspec", "") == {"scan", "map"}
    assert "--base" in bash(script, "sunspec", "scan", "--")
    assert bash(script, "completion", "f") == {"fish"}
    assert bash(script, "check", "some") == set(), "a file: left to bash"


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_a_person_at_a_terminal_presses_tab(script: Path):
    process, terminal = pty.fork()
    if not process:
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    try:
        os.set_blocking(terminal, False)
        os.write(terminal, f"PS1=; source {script}\ngridgate expo\t".encode())
        seen = b""

        def completed() -> bool:
            nonlocal seen
            with contextlib.suppress(BlockingIOError):
                seen += os.read(terminal, 4096)
            return b"gridgate export" in seen

        wait_until(completed, "bash to complete the word")
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes(script: Path, tmp_path: Path):
    def offered(line: str) -> set[str]:
        text = f"source {script}; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", text],
            capture_output=True,
            text=True,
            env=os.environ | {"HOME": str(tmp_path)},
            timeout=60,
            check=False,
        )
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    assert "export" in offered("gridgate ex")
    assert {"csv", "xlsx", "parquet"} <= offered("gridgate export --format ")
    assert "--watch" in offered("gridgate points --")


def test_the_commands_print_them(capsys: pytest.CaptureFixture[str]):
    for shell in SCRIPTS:
        assert main(["completion", shell]) == 0
        assert "gridgate" in capsys.readouterr().out
    assert main(["man"]) == 0
    assert capsys.readouterr().out == page(BRANCHES)


def test_the_manual_tells_every_command_and_option():
    text = page(BRANCHES).replace("\\-", "-").replace("\\&", "")
    for branch in BRANCHES:
        assert f"\n.SS {branch.name}\n" in text or not branch.words
        for option in branch.options:
            for flag in option.flags:
                assert f"\\fB{flag}\\fR" in text, (branch.name, flag)


@pytest.mark.parametrize(
    "checker", [["mandoc", "-T", "lint", "-W", "warning"], ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]]
)
def test_the_manual_page_is_right(checker: list[str], tmp_path: Path):
    if shutil.which(checker[0]) is None or (checker[0] == "man" and shutil.which("groff") is None):
        pytest.skip(f"no {checker[0]} here (packages mandoc, man-db and groff)")
    path = tmp_path / "gridgate.1"
    path.write_text(page(BRANCHES))
    done = subprocess.run([*checker, str(path)], capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line or "warning" in line]
    assert done.returncode == 0 and not complaints, complaints
