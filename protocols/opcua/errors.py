"""The two ways in which a peer can be wrong."""

from __future__ import annotations

from protocols.opcua.uastack import ua


class OpcUaError(Exception):
    """Carries a status code of Part 4, 7.39 and a text for a person; the text never goes over the wire."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(text or code_name(code))
        self.code = code


class ChannelFault(OpcUaError):
    """The connection cannot go on: the peer gets an ERR message with `code`, and the connection ends."""


class ServiceFault(OpcUaError):
    """One request is refused: the peer gets a ServiceFault with `code`, and the session goes on."""


def code_name(code: int) -> str:
    """``BadSessionIdInvalid`` for 0x80250000; the number in hex if it has no name."""
    name: str = ua.status_codes.get_name_and_doc(code)[0]
    return name


def place_of(error: BaseException) -> str:
    """``file:line`` where it was raised."""
    tail = error.__traceback__
    while tail is not None and tail.tb_next is not None:
        tail = tail.tb_next
    return f"{tail.tb_frame.f_code.co_filename}:{tail.tb_lineno}" if tail else ""
