"""Wireshark's decoder beside ours: recorded streams, and every format that our own encoder can write."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import dpkt
import numpy as np
import pytest

from gateway.points import Values
from protocols.c37118.configuration import Analog, Configuration, Digital, Format, Phasor, Pmu
from protocols.c37118.configurationframes import encode
from protocols.c37118.decode import Decoder
from protocols.c37118.encode import Measured, data_frame
from protocols.c37118.frame import FrameType
from tests.kit.pmucaptures import DATA
from tests.kit.pmukit import bound
from tests.unit.c37118.test_c37118_captures import configuration, directions, of

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

_PHASOR = re.compile(r"Phasor #\d+: .*?, +(-?[\d.]+)[VA] ∠ *(-?[\d.]+)°")
_FREQUENCY = re.compile(r"ctual frequency(?: value)?: (-?[\d.]+)")


def told(path: Path) -> tuple[Values, Values, int, int]:
    """Per data frame what tshark says: (magnitude, angle) of each phasor, frequencies; good and bad CHK."""
    command = ["tshark", "-r", str(path), "-V", "-O", "synphasor", "-Y", "synphasor"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    frames = [part for part in text.split("Synchrophasor Protocol")[1:] if "Measurement data" in part]
    phasors = [[float(each) for pair in _PHASOR.findall(frame) for each in pair] for frame in frames]
    frequencies = [[float(each) for each in _FREQUENCY.findall(frame)] for frame in frames]
    return np.array(phasors), np.array(frequencies), text.count("[correct]"), text.count("[incorrect")


def ours(found: Configuration, data: list[bytes]) -> tuple[Values, Values]:
    points = []
    for pmu in found.pmus:
        names = [f"PHASOR[{n + 1}].{part}" for n in range(len(pmu.phasors)) for part in ("mag", "ang")]
        points += bound(*names, pmu=pmu.name)
    frequencies = [point for pmu in found.pmus for point in bound("FREQ", pmu=pmu.name)]
    return Decoder(found, points).decode(data)[0].values, Decoder(found, frequencies).decode(data)[0].values


def agree(mine: tuple[Values, Values], theirs: tuple[Values, Values, int, int]) -> None:
    """To the digits that tshark prints: three for phasors, three or four for frequencies."""
    np.testing.assert_allclose(mine[0][:, ::2], theirs[0][:, ::2], atol=6e-4, rtol=0)
    turned = (mine[0][:, 1::2] - theirs[0][:, 1::2] + 180) % 360 - 180
    assert (np.abs(turned) < 6e-4).all()
    np.testing.assert_allclose(mine[1], theirs[1], atol=6e-4, rtol=0)
    assert theirs[2] > 0 and theirs[3] == 0


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no captures at {DATA}")
@pytest.mark.parametrize("name", ["C37.118_1PMU_TCP.pcap", "C37.118_1PMU_UDP.pcap", "c37_1100_fullclean.pcap"])
def test_recorded_streams(name: str) -> None:
    ((found, data),) = [
        (found, of(each, FrameType.DATA)) for each in directions(name) if (found := configuration(each)) is not None
    ]
    agree(ours(found, data), told(DATA / name))


def written(path: Path, streams: list[list[bytes]]) -> Path:
    """Datagrams from a port for each stream to the concentrator's, as if they had been recorded."""
    sent = [(4800 + number, frame) for number, frames in enumerate(streams) for frame in frames]
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for number, (port, frame) in enumerate(sent):
            udp = dpkt.udp.UDP(sport=port, dport=4713, ulen=8 + len(frame), data=frame)
            ip = dpkt.ip.IP(src=b"\x7f\0\0\1", dst=b"\x7f\0\0\2", p=17, data=udp)
            ip.len = 20 + 8 + len(frame)
            ethernet = dpkt.ethernet.Ethernet(src=bytes(6), dst=bytes(6), type=0x0800, data=ip)
            writer.writepkt(bytes(ethernet), ts=number / 50)
    return path


def a_stream(kind: FrameType, shape: Format, factor: float) -> Configuration:
    adjusted = 0.5 if kind is FrameType.CFG3 and not shape.float_phasors else 0.0
    pmus = [
        Pmu(
            name=name,
            id=number,
            format=shape,
            phasors=(
                Phasor(name="VA", factor=factor, angle_rad=adjusted),
                Phasor(name="IA", factor=factor, flags=0x0800),
            ),
            analogs=(Analog(name="P"),),
            digitals=(Digital(names=("CB", *[""] * 15)),),
            nominal_hz=50 + 10 * number,
        )
        for number, name in enumerate(("North", "South"))
    ]
    return Configuration(type=kind, id=7, pmus=tuple(pmus), time_base=0xFFFFFF)


@pytest.mark.parametrize("kind", [FrameType.CFG2, FrameType.CFG3])
def test_every_format_is_read_alike(kind: FrameType, tmp_path: Path) -> None:
    """One stream for each of the formats, in one recording; two PMUs; phasors all round the circle."""
    streams, mine = [], []
    for word in range(16):
        shape = Format.of(word)
        # In CFG-3 tshark scales integers only; floats that are scaled already have the factor 1.
        found = a_stream(kind, shape, 1.0 if shape.float_phasors else 0.25)
        frames = encode(found)
        for number in range(8):
            measured = [Measured.nothing(pmu) for pmu in found.pmus]
            for index, each in enumerate(measured):
                each.phasors = [(230.25, number - 3.0), (12.5, 1.0 + index)]
                each.frequency_hz += 0.125 * number
            frames.append(data_frame(found, measured, soc=1_700_000_000, fraction=number * 335_544))
        streams.append(frames)
        mine.append(ours(found, frames[1:]))
    phasors, frequencies, good, bad = told(written(tmp_path / "formats.pcap", streams))
    assert phasors.shape == (16 * 8, 8) and frequencies.shape == (16 * 8, 2)
    for word in range(16):
        part = slice(8 * word, 8 * word + 8)
        agree(mine[word], (phasors[part], frequencies[part], good, bad))
