"""The subscription services, asked by sessions without a wire: cycles, messages, owners, ends."""

from __future__ import annotations

import asyncio
import struct
import time

import pytest

from protocols.opcua.errors import ServiceFault
from protocols.opcua.events import Event
from protocols.opcua.subscriptions import Caps
from protocols.opcua.uastack import Codes, Ids, ua
from tests.contract.server_suite import until
from tests.kit.opcuadesk import Desk, Session, item, played
from tests.kit.opcuapoints import ALARM, POINTS, POWER, TIME_NS, node


def test_a_message_is_kept_until_it_is_acknowledged() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session)
        await desk.monitor(session, number, item("bess1/pcs/power"))
        first = await desk.publish(session)
        assert (first.values, first.sequence, first.available) == ([(1, 0.0)], 1, [1])
        again = await desk.ask(session, ua.RepublishRequest(), SubscriptionId=number, RetransmitSequenceNumber=1)
        assert struct.unpack_from("<I", again)[0] == 1
        desk.port.change([(POWER, 5.0, 0, TIME_NS + 1)])
        second = await desk.publish(session, (number, 1), (number, 7))
        assert (second.sequence, second.available) == (2, [2])
        assert second.results == [Codes.Good, Codes.BadSequenceNumberUnknown]
        with pytest.raises(ServiceFault) as gone:
            await desk.ask(session, ua.RepublishRequest(), SubscriptionId=number, RetransmitSequenceNumber=1)
        assert gone.value.code == Codes.BadMessageNotAvailable

    played(scenario)


def test_silence_is_a_keep_alive_that_takes_no_number() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session, keep_alive=1)
        assert [(await desk.publish(session)).sequence for _ in range(3)] == [1, 1, 1]
        await desk.monitor(session, number, item("bess1/pcs/power"))
        assert [(told.sequence, len(told.values)) for told in [await desk.publish(session)]] == [(1, 1)]

    played(scenario)


def test_no_more_than_asked_for_in_one_message() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session, MaxNotificationsPerPublish=3)
        await desk.monitor(session, number, item("bess1/pcs/power"))
        desk.port.change([(POWER, float(n), 0, TIME_NS + n) for n in range(1, 8)])
        told = [await desk.publish(session) for _ in range(3)]
        assert [[value for _, value in one.values] for one in told] == [[0, 1, 2], [3, 4, 5], [6, 7]]
        assert [one.more for one in told] == [True, True, False]

    played(scenario)


def test_another_sessions_subscription_does_not_exist() -> None:
    async def scenario(desk: Desk) -> None:
        owner, stranger = Session(), Session("viewer")
        number = await desk.subscribe(owner)
        (made,) = await desk.monitor(owner, number, item("bess1/pcs/power"))
        deleted = await desk.ask(stranger, ua.DeleteSubscriptionsRequest(), SubscriptionIds=[number])
        assert [code.value for code in deleted.Results] == [Codes.BadSubscriptionIdInvalid]
        for request, fields in (
            (ua.ModifySubscriptionRequest(), {"SubscriptionId": number}),
            (ua.RepublishRequest(), {"SubscriptionId": number, "RetransmitSequenceNumber": 1}),
            (ua.DeleteMonitoredItemsRequest(), {"SubscriptionId": number, "MonitoredItemIds": [made[1]]}),
            (
                ua.SetMonitoringModeRequest(),
                {"SubscriptionId": number, "MonitoringMode": ua.MonitoringMode(0), "MonitoredItemIds": [made[1]]},
            ),
        ):
            with pytest.raises(ServiceFault) as refused:
                await desk.ask(stranger, request, **fields)
            assert refused.value.code == Codes.BadSubscriptionIdInvalid
        with pytest.raises(ServiceFault) as nothing:
            await desk.publish(stranger, (number, 1))
        assert nothing.value.code == Codes.BadNoSubscription
        moved = await desk.ask(
            stranger, ua.TransferSubscriptionsRequest(), SubscriptionIds=[number], SendInitialValues=True
        )
        assert struct.unpack_from("<iI", moved) == (1, Codes.BadUserAccessDenied)
        assert (await desk.publish(owner)).values == [(1, 0.0)]

    played(scenario)


