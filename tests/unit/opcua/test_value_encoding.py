"""DataValues encoded by numpy are those that asyncua's own reader understands."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.opcua.decoder import Reader, reader_of
from protocols.opcua.uastack import ua
from protocols.opcua.valueencode import BOOLEAN, BOTH, DOUBLE, NEITHER, SERVER, SOURCE, UINT32, data_values

NOW_NS = 1_750_000_000_123_456_700
values = st.lists(
    st.tuples(
        st.sampled_from([BOOLEAN, UINT32, DOUBLE]),
        st.integers(0, 3),
        st.sampled_from([0, 0, 0x40900000, 0x80320000, 0x480]),
        st.one_of(st.just(0), st.integers(1, 2_000_000_000_000_000_000)),
        st.sampled_from([SOURCE, SERVER, BOTH, NEITHER]),
        st.integers(0, 2**32 - 1),
    ),
    max_size=20,
)
MADE = {BOOLEAN: bool, UINT32: int, DOUBLE: float}


@settings(max_examples=80, deadline=None)
@given(values)
def test_notifications_read_back(rows: list[tuple[int, int, int, int, int, int]]) -> None:
    types, numbers, status, source, stamps, handles = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.empty(0, int)] * 6
    )
    octets = data_values(
        types.astype(np.uint8),
        numbers.astype(float),
        status.astype(np.uint32),
        source.astype(np.int64),
        NOW_NS,
        stamps.astype(np.uint8),
        handles.astype(np.uint32),
    )
    reader = Reader(octets, 1 << 20)
    read = reader_of(ua.MonitoredItemNotification)
    for kind, number, code, source_ns, stamp, handle in rows:
        found = read(reader)
        assert found.ClientHandle == handle
        value = found.Value
        assert (value.StatusCode.value if value.StatusCode is not None else 0) == code
        if code & 0x80000000:
            assert value.Value.Value is None
        else:
            assert (value.Value.VariantType.value, value.Value.Value) == (kind, MADE[kind](number))
        assert (value.SourceTimestamp is not None) == (stamp in (SOURCE, BOTH) and source_ns > 0)
        assert (value.ServerTimestamp is not None) == (stamp in (SERVER, BOTH))
    assert reader.at == len(octets)


def test_numbers_that_are_none_are_sent_as_they_are() -> None:
    odd = np.array([np.nan, np.inf, -np.inf])
    octets = data_values(np.full(3, DOUBLE, np.uint8), odd, np.zeros(3, np.uint32), np.zeros(3, np.int64), 0, NEITHER)
    found = [octets[at + 2 : at + 10] for at in range(0, len(octets), 10)]
    assert np.array_equal(np.frombuffer(b"".join(found)), odd, equal_nan=True)
