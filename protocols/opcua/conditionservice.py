"""Alarms as conditions for clients: their events, refresh, and what a person does to them (OPC 10000-9).

Acknowledge, Confirm, AddComment and the shelving methods go to the command broker as the session's role, with the user
in the record; its word is the method's result. Enable and Disable are refused: an alarm is taken out of service at the
gateway.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from gateway.alarms import AlarmEvent, AlarmRecord
from gateway.contracts import Action, AlarmsView, Command, CommandPort, Origin, Outcome, Reason
from gateway.points.model import NO_ROW
from protocols.opcua.addressspace import AddressSpace
from protocols.opcua.commandcodes import CODES
from protocols.opcua.commanding import UNSECURED
from protocols.opcua.commandservice import CallResult, Method
from protocols.opcua.conditionfields import Fields, Shown, read_event_id, retained, type_of
from protocols.opcua.conditionnodes import METHODS, ConditionNodes
from protocols.opcua.errors import ServiceFault
from protocols.opcua.events import Event
from protocols.opcua.nodes import standard
from protocols.opcua.otheritems import EventItem
from protocols.opcua.subscriptions import Subscriptions
from protocols.opcua.systemevents import system_event
from protocols.opcua.uastack import Codes, Ids, ua

ACTION_S: Final = 10.0
_REASON: Final = "shelved by an OPC UA client"
"""A shelving needs a reason, and the methods have no argument for one."""
_T: Final = ua.VariantType
_BEGINS: Final = frozenset((AlarmEvent.RAISED, AlarmEvent.ANNOUNCED))


class ConditionService:
    """Tells clients of alarms through `report`, and takes their method calls."""

    def __init__(
        self,
        server: str,
        space: AddressSpace,
        view: AlarmsView,
        subscriptions: Subscriptions,
        port: CommandPort,
        report: Callable[[Event], None],
    ) -> None:
        self.nodes = ConditionNodes(space, view, time.time_ns)
        self._server, self._view, self._subscriptions = server, view, subscriptions
        self._port, self._report = port, report
        self._since: dict[int, int] = {}
        """By alarm: number of the event that began what is to be acknowledged."""
        space.extend(self.nodes)

    def alarms(self, records: Iterable[AlarmRecord]) -> None:
        """What became of alarms; see `gateway.contracts.ServerPort.alarms`."""
        for record in records:
            if record.event in _BEGINS:
                self._since[record.index] = record.seq
            if self.nodes.served(record.index):
                self._report(self._event(self._shown(record)))

    def _shown(self, record: AlarmRecord) -> Shown:
        nodes, index = self.nodes, record.index
        return Shown(record, self._view.catalogue, nodes.source(index), nodes.condition(index), time.time_ns())

    def _event(self, shown: Shown) -> Event:
        index = shown.record.index
        return Event(
            type_id=type_of(shown.alarms.condition_of(index)),
            source=shown.source,
            fields=Fields(shown),
            condition=shown.condition,
            above=frozenset((self.nodes.notifier(index),)),
        )

    # Methods

    def find(self, target: Any, method: Any) -> Method | None:
        """A `MethodFinder`: of the ConditionType, or of a condition by its own or its type's methods."""
        refresh = _REFRESH.get(method.Identifier) if method.NamespaceIndex == 0 else None
        if refresh is not None:
            return partial(refresh, self) if target == standard(Ids.ConditionType) else None
        found = self.nodes.find(target)
        if found is None or found[1] not in ("", "ShelvingState"):
            return None
        name = self._method_name(found[0], method)
        return None if name is None else partial(_ACTS[name], self, found[0])

    def _method_name(self, index: int, method: Any) -> str | None:
        if method.NamespaceIndex == 0:
            return _BY_TYPE.get(method.Identifier)
        own = self.nodes.find(method)
        return own[1] if own is not None and own[0] == index and own[1] in METHODS else None

    async def _with_event(self, action: Action, index: int, session: Any, arguments: list[Any]) -> CallResult:
        """Acknowledge, Confirm, AddComment: (EventId, Comment)."""
        wrong = _checked(arguments, (_T.ByteString, _T.LocalizedText))
        if wrong is not None:
            return wrong
        record = self._view.record(index)
        asked = read_event_id(arguments[0].Value)
        if asked is None or asked[0] != index or not self._since.get(index, 0) <= asked[1] <= record.seq:
            return CallResult(int(Codes.BadEventIdUnknown))
        if action is Action.ACKNOWLEDGE and record.acknowledged:
            return CallResult(int(Codes.BadConditionBranchAlreadyAcked))
        if action is Action.CONFIRM and record.confirmed:
            return CallResult(int(Codes.BadConditionBranchAlreadyConfirmed))
        comment = arguments[1].Value
        text = (comment.Text or "") if comment is not None else ""
        return CallResult(await self._asked(session, action, index, text, 0.0))

    async def _shelve(self, index: int, session: Any, arguments: list[Any]) -> CallResult:
        wrong = _checked(arguments, (_T.Double,))
        if wrong is not None:
            return wrong
        duration_s = float(arguments[0].Value or 0.0) / 1000
        if not 0 < duration_s <= self._view.catalogue.rules.shelve_max_s:
            return CallResult(int(Codes.BadShelvingTimeOutOfRange))
        return CallResult(await self._asked(session, Action.SHELVE, index, _REASON, duration_s))

    async def _one_shot(self, index: int, session: Any, arguments: list[Any]) -> CallResult:
        wrong = _checked(arguments, ())
        if wrong is not None:
            return wrong
        if self._view.record(index).one_shot:
            return CallResult(int(Codes.BadConditionAlreadyShelved))
        return CallResult(await self._asked(session, Action.SHELVE, index, _REASON, 0.0))

    async def _unshelve(self, index: int, session: Any, arguments: list[Any]) -> CallResult:
        wrong = _checked(arguments, ())
        if wrong is not None:
            return wrong
        if not self._view.record(index).shelved:
            return CallResult(int(Codes.BadConditionNotShelved))
        return CallResult(await self._asked(session, Action.UNSHELVE, index, "", 0.0))

    async def _enable(self, index: int, session: Any, arguments: list[Any]) -> CallResult:
        return CallResult(int(Codes.BadConditionAlreadyEnabled))

    async def _disable(self, index: int, session: Any, arguments: list[Any]) -> CallResult:
        return CallResult(int(Codes.BadNotSupported))

    async def _asked(self, session: Any, action: Action, index: int, text: str, value: float) -> int:
        """The broker's word as a status code."""
        future: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()

        def on_outcome(outcome: Outcome) -> None:
            if outcome.stage.final and not future.done():
                future.set_result(outcome.reason)

        now_ns = time.time_ns()
        command = Command(
            id=self._port.next_id(),
            row=NO_ROW,
            value=value,
            action=action,
            origin=Origin(protocol="opcua", server=self._server, master=session.role, peer=session.origin_peer),
            deadline_ns=now_ns + int(ACTION_S * 1e9),
            received_ns=now_ns,
            refusal=Reason.NOT_AUTHORISED if session.read_only else Reason.OK,
            refusal_text=UNSECURED if session.read_only else "",
            subject=self._view.catalogue.name(index),
            text=text,
        )
        self._port.submit(command, on_outcome)
        try:
            async with asyncio.timeout(ACTION_S + 2.0):
                return CODES[await future]
        except TimeoutError:
            return int(Codes.BadTimeout)

    # Refresh

    async def _refresh(self, session: Any, arguments: list[Any]) -> CallResult:
        wrong = _checked(arguments, (_T.UInt32,))
        if wrong is not None:
            return wrong
        return self._refreshed(session, int(arguments[0].Value), None)

    async def _refresh_item(self, session: Any, arguments: list[Any]) -> CallResult:
        wrong = _checked(arguments, (_T.UInt32, _T.UInt32))
        if wrong is not None:
            return wrong
        return self._refreshed(session, int(arguments[0].Value), int(arguments[1].Value))

    def _refreshed(self, session: Any, number: int, item_id: int | None) -> CallResult:
        """Everything that is retained, again, between two events that say so."""
        try:
            subscription = self._subscriptions.find(session, number)
        except ServiceFault as fault:
            return CallResult(fault.code)
        if item_id is None:
            items = list(subscription.events())
        else:
            item = subscription.items.get(item_id)
            if not isinstance(item, EventItem):
                return CallResult(int(Codes.BadMonitoredItemIdInvalid))
            items = [item]
        standing = [record for record in self._view.records.values() if retained(record)]
        events = [self._event(self._shown(record)) for record in standing if self.nodes.served(record.index)]
        for item in items:
            item.offer(system_event(int(Ids.RefreshStartEventType), item.notifier, "Condition refresh begins"))
            for event in events:
                item.offer(event)
            item.offer(system_event(int(Ids.RefreshEndEventType), item.notifier, "Condition refresh ends"))
        return CallResult()