def test_its_owner_may_take_it_to_another_session() -> None:
    async def scenario(desk: Desk) -> None:
        before, after = Session(), Session()
        number = await desk.subscribe(before)
        await desk.monitor(before, number, item("bess1/pcs/power", handle=7))
        assert (await desk.publish(before)).values == [(7, 0.0)]
        waiting = asyncio.ensure_future(desk.publish(before))
        await asyncio.sleep(0)
        await desk.ask(after, ua.TransferSubscriptionsRequest(), SubscriptionIds=[number], SendInitialValues=True)
        assert (await waiting).status == Codes.GoodSubscriptionTransferred
        again = await desk.publish(after)
        assert (again.subscription, again.values, again.available) == (number, [(7, 0.0)], [1, 2])

    played(scenario)


def test_without_security_nobody_proves_to_be_the_owner() -> None:
    async def scenario(desk: Desk) -> None:
        before, after = Session(), Session()
        before.policy = after.policy = "None"
        number = await desk.subscribe(before)
        moved = await desk.ask(after, ua.TransferSubscriptionsRequest(), SubscriptionIds=[number])
        assert struct.unpack_from("<iI", moved) == (1, Codes.BadUserAccessDenied)

    played(scenario)


def test_queue_places_are_granted_as_long_as_there_are_any() -> None:
    async def scenario(desk: Desk) -> None:
        desk.services.subscriptions.caps = Caps(queue=150)
        session = Session()
        number = await desk.subscribe(session)
        made = await desk.monitor(session, number, *(item("bess1/pcs/power", n, queue=100) for n in range(3)))
        assert desk.services.subscriptions.places == 100 + 50 + 1
        ids = [item_id for _, item_id in made]
        await desk.ask(session, ua.DeleteMonitoredItemsRequest(), SubscriptionId=number, MonitoredItemIds=ids)
        assert desk.services.subscriptions.places == 0

    played(scenario)


def test_a_subscription_outlives_a_session_that_leaves_it_behind() -> None:
    async def scenario(desk: Desk) -> None:
        before, after = Session(), Session()
        number = await desk.subscribe(before)
        await desk.monitor(before, number, item("bess1/pcs/power"))
        await desk.publish(before)
        before.close(delete=False)
        desk.port.change([(POWER, 3.0, 0, TIME_NS + 1)])
        await desk.ask(after, ua.TransferSubscriptionsRequest(), SubscriptionIds=[number])
        assert (await desk.publish(after)).values == [(1, 3.0)]
        after.close()
        assert not list(desk.services.subscriptions.all()) and desk.services.subscriptions.items == 0

    played(scenario)


def test_a_subscription_that_nobody_reads_ends_and_says_so() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session, keep_alive=1, RequestedLifetimeCount=3)
        await desk.monitor(session, number, item("bess1/pcs/power"))
        await until(lambda: not list(desk.services.subscriptions.all()))
        last = await desk.publish(session)
        assert (last.subscription, last.status) == (number, Codes.BadTimeout)
        with pytest.raises(ServiceFault) as nothing:
            await desk.publish(session)
        assert nothing.value.code == Codes.BadNoSubscription

    played(scenario)


def test_the_oldest_of_too_many_publish_requests_gives_way() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        await desk.subscribe(session, interval=60_000)
        asked = [asyncio.ensure_future(desk.publish(session)) for _ in range(101)]
        await until(asked[0].done)
        fault = asked[0].exception()
        assert isinstance(fault, ServiceFault) and fault.code == Codes.BadTooManyPublishRequests
        session.close()
        codes = {getattr(error, "code", 0) for error in await asyncio.gather(*asked[1:], return_exceptions=True)}
        assert codes == {Codes.BadSessionClosed}

    played(scenario)


