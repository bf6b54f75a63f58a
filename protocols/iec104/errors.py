"""The one error that bytes from a peer can raise in this package."""

from __future__ import annotations


class Iec104Error(Exception):
    """The peer broke the protocol. The text says what came and what was expected; the connection closes."""