def _checked(arguments: list[Any], types: tuple[Any, ...]) -> CallResult | None:
    """What is wrong with the arguments; a null value of the right kind is none."""
    if len(arguments) != len(types):
        code = Codes.BadTooManyArguments if len(arguments) > len(types) else Codes.BadArgumentsMissing
        return CallResult(int(code))
    wrong = [
        int(Codes.Good) if argument.VariantType in (kind, _T.Null) else int(Codes.BadTypeMismatch)
        for argument, kind in zip(arguments, types, strict=True)
    ]
    return CallResult(int(Codes.BadInvalidArgument), tuple(wrong)) if any(wrong) else None


_REFRESH: Final = {
    int(Ids.ConditionType_ConditionRefresh): ConditionService._refresh,
    int(Ids.ConditionType_ConditionRefresh2): ConditionService._refresh_item,
}
_ACTS: Final[dict[str, Any]] = {
    "Acknowledge": lambda self, *rest: self._with_event(Action.ACKNOWLEDGE, *rest),
    "Confirm": lambda self, *rest: self._with_event(Action.CONFIRM, *rest),
    "AddComment": lambda self, *rest: self._with_event(Action.COMMENT, *rest),
    "Enable": ConditionService._enable,
    "Disable": ConditionService._disable,
    "ShelvingState.TimedShelve": ConditionService._shelve,
    "ShelvingState.OneShotShelve": ConditionService._one_shot,
    "ShelvingState.Unshelve": ConditionService._unshelve,
}
_BY_TYPE: Final = {int(method): name for name, (method, _) in METHODS.items()} | {
    int(Ids.AlarmConditionType_ShelvingState_TimedShelve): "ShelvingState.TimedShelve",
    int(Ids.AlarmConditionType_ShelvingState_OneShotShelve): "ShelvingState.OneShotShelve",
    int(Ids.AlarmConditionType_ShelvingState_Unshelve): "ShelvingState.Unshelve",
}