def test_a_publish_request_waits_no_longer_than_its_hint() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        await desk.subscribe(session, interval=200, keep_alive=1000)
        await desk.publish(session)  # the first, which is a keep-alive
        request = ua.PublishRequest()
        request.RequestHeader.TimeoutHint = 1
        with pytest.raises(ServiceFault) as late:
            await asyncio.wait_for(desk.ask(session, request), 5)
        assert late.value.code == Codes.BadTimeout

    played(scenario)


def test_modes_disabled_sampling_reporting() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session)
        (power, alarm) = await desk.monitor(
            session, number, item("bess1/pcs/power", 1, mode=1), item("bess1/alarm", 2, mode=0)
        )
        desk.port.change([(POWER, 1.0, 0, TIME_NS + 1), (ALARM, 0.0, 0, TIME_NS + 1)])
        assert (await desk.publish(session)).values == []
        for made in (power, alarm):
            await desk.ask(
                session,
                ua.SetMonitoringModeRequest(),
                SubscriptionId=number,
                MonitoringMode=ua.MonitoringMode.Reporting,
                MonitoredItemIds=[made[1]],
            )
        assert (await desk.publish(session)).values == [(1, 0.0), (1, 1.0), (2, False)]

    played(scenario)


def test_a_triggering_item_brings_what_is_linked_to_it() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session)
        (alarm, power) = await desk.monitor(session, number, item("bess1/alarm", 1), item("bess1/pcs/power", 2, mode=1))
        await desk.publish(session)
        linked = await desk.ask(
            session,
            ua.SetTriggeringRequest(),
            SubscriptionId=number,
            TriggeringItemId=alarm[1],
            LinksToAdd=[power[1], 99],
        )
        assert [code.value for code in linked.Parameters.AddResults] == [0, Codes.BadMonitoredItemIdInvalid]
        desk.port.change([(POWER, 1.0, 0, TIME_NS + 1), (POWER, 2.0, 0, TIME_NS + 2)])
        desk.port.change([(ALARM, 0.0, 0, TIME_NS + 3)])
        told = (await desk.publish(session)).values
        assert sorted(told) == [(1, False), (2, 0.0), (2, 1.0), (2, 2.0)]
        desk.port.change([(POWER, 3.0, 0, TIME_NS + 4), (ALARM, 1.0, 0, TIME_NS + 4)])
        assert sorted((await desk.publish(session)).values) == [(1, True), (2, 3.0)]

    played(scenario)


def test_an_item_is_modified_and_what_it_has_queued_stays() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session)
        (made,) = await desk.monitor(session, number, item("bess1/pcs/power", 1))
        changed = ua.MonitoredItemModifyRequest()
        changed.MonitoredItemId = made[1]
        changed.RequestedParameters.ClientHandle = 9
        changed.RequestedParameters.QueueSize = 2
        changed.RequestedParameters.SamplingInterval = 0.0
        changed.RequestedParameters.Filter = ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=1, DeadbandValue=10.0
        )
        other = ua.MonitoredItemModifyRequest()
        other.MonitoredItemId = 77
        body = await desk.ask(
            session,
            ua.ModifyMonitoredItemsRequest(),
            SubscriptionId=number,
            TimestampsToReturn=2,
            ItemsToModify=[changed, other],
        )
        assert struct.unpack_from("<IdI", body, 4) == (0, 0.0, 2)
        assert struct.unpack_from("<I", body, 4 + 19) == (Codes.BadMonitoredItemIdInvalid,)
        desk.port.change([(POWER, float(n), 0, TIME_NS + n) for n in (5, 11, 15, 30)])
        assert (await desk.publish(session)).values == [(9, 11.0), (9, 30.0)]

    played(scenario)


