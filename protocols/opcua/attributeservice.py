"""Read (OPC 10000-4, 5.11.2), in steps."""

from __future__ import annotations

import time
from itertools import groupby
from typing import Any, Final

import numpy as np

from protocols.opcua.bodies import Request, listed
from protocols.opcua.errors import ServiceFault
from protocols.opcua.pace import paced
from protocols.opcua.reading import Reader
from protocols.opcua.rights import Rights
from protocols.opcua.services import EncodedResponse, ServiceTable
from protocols.opcua.uastack import Codes, Ids, encode, ua

_BLOCK: Final = 1_000
_READ: Final = int(Ids.ReadResponse_Encoding_DefaultBinary)


class AttributeService:
    """Reads."""

    def __init__(self, reader: Reader, rights: Rights) -> None:
        self._reader, self._rights = reader, rights

    def install(self, table: ServiceTable) -> None:
        table.add(ua.ReadRequest, self.read, raw=True)

    async def read(self, session: Any, body: bytes) -> EncodedResponse:
        """Values of points are encoded together, a block at a time."""
        request = Request(ua.ReadRequest, body)
        timestamps = int(request.parameters["TimestampsToReturn"])
        if not 0 <= timestamps <= 3:
            raise ServiceFault(Codes.BadTimestampsToReturnInvalid)
        if not request.parameters["MaxAge"] >= 0:
            raise ServiceFault(Codes.BadMaxAgeInvalid)
        parts: list[bytes] = []
        block: list[tuple[int, Any]] = []
        async for wanted in paced(request.elements()):
            row = self._reader.point_row(wanted)
            block.append((row if row >= 0 and self._rights.visible(session, row) else -1, wanted))
            if len(block) == _BLOCK:
                parts += self._block(session, block, timestamps)
                block.clear()
        parts += self._block(session, block, timestamps)
        return EncodedResponse(_READ, listed(parts, request.count))

    def _block(self, session: Any, block: list[tuple[int, Any]], timestamps: int) -> list[bytes]:
        now_ns = time.time_ns()
        parts: list[bytes] = []
        for of_points, run in groupby(block, key=lambda entry: entry[0] >= 0):
            if of_points:
                rows = np.array([row for row, _ in run], np.intp)
                parts.append(self._reader.points(rows, timestamps, now_ns))
            else:
                parts += [encode(self._reader.value(session, wanted, timestamps)) for _, wanted in run]
        return parts
