"""Random and mutated frames, DBCs and adapter lines: nothing but the package's own errors, and bounded memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import cantools.database
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.can.decode import MOST_UNKNOWN, Decoder
from protocols.can.driver import CanDriver
from protocols.can.simulator import SlcanLine
from protocols.can.slcan import frame_text, parse_line
from tests.kit.cankit import ROOT, bus, compiled, device, every_signal, source
from tests.kit.recordingport import RecordingPort, until

OWN = ROOT / "pointmaps" / "dbc" / "gridgate_bms.dbc"


@pytest.fixture(scope="module")
def own() -> Any:
    return bus(source(OWN, every_signal(cantools.database.load_file(OWN))))


frames = st.tuples(
    st.integers(0x0F8, 0x138) | st.integers(0, (1 << 32) - 1), st.binary(max_size=64), st.integers(0, 2**62)
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(frames, max_size=60))
def test_any_frames(own: Any, found: list[tuple[int, bytes, int]]) -> None:
    decoder = Decoder(own)
    for rows, values, qualities, times in decoder.take(found):
        assert len(rows) == len(values) == len(qualities) == len(times) > 0
    assert len(decoder.unknown) <= MOST_UNKNOWN
    decoder.findings()


TEXT = OWN.read_text()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 40), st.text(max_size=6)), min_size=1, max_size=4)
)
def test_a_spoilt_dbc(tmp_path: Path, cuts: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for at, length, instead in cuts:
        text = text[:at] + instead + text[at + length :]
    path = tmp_path / "spoilt.dbc"
    path.write_text(text, encoding="utf-8", errors="replace")
    rows = [{"point": "v", "kind": "analog", "message": "PackState", "signal": "PackVoltage"}]
    settings_source = source(path, rows)
    compiled(settings_source)
    settings_source.rows[0].settings.scan_s(settings_source.settings)


@given(line=st.binary(max_size=40))
def test_any_line_of_an_adapter(line: bytes) -> None:
    found = parse_line(line)
    if found is not None:
        assert len(found[1]) <= 9


@given(key=st.integers(0, 0x7FF), data=st.binary(max_size=8))
def test_a_frame_as_text_and_back(key: int, data: bytes) -> None:
    assert parse_line(frame_text(key, data).rstrip(b"\r")) == (key, data)


def test_an_adapter_that_talks_nonsense_does_not_end_the_driver(tmp_path: Path) -> None:
    plan = device(
        OWN,
        "point,kind,message,signal\nvoltage,analog,PackState,PackVoltage",
        interface="slcan",
        channel=str(tmp_path / "tty"),
        options={"sleep_after_open": 0.0},
    )
    nonsense = [
        b"txyz8\r",
        b"t1\r",
        b"\xff\xfe\r",
        b"t12",
        b"\x07",
        b"T0000\r",
        b"d1239001\r",
        b"t1209AABB\r",
        b"q" * 300,
    ]

    async def story() -> None:
        line, port = SlcanLine(tmp_path / "tty"), RecordingPort(1)
        task = asyncio.create_task(CanDriver(plan, port).run())
        try:
            for text in nonsense * 3:
                line.say(text)
                await asyncio.sleep(0.01)
            line.say(b"\r")
            await until(lambda: line.send(0x120, bytes((100, 0)) + bytes(6)) or port.value[0] == 10.0, "the value")  # type: ignore[func-returns-value]
            assert not task.done()
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            line.close()

    asyncio.run(story())
