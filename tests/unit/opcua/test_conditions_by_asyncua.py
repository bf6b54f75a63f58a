"""asyncua's client against alarms: browse, events, refresh, acknowledge, confirm, shelve."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from tests.kit.alarmkit import START_S
from tests.kit.conditionkit import DOOR, HOT, OPEN, TEMP, ConditionSite
from tests.kit.opcuakit import client, running

HOT_ID, OPEN_ID = ua.NodeId("bess1/temp|hh", 2), ua.NodeId("bess1/door|alarm", 2)
SERVER = ua.NodeId(ua.ObjectIds.Server)


async def until(condition: Any, timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


FIELDS = (
    *("EventId", "EventType", "SourceName", "Message", "Severity", "ConditionName", "Retain", "ClientUserId"),
    *("ActiveState/Id", "AckedState/Id", "ConfirmedState/Id", "ShelvingState/CurrentState", "LimitState/CurrentState"),
    *("HighHighLimit", "SuppressedOrShelved", "Comment"),
)


def event_filter(where: Any = None) -> Any:
    out = ua.EventFilter()
    for path in FIELDS:
        clause = ua.SimpleAttributeOperand()
        clause.TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
        clause.BrowsePath = [ua.QualifiedName(name, 0) for name in path.split("/")]
        clause.AttributeId = ua.AttributeIds.Value
        out.SelectClauses.append(clause)
    condition = ua.SimpleAttributeOperand()
    condition.TypeDefinitionId = ua.NodeId(ua.ObjectIds.ConditionType)
    condition.AttributeId = ua.AttributeIds.NodeId
    out.SelectClauses.append(condition)
    if where is not None:
        out.WhereClause = where
    return out


class Listener:
    """A subscription with one event item, made by hand so that every field is what the wire says."""

    def __init__(self, ua_client: Client) -> None:
        self.client = ua_client
        self.events: list[dict[str, Any]] = []
        self.status = ua.StatusCode()

    async def listen(self, node: Any = SERVER, where: Any = None, queue: int = 100) -> Listener:
        self.subscription = await self.client.create_subscription(20, self)
        asked = ua.MonitoredItemCreateRequest()
        asked.ItemToMonitor = ua.ReadValueId(node, ua.AttributeIds.EventNotifier)
        asked.MonitoringMode = ua.MonitoringMode.Reporting
        asked.RequestedParameters = ua.MonitoringParameters(
            ClientHandle=7, QueueSize=queue, DiscardOldest=True, Filter=event_filter(where)
        )
        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=self.subscription.subscription_id,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[asked],
        )
        [result] = await self.client.uaclient.create_monitored_items(parameters)
        result.StatusCode.check()
        self.item = result.MonitoredItemId
        self.subscription._explode_events = self._take
        return self

    def _take(self, eventlist: Any) -> list[Any]:
        for one in eventlist.Events:
            values = [field.Value for field in one.EventFields]
            self.events.append(dict(zip((*FIELDS, "ConditionId"), values, strict=True)))
        return []

    def names(self) -> list[tuple[Any, Any, Any]]:
        return [(event["ConditionName"], event["ActiveState/Id"], event["AckedState/Id"]) for event in self.events]

    async def refresh(self) -> None:
        method, number = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh), self.subscription.subscription_id
        argument = ua.Variant(number, ua.VariantType.UInt32)
        await self.client.get_node(ua.NodeId(ua.ObjectIds.ConditionType)).call_method(method, argument)


async def act(ua_client: Client, condition: Any, method: int, *arguments: Any) -> None:
    await ua_client.get_node(condition).call_method(ua.NodeId(method), *arguments)


def said(event: dict[str, Any], text: str) -> tuple[Any, Any]:
    comment = ua.Variant(ua.LocalizedText(text), ua.VariantType.LocalizedText)
    return ua.Variant(event["EventId"], ua.VariantType.ByteString), comment


ACKNOWLEDGE, CONFIRM = (
    ua.ObjectIds.AcknowledgeableConditionType_Acknowledge,
    ua.ObjectIds.AcknowledgeableConditionType_Confirm,
)
COMMENT = ua.ObjectIds.ConditionType_AddComment


def play(scenario: Any, folder: Path, user: str = "operator") -> None:
    async def run() -> None:
        site = ConditionSite(folder)
        async with running(site.plant), await client(site.plant, site.plant.app(), user) as ua_client:
            async with asyncio.timeout(40):
                await scenario(site, ua_client)

    asyncio.run(run())


def test_an_alarm_is_told_acknowledged_and_confirmed(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        heard = await Listener(ua_client).listen()
        site.told((TEMP, 61.5), (DOOR, 1))
        await until(lambda: len(heard.events) == 2)
        hot = next(event for event in heard.events if event["ConditionName"] == HOT)
        assert (hot["Severity"], hot["SourceName"], hot["HighHighLimit"], hot["Retain"]) == (
            900,
            "bess1/temp",
            60.0,
            True,
        )
        assert hot["Message"].Text == "Cell temperature very high: above 60 degC"
        assert hot["EventType"] == ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
        assert (hot["LimitState/CurrentState"].Text, hot["ConditionId"]) == ("HighHigh", HOT_ID)
        await act(ua_client, HOT_ID, ACKNOWLEDGE, *said(hot, "on my way"))
        await until(lambda: len(heard.events) == 3)
        acked = heard.events[-1]
        assert (acked["AckedState/Id"], acked["ConfirmedState/Id"], acked["Comment"].Text) == (True, False, "on my way")
        assert acked["ClientUserId"].startswith("operator@")
        with pytest.raises(ua.UaStatusCodeError) as twice:
            await act(ua_client, HOT_ID, ACKNOWLEDGE, *said(hot, ""))
        assert twice.value.code == ua.StatusCodes.BadConditionBranchAlreadyAcked
        site.told((TEMP, 20))
        await until(lambda: len(heard.events) == 4)
        assert (heard.events[-1]["ActiveState/Id"], heard.events[-1]["Retain"]) == (False, True)
        await act(ua_client, HOT_ID, CONFIRM, *said(heard.events[-1], "cooled"))
        await until(lambda: len(heard.events) == 5)
        assert heard.events[-1]["Retain"] is False
        assert site.story.record(HOT).plain

    play(scenario, tmp_path)


def test_an_event_id_of_another_time_or_alarm_acknowledges_nothing(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        heard = await Listener(ua_client).listen()
        site.told((TEMP, 61), (DOOR, 1))
        await until(lambda: len(heard.events) == 2)
        first, door = heard.events[0], heard.events[1]
        site.told((TEMP, 20))
        site.told((TEMP, 61))
        await until(lambda: len(heard.events) == 4)
        for event in (first, door, {"EventId": b"nonsense"}, {"EventId": None}):
            with pytest.raises(ua.UaStatusCodeError) as refused:
                await act(ua_client, HOT_ID, ACKNOWLEDGE, *said(event, ""))
            assert refused.value.code == ua.StatusCodes.BadEventIdUnknown
        with pytest.raises(ua.UaStatusCodeError):
            await act(ua_client, HOT_ID, ACKNOWLEDGE, ua.Variant(1, ua.VariantType.UInt32))
        assert site.asked == []
        await act(ua_client, HOT_ID, COMMENT, *said(heard.events[-1], "again?"))
        assert site.story.record(HOT).text == "again?"

    play(scenario, tmp_path)


def test_a_refresh_tells_what_stands_between_two_marks(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        site.told((TEMP, 61), (DOOR, 1))
        heard = await Listener(ua_client).listen()
        other = await Listener(ua_client).listen()
        await heard.refresh()
        await until(lambda: len(heard.events) == 4)
        types = [event["EventType"].Identifier for event in heard.events]
        assert (types[0], types[-1]) == (ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType)
        assert sorted(event["ConditionName"] for event in heard.events[1:-1]) == [OPEN, HOT]
        ids = {event["ConditionName"]: event["EventId"] for event in heard.events[1:-1]}
        await heard.refresh()
        await until(lambda: len(heard.events) == 8)
        assert {event["ConditionName"]: event["EventId"] for event in heard.events[5:7]} == ids, "the same events"
        await act(
            ua_client,
            HOT_ID,
            ACKNOWLEDGE,
            ua.Variant(ids[HOT], ua.VariantType.ByteString),
            said({"EventId": b""}, "")[1],
        )
        await until(lambda: len(other.events) == 1)
        with pytest.raises(ua.UaStatusCodeError) as wrong:
            argument = ua.Variant(99, ua.VariantType.UInt32)
            node = ua_client.get_node(ua.NodeId(ua.ObjectIds.ConditionType))
            await node.call_method(ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh), argument)
        assert wrong.value.code == ua.StatusCodes.BadSubscriptionIdInvalid
        arguments = [ua.Variant(at, ua.VariantType.UInt32) for at in (heard.subscription.subscription_id, heard.item)]
        await node.call_method(ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh2), *arguments)
        await until(lambda: len(heard.events) == 13)

    play(scenario, tmp_path)


def test_conditions_are_found_by_browsing_from_server_and_source(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        site.told((TEMP, 61))
        server = ua_client.get_node(SERVER)
        areas = await server.get_referenced_nodes(ua.ObjectIds.HasNotifier, ua.BrowseDirection.Forward)
        assert sorted(str(node.nodeid.Identifier) for node in areas) == ["|Devices/bms", "|Gateway"]
        device = next(node for node in areas if "bms" in str(node.nodeid.Identifier))
        assert (await device.read_attribute(ua.AttributeIds.EventNotifier)).Value.Value == 1
        [source] = await device.get_referenced_nodes(ua.ObjectIds.HasEventSource, ua.BrowseDirection.Forward)
        found = await source.get_referenced_nodes(ua.ObjectIds.HasCondition, ua.BrowseDirection.Forward)
        assert [node.nodeid.Identifier for node in found] == ["bess1/temp|l", "bess1/temp|hh"]
        condition = found[1]
        assert await condition.read_type_definition() == ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
        values = {}
        for path in ("ActiveState", "ActiveState/Id", "HighHighLimit", "Severity", "LimitState/CurrentState", "Retain"):
            node = await condition.get_child([f"0:{name}" for name in path.split("/")])
            values[path] = await node.read_value()
        assert values["ActiveState"].Text == "Active"
        assert values["LimitState/CurrentState"].Text == "HighHigh"
        assert [values[name] for name in ("ActiveState/Id", "HighHighLimit", "Severity", "Retain")] == [
            True,
            60.0,
            900,
            True,
        ]
        mandatory = await _mandatory(ua_client, ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType))
        names = {(await node.read_browse_name()).Name for node in await condition.get_children()}
        assert mandatory - names == set()
        normal = await (await found[0].get_child(["0:ActiveState", "0:Id"])).read_value()
        assert normal is False

    play(scenario, tmp_path)


async def _mandatory(ua_client: Client, kind: Any) -> set[str]:
    """Names that instances of a type must have, by the type's own modelling rules, supertypes included."""
    out: set[str] = set()
    node = ua_client.get_node(kind)
    while node.nodeid != ua.NodeId(ua.ObjectIds.BaseObjectType):
        for child in await node.get_children(refs=ua.ObjectIds.HasComponent):
            out |= await _if_mandatory(child)
        for child in await node.get_children(refs=ua.ObjectIds.HasProperty):
            out |= await _if_mandatory(child)
        [node] = await node.get_referenced_nodes(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
    return out


async def _if_mandatory(child: Any) -> set[str]:
    rules = await child.get_referenced_nodes(ua.ObjectIds.HasModellingRule, ua.BrowseDirection.Forward)
    mandatory = any(rule.nodeid == ua.NodeId(ua.ObjectIds.ModellingRule_Mandatory) for rule in rules)
    return {(await child.read_browse_name()).Name} if mandatory else set()


def test_shelving_by_the_standard_methods(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        shelving = ua.NodeId("bess1/temp|hh.ShelvingState", 2)
        minute = ua.Variant(60_000.0, ua.VariantType.Double)
        await act(ua_client, shelving, ua.ObjectIds.ShelvedStateMachineType_TimedShelve, minute)
        assert site.story.record(HOT).shelved_until_ns == (START_S + 60) * 10**9
        heard = await Listener(ua_client).listen()
        site.told((TEMP, 61))
        await until(lambda: len(heard.events) == 1)
        event = heard.events[0]
        assert (event["SuppressedOrShelved"], event["ShelvingState/CurrentState"].Text) == (True, "TimedShelved")
        for time_ms in (0.0, -1.0, 1e12, float("nan")):
            with pytest.raises(ua.UaStatusCodeError) as refused:
                await act(
                    ua_client,
                    shelving,
                    ua.ObjectIds.ShelvedStateMachineType_TimedShelve,
                    ua.Variant(time_ms, ua.VariantType.Double),
                )
            assert refused.value.code == ua.StatusCodes.BadShelvingTimeOutOfRange
        await act(ua_client, HOT_ID, ua.ObjectIds.AlarmConditionType_ShelvingState_Unshelve)
        assert site.story.state(HOT) == "unacknowledged"
        with pytest.raises(ua.UaStatusCodeError) as refused:
            await act(ua_client, shelving, ua.ObjectIds.ShelvedStateMachineType_Unshelve)
        assert refused.value.code == ua.StatusCodes.BadConditionNotShelved
        await act(ua_client, shelving, ua.ObjectIds.ShelvedStateMachineType_OneShotShelve)
        assert site.story.record(HOT).one_shot
        with pytest.raises(ua.UaStatusCodeError) as refused:
            await act(ua_client, HOT_ID, ua.ObjectIds.ConditionType_Disable)
        assert refused.value.code == ua.StatusCodes.BadNotSupported

    play(scenario, tmp_path)


def test_who_may_not_command_may_look_only(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        heard = await Listener(ua_client).listen()
        site.told((TEMP, 61))
        await until(lambda: len(heard.events) == 1)
        with pytest.raises(ua.UaStatusCodeError) as refused:
            await act(ua_client, HOT_ID, ACKNOWLEDGE, *said(heard.events[0], ""))
        assert refused.value.code == ua.StatusCodes.BadUserAccessDenied
        assert site.story.state(HOT) == "unacknowledged"

    play(scenario, tmp_path, user="viewer")


def test_a_device_s_events_are_its_own_and_a_where_clause_picks(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        device = await Listener(ua_client).listen(ua.NodeId("|Devices/bms", 2))
        where = ua.ContentFilter()
        severity = ua.SimpleAttributeOperand()
        severity.TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
        severity.BrowsePath = [ua.QualifiedName("Severity", 0)]
        severity.AttributeId = ua.AttributeIds.Value
        limit = ua.LiteralOperand(Value=ua.Variant(600, ua.VariantType.UInt16))
        operator = ua.FilterOperator.GreaterThan
        where.Elements = [ua.ContentFilterElement(FilterOperator=operator, FilterOperands=[severity, limit])]
        urgent = await Listener(ua_client).listen(where=where)
        everything = await Listener(ua_client).listen()
        site.told((DOOR, 1))
        site.told((TEMP, 1))
        site.told((TEMP, 61))
        await until(lambda: len(everything.events) == 4)
        await until(lambda: len(device.events) == 3 and len(urgent.events) == 1)
        assert {event["ConditionName"] for event in device.events} == {HOT, "bess1/temp/l"}
        assert urgent.events[0]["ConditionName"] == HOT

    play(scenario, tmp_path)


def test_a_queue_that_overflows_says_so(tmp_path: Path) -> None:
    async def scenario(site: ConditionSite, ua_client: Client) -> None:
        heard = await Listener(ua_client).listen(queue=3)
        for _ in range(4):
            site.told((TEMP, 61))
            site.told((TEMP, 20))
        await until(lambda: len(heard.events) == 4)
        types = [event["EventType"].Identifier for event in heard.events]
        assert types == [ua.ObjectIds.EventQueueOverflowEventType, *[ua.ObjectIds.ExclusiveLevelAlarmType] * 3]

    play(scenario, tmp_path)
