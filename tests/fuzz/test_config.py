"""Whatever the files hold: a plan, or `ConfigError`, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import render, summary
from gateway.contracts import ConfigError, Report
from gateway.points.pointmap import parse_map
from gateway.site.yamlfile import parse_yaml
from tests.kit.sitekit import FILES, Site, small_site

ODD = [
    *(b"\xff\xfe", b"\0", b"\x1b[2J", b"\xe2\x80\xa8", b"9" * 5000, b"-1e999", b"nan", b"[" * 300, b"{" * 300),
    *(b"&a [*a]", b"*a", b"${", b"${}", b"${HOME}", b"!!binary x", b'"', b"'", b"\n---\n", b"\t", b"<<: ", b"#"),
    *(b",", b";", b"\r", b"../..", b"/dev/null", b"~", b"null", b"true", b"[]", b"{}", b"0x", b"- ", b": "),
]


def cut(random_: random.Random, data: bytes) -> bytes:
    return data[: random_.randrange(len(data) + 1)]


def put_in(random_: random.Random, data: bytes) -> bytes:
    at = random_.randrange(len(data) + 1)
    return data[:at] + random_.choice(ODD) + data[at:]


def replace(random_: random.Random, data: bytes) -> bytes:
    at = random_.randrange(len(data) + 1)
    return data[:at] + random_.choice(ODD) + data[at + random_.randrange(20) :]


def flip(random_: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(random_.randrange(1, 6)):
        out[random_.randrange(len(out))] = random_.randrange(256)
    return bytes(out)


def swap_lines(random_: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    random_.shuffle(lines)
    return b"".join(lines)


def repeat_a_line(random_: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    lines.insert(random_.randrange(len(lines)), random_.choice(lines))
    return b"".join(lines)


Mutation = Callable[[random.Random, bytes], bytes]
MUTATIONS: list[Mutation] = [cut, put_in, put_in, replace, flip, swap_lines, repeat_a_line]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        yield made


@pytest.mark.parametrize("seed", range(4))
def test_mutated_sites(site: Site, seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(150):
        name = random_.choice(list(FILES))
        site.write(name, random_.choice(MUTATIONS)(random_, FILES[name].encode()))
        try:
            assert summary(site.load())
        except ConfigError as error:
            assert error.report.errors
            assert all(line.isprintable() for line in render(error.report).splitlines())
        site.write(name, FILES[name])


@settings(max_examples=150)
@given(st.text(max_size=200))
def test_any_text_as_yaml(text: str) -> None:
    report = Report()
    assert parse_yaml(text, "x.yaml", report) is not None or report.errors


@settings(max_examples=150)
@given(st.text(alphabet=st.sampled_from("point,;kind\"'#\n\r \0é-1"), max_size=200))
def test_any_text_as_a_map(text: str) -> None:
    report = Report()
    assert parse_map(text, "x.csv", report) is not None or report.errors


@pytest.mark.parametrize("value", ["[]", "1", "text", "null", "[[]]", "[1, null]", "{a: 1}", "[{}]", "[{driver: 5}]"])
@pytest.mark.parametrize("key", ["devices", "calculated", "servers", "control", "history", "hmi", "log", "site"])
def test_any_shape_under_any_key(site: Site, key: str, value: str) -> None:
    site.write("site.yaml", f"site: a\n{key}: {value}\n" if key != "site" else f"site: {value}\n")
    try:
        site.load()
    except ConfigError as error:
        assert error.report.errors
