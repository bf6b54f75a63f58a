"""Our Sparkplug codec and Google's protobuf agree on every payload, both ways."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.mqtt.sparkplug import DataType, Metric, decode, encode
from protocols.mqtt.sparkplug import Payload as Ours
from tests.peers.sparkplug_peer import Payload, parse, properties_of, value_of

U64 = st.integers(0, 2**64 - 1)
INTEGERS = {1: (-128, 127), 2: (-(2**15), 2**15 - 1), 3: (-(2**31), 2**31 - 1), 4: (-(2**63), 2**63 - 1)}
INTEGERS |= {5: (0, 255), 6: (0, 65_535), 7: (0, 2**32 - 1), 8: (0, 2**64 - 1), 13: (0, 2**64 - 1)}
_FIELD = {**dict.fromkeys((1, 2, 3, 5, 6, 7), ("int_value", 32)), **dict.fromkeys((4, 8, 13), ("long_value", 64))}
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def metrics(draw: Any) -> Metric:
    datatype = draw(st.sampled_from([*INTEGERS, 9, 10, 11, 12]))
    if datatype in INTEGERS:
        value: Any = draw(st.integers(*INTEGERS[datatype]))
    else:
        value = draw({9: st.floats(width=32), 10: st.floats(), 11: st.booleans(), 12: TEXT}[datatype])
    return Metric(
        name=draw(TEXT),
        alias=draw(st.none() | U64),
        time_ms=draw(st.none() | U64),
        datatype=datatype,
        historical=draw(st.booleans()),
        null=draw(st.booleans()),
        value=value,
        properties=draw(st.dictionaries(TEXT, st.integers(0, 2**31 - 1) | TEXT, max_size=3)),
    )


def same(one: Any, other: Any) -> bool:
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


@settings(max_examples=60, deadline=None)
@given(st.builds(Ours, time_ms=st.none() | U64, metrics=st.lists(metrics(), max_size=5), seq=st.none() | U64))
def test_what_we_encode_protobuf_reads_and_so_do_we(payload: Ours) -> None:
    data = encode(payload)
    theirs, again = parse(data), decode(data)
    assert (theirs.timestamp, theirs.seq) == (payload.time_ms or 0, payload.seq or 0)
    assert (again.time_ms, again.seq) == (payload.time_ms, payload.seq)
    for ours, read, back in zip(payload.metrics, theirs.metrics, again.metrics, strict=True):
        assert (read.name, read.alias, read.datatype) == (ours.name, ours.alias or 0, ours.datatype)
        assert (read.is_historical, read.is_null) == (ours.historical, ours.null)
        assert properties_of(read) == ours.properties == back.properties
        assert (back.name, back.alias, back.time_ms, back.null) == (ours.name, ours.alias, ours.time_ms, ours.null)
        if not ours.null:
            assert same(back.typed(ours.datatype), ours.value)
            if ours.datatype not in INTEGERS:
                assert same(value_of(read), ours.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_protobuf_encodes_we_read(data: st.DataObject) -> None:
    theirs = Payload(timestamp=data.draw(U64), seq=data.draw(U64))
    wanted = []
    for _ in range(data.draw(st.integers(0, 4))):
        datatype = data.draw(st.sampled_from(list(INTEGERS)))
        value = data.draw(st.integers(*INTEGERS[datatype]))
        field, bits = _FIELD[datatype]
        metric = theirs.metrics.add(name=data.draw(TEXT), alias=data.draw(U64), datatype=datatype)
        setattr(metric, field, value % (1 << bits))
        wanted.append((metric.name, value))
    found = decode(theirs.SerializeToString())
    assert [(metric.name, metric.typed(metric.datatype)) for metric in found.metrics] == wanted
    assert DataType(found.metrics[0].datatype) if found.metrics else True
