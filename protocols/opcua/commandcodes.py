"""What becomes of a command, as OPC UA status codes: total over `Reason` (OPC 10000-4, 7.38.2)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from gateway.contracts import Reason
from protocols.opcua.uastack import Codes

CODES: Final = MappingProxyType(
    {
        Reason.OK: int(Codes.Good),
        Reason.UNKNOWN_POINT: int(Codes.BadNodeIdUnknown),
        Reason.NOT_COMMANDABLE: int(Codes.BadNotWritable),
        Reason.NOT_AUTHORISED: int(Codes.BadUserAccessDenied),
        Reason.LOCAL: int(Codes.BadInvalidState),
        Reason.OUT_OF_RANGE: int(Codes.BadOutOfRange),
        Reason.BUSY: int(Codes.BadResourceUnavailable),
        Reason.BLOCKED: int(Codes.BadOutOfService),
        Reason.INTERLOCKED: int(Codes.BadInvalidState),
        Reason.NOT_SELECTED: int(Codes.BadInvalidState),
        Reason.EXPIRED: int(Codes.BadTimeout),
        Reason.SUPERSEDED: int(Codes.BadRequestInterrupted),
        Reason.DEVICE_LOST: int(Codes.BadNoCommunication),
        Reason.DEVICE_REFUSED: int(Codes.BadRequestNotAllowed),
        Reason.FEEDBACK: int(Codes.BadDeviceFailure),
        Reason.TIMEOUT: int(Codes.BadTimeout),
        Reason.CORE_LOST: int(Codes.BadServerNotConnected),
        Reason.TEST: int(Codes.BadNotSupported),
    }
)
