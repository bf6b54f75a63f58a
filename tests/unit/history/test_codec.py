"""Blocks and batches give back every bit, and say so when they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.history import batch, codec
from gateway.history.compression import BlockError
from gateway.history.samples import Samples

START_NS = 1_795_000_000_000_000_000


def same(one: Samples, two: Samples) -> bool:
    return (
        np.array_equal(one.time_ns, two.time_ns)
        and np.array_equal(one.value.view(np.int64), two.value.view(np.int64))
        and np.array_equal(one.quality, two.quality)
    )


def series(values: list[float], step_ns: int = 1_000_000_000, quality: list[int] | None = None) -> Samples:
    count = len(values)
    return Samples(
        START_NS + np.arange(count) * step_ns,
        np.array(values, np.float64),
        np.zeros(count, np.uint32) if quality is None else np.array(quality, np.uint32),
    )


@pytest.mark.parametrize(
    "values",
    [
        [50.0],
        [0.0, 1.0, 1.0, 0.0],
        [49.98, 49.99, 50.01],
        [-0.0, 0.0],
        [float("nan"), 1.0],
        [float("inf"), -float("inf")],
        [1e300, -1e-300],
        [float(np.float32(0.1)), float(np.float32(0.2))],
        [9_007_199_254_740_993.0, 1.0],
        [0.1 + 0.2, 0.3],
    ],
)
def test_values_come_back_to_the_bit(values: list[float]) -> None:
    assert same(codec.decode(codec.encode(series(values))), series(values))


def test_a_signalling_nan_keeps_its_bits() -> None:
    value = np.array([0x7FF4_0000_0000_0001, 0xFFF8_0000_0000_0000], np.uint64).view(np.float64)
    samples = Samples(np.array([1, 2]), value, np.zeros(2, np.uint32))
    assert same(codec.decode(codec.encode(samples)), samples)


times = hnp.arrays(np.int64, st.shared(st.integers(1, 300), key="n"), elements=st.integers(-(2**62), 2**62))
values = hnp.arrays(np.float64, st.shared(st.integers(1, 300), key="n"))
qualities = hnp.arrays(np.uint32, st.shared(st.integers(1, 300), key="n"), elements=st.sampled_from([0, 1, 6, 4095]))


@given(times, values, qualities)
def test_any_samples_come_back(time_ns: np.ndarray, value: np.ndarray, quality: np.ndarray) -> None:  # type: ignore[type-arg]
    samples = Samples(time_ns, value, quality)
    assert same(codec.decode(codec.encode(samples)), samples)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_damage_is_told_or_gives_samples_but_nothing_else(noise: bytes, seed: int) -> None:
    good = bytearray(codec.encode(series([49.98, 49.99, 50.01, 50.02], quality=[0, 0, 2, 2])))
    random = np.random.default_rng(seed)
    for _ in range(3):
        good[int(random.integers(len(good)))] = int(random.integers(256))
    for data in (noise, bytes(good), bytes(good[: int(random.integers(len(good)))])):
        try:
            samples = codec.decode(data)
        except BlockError:
            continue
        assert len(samples.time_ns) == len(samples.value) == len(samples.quality)


def test_at_most_four_bytes_a_sample_on_a_mix_of_a_plant() -> None:
    """An hour at 1 s with jitter: slow analogs of one decimal, noisy ones of three, floats, states, counters."""
    random = np.random.default_rng(3)
    hour = 3600
    mix = [
        np.round(30 + np.cumsum(random.normal(0, 0.02, hour)), 1),
        np.round(50 + random.normal(0, 0.01, hour), 3),
        np.round(500 + np.cumsum(random.normal(0, 3, hour)), 1),
        (random.random(hour) < 0.01).astype(float),
        np.float32(33 + random.normal(0, 0.02, hour)).astype(float),
        np.arange(hour) * 0.1,
    ]
    jitter = np.sort(random.integers(0, 20_000_000, hour) // 1_000_000 * 1_000_000)
    stamps = START_NS + np.arange(hour) * 1_000_000_000 + jitter
    sizes = [len(codec.encode(Samples(stamps, values, np.zeros(hour, np.uint32)))) / hour for values in mix]
    assert sum(sizes) / len(sizes) < 4.0, sizes


@given(hnp.arrays(batch.RECORD, st.integers(0, 200)))
def test_a_batch_comes_back(records: np.ndarray) -> None:  # type: ignore[type-arg]
    assert batch.unpack(batch.pack(records)).tobytes() == records.tobytes()


@given(st.binary(max_size=100))
def test_noise_is_no_batch(noise: bytes) -> None:
    try:
        batch.unpack(noise)
    except BlockError:
        return
    assert noise[:1] in (b"\x01", b"\x02")
