"""How the feed looks on its Unix socket.

A frame is a header of 24 bytes and a payload, everything little endian::

    0        4      5         6     8               16              24
    | length | kind | version | 0 0 | seq            | time_ns       | payload ...
    | u4     | u1   | u1      |     | u8             | i8            | `length` bytes

`seq` counts changes. Its upper 24 bits are the epoch, which grows with every start of a core, so that a sequence
number never occurs twice. `time_ns` is the core's clock when it published what the frame tells, so that a reader
that lags knows when; 0: not told. Both sides are of one installation: another version is refused in words.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import Any, Final

import numpy as np

from gateway.points.change import CHANGE, Changes, Qualities, Times, Values

VERSION: Final = 2
"""Of the header; the first one had 16 bytes, no time, and 0 here."""
_HEADER: Final = struct.Struct("<IBB2xQq")
HEADER_BYTES: Final = _HEADER.size
EPOCH_SHIFT: Final = 40
MAX_REQUEST_BYTES: Final = 1 << 20
MAX_FRAME_BYTES: Final = 1 << 28
_ROW_BYTES: Final = 28


class FeedError(Exception):
    """The other side does not speak the feed. The text says what was wrong."""


class FrameKind(IntEnum):
    """What a frame is; reader to core, or core to reader."""

    HELLO = 1
    """reader: JSON {name, server, resume, replay, alarms, records}.

    alarms: number of the last alarm event, if it wants them; records: true if it wants `RECORD`.
    """
    WELCOME = 2
    """core: JSON {site, points, confirmed}; seq = present sequence number."""
    SNAPSHOT = 3
    """core: the whole table at seq: f8 values, i8 times, i8 seen times, u4 qualities, one block each."""
    CHANGES = 4
    """core: `CHANGE` records; seq = number of the last."""
    REPLAY = 5
    """core: `CHANGE` records from before the snapshot, for events only."""
    REPLAYED = 6
    """core: the replay is complete."""
    HEARTBEAT = 7
    """both: alive; core's seq = present sequence number."""
    OVERRUN = 8
    """core: JSON {lost}: so many changes are gone; a snapshot follows, or came at the start."""
    COMMAND = 9
    """reader: JSON of a `Command`."""
    OUTCOME = 10
    """core: JSON of an `Outcome`."""
    CONFIRM = 11
    """reader: JSON {master: seq}."""
    PUBLISH = 12
    """reader: `CHANGE` records of its own system points."""
    COMMANDED = 14
    """core: JSON {row, feedback, remote}: a command was written to the field."""
    GET_SNAPSHOT = 13
    """reader: send a snapshot now."""
    GET_COUNTERS = 20
    """reader: send the counters of the drivers."""
    COUNTERS = 21
    """core: JSON {device: {counter: number}}."""
    GET_DEVICES = 22
    """reader: send what is known of the devices."""
    DEVICES = 23
    """core: JSON {device: {state, cause, since_ns}}."""
    GET_CONTROL = 24
    """reader: send what control does now."""
    CONTROL = 25
    """core: JSON of `gateway.control.view`; empty where the site has no control."""
    RECORD = 26
    """core: JSON of a step of a command, or of what control did by itself, as it is written to the audit."""
    ALARMS = 15
    """core: JSON {reset, records}: alarm events, or with reset all alarms that are not normal; seq = last event's."""


def frame(kind: FrameKind, payload: bytes = b"", seq: int = 0, time_ns: int = 0) -> bytes:
    """One frame as bytes."""
    return _HEADER.pack(len(payload), kind, VERSION, seq, time_ns) + payload


def as_replay(changes_frame: bytes) -> bytes:
    """A `CHANGES` frame as it is told again: number, time and records are what they were."""
    length, _, version, seq, time_ns = _HEADER.unpack_from(changes_frame)
    return _HEADER.pack(length, FrameKind.REPLAY, version, seq, time_ns) + changes_frame[HEADER_BYTES:]


def json_frame(kind: FrameKind, content: Any, seq: int = 0) -> bytes:
    """One frame with a JSON payload."""
    return frame(kind, json.dumps(content, separators=(",", ":")).encode(), seq)


def json_payload(payload: bytes) -> dict[str, Any]:
    """Read a JSON object; `FeedError` when it is none."""
    try:
        content = json.loads(payload)
    except ValueError as error:
        raise FeedError(f"payload is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise FeedError("payload is not a JSON object")
    return content


def changes_payload(payload: bytes, rows: int) -> Changes:
    """Read `CHANGE` records; `FeedError` for a broken length or a row beyond the table of `rows` rows."""
    if len(payload) % CHANGE.itemsize:
        raise FeedError(f"{len(payload)} bytes are no whole number of change records")
    batch: Changes = np.frombuffer(payload, CHANGE)
    if len(batch) and int(batch["row"].max()) >= rows:
        raise FeedError(f"row {int(batch['row'].max())} is beyond the table of {rows} rows")
    return batch


def snapshot_payload(values: Values, qualities: Qualities, times_ns: Times, seen_ns: Times) -> bytes:
    """The whole table as one payload: 28 bytes a row."""
    return b"".join((values.tobytes(), times_ns.tobytes(), seen_ns.tobytes(), qualities.tobytes()))


def read_snapshot(payload: bytes) -> tuple[Values, Qualities, Times, Times]:
    """Values, qualities, times, seen times; `FeedError` for a broken length."""
    rows, rest = divmod(len(payload), _ROW_BYTES)
    if rest:
        raise FeedError(f"{len(payload)} bytes are no whole snapshot")
    return (
        np.frombuffer(payload, "<f8", rows, 0),
        np.frombuffer(payload, "<u4", rows, 24 * rows),
        np.frombuffer(payload, "<i8", rows, 8 * rows),
        np.frombuffer(payload, "<i8", rows, 16 * rows),
    )


class FrameReader:
    """Cuts a byte stream into frames, however it is chunked."""

    def __init__(self, max_payload_bytes: int) -> None:
        self._max = max_payload_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[FrameKind, int, int, bytes]]:
        """Complete frames as (kind, seq, time_ns, payload). Raises `FeedError`; then the stream is of no use."""
        self._buffer += data
        out: list[tuple[FrameKind, int, int, bytes]] = []
        start = 0
        while len(self._buffer) - start >= HEADER_BYTES:
            length, kind, version, seq, time_ns = _HEADER.unpack_from(self._buffer, start)
            if version != VERSION:
                raise FeedError(
                    f"the other side speaks version {version} of the feed, not {VERSION}: restart the gateway"
                )
            if length > self._max:
                raise FeedError(f"a frame of {length} bytes is announced, {self._max} are allowed")
            end = start + HEADER_BYTES + length
            if len(self._buffer) < end:
                break
            try:
                known = FrameKind(kind)
            except ValueError:
                raise FeedError(f"frame kind {kind} is not known") from None
            out.append((known, seq, time_ns, bytes(self._buffer[start + HEADER_BYTES : end])))
            start = end
        del self._buffer[:start]
        return out
