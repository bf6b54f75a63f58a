"""The how-tos stay true: each is done as it is written, in an empty folder, on ports that are free."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.kit.gateway import ENVIRONMENT, REPO, START_S, wait_until
from tests.kit.ports import free_ports

FOLDER = REPO / "config" / "howto"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
PORTS = ("5020", "5021", "2404", "20000", "4840", "8080")
NEEDS = {"tls.md": "openssl"}
BLOCK = re.compile(r"^```(\w+)(?: +(\S+))?\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, what stands behind it, its text."""

    language: str
    head: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text())]


class Desk:
    """Where a person sits who follows a page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self._background: list[subprocess.Popen[bytes]] = []
        command = folder / ".bin" / "gridgate"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
        command.chmod(0o755)
        path = os.pathsep.join((str(command.parent), str(Path(sys.executable).parent), os.environ["PATH"]))
        self._environment = ENVIRONMENT | {"PATH": path, "GRIDGATE_HOME": str(REPO), "HOME": str(folder)}

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._background:
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for member in (*family, process):
                member.send_signal(signal.SIGKILL)
            process.wait()

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        text = self._moved(block.text)
        if block.language == "sh" and block.head == "background":
            self._start(text)
        elif block.language == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=110,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            self._move_sites()
        elif block.head:
            path = self.folder / block.head
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _start(self, text: str) -> None:
        log = self.folder / f"background{len(self._background)}.log"
        with log.open("wb") as out:
            command = ["bash", "-c", f"exec {text}"]
            process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self._background.append(process)
        wait_until(lambda: b"gateway serves" in log.read_bytes(), f"{text.strip()}: {log}", START_S)

    def _moved(self, text: str) -> str:
        for usual, free in self._ports.items():
            text = re.sub(rf":{usual}\b", f":{free}", text)
        return text

    def _move_sites(self) -> None:
        """What a command wrote has the usual ports, on which somebody else may listen here."""
        for path in self.folder.rglob("*.yaml"):
            if ".bin" not in path.parts:
                path.write_text(self._moved(path.read_text()))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as desk:
        yield desk


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, desk: Desk):
    tool = NEEDS.get(page.name)
    if tool and shutil.which(tool) is None:
        pytest.skip(f"no {tool} here")
    for block in blocks(page):
        desk.follow(block)


def test_there_are_ten_and_each_can_be_found():
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text()))
    assert {page.name for page in PAGES} == listed
    assert len(PAGES) == 10
    assert "config/howto/README.md" in (REPO / "README.md").read_text()


@pytest.mark.parametrize("page", [*PAGES, FOLDER / "README.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere_and_each_page_is_tried(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
    if page in PAGES:
        assert any(block.language == "sh" for block in blocks(page))
        text = re.sub(BLOCK, "", page.read_text())
        assert "```" not in text, "a block that is not understood would not be tried"
