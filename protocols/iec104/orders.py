"""Commands for the field: deselect, select or execute, each by way of the broker. Pure.

What is refused here (a reserved qualifier, no select, too old) goes to the broker too, as refused, so that the audit
has it; the master hears the broker's word in every case but for its own deselects.
"""

from __future__ import annotations

import math

from gateway.contracts import Action, Pulse, Reason
from protocols.iec104 import commands
from protocols.iec104.asdu import Cause
from protocols.iec104.commands import PULSES, NoOrder, Order
from protocols.iec104.elements import TYPES, Tag
from protocols.iec104.plan import Mode
from protocols.iec104.request import Request

Refusal = tuple[Reason, str]


def command(request: Request) -> None:
    """C_SC, C_DC, C_RC, C_SE and C_BO."""
    bindings = request.session.station.bindings
    binding = bindings.find(request.address, request.asdu.ioa)
    if binding < 0 or TYPES[int(bindings.columns.event_type[binding])].untimed != request.row.untimed:
        request.refuse(Cause.UNKNOWN_IOA)
        return
    low, high = float(bindings.low[binding]), float(bindings.high[binding])
    order = commands.decode(request.row, request.element, low, high)
    if request.deactivation:
        _deselect(request, binding, order)
        return
    refusal = _not_permitted(request)
    if refusal is None and isinstance(order, NoOrder):
        refusal = Reason.OUT_OF_RANGE, order.text
    select = isinstance(order, Order) and order.select
    if refusal is None and isinstance(order, Order):
        refusal = _select(request, binding, order) if select else _execute(request, binding, order)
    _submit(request, binding, order, Action.SELECT if select else Action.EXECUTE, refusal)


def _not_permitted(request: Request) -> Refusal | None:
    """Why nothing may be commanded like this: a right, the test bit, the time.

    A test command is refused: a positive confirmation would say that something happened.
    """
    station = request.session.station
    if not station.plan.commands:
        return Reason.NOT_AUTHORISED, f"{station.plan.name} has no right to command"
    if request.asdu.test:
        return Reason.TEST, "a command marked as test never reaches the field"
    if request.row.tag is not Tag.CP56:
        return None
    sent_ns = request.time_ns()
    if sent_ns is None:
        return Reason.EXPIRED, "its time tag is invalid or no date"
    max_age_s = station.options.command_max_age_s
    age_s = (station.clock.now_ns(request.at.wall_ns) - sent_ns) / 1e9
    if max_age_s is not None and abs(age_s) > max_age_s:
        return Reason.EXPIRED, f"{age_s:.3f} s old: at most {max_age_s:g} s either way are allowed"
    return None


def _deselect(request: Request, binding: int, order: Order | NoOrder) -> None:
    asker = request.session.asker(request.asdu)
    gone = not request.asdu.test and request.session.station.selections.cancel(binding, asker, request.at.now)
    request.confirm(gone)
    refusal = None if gone else (Reason.NOT_SELECTED, "nothing of this asker is selected")
    _record(request, binding, order, Action.CANCEL, refusal)


def _select(request: Request, binding: int, order: Order) -> Refusal | None:
    station = request.session.station
    if not int(station.bindings.columns.mode[binding]) & Mode.SELECT:
        return Reason.NOT_COMMANDABLE, "this point is commanded directly, without a select"
    asker = request.session.asker(request.asdu)
    if not station.selections.select(binding, asker, order.image, request.at.now):
        return Reason.BUSY, "selected by another link or originator"
    return None


def _execute(request: Request, binding: int, order: Order) -> Refusal | None:
    station = request.session.station
    asker = request.session.asker(request.asdu)
    matched = station.selections.consume(binding, asker, order.image, request.at.now)
    if matched is None and not int(station.bindings.columns.mode[binding]) & Mode.DIRECT:
        return Reason.NOT_SELECTED, "no select stands"
    if matched is False:
        return Reason.NOT_SELECTED, "the select was of another asker, value or qualifier, or is not confirmed yet"
    return None


def _submit(request: Request, binding: int, order: Order | NoOrder, action: Action, refusal: Refusal | None) -> None:
    reason, text = refusal or (Reason.OK, "")
    if not request.session.submit(
        request.asdu, binding, order.value, _pulse(request, binding, order), action=action, refusal=reason, text=text
    ):
        request.confirm(False)


def _record(request: Request, binding: int, order: Order | NoOrder, action: Action, refusal: Refusal | None) -> None:
    """For the audit alone: the master has its answer."""
    reason, text = refusal or (Reason.OK, "")
    value = 0.0 if math.isnan(order.value) else order.value
    request.session.note(request.asdu, binding, value, action=action, refusal=reason, text=text)


def _pulse(request: Request, binding: int, order: Order | NoOrder) -> Pulse:
    """The qualifier; the map may say what *no additional definition* stands for."""
    if isinstance(order, NoOrder):
        return Pulse.DEFAULT
    mapped = PULSES[int(request.session.station.bindings.columns.pulse[binding])]
    return mapped if order.pulse is Pulse.DEFAULT else order.pulse
