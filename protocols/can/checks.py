"""What a row of a CAN device map must be; each finding says where, what, and what was expected."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.can import dbc
from protocols.can.plan import CLASSIC_BYTES, FD_BYTES, Field
from protocols.can.rows import Bound, Commanded

MOST_STATE_BITS: Final = 16
_ON, _OFF = 1.0, 0.0
_DOUBLE_OFF, _DOUBLE_ON, _DOUBLE_BETWEEN = 1.0, 2.0, 0.0
_STATE_KINDS: Final = ("binary", "double", "control")
_FLOAT_BITS: Final = (16, 32, 64)


class Wrong(ValueError):
    """A row cannot be used: the column and a sentence for a person."""

    def __init__(self, column: str, sentence: str) -> None:
        super().__init__(sentence)
        self.column = column


class Signals:
    """The messages of one device's DBC by name."""

    def __init__(self, messages: Mapping[str, Any]) -> None:
        self._messages = messages
        self._signals: dict[str, dict[str, Any]] = {}

    @staticmethod
    def near(name: str, known: Iterable[str]) -> str:
        """Like `nearest`, and for a name in other letters of case too."""
        same = [each for each in known if each.lower() == name.lower()]
        return f" (did you mean {same[0]}?)" if same else nearest(name, known)

    def message(self, name: str) -> Any:
        """Raises `Wrong`."""
        found = self._messages.get(name)
        if found is None:
            raise Wrong("message", f"no message is called {name}{self.near(name, self._messages)}")
        if found.is_container:
            raise Wrong("message", f"{name} is a container of messages; expected a plain message")
        return found

    def signal(self, message: Any, name: str, column: str = "signal") -> Any:
        """Raises `Wrong`."""
        known = self._signals.setdefault(message.name, {each.name: each for each in message.signals})
        if name not in known:
            raise Wrong(column, f"message {message.name} has no signal {name}{self.near(name, known)}")
        return known[name]


class RowChecker:
    """Checks the rows of one device, one after another."""

    def __init__(self, source: DeviceSource, signals: Signals, device: int, report: Report) -> None:
        self._device, self._signals, self._index, self._report = source.settings, signals, device, report

    def check(self, source: DeviceRowSource) -> Bound | Commanded | None:
        """What the row binds; None (and a problem in the report) when it cannot be used."""
        row = source.settings
        try:
            message = self._signals.message(row.message)
            signal = self._signals.signal(message, row.signal)
            _check_size(message, signal)
            if row.kind in ("setpoint", "control"):
                return self._commanded(source, message, signal)
            return self._bound(source, message, signal)
        except Wrong as wrong:
            self._report.error(source.place.at(wrong.column), f"{source.name}: {wrong}")
            return None

    def _bound(self, source: DeviceRowSource, message: Any, signal: Any) -> Bound:
        row = source.settings
        field, scale = dbc.field_of(signal), _row_scale(row)
        states = self._states(row, signal, field)
        conditions = list(dbc.conditions(message, signal))
        _check_double(row, field, states)
        return Bound(
            row=source.row,
            device=self._index,
            place=source.place,
            message=message,
            field=field,
            conditions=conditions,
            scale=float(signal.conversion.scale),
            offset=float(signal.conversion.offset),
            row_scale=scale,
            row_offset=row.offset or 0.0,
            flag=row.kind == "binary" and not states,
            states=states,
            otherwise=_DOUBLE_BETWEEN,
            invalid=_raws(row.invalid, signal, field, "invalid"),
            guard=self._guard(row, message, conditions),
        )

    def _commanded(self, source: DeviceRowSource, message: Any, signal: Any) -> Commanded:
        row = source.settings
        for column in ("valid", "invalid"):
            if getattr(row, column) is not None:
                raise Wrong(column, f"a {row.kind} is sent, not read; expected an empty cell")
        if self._device.listen_only:
            raise Wrong(
                "kind", f"a {row.kind} needs a bus that may be written to: set listen_only: false on the device"
            )
        states = self._states(row, signal, dbc.field_of(signal))
        if states and len(states) < 2:
            missing = "off" if _ON in states else "on"
            raise Wrong(missing, "a control is given both states or none")
        return Commanded(
            row=source.row,
            device=self._index,
            name=source.name,
            place=source.place,
            message=message,
            signal=signal,
            row_scale=_row_scale(row),
            row_offset=row.offset or 0.0,
            states=states,
        )

    def _states(self, row: Any, signal: Any, field: Field) -> dict[float, tuple[int, ...]]:
        """Value -> raw values, of the columns `on` and `off`."""
        double = row.kind == "double"
        values = {"off": _DOUBLE_OFF if double else _OFF, "on": _DOUBLE_ON if double else _ON}
        out = {
            value: raws
            for column, value in values.items()
            if (raws := _raws(getattr(row, column), signal, field, column))
        }
        given = next((column for column in values if getattr(row, column) is not None), "")
        if given and row.kind not in _STATE_KINDS:
            raise Wrong(given, f"only a binary, double or control has states; this point is of kind {row.kind}")
        if given and (row.scale, row.offset) != (None, None):
            raise Wrong("scale", "a point read by states has no scale or offset; expected empty cells")
        if out and field.length > MOST_STATE_BITS:
            raise Wrong(given, f"states of a signal of {field.length} bits; at most {MOST_STATE_BITS} are taken")
        both = set.intersection(*map(set, out.values())) if len(out) == 2 else set()
        if both:
            raise Wrong("off", f"raw value {min(both)} cannot mean both on and off")
        return out

    def _guard(self, row: Any, message: Any, conditions: list[tuple[Any, frozenset[int]]]) -> tuple[Field, bool] | None:
        """The signal that says whether this one is valid, and whether it does so by not being 0."""
        if row.valid is None:
            return None
        name = row.valid.removeprefix("!").strip()
        signal = self._signals.signal(message, name, "valid")
        _check_size(message, signal, "valid")
        there = {selector.name: ids for selector, ids in conditions}
        for selector, ids in dbc.conditions(message, signal):
            if not there.get(selector.name, frozenset[int]([-1])) <= ids:
                raise Wrong("valid", f"{name} is not in every frame that carries {row.signal}")
        return dbc.field_of(signal), not row.valid.startswith("!")


