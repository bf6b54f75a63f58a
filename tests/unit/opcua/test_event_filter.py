"""Event filters: which events pass, which fields are sent."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from protocols.opcua.errors import ServiceFault
from protocols.opcua.events import Event, compile_filter
from protocols.opcua.uastack import Codes, Ids, ua

SERVER = ua.NodeId(Ids.Server)
SOURCE = ua.NodeId("bess1/pcs/active_power", 2)


class Types:
    """BaseEventType above SystemEventType above DeviceFailureEventType."""

    below: ClassVar = {Ids.BaseEventType: {2041, 2130, 2131}, Ids.SystemEventType: {2130, 2131}, 2131: {2131}}

    def subtypes(self, identifier: int) -> frozenset[int]:
        return frozenset(self.below.get(identifier, {identifier}))


def event(**fields: Any) -> Event:
    return Event(
        type_id=2131,
        source=SOURCE,
        fields={(name,): ua.Variant(value) for name, value in fields.items()},
    )


def field(name: str, of: int = Ids.BaseEventType) -> Any:
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=ua.NodeId(of), BrowsePath=[ua.QualifiedName(name)], AttributeId=ua.AttributeIds.Value
    )


def literal(value: Any) -> Any:
    return ua.LiteralOperand(Value=ua.Variant(value))


def wanted(*elements: tuple[str, list[Any]]) -> Any:
    where = ua.ContentFilter(
        Elements=[
            ua.ContentFilterElement(FilterOperator=ua.FilterOperator[name], FilterOperands=operands)
            for name, operands in elements
        ]
    )
    return ua.EventFilter(SelectClauses=[field("Severity"), field("Message")], WhereClause=where)


def passes(made: Event, *elements: tuple[str, list[Any]], notifier: Any = SERVER) -> bool:
    fields, _ = compile_filter(wanted(*elements), Types(), notifier)
    return fields(made) is not None


def test_selected_fields_come_in_their_order_and_missing_ones_are_null() -> None:
    fields, result = compile_filter(wanted(), Types(), SERVER)
    chosen = fields(event(Severity=700))
    assert chosen is not None
    assert [value.Value for value in chosen] == [700, None]
    assert result == b"\0\0\0"


@pytest.mark.parametrize(
    ("elements", "true"),
    [
        ([("GreaterThanOrEqual", [field("Severity"), literal(500)])], True),
        ([("GreaterThan", [field("Severity"), literal(700)])], False),
        ([("OfType", [literal(ua.NodeId(Ids.SystemEventType))])], True),
        ([("OfType", [literal(ua.NodeId(Ids.AuditEventType))])], False),
        ([("Like", [field("Message"), literal("over%e")])], True),
        ([("Like", [field("Message"), literal("under_")])], False),
        ([("InList", [field("Severity"), literal(1), literal(700)])], True),
        ([("Between", [field("Severity"), literal(600), literal(800)])], True),
        ([("IsNull", [field("Nothing")])], True),
        ([("Equals", [field("Nothing"), literal(1)])], False),
        ([("Not", [ua.ElementOperand(Index=1)]), ("Equals", [field("Nothing"), literal(1)])], False),
        (
            [
                ("And", [ua.ElementOperand(Index=1), ua.ElementOperand(Index=2)]),
                ("Equals", [field("Severity"), literal(700)]),
                ("Or", [ua.ElementOperand(Index=3), ua.ElementOperand(Index=3)]),
                ("Equals", [field("Message"), literal("over range")]),
            ],
            True,
        ),
    ],
)
def test_where_clauses(elements: list[Any], true: bool) -> None:
    assert passes(event(Severity=700, Message="over range"), *elements) is true


def test_a_notifier_hears_of_itself_and_what_it_stands_above() -> None:
    assert passes(event(Severity=1), notifier=SOURCE)
    assert not passes(event(Severity=1), notifier=ua.NodeId("another", 2))
    passed_on = Event(type_id=2131, source=SOURCE, fields={}, above=frozenset((ua.NodeId("bess1/", 2),)))
    assert passes(passed_on, notifier=ua.NodeId("bess1/", 2))


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ([("And", [ua.ElementOperand(Index=0), ua.ElementOperand(Index=0)])], Codes.BadFilterOperandInvalid),
        ([("Cast", [literal(1), literal(2)])], Codes.BadFilterOperatorUnsupported),
        ([("Equals", [literal(1)])], Codes.BadFilterOperandCountMismatch),
    ],
)
def test_filters_that_cannot_be(elements: list[Any], code: int) -> None:
    with pytest.raises(ServiceFault) as caught:
        compile_filter(wanted(*elements), Types(), SERVER)
    assert caught.value.code == code