def test_publishing_can_be_held_and_the_interval_changed() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session, keep_alive=1)
        await desk.monitor(session, number, item("bess1/pcs/power"))
        await desk.ask(session, ua.SetPublishingModeRequest(), SubscriptionIds=[number], PublishingEnabled=False)
        assert (await desk.publish(session)).values == []
        await desk.ask(session, ua.SetPublishingModeRequest(), SubscriptionIds=[number], PublishingEnabled=True)
        assert (await desk.publish(session)).values == [(1, 0.0)]
        changed = await desk.ask(
            session,
            ua.ModifySubscriptionRequest(),
            SubscriptionId=number,
            RequestedPublishingInterval=1.0,
            RequestedLifetimeCount=1,
            RequestedMaxKeepAliveCount=4,
        )
        granted = changed.Parameters
        assert (granted.RevisedPublishingInterval, granted.RevisedLifetimeCount) == (50.0, 12)

    played(scenario)


def test_attributes_and_server_variables_are_monitored_too() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session)
        now = ua.NodeId(Ids.Server_ServerStatus_CurrentTime)
        results = await desk.monitor(
            session,
            number,
            item("bess1/pcs/power", 1, attribute=ua.AttributeIds.DisplayName),
            item("", 2, node_id=now),
            item("bess1/nowhere", 3),
            item("bess1/pcs/power", 4, attribute=ua.AttributeIds.Executable),
        )
        assert [code for code, _ in results] == [0, 0, Codes.BadNodeIdUnknown, Codes.BadAttributeIdInvalid]
        first, second = await desk.publish(session), await desk.publish(session)
        assert sorted(handle for handle, _ in first.values) == [1, 2]
        assert [handle for handle, _ in second.values] == [2]

    played(scenario)


def test_what_a_role_may_not_see_is_not_there() -> None:
    async def scenario(desk: Desk) -> None:
        operator, engineer = Session(), Session("engineer")
        for session, code in ((operator, Codes.BadNodeIdUnknown), (engineer, 0)):
            number = await desk.subscribe(session)
            assert [status for status, _ in await desk.monitor(session, number, item("bess1/energy"))] == [code]
            read = await desk.ask(
                session,
                ua.ReadRequest(),
                TimestampsToReturn=3,
                NodesToRead=[ua.ReadValueId(ua.NodeId("bess1/energy", 2), 13)],
            )
            assert code == 0 or struct.unpack_from("<BI", read, 4) == (2, code)

    played(scenario)


def test_events_come_to_who_monitors_their_source() -> None:
    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session)
        chosen = ua.EventFilter(
            SelectClauses=[
                ua.SimpleAttributeOperand(
                    TypeDefinitionId=ua.NodeId(Ids.BaseEventType),
                    BrowsePath=[ua.QualifiedName("Message")],
                    AttributeId=ua.AttributeIds.Value,
                )
            ]
        )
        notifier = ua.AttributeIds.EventNotifier
        results = await desk.monitor(
            session,
            number,
            item("", 1, attribute=notifier, node_id=ua.NodeId(Ids.Server), filter=chosen),
            item("bess1/", 2, attribute=notifier, filter=chosen),
        )
        assert [code for code, _ in results] == [0, Codes.BadAttributeIdInvalid]
        message = ua.Variant(ua.LocalizedText("it happened"))
        desk.services.report(
            Event(type_id=Ids.SystemEventType, source=ua.NodeId(node("bess1/")), fields={("Message",): message})
        )
        told = (await desk.publish(session)).events
        assert [[field.Text for field in fields] for fields in told] == [["it happened"]]

    played(scenario)


def test_thousands_of_items_hold_nobody_up() -> None:
    """Not how long it takes: that others are let in while it does, more often than a hundred items need."""

    async def scenario(desk: Desk) -> None:
        session = Session()
        number = await desk.subscribe(session, interval=60_000)
        turns, done = 0, asyncio.Event()

        async def others() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await asyncio.sleep(0)

        watching = asyncio.ensure_future(others())
        began = time.perf_counter()
        await desk.monitor(session, number, *(item(POINTS.names[n % 6], n) for n in range(4_000)))
        done.set()
        await watching
        assert turns > 10, f"{turns} turns in {time.perf_counter() - began:.1f} s"

    played(scenario)
