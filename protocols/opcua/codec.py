"""Requests from octets, responses to octets."""

from __future__ import annotations

import datetime
import struct
from typing import Any, Final

from protocols.opcua import decoder
from protocols.opcua.errors import ServiceFault
from protocols.opcua.services import EncodedResponse
from protocols.opcua.uastack import Codes, encode, encode_type_id, ua

_RESPONSE_HEADER: Final = struct.Struct("<qIIBi3s")
_EPOCH_NS100: Final = 116_444_736_000_000_000
FAULT_ID: Final = int(ua.ObjectIds.ServiceFault_Encoding_DefaultBinary)


def read_type_id(body: bytes) -> int:
    """The numeric type id in front of a message. Raises `ServiceFault`."""
    if body[:2] == b"\x01\x00" and len(body) >= 4:
        return int.from_bytes(body[2:4], "little")
    if body[:3] == b"\x02\x00\x00" and len(body) >= 7:
        return int.from_bytes(body[3:7], "little")
    if body[:1] == b"\x00" and len(body) >= 2:
        return body[1]
    raise ServiceFault(Codes.BadDecodingError, "no numeric type id of namespace 0")


def read_request(request: type[Any], body: bytes, budget: int) -> Any:
    """The request structure; `budget` as for `decoder.Reader`. Raises `ServiceFault`."""
    try:
        return decoder.decode(request, body, budget)
    except decoder.DecodeError as error:
        raise ServiceFault(Codes.BadDecodingError, f"{request.__name__}: {error}") from None


def read_header(body: bytes) -> Any:
    """The RequestHeader behind the type id. Raises `ServiceFault`."""
    try:
        return decoder.decode(ua.RequestHeader, body, 0, behind_id=True)
    except decoder.DecodeError as error:
        raise ServiceFault(Codes.BadDecodingError, f"RequestHeader: {error}") from None


def write_response(response: Any, handle: int, now_ns: int) -> bytes:
    """The message body of a response structure or an `EncodedResponse`."""
    if isinstance(response, EncodedResponse):
        head = response_header(handle, now_ns, response.service_result)
        return encode_type_id(response.type_id) + head + response.body
    response.ResponseHeader.Timestamp = datetime.datetime.fromtimestamp(now_ns / 1e9, datetime.UTC)
    response.ResponseHeader.RequestHandle = handle
    return encode(response)


def write_fault(code: int, handle: int, now_ns: int) -> bytes:
    """The message body of a ServiceFault."""
    return encode_type_id(FAULT_ID) + response_header(handle, now_ns, code)


def response_header(handle: int, now_ns: int, result: int) -> bytes:
    """Part 4, 7.33: no diagnostics, no strings, no additional header."""
    return _RESPONSE_HEADER.pack(now_ns // 100 + _EPOCH_NS100, handle, result, 0, -1, b"\0\0\0")
