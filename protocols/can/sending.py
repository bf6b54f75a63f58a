"""The `transmit` section and the commanded points of one bus to the messages that the gateway sends. While checking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.contracts.places import Report
from gateway.contracts.settings import DeviceSource
from protocols.can import dbc
from protocols.can.checks import Signals, Wrong
from protocols.can.encode import Unencodable, raw_of
from protocols.can.plan import Checksum, Field, Target, Transmit
from protocols.can.rows import Commanded

_CHECKSUM_BITS: Final = 8


def compile_transmit(
    devices: Sequence[DeviceSource],
    loaded: Sequence[Mapping[str, Any]],
    commanded: Sequence[Commanded],
    report: Report,
) -> tuple[list[Target], list[Transmit]]:
    """Commanded points and sent messages; whatever is wrong goes to the report and is left out."""
    sent: list[Transmit] = []
    index: dict[tuple[int, str], int] = {}
    for device, (source, messages) in enumerate(zip(devices, loaded, strict=True)):
        for number, entry in enumerate(source.settings.transmit):
            own = [each for each in commanded if each.device == device and each.message.name == entry.message]
            try:
                made = _Entry(device, source, Signals(messages), entry, own).transmit() if messages else None
            except (Wrong, Unencodable) as wrong:
                report.error(source.key(f"transmit.{number}.message"), f"transmit {entry.message}: {wrong}")
                continue
            if made is not None and _is_new(made, sent, source, number, report):
                index[device, entry.message] = len(sent)
                sent.append(made)
    targets = [_target(each, index, devices, report) for each in sorted(commanded, key=lambda each: each.row)]
    return [target for target in targets if target is not None], sent


def _is_new(made: Transmit, sent: list[Transmit], source: DeviceSource, number: int, report: Report) -> bool:
    if any(other.key == made.key for other in sent):
        report.error(source.key(f"transmit.{number}.message"), f"{made.name} is sent on this bus already")
        return False
    return True


def _target(
    each: Commanded, index: Mapping[tuple[int, str], int], devices: Sequence[DeviceSource], report: Report
) -> Target | None:
    name, source = each.message.name, devices[each.device]
    message = index.get((each.device, name))
    if message is None:
        if all(entry.message != name for entry in source.settings.transmit):
            report.error(
                each.place.at("message"),
                f"{each.name}: {name} is not in transmit of device {source.settings.name}: what is sent is said there",
            )
        return None
    signal = each.signal
    low, high = (
        (-math.inf if signal.minimum is None else signal.minimum),
        (math.inf if signal.maximum is None else signal.maximum),
    )
    if low >= high:
        low, high = -math.inf, math.inf
    return Target(
        row=each.row,
        name=each.name,
        message=message,
        field=dbc.field_of(signal),
        scale=float(signal.conversion.scale),
        offset=float(signal.conversion.offset),
        row_scale=each.row_scale,
        row_offset=each.row_offset,
        low=float(low),
        high=float(high),
        states=tuple((value, raws[0]) for value, raws in each.states.items()),
    )


class _Entry:
    """One entry of `transmit`."""

    def __init__(self, device: int, source: DeviceSource, signals: Signals, entry: Any, own: list[Commanded]) -> None:
        self._device, self._source, self._signals, self._entry, self._own = device, source, signals, entry, own
        self._message = signals.message(entry.message)

    def transmit(self) -> Transmit:
        """Raises `Wrong` or `Unencodable`."""
        entry, message, settings = self._entry, self._message, self._source.settings
        if settings.listen_only:
            raise Wrong("message", "the bus is listened to only: set listen_only: false on the device to send")
        if message.is_fd and not settings.fd:
            raise Wrong("message", "a CAN FD message on a classic bus: set fd: true on the device")
        counter, checksum = self._counter(), self._checksum()
        self._check_multiplexed()
        initial = self._payload(entry.values)
        own = settings.cycle_ms.get(message.name)
        cycle_s = (own / 1000 if own else dbc.cycle_s(message)) if entry.cycle_ms is None else entry.cycle_ms / 1000
        begin = entry.begin or ("written" if self._own else "open")
        return Transmit(
            key=dbc.key_of(message, settings.id_offset),
            name=message.name,
            device=self._device,
            initial=bytes(initial),
            cycle_s=cycle_s,
            at_once=begin == "open",
            fd=bool(message.is_fd),
            counter=counter,
            checksum=checksum,
            stop=None if entry.stop is None else bytes(self._put(bytearray(initial), entry.stop)),
        )

    def _counter(self) -> Field | None:
        name = self._entry.counter
        return None if name is None else self._own_field(name, "counter")

    def _checksum(self) -> Checksum | None:
        wanted = self._entry.checksum
        if wanted is None:
            return None
        field = self._own_field(wanted.signal, "checksum")
        if field.length != _CHECKSUM_BITS or field.start % 8:
            raise Wrong("checksum", f"{wanted.signal} is not one whole byte; expected a signal of 8 bits from bit 0 on")
        prefix = b"" if wanted.data_id is None else wanted.data_id.to_bytes(2, "little")
        return Checksum(field=field, method=wanted.method, prefix=prefix)

    def _own_field(self, name: str, what: str) -> Field:
        """A signal that the gateway fills by itself."""
        signal = self._signals.signal(self._message, name)
        field = dbc.field_of(signal)
        if field.floating:
            raise Wrong("signal", f"the {what} {name} is a floating point number; expected an integer")
        if any(each.signal.name == name for each in self._own):
            raise Wrong("signal", f"the {what} {name} is also a commanded point")
        if name in self._entry.values:
            raise Wrong("signal", f"the {what} {name} is filled by the gateway; it has no place in values")
        return field

    def _check_multiplexed(self) -> None:
        """Every signal that is used is in the frame that `values` selects."""
        used = {*self._entry.values, *(self._entry.stop or {}), *(each.signal.name for each in self._own)}
        used |= {name for name in (self._entry.counter,) if name}
        used |= {self._entry.checksum.signal} if self._entry.checksum else set()
        for name in sorted(used):
            signal = self._signals.signal(self._message, name)
            for selector, ids in dbc.conditions(self._message, signal):
                value = self._entry.values.get(selector.name)
                if value is None or _raw(selector, value) not in ids:
                    wanted = ", ".join(map(str, sorted(ids)[:5]))
                    raise Wrong("signal", f"{name} is multiplexed: values must set {selector.name} (to {wanted})")

    def _payload(self, values: Mapping[str, float | str]) -> bytearray:
        """The start values of the DBC, and over them these."""
        data = bytearray(self._message.length)
        for signal in self._message.signals:
            if signal.raw_initial and signal.multiplexer_signal is None:
                dbc.field_of(signal).write(data, raw_of(dbc.field_of(signal), float(signal.raw_initial)))
        return self._put(data, values)

    def _put(self, data: bytearray, values: Mapping[str, float | str]) -> bytearray:
        for name, value in values.items():
            signal = self._signals.signal(self._message, name)
            dbc.field_of(signal).write(data, _raw(signal, value))
        return data


def _raw(signal: Any, value: float | str) -> int:
    """Raw bits of a number in the DBC's unit or of a word of the value table. Raises `Wrong` or `Unencodable`."""
    field = dbc.field_of(signal)
    if isinstance(value, str):
        words = dbc.states(signal)
        if value not in words:
            raise Wrong("values", f"{value!r} is not in the value table of {signal.name}{Signals.near(value, words)}")
        return words[value] & field.mask
    try:
        return raw_of(field, (value - signal.conversion.offset) / signal.conversion.scale)
    except Unencodable as error:
        raise Unencodable(f"{signal.name}: {error}") from None
