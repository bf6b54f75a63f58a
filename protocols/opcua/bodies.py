"""Long requests and responses in steps, so that ten thousand of anything hold nobody else up.

The list of a Read, Browse, CreateMonitoredItems ... is the last field of its parameters: what stands in front of it is
read at once, its elements one by one.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Final

from protocols.opcua.decoder import BROKEN, STRUCTURE_COST, Read, Reader, field_reader, reader_of
from protocols.opcua.errors import ServiceFault
from protocols.opcua.uastack import Codes, type_hints, ua

NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"
MAX_OPERATIONS: Final = 20_000
"""In one request."""
_BUDGET: Final = 10 * MAX_OPERATIONS * STRUCTURE_COST
"""Of a request's arrays: its operations, and what each may hold."""


class Request:
    """A request whose last list is still octets. `parameters` holds the fields in front of it."""

    def __init__(self, request: type[Any], body: bytes) -> None:
        """Raises `ServiceFault`."""
        self._reader = Reader(body, _BUDGET)
        fields, self._element = _layout(request)
        try:
            self.header = _header(self._reader)
            self.parameters = {name: read(self._reader) for name, read in fields}
            self.count = self._reader.count(1, STRUCTURE_COST)
        except BROKEN as error:
            raise _broken(request.__name__, error) from None
        if self.count <= 0:
            raise ServiceFault(Codes.BadNothingToDo)
        if self.count > MAX_OPERATIONS:
            raise ServiceFault(Codes.BadTooManyOperations, f"{self.count:,} operations, {MAX_OPERATIONS:,} are taken")

    def elements(self) -> Iterator[Any]:
        """The list's elements. Raises `ServiceFault` at the one that is broken."""
        read, reader = self._element, self._reader
        for number in range(self.count):
            try:
                yield read(reader)
            except BROKEN as error:
                raise _broken(f"element {number}", error) from None


def listed(parts: Sequence[bytes], count: int | None = None) -> bytes:
    """The body of a response that is a list of results and no diagnostics."""
    head = (len(parts) if count is None else count).to_bytes(4, "little")
    return b"".join((head, *parts, NO_DIAGNOSTICS))


def status_octets(code: int) -> bytes:
    """An encoded StatusCode."""
    return code.to_bytes(4, "little")


def _header(reader: Reader) -> Any:
    _TYPE_ID(reader)
    return _HEADER(reader)


_TYPE_ID: Final = field_reader(ua.NodeId)
_HEADER: Final = reader_of(ua.RequestHeader)
_LAYOUTS: dict[type[Any], tuple[list[tuple[str, Read]], Read]] = {}


def _layout(request: type[Any]) -> tuple[list[tuple[str, Read]], Read]:
    """Readers of the parameters in front of the list, and of one element."""
    found = _LAYOUTS.get(request)
    if found is None:
        carrier = type(request().Parameters)
        hints = type_hints(carrier)
        names = [field.name for field in dataclasses.fields(carrier)]
        before = [(name, field_reader(hints[name])) for name in names[:-1]]
        (element,) = typing.get_args(hints[names[-1]])
        found = _LAYOUTS[request] = before, reader_of(element)
    return found


def _broken(what: str, error: Exception) -> ServiceFault:
    return ServiceFault(Codes.BadDecodingError, f"{what}: {type(error).__name__}")
