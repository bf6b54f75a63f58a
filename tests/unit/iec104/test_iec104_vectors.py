"""Annotated octets in tests/vectors/iec104, coded from points and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gateway.events import EVENT
from gateway.points import Kind, Point, PointCatalogue, Quality
from protocols.iec104 import elements
from protocols.iec104.asdu import Asdu
from protocols.iec104.bindings import Bindings
from protocols.iec104.elements import BY_NAME
from protocols.iec104.plan import BindingColumns
from protocols.iec104.time56 import Zone

VECTORS = Path(__file__).parents[2] / "vectors" / "iec104" / "asdus.txt"


def lines() -> list[list[str]]:
    text = VECTORS.read_text().splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in text if line and not line.startswith("#")]


def bindings(type_name: str, ioa: int, low: float, high: float) -> Bindings:
    row = BY_NAME[type_name]
    columns = BindingColumns(
        row=np.array([0], np.uint32),
        ca=np.array([1], np.uint16),
        ioa=np.array([ioa], np.uint32),
        event_type=np.array([row.id], np.uint8),
        static_type=np.array([row.untimed], np.uint8),
        group=np.zeros(1, np.uint8),
        limit=np.full(1, np.nan),
        cyclic_s=np.zeros(1, np.float32),
        mode=np.zeros(1, np.uint8),
    )
    catalogue = PointCatalogue.of([Point(row=0, name="p", kind=Kind.ANALOG, low=low, high=high)])
    return Bindings(columns, catalogue, Zone("UTC"))


@pytest.mark.parametrize("line", lines(), ids=lambda line: line[0])
def test_an_event_is_coded_as_the_vector_says(line: list[str]) -> None:
    _, type_name, value, flag, time_ns, span, ioa, octets = line
    low, high = (float(x) for x in span.split(",")) if span != "-" else (float("nan"), float("nan"))
    event = np.zeros(1, EVENT)
    event["value"] = float(value)
    event["quality"] = 0 if flag == "-" else int(Quality[flag])
    event["time_ns"] = 0 if time_ns == "-" else int(time_ns)
    [(asdu, count)] = bindings(type_name, int(ioa), low, high).encode_events(event, 127)
    assert asdu.hex() == octets.replace(" ", "")
    assert count == 1


@pytest.mark.parametrize("line", [line for line in lines() if line[0] != "no state"], ids=lambda line: line[0])
def test_the_vector_reads_back(line: list[str]) -> None:
    _, type_name, value, flag, time_ns, span, ioa, octets = line
    asdu = Asdu.parse(bytes.fromhex(octets.replace(" ", "")))
    row = BY_NAME[type_name]
    ioas, objects = asdu.objects()
    low, high = (float(x) for x in span.split(",")) if span != "-" else (0.0, 0.0)
    [read] = elements.values(row, objects, np.array([low]), np.array([high]))
    assert (asdu.type_id, asdu.ioa, ioas.tolist(), asdu.test) == (row.id, int(ioa), [int(ioa)], flag == "TEST")
    if elements.quality_bits(row, objects)[0] & 1 == 0 and np.isfinite(float(value)) and line[0] != "top of the range":
        assert read == pytest.approx(round(float(value)) if type_name == "M_ME_NB_1" else float(value))
    if time_ns != "-" and row.tag == 7:
        times, invalid = elements.times(row, objects, Zone("UTC"))
        assert times.tolist() == [int(time_ns)]
        assert invalid.tolist() == [flag == "TIME_INVALID"]
