"""Event filters (OPC 10000-4, 7.22.3): which events an item collects, and which fields of them it sends.

An event is an `Event`; whoever makes one hands it to `NodeServices.report`. Where-clauses are compiled once; their
logic has three values, None being *unknown* (a field that the event does not have).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from protocols.opcua.errors import ServiceFault
from protocols.opcua.nodes import Attribute, NodeId
from protocols.opcua.otheritems import encode_extension
from protocols.opcua.uastack import Codes, Ids, ua

MAX_ELEMENTS: Final = 100
NULL: Final = ua.Variant(None, ua.VariantType.Null)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `fields` are Variants by their browse path below the event type, such as ``("EnabledState", "Id")``.

    `source`: the node that it is about; whoever monitors that node, or one above it up to the Server object, gets it.
    `condition`: the instance of a condition, asked for as the NodeId attribute.
    """

    type_id: int
    source: NodeId
    fields: Mapping[tuple[str, ...], Any]
    condition: NodeId | None = None
    above: frozenset[NodeId] = field(default_factory=frozenset)
    """Further notifiers that pass it on."""
    for_all: bool = False
    """Where-clauses do not apply (RefreshStartEvent, RefreshEndEvent, overflow)."""


class Types(Protocol):
    """What is known of types: `protocols.opcua.addressspace.AddressSpace` is one."""

    def subtypes(self, identifier: int) -> frozenset[int]: ...


Fields = Callable[[Event], Sequence[Any] | None]
"""The selected fields of an event, or None when it does not pass."""

_Term = Callable[[Event], Any]


def compile_filter(wanted: Any, types: Types, notifier: NodeId) -> tuple[Fields, bytes]:
    """What picks events and fields, and the encoded EventFilterResult. Raises `ServiceFault`."""
    if not isinstance(wanted, ua.EventFilter):
        raise ServiceFault(Codes.BadEventFilterInvalid)
    clauses = list(wanted.SelectClauses or ())
    if not clauses:
        raise ServiceFault(Codes.BadEventFilterInvalid)
    checked = [_select(clause, types) for clause in clauses]
    where = _where(wanted.WhereClause, types)
    server = notifier == ua.NodeId(Ids.Server)
    selects = [term for term, _ in checked]

    def fields(event: Event) -> Sequence[Any] | None:
        if not server and event.source != notifier and notifier not in event.above:
            return None
        if not event.for_all and where(event) is not True:
            return None
        return [select(event) for select in selects]

    return fields, _result([code for _, code in checked])


def _result(codes: list[int]) -> bytes:
    if not any(codes):
        return b"\0\0\0"
    out = ua.EventFilterResult()
    out.SelectClauseResults = [ua.StatusCode(code) for code in codes]
    return encode_extension(out)


def _select(clause: Any, types: Types) -> tuple[Callable[[Event], Any], int]:
    """A field's Variant, Null when the event has none; and the status code of the clause."""
    attribute = int(clause.AttributeId)
    if clause.IndexRange:
        return lambda event: NULL, int(Codes.BadIndexRangeInvalid)
    if attribute not in (Attribute.Value, Attribute.NodeId):
        return lambda event: NULL, int(Codes.BadAttributeIdInvalid)
    path = tuple(name.Name or "" for name in clause.BrowsePath or ())
    of = _type_test(clause.TypeDefinitionId, types)
    if of is None:
        return lambda event: NULL, int(Codes.BadTypeDefinitionInvalid)
    if attribute == Attribute.NodeId:
        if path:
            return lambda event: NULL, int(Codes.BadNodeIdUnknown)

        def condition(event: Event) -> Any:
            return NULL if event.condition is None else ua.Variant(event.condition, ua.VariantType.NodeId)

        return condition, 0
    return lambda event: event.fields.get(path, NULL) if of(event) else NULL, 0


def _type_test(identifier: NodeId, types: Types) -> Callable[[Event], bool] | None:
    if identifier.Identifier == 0 or identifier == ua.NodeId(Ids.BaseEventType):
        return lambda event: True
    if identifier.NamespaceIndex or not isinstance(identifier.Identifier, int):
        return None
    if identifier.Identifier not in types.subtypes(Ids.BaseEventType):
        return None
    below = types.subtypes(identifier.Identifier)
    return lambda event: event.type_id in below


def _where(clause: Any, types: Types) -> Callable[[Event], bool | None]:
    elements = list(clause.Elements or ()) if clause is not None else []
    if not elements:
        return lambda event: True
    if len(elements) > MAX_ELEMENTS:
        raise ServiceFault(Codes.BadTooManyOperations)
    made: dict[int, _Term] = {}
    for index in range(len(elements) - 1, -1, -1):
        made[index] = _element(elements[index], index, made, types)
    return made[0]


