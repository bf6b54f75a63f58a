"""HistoryRead: what times and counts mean, pages that neither lose nor repeat, and asyncua's client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.history.samples import Samples
from gateway.points import Quality
from protocols.opcua import history
from protocols.opcua.history import Span, read_page, span_of
from protocols.opcua.server import OpcUaServer
from tests.kit.opcuakit import Plant, client, running

DAY_NS = 86_400 * 10**9
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_NS = int(BEGIN.timestamp()) * 10**9


class Store:
    """Recorded values in memory."""

    def __init__(self, times: list[int]) -> None:
        self.samples = Samples(
            np.array(times, np.int64), np.arange(len(times), dtype=np.float64), np.zeros(len(times), np.uint32)
        )
        self.asked = 0

    def range(self, name: str, start_ns: int, end_ns: int) -> Samples:
        self.asked += 1
        return self.samples.between(start_ns, end_ns) if name == "bess1/temp" else Samples.none()


@pytest.mark.parametrize(
    ("start", "end", "most", "span"),
    [
        (10, 20, 0, Span(name="p", start_ns=10, end_ns=20)),
        (20, 10, 5, Span(name="p", start_ns=11, end_ns=21, backwards=True, most=5)),
        (10, 10, 0, Span(name="p", start_ns=10, end_ns=11)),
        (10, None, 5, Span(name="p", start_ns=10, end_ns=101, most=5, bounded=False)),
        (None, 20, 5, Span(name="p", start_ns=0, end_ns=21, backwards=True, most=5, bounded=False)),
    ],
)
def test_what_a_client_s_times_mean(start: int | None, end: int | None, most: int, span: Span) -> None:
    assert span_of("p", start, end, most, 0, 100) == span


@pytest.mark.parametrize(("start", "end", "most"), [(None, None, 5), (10, None, 0), (None, 10, 0)])
def test_times_that_mean_nothing(start: int | None, end: int | None, most: int) -> None:
    with pytest.raises(ValueError):
        span_of("p", start, end, most, 0, 100)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(0, 40), max_size=60).map(sorted),
    st.integers(0, 42),
    st.integers(0, 42),
    st.booleans(),
    st.integers(1, 7),
)
def test_pages_give_every_sample_once_and_in_order(
    times: list[int], low: int, high: int, back: bool, page: int
) -> None:
    """Also samples of one time, wherever a page ends."""
    low, high = sorted((low, high))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "PAGE", page)
        span: Span | None = Span(name="bess1/temp", start_ns=low, end_ns=high, backwards=back)
        store, got = Store(times), list[float]()
        while span is not None:
            found = read_page(store, span)
            assert len(found.time_ns) <= page
            got += found.value.tolist()
            span = found.rest
    expected = [float(i) for i, at in enumerate(times) if low <= at < high]
    assert got == (expected[::-1] if back else expected)


def test_ten_years_of_nothing_cost_few_looks() -> None:
    store = Store([])
    read_page(store, Span(name="bess1/temp", start_ns=BEGIN_NS - 3650 * DAY_NS, end_ns=BEGIN_NS))
    assert store.asked < 70


def site(folder: Path, store: Any) -> Plant:
    from tests.kit.conditionkit import POINTS

    plant = Plant(folder, POINTS)
    plant.port.history = store
    plant.server = plant.port.server = OpcUaServer(plant.plan, plant.port)
    return plant


def test_a_client_reads_what_was_recorded_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 100)
    store = Store([BEGIN_NS + i * 10**9 for i in range(250)])
    store.samples.quality[3] = Quality.INVALID
    store.samples.quality[4] = Quality.SUBSTITUTED

    async def scenario() -> None:
        plant = site(tmp_path, store)
        async with running(plant), await client(plant, plant.app(), "viewer") as ua_client:
            node = ua_client.get_node("ns=2;s=bess1/temp")
            end = BEGIN + timedelta(hours=1)
            values = await node.read_raw_history(BEGIN, end, 0, return_bounds=False)
            assert [value.Value.Value for value in values if value.Value.Value is not None] == [
                float(i) for i in range(250) if i != 3
            ]
            assert values[1].SourceTimestamp == BEGIN + timedelta(seconds=1)
            assert values[3].StatusCode.is_bad()
            back = await node.read_raw_history(end, BEGIN, 3, return_bounds=False)
            assert [value.Value.Value for value in back[:3]] == [249.0, 248.0, 247.0]
            level = (await node.read_attribute(ua.AttributeIds.UserAccessLevel)).Value.Value
            assert level & 4
            assert (await node.read_attribute(ua.AttributeIds.Historizing)).Value.Value is True
            assert (
                await ua_client.get_node("ns=2;s=bess1/door").read_raw_history(BEGIN, end, 0, return_bounds=False) == []
            )

    asyncio.run(scenario())


REFUSED = {
    "bounds": ({"ReturnBounds": True}, "BadBoundNotSupported"),
    "modified": ({"IsReadModified": True}, "BadHistoryOperationUnsupported"),
    "no end and no count": ({"EndTime": datetime(1601, 1, 1, tzinfo=UTC)}, "BadInvalidTimestampArgument"),
}


@pytest.mark.parametrize("name", [*REFUSED, "a continuation point of nobody", "no store", "no point"])
def test_what_is_not_read_has_its_code(tmp_path: Path, name: str) -> None:
    keys, word = REFUSED.get(name, ({}, "BadHistoryOperationUnsupported"))

    async def scenario() -> None:
        plant = site(tmp_path, None if name == "no store" else Store([BEGIN_NS]))
        async with running(plant), await client(plant, plant.app(), "viewer") as ua_client:
            facts = {
                "IsReadModified": False,
                "StartTime": BEGIN,
                "EndTime": BEGIN + timedelta(1),
                "ReturnBounds": False,
            }
            details = ua.ReadRawModifiedDetails(**(facts | keys))
            wanted = ua.HistoryReadValueId()
            wanted.NodeId = ua.NodeId("bess1/", 2) if name == "no point" else ua.NodeId("bess1/temp", 2)
            expected = word
            if name == "a continuation point of nobody":
                wanted.ContinuationPoint, expected = b"x" * 16, "BadContinuationPointInvalid"
            parameters = ua.HistoryReadParameters(
                HistoryReadDetails=details,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ReleaseContinuationPoints=False,
                NodesToRead=[wanted],
            )
            [result] = await ua_client.uaclient.history_read(parameters)
            assert result.StatusCode.name == expected

    asyncio.run(scenario())
