"""What a hostile message announces, and what honest ones say."""

from __future__ import annotations

import dataclasses
import datetime
import struct

import pytest

from protocols.opcua.decoder import DecodeError, Reader, _variant, decode
from protocols.opcua.uastack import encode, ua

BUDGET = 1_600_000
REQUESTS = [
    structure
    for name in sorted(dir(ua))
    if name.endswith("Request")
    and dataclasses.is_dataclass(structure := getattr(ua, name))
    and "RequestHeader" in [field.name for field in dataclasses.fields(structure)]
]


@pytest.mark.parametrize("request_type", REQUESTS, ids=lambda kind: kind.__name__)
def test_every_request_reads_as_asyncua_wrote_it(request_type: type) -> None:
    octets = encode(request_type())
    assert encode(decode(request_type, octets, BUDGET)) == octets


@pytest.mark.parametrize(
    "value",
    [
        ua.Variant(1.5, ua.VariantType.Double),
        ua.Variant([1, 2, 3], ua.VariantType.Int16),
        ua.Variant([[1, 2, 3], [4, 5, 6]], ua.VariantType.Int32),
        ua.Variant(None, ua.VariantType.Null),
        ua.Variant("p/q", ua.VariantType.String),
        ua.Variant(b"\x00", ua.VariantType.ByteString),
        ua.Variant([ua.Variant(1, ua.VariantType.Byte), ua.Variant("a")], ua.VariantType.Variant),
        ua.Variant(ua.NodeId("point", 2), ua.VariantType.NodeId),
        ua.Variant(ua.LocalizedText("text", "en"), ua.VariantType.LocalizedText),
        ua.Variant(ua.QualifiedName("name", 1), ua.VariantType.QualifiedName),
        ua.Variant(datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC), ua.VariantType.DateTime),
        ua.Variant(ua.Range(Low=0.0, High=1.0), ua.VariantType.ExtensionObject),
    ],
    ids=str,
)
def test_values_written_read_back(value: ua.Variant) -> None:
    request = ua.WriteRequest()
    request.Parameters.NodesToWrite = [ua.WriteValue(ua.NodeId("p", 2), 13, Value=ua.DataValue(value))]
    octets = encode(request)
    (written,) = decode(ua.WriteRequest, octets, BUDGET).Parameters.NodesToWrite
    assert written.Value.Value.Value == value.Value
    assert encode(decode(ua.WriteRequest, octets, BUDGET)) == octets


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\x80\xff\xff\xff\x7f", "two thousand million Nulls"),
        (b"\x98\xff\xff\xff\x7f", "as many variants"),
        (b"\xcb" + struct.pack("<id", 1, 1.0) + struct.pack("<iii", 2, 1 << 20, 1 << 20), "a matrix of 2 to the 40"),
        (b"\x98\x01\x00\x00\x00" * 17 + b"\x00", "seventeen variants in each other"),
        (b"\x1a", "a type that is none"),
        (b"\x0c\x05\x00\x00\x00abc", "a string cut off"),
        (b"\x19" + b"\x40" * 40 + b"\x00", "a diagnostic info in forty others"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_before_it_takes_memory(octets: bytes, why: str) -> None:
    with pytest.raises(DecodeError):
        _variant(Reader(octets, BUDGET))


def test_extension_objects_that_no_service_takes_stay_octets() -> None:
    """The AdditionalHeader of any request, before any login."""
    request = ua.GetEndpointsRequest()
    bomb = b"\x80\xff\xff\xff\x7f"
    request.RequestHeader.AdditionalHeader = ua.ExtensionObject(TypeId=ua.NodeId(887), Body=bomb)
    assert decode(ua.GetEndpointsRequest, encode(request), 0).RequestHeader.AdditionalHeader.Body is not None


def test_the_budget_counts_over_the_whole_message() -> None:
    request = ua.ReadRequest()
    request.Parameters.NodesToRead = [ua.ReadValueId(ua.NodeId(i, 2), 13) for i in range(200)]
    octets = encode(request)
    assert len(decode(ua.ReadRequest, octets, 200 * 16).Parameters.NodesToRead) == 200
    with pytest.raises(DecodeError, match="more array elements"):
        decode(ua.ReadRequest, octets, 199 * 16)