def _element(element: Any, index: int, made: Mapping[int, _Term], types: Types) -> _Term:
    """Compiled; it may only refer to elements behind it, so nothing goes round in circles."""
    kind = int(element.FilterOperator)
    operands = list(element.FilterOperands or ())
    if kind == _OF_TYPE:
        return _of_type(operands, types)
    found = _OPERATORS.get(kind)
    if found is None:
        raise ServiceFault(Codes.BadFilterOperatorUnsupported)
    least, most, act = found
    if not least <= len(operands) <= most:
        raise ServiceFault(Codes.BadFilterOperandCountMismatch)
    terms = [_operand(operand, index, made, types) for operand in operands]
    return lambda event: act([term(event) for term in terms])


def _operand(operand: Any, index: int, made: Mapping[int, _Term], types: Types) -> _Term:
    if isinstance(operand, ua.LiteralOperand):
        value = operand.Value.Value
        return lambda event: value
    if isinstance(operand, ua.ElementOperand):
        at = int(operand.Index)
        if at <= index or at not in made:
            raise ServiceFault(Codes.BadFilterOperandInvalid)
        return made[at]
    if isinstance(operand, ua.SimpleAttributeOperand):
        select, code = _select(operand, types)
        if code:
            raise ServiceFault(Codes.BadFilterOperandInvalid)
        return lambda event: select(event).Value
    raise ServiceFault(Codes.BadFilterOperandInvalid)


def _of_type(operands: list[Any], types: Types) -> _Term:
    if len(operands) != 1 or not isinstance(operands[0], ua.LiteralOperand):
        raise ServiceFault(Codes.BadFilterOperandInvalid)
    wanted = operands[0].Value.Value
    if not isinstance(wanted, ua.NodeId) or wanted.NamespaceIndex or not isinstance(wanted.Identifier, int):
        raise ServiceFault(Codes.BadFilterOperandInvalid)
    below = types.subtypes(wanted.Identifier)
    return lambda event: event.type_id in below


def _plain(value: Any) -> Any:
    return value.Text if isinstance(value, ua.LocalizedText) else value


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[list[Any]], bool | None]:
    def act(values: list[Any]) -> bool | None:
        left, right = map(_plain, values)
        if left is None or right is None:
            return None
        try:
            return bool(compare(left, right))
        except TypeError:
            return None

    return act


def _between(values: list[Any]) -> bool | None:
    low = _compared(operator.ge)([values[0], values[1]])
    return _and([low, _compared(operator.le)([values[0], values[2]])])


def _in_list(values: list[Any]) -> bool | None:
    return _plain(values[0]) in [_plain(value) for value in values[1:]]


def _like(values: list[Any]) -> bool | None:
    text, pattern = map(_plain, values)
    if not isinstance(text, str) or not isinstance(pattern, str):
        return None
    return re.fullmatch(_like_pattern(pattern), text, re.DOTALL) is not None


def _like_pattern(pattern: str) -> str:
    """Part 4, 7.7.3: % any characters, _ one, [abc] and [^abc] one of them, \\ takes the next as it is."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        end = pattern.find("]", at + 2) if char == "[" else -1
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        elif end > 0:
            inner = pattern[at + 1 : end]
            negated, inner = inner.startswith("^"), inner.removeprefix("^")
            body = "".join(char if char == "-" else re.escape(char) for char in inner)
            out += f"[{'^' if negated else ''}{body}]"
            at = end
        else:
            out += {"%": ".*?", "_": "."}.get(char, re.escape(char))
        at += 1
    return out


def _and(values: list[Any]) -> bool | None:
    if False in values:
        return False
    return True if all(value is True for value in values) else None


def _or(values: list[Any]) -> bool | None:
    if True in values:
        return True
    return False if all(value is False for value in values) else None


def _bits(act: Callable[[int, int], int]) -> Callable[[list[Any]], int | None]:
    def both(values: list[Any]) -> int | None:
        left, right = values
        return act(left, right) if isinstance(left, int) and isinstance(right, int) else None

    return both


_OF_TYPE: Final = 14
# FilterOperator (OPC 10000-4, 7.7.3): fewest and most operands, what it does. No Cast, InView and RelatedTo.
_OPERATORS: Final[Mapping[int, tuple[int, int, Callable[[list[Any]], Any]]]] = {
    0: (2, 2, _compared(operator.eq)),
    1: (1, 1, lambda values: values[0] is None),
    2: (2, 2, _compared(operator.gt)),
    3: (2, 2, _compared(operator.lt)),
    4: (2, 2, _compared(operator.ge)),
    5: (2, 2, _compared(operator.le)),
    6: (2, 2, _like),
    7: (1, 1, lambda values: not values[0] if isinstance(values[0], bool) else None),
    8: (3, 3, _between),
    9: (2, MAX_ELEMENTS, _in_list),
    10: (2, 2, _and),
    11: (2, 2, _or),
    16: (2, 2, _bits(operator.and_)),
    17: (2, 2, _bits(operator.or_)),
}
