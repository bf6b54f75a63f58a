"""Devices and rows of one bus to its plan: bindings as columns, messages with their variants. Used while checking."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.places import Report
from gateway.contracts.settings import DeviceSource
from protocols.can import dbc
from protocols.can.checks import RowChecker, Signals
from protocols.can.plan import Access, Bindings, BusPlan, DeviceOnBus, Field, Message, Source, width_of
from protocols.can.rows import Bound, Commanded
from protocols.can.sending import compile_transmit

SILENT_CYCLES: Final = 3.0
LEAST_SILENT_S: Final = 1.0
MOST_VARIANTS: Final = 65_536

_SHARED_KEYS: Final = ("bitrate", "fd", "listen_only", "options", "fallback", "reconnect_max_s", "gather_ms")
_NOT_OPTIONS: Final = frozenset(
    {"interface", "channel", "bitrate", "fd", "listen_only", "can_filters", "receive_own_messages"}
)


class BusCompiler:
    """Gathers the devices of one bus; `plan` makes one plan of all."""

    def __init__(self, first: DeviceSource, report: Report) -> None:
        self._first, self._report = first, report
        self._devices: list[DeviceSource] = []
        self._bound: list[Bound] = []
        self._commanded: list[Commanded] = []
        self._loaded: list[dict[str, Any]] = []
        self._filters: set[tuple[int, int, bool]] = set()

    def add(self, source: DeviceSource) -> None:
        """One device with its rows; everything wrong with it goes to the report."""
        self._agree(source)
        index = len(self._devices)
        self._devices.append(source)
        messages = self._messages(source)
        self._loaded.append(messages)
        if not messages:
            return
        for name in source.settings.cycle_ms:
            if name not in messages:
                self._report.error(source.key("cycle_ms"), f"no message is called {name}{Signals.near(name, messages)}")
        checker = RowChecker(source, Signals(messages), index, self._report)
        for row in source.rows:
            found = checker.check(row)
            if isinstance(found, Bound):
                self._bound.append(found)
            elif found is not None:
                self._commanded.append(found)

    def _messages(self, source: DeviceSource) -> dict[str, Any]:
        try:
            found = dbc.load(source.settings.dbc)
        except dbc.DbcError as error:
            self._report.error(source.key("dbc"), f"{source.settings.dbc}: {error}")
            return {}
        if found.doubt:
            self._report.warning(source.key("dbc"), f"{source.settings.dbc}: {found.doubt}")
        return found.messages

    def _agree(self, source: DeviceSource) -> None:
        """Devices on one bus open it the same way."""
        device, first = source.settings, self._first.settings
        for key in _SHARED_KEYS:
            if getattr(device, key) != getattr(first, key):
                self._report.error(
                    source.key(key),
                    f"device {device.name} and {first.name} ({self._first.key(key)}) share the bus "
                    f"{device.interface} {device.channel}, but {key} differs",
                )
        for name in sorted(_NOT_OPTIONS & set(device.options)):
            self._report.error(source.key("options"), f"{name} is not an option; expected it as the driver's own key")

    def plan(self) -> BusPlan:
        """The bus, as far as it is right."""
        self._bound.sort(key=lambda bound: (bound.device, bound.row))
        targets, transmit = compile_transmit(self._devices, self._loaded, self._commanded, self._report)
        messages = _Messages(self._bound, self._devices, self._report)
        rows = [bound.row for bound in self._bound] + [target.row for target in targets]
        columns = _Columns(self._bound, messages)
        return BusPlan(
            access=self._access(messages.messages),
            devices=[source.settings.name for source in self._devices],
            rows=np.array(sorted(rows), np.uint32),
            members=[self._member(index) for index in range(len(self._devices))],
            messages=messages.messages,
            bindings=columns.bindings(),
            sources=[_source(bound) for bound in self._bound],
            starts=messages.starts(),
            members_of=messages.members(),
            lut=columns.lut(),
            invalid={i: bound.invalid for i, bound in enumerate(self._bound) if bound.invalid},
            known=self._known(),
            targets=targets,
            transmit=transmit,
            reconnect_max_s=self._first.settings.reconnect_max_s,
            gather_s=self._first.settings.gather_ms / 1000,
        )

    def _known(self) -> frozenset[int]:
        return frozenset(
            dbc.key_of(message, source.settings.id_offset)
            for source, messages in zip(self._devices, self._loaded, strict=True)
            for message in messages.values()
        )

    def _access(self, messages: list[Message]) -> Access:
        device = self._first.settings
        return Access(
            interface=device.interface,
            channel=device.channel,
            bitrate=device.bitrate,
            fd=device.fd,
            listen_only=device.listen_only,
            filters=self._all_filters(messages),
            options=dict(device.options),
            fallback=device.fallback,
        )

    def _all_filters(self, messages: list[Message]) -> tuple[tuple[int, int, bool], ...]:
        """What any device wants to hear; everything as soon as one wants everything."""
        out: set[tuple[int, int, bool]] = set()
        for index, source in enumerate(self._devices):
            wanted = source.settings.filters
            if wanted == "all":
                return ()
            if wanted == "mapped":
                keys = {message.key for message in messages if message.device == index}
                out |= {dbc.exact_filter(key) for key in keys}
            else:
                out |= {dbc.chosen_filter(each.id, each.mask, each.extended) for each in wanted}
        return tuple(sorted(out))

    def _member(self, index: int) -> DeviceOnBus:
        source = self._devices[index]
        device = source.settings
        own = {bound.message.name for bound in self._bound if bound.device == index}
        cycles = [device.cycle_s(name) for name in own]
        silent_s = math.inf
        if cycles:
            given = device.silent_ms
            silent_s = max(SILENT_CYCLES * min(cycles), LEAST_SILENT_S) if given is None else given / 1000
        rows = [row.row for row in source.rows]
        return DeviceOnBus(name=device.name, rows=np.array(sorted(rows), np.uint32), silent_s=silent_s)


class _Messages:
    """The messages that points are bound to, and for each value of its multiplexers the bindings that are there."""

    def __init__(self, bound: list[Bound], devices: list[DeviceSource], report: Report) -> None:
        self.messages: list[Message] = []
        self.index_of: list[int] = [0] * len(bound)
        self._variants: list[list[int]] = []
        self._report = report
        by_message: dict[tuple[int, str], list[int]] = {}
        for i, each in enumerate(bound):
            by_message.setdefault((each.device, each.message.name), []).append(i)
        for (device, _), members in by_message.items():
            for i in members:
                self.index_of[i] = len(self.messages)
            self._add([bound[i] for i in members], members, device, devices[device])
        self._width = width_of([message.length for message in self.messages])

    @property
    def width(self) -> int:
        return self._width

    def _add(self, bound: list[Bound], members: list[int], device: int, source: DeviceSource) -> None:
        message = bound[0].message
        selectors = {selector.name: selector for each in bound for selector, _ in each.conditions}
        order = list(selectors)
        used = {name: set[int]() for name in order}
        for each in bound:
            for selector, ids in each.conditions:
                used[selector.name] |= ids
        combinations = math.prod(len(ids) + 1 for ids in used.values())
        if combinations > MOST_VARIANTS:
            self._report.error(
                bound[0].place.at("message"), f"{message.name} has {combinations:,} combinations of multiplexer values"
            )
            order, used = [], {}
        variants: dict[tuple[int, ...], int] = {}
        common = -1
        for key in itertools.product(*([-1, *sorted(used[name])] for name in order)):
            chosen = dict(zip(order, key, strict=True))
            there = [
                i
                for i, each in zip(members, bound, strict=True)
                if all(chosen.get(selector.name, -1) in ids for selector, ids in each.conditions)
            ]
            if not there:
                continue
            variants[key] = len(self._variants)
            if all(value == -1 for value in key):
                common = len(self._variants)
            self._variants.append(there)
        occurrences = sum(len(self._variants[v]) for v in variants.values())
        self.messages.append(
            Message(
                key=dbc.key_of(message, source.settings.id_offset),
                name=message.name,
                device=device,
                length=message.length,
                cycle_s=source.settings.cycle_s(message.name),
                fd=bool(message.is_fd),
                selectors=tuple(dbc.field_of(selectors[name]) for name in order),
                variants=variants,
                selected=tuple(_all_values(message, selectors[name]) for name in order),
                common=common,
                shared=occurrences > len(bound),
            )
        )

    def starts(self) -> NDArray[np.intp]:
        return np.concatenate([[0], np.cumsum([len(there) for there in self._variants])]).astype(np.intp)

    def members(self) -> NDArray[np.intp]:
        return np.array([i for there in self._variants for i in there], np.intp)


def _all_values(message: Any, selector: Any) -> frozenset[int]:
    """Every value that the DBC gives a meaning; none for a multiplexer that is itself multiplexed."""
    if selector.multiplexer_signal is not None:
        return frozenset()
    ids = [each.multiplexer_ids or () for each in message.signals if each.multiplexer_signal == selector.name]
    return frozenset(itertools.chain(*ids))


def _source(bound: Bound) -> Source:
    states = {value: raws[0] for value, raws in bound.states.items()}
    if states and bound.otherwise not in states:
        taken = set(itertools.chain(*bound.states.values()))
        states[bound.otherwise] = next((raw for raw in range(bound.field.mask + 1) if raw not in taken), 0)
    return Source(
        row=bound.row,
        field=bound.field,
        scale=bound.scale,
        offset=bound.offset,
        row_scale=bound.row_scale,
        row_offset=bound.row_offset,
        states=tuple(states.items()),
        guard=None if bound.guard is None else (bound.guard[0], int(bound.guard[1])),
    )


class _Columns:
    """Bindings as columns, and the tables of states."""

    def __init__(self, bound: list[Bound], messages: _Messages) -> None:
        self._bound, self._messages = bound, messages
        self._lut: list[NDArray[np.float64]] = []
        self._lut_starts = [self._table(each) for each in bound]

    def _table(self, bound: Bound) -> int:
        """Where the table of this signal begins; -1: it needs none."""
        if not bound.states:
            return -1
        table = np.full(1 << bound.field.length, bound.otherwise)
        for value, raws in bound.states.items():
            table[list(raws)] = value
        start = sum(len(each) for each in self._lut)
        self._lut.append(table)
        return start

    def lut(self) -> NDArray[np.float64]:
        return np.concatenate([np.empty(0), *self._lut])

    def bindings(self) -> Bindings:
        bound, width = self._bound, self._messages.width
        fields = [each.field for each in bound]
        windows = [field.window(width) for field in fields]
        guards = [None if each.guard is None else each.guard[0] for each in bound]
        guard_windows = [(-1, 0) if guard is None else guard.window(width) for guard in guards]

        def column(values: list[Any], dtype: Any) -> NDArray[Any]:
            return np.array(values, dtype)

        return Bindings(
            row=column([each.row for each in bound], np.uint32),
            message=column(self._messages.index_of, np.intp),
            window=column([first for first, _ in windows], np.intp),
            shift=column([shift for _, shift in windows], np.uint64),
            mask=column([field.mask for field in fields], np.uint64),
            sign=column([_sign(field) for field in fields], np.uint64),
            big=column([field.big for field in fields], np.bool_),
            floating=column([field.length if field.floating else 0 for field in fields], np.uint8),
            unsigned64=column([not f.floating and not f.signed and f.length == 64 for f in fields], np.bool_),
            scale=column([each.scale for each in bound], np.float64),
            offset=column([each.offset for each in bound], np.float64),
            row_scale=column([each.row_scale for each in bound], np.float64),
            row_offset=column([each.row_offset for each in bound], np.float64),
            flag=column([each.flag for each in bound], np.bool_),
            lut_start=column(self._lut_starts, np.intp),
            guard_window=column([first for first, _ in guard_windows], np.intp),
            guard_shift=column([shift for _, shift in guard_windows], np.uint64),
            guard_mask=column([0 if guard is None else guard.mask for guard in guards], np.uint64),
            guard_big=column([guard is not None and guard.big for guard in guards], np.bool_),
            guard_good=column([each.guard is None or each.guard[1] for each in bound], np.bool_),
        )


def _sign(field: Field) -> int:
    return 1 << (field.length - 1) if field.signed and not field.floating else 0
