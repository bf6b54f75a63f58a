"""The checksums, beside an independent implementation and by their nature."""

from __future__ import annotations

import crccheck.checksum
import crccheck.crc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.can.checksum import METHODS
from protocols.can.encode import seal, sealed
from protocols.can.plan import Checksum, Field


@pytest.mark.parametrize(
    ("method", "peer"),
    [
        ("crc8_sae_j1850", crccheck.crc.Crc8SaeJ1850),
        ("crc8_autosar", crccheck.crc.Crc8Autosar),
        ("xor8", crccheck.checksum.ChecksumXor8),
        ("sum8", crccheck.checksum.Checksum8),
    ],
)
@given(data=st.binary(max_size=64))
def test_beside_crccheck(method: str, peer: type, data: bytes) -> None:
    assert METHODS[method](data) == peer.calc(data)  # type: ignore[attr-defined]


@given(data=st.binary(max_size=64))
def test_a_twos_complement_makes_the_sum_nought(data: bytes) -> None:
    assert (sum(data) + METHODS["sum8_twos_complement"](data)) & 0xFF == 0
    assert (sum(data) + METHODS["sum8_inverted"](data)) & 0xFF == 0xFF


@given(
    data=st.binary(min_size=1, max_size=8),
    method=st.sampled_from(sorted(METHODS)),
    prefix=st.binary(max_size=2),
    spoil=st.integers(1, 255),
    where=st.data(),
)
def test_a_sealed_frame_is_right_and_one_wrong_byte_is_seen(
    data: bytes, method: str, prefix: bytes, spoil: int, where: st.DataObject
) -> None:
    at = where.draw(st.integers(0, len(data) - 1))
    checksum = Checksum(field=Field(8 * at, 8), method=method, prefix=prefix)
    frame = bytearray(data)
    seal(frame, checksum)
    assert sealed(frame, checksum)
    frame[where.draw(st.integers(0, len(data) - 1))] ^= spoil
    assert not sealed(frame, checksum)