def _row_scale(row: Any) -> float:
    pair = (1.0 if row.scale is None else row.scale, row.offset or 0.0)
    if pair[0] == 0:
        raise Wrong("scale", "a scale of 0 makes every value the same; expected another number")
    if row.kind == "double" and pair != (1.0, 0.0):
        raise Wrong("scale", "a double has no scale or offset; expected empty cells")
    if row.kind in ("binary", "control") and pair not in ((1.0, 0.0), (-1.0, 1.0)):
        raise Wrong("scale", f"a {row.kind} has no scale or offset; expected empty cells, or -1 and 1 to invert it")
    return pair[0]


def _check_double(row: Any, field: Field, states: Collection[float]) -> None:
    if row.kind == "double" and not states and (field.length != 2 or field.signed):
        raise Wrong("signal", "a double is an unsigned signal of 2 bits (1 open, 2 closed), or is given on and off")


def _check_size(message: Any, signal: Any, column: str = "signal") -> None:
    field = dbc.field_of(signal)
    if field.floating and field.length not in _FLOAT_BITS:
        raise Wrong(column, f"{signal.name} is a floating point number of {field.length} bits; expected 16, 32 or 64")
    if not 1 <= field.length <= 64 or field.start + field.length > 8 * message.length:
        raise Wrong(
            column, f"{signal.name} ({field.length} bits) is not within the {message.length} bytes of the message"
        )
    if message.length > FD_BYTES:
        raise Wrong("message", f"{message.name} is {message.length} bytes long; a frame carries {FD_BYTES}")
    if message.length > CLASSIC_BYTES and field.window(FD_BYTES)[1] < 0:
        raise Wrong(column, f"{signal.name} spreads over nine bytes, which is not supported")


def _raws(cell: str | None, signal: Any, field: Field, column: str) -> tuple[int, ...]:
    """Raw bits of ``WORD|7|0x1F``: words of the signal's value table, or raw numbers. Raises `Wrong`."""
    if cell is None:
        return ()
    words = dbc.states(signal)
    lowered = {word.lower(): raw for word, raw in words.items()}
    out: list[int] = []
    for part in (each.strip() for each in cell.split("|")):
        raw = words.get(part, lowered.get(part.lower()))
        if raw is None:
            raw = _number(part, signal, words, column)
        if not -(1 << field.length - 1) * field.signed <= raw <= field.mask:
            raise Wrong(column, f"{part} does not fit into the {field.length} bits of {signal.name}")
        out.append(raw & field.mask)
    return tuple(out)


def _number(part: str, signal: Any, words: Mapping[str, int], column: str) -> int:
    try:
        return int(part, 0)
    except ValueError:
        table = f" ({', '.join(list(words)[:8])})" if words else " (it has none)"
        raise Wrong(
            column, f"{part!r} is neither a raw number nor in the value table of {signal.name}{table}"
        ) from None
