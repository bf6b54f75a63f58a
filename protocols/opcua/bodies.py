"""Long requests and responses in steps, so that ten thousand of anything hold nobody else up.

The list of a Read, Browse, CreateMonitoredItems ... is the last field of its parameters: what stands in front of it is
read at once, its elements one by one.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from protocols.opcua.errors import ServiceFault
from protocols.opcua.uastack import Codes, ua
from protocols.opcua.uastack import _binary as binary

NO_DIAGNOSTICS: Final = b"\xff\xff\xff\xff"
MAX_OPERATIONS: Final = 20_000
"""In one request."""


class Request:
    """A request whose last list is still octets. `parameters` holds the fields in front of it."""

    def __init__(self, request: type[Any], body: bytes) -> None:
        """Raises `ServiceFault`."""
        self._buffer = ua.utils.Buffer(body)
        fields, self._element = _layout(request)
        try:
            binary.nodeid_from_binary(self._buffer)
            self.header = binary.struct_from_binary(ua.RequestHeader, self._buffer)
            self.parameters = {name: read(self._buffer) for name, read in fields}
            self.count = int.from_bytes(self._buffer.read(4), "little", signed=True)
        except Exception as error:  # noqa: BLE001 - asyncua's reader raises whatever the octets provoke
            raise _broken(request.__name__, error) from None
        if self.count <= 0:
            raise ServiceFault(Codes.BadNothingToDo)
        if self.count > MAX_OPERATIONS:
            raise ServiceFault(Codes.BadTooManyOperations, f"{self.count:,} operations, {MAX_OPERATIONS:,} are taken")

    def elements(self) -> Iterator[Any]:
        """The list's elements. Raises `ServiceFault` at the one that is broken."""
        read, buffer = self._element, self._buffer
        for number in range(self.count):
            try:
                yield read(buffer)
            except Exception as error:  # noqa: BLE001 - as above
                raise _broken(f"element {number}", error) from None


def listed(parts: Sequence[bytes], count: int | None = None) -> bytes:
    """The body of a response that is a list of results and no diagnostics."""
    head = (len(parts) if count is None else count).to_bytes(4, "little")
    return b"".join((head, *parts, NO_DIAGNOSTICS))


def status_octets(code: int) -> bytes:
    """An encoded StatusCode."""
    return code.to_bytes(4, "little")


_Reader = Callable[[Any], Any]
_LAYOUTS: dict[type[Any], tuple[list[tuple[str, _Reader]], _Reader]] = {}


def _layout(request: type[Any]) -> tuple[list[tuple[str, _Reader]], _Reader]:
    """Readers of the parameters in front of the list, and of one element."""
    found = _LAYOUTS.get(request)
    if found is None:
        carrier = type(request().Parameters) if hasattr(request(), "Parameters") else request
        hints = typing.get_type_hints(carrier, {**vars(ua), "ua": ua})
        names = [field.name for field in dataclasses.fields(carrier) if field.name not in ("TypeId", "RequestHeader")]
        before = [(name, _reader(hints[name])) for name in names[:-1]]
        (element,) = typing.get_args(hints[names[-1]])
        found = _LAYOUTS[request] = before, _reader(element)
    return found


def _reader(kind: Any) -> _Reader:
    return lambda buffer: binary.from_binary(kind, buffer)


def _broken(what: str, error: Exception) -> ServiceFault:
    return ServiceFault(Codes.BadDecodingError, f"{what}: {type(error).__name__}")
