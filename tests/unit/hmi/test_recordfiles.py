"""Dated files of JSON lines, read from the newest line back, page by page."""

from __future__ import annotations

import json
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hmi import recordfiles
from hmi.recordfiles import DAY_NS, Asked, Page, newest

NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


def write(folder: Path, name: str, day: int, lines: list[dict[str, object]]) -> None:
    stamp = time.strftime("%Y%m%d", time.gmtime(day * 86_400))
    with (folder / f"{name}-{stamp}.jsonl").open("a") as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def asked(folder: Path, limit: int = 100, **more: object) -> Asked:
    facts: dict[str, object] = {"start_ns": 0, "end_ns": 4 * 10**18, "key": "time"} | more
    return Asked(folder=folder, limit=limit, **facts)  # type: ignore[arg-type]


def every_page(folder: Path, limit: int, **more: object) -> list[int]:
    seen: list[int] = []
    page = Page(before=1 << 63)
    while page.before is not None:
        page = newest(asked(folder, limit, before=page.before, **more))
        seen += [line["n"] for line in page.lines]
    return seen


def test_two_families_of_files_are_one_story(tmp_path: Path) -> None:
    write(tmp_path, "commands", 20_000, [{"time": NOON_NS + at, "n": at} for at in (1, 3, 5)])
    write(tmp_path, "hmi", 20_000, [{"time": NOON_NS + at, "n": at} for at in (2, 4)])
    write(tmp_path, "hmi", 20_001, [{"time": NOON_NS + DAY_NS + 6, "n": 6}])
    for limit in (1, 2, 4, 100):
        assert every_page(tmp_path, limit) == [6, 5, 4, 3, 2, 1]
    assert every_page(tmp_path, 2, end_ns=NOON_NS + 5, start_ns=NOON_NS + 2) == [4, 3, 2]
    assert every_page(tmp_path, 2, keep=lambda line: line["n"] % 2) == [5, 3, 1]


def test_a_line_that_is_damaged_or_being_written_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "hmi", 20_000, [{"time": NOON_NS, "n": 1}])
    path = next(tmp_path.iterdir())
    with path.open("ab") as file:
        file.write(b'{"time":17,"n"\nno json at all "time":99\n[1]\n{"time":"soon"}\n')
    write(tmp_path, "hmi", 20_000, [{"time": NOON_NS + 1, "n": 2}])
    with path.open("ab") as file:
        file.write(b'{"time":%d,"n":3' % (NOON_NS + 2))
    assert every_page(tmp_path, 10) == [2, 1]


def test_a_filter_that_fits_nothing_ends_and_goes_on(tmp_path: Path) -> None:
    write(tmp_path, "hmi", 20_000, [{"time": NOON_NS + at, "n": at} for at in range(100)])
    page = newest(asked(tmp_path, scanned=30, keep=lambda line: line["n"] == 5))
    assert page.lines == [] and page.before == NOON_NS + 70
    assert every_page(tmp_path, 10, scanned=30, keep=lambda line: line["n"] == 5) == [5]


@given(lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line)), chunk=st.integers(1, 50))
def test_backwards_is_forwards_turned_round(tmp_path_factory: object, lines: list[bytes], chunk: int) -> None:
    folder = Path(tmp_path_factory.mktemp("lines"))  # type: ignore[attr-defined]
    (folder / "file").write_bytes(b"".join(line + b"\n" for line in lines) + b"unfinished")
    before, recordfiles._CHUNK = recordfiles._CHUNK, chunk  # type: ignore[misc]
    try:
        found = list(recordfiles.backwards(folder / "file"))
    finally:
        recordfiles._CHUNK = before  # type: ignore[misc]
    assert [line for line in found if line] == [line for line in reversed(lines) if line]
