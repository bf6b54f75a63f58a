"""An OPC UA client by asyncua: one subscription on all the peer's points, queue of 100, a new session after each cut.

The first notification of an item is `ANSWERED`, later ones are `EVENT`. Quality in the ledger: the status code's
severity and subcode, its upper 16 bits (0 good). The overflow bit of an item's queue (info bits 0x480) is `LOST_TOLD`.
asyncua has times in microseconds. A commander logs in as the plan's user over a signed and encrypted channel and may
command everything: only what is out of range must be refused.
"""

from __future__ import annotations

import asyncio
import calendar
import contextlib
from datetime import datetime
from typing import Any, Final

from asyncua import Client, ua
from asyncua.common.subscription import DataChangeNotif
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from tests.soak.ledger import ANSWERED, EVENT, LOST_TOLD
from tests.soak.plan import CLIENT
from tests.soak.receivers.commander import CONFIRMED, GOOD, OUT_OF_RANGE, REFUSED, UNKNOWN, Commander, Order
from tests.soak.receivers.process import Receiver, end_event

PUBLISH_MS: Final = 250
QUEUE: Final = 100
POINTS: Final = ":points"
"""How the URI of the points' namespace ends."""
AT_ONCE: Final = 500
RECONNECT_S: Final = 0.5
WATCH_S: Final = 2.0
OVERFLOW: Final = 0x480
OPEN_ENDED: Final = frozenset(
    {"BadTimeout", "BadNoCommunication", "BadDeviceFailure", "BadServerNotConnected", "BadRequestInterrupted"}
)


def time_ns(stamp: datetime | None) -> int:
    """UTC; 0: none."""
    if stamp is None:
        return 0
    return (calendar.timegm(stamp.timetuple()) * 1_000_000 + stamp.microsecond) * 1_000


class Listener:
    """Writes down what a subscription tells."""

    def __init__(self, receiver: Receiver, points: dict[Any, int]) -> None:
        self._receiver, self._points = receiver, points
        self._told: set[int] = set()
        self.failed = asyncio.Event()

    def datachange_notification(self, node: Any, value: Any, data: DataChangeNotif) -> None:
        point, told = self._points[node.nodeid], data.monitored_item.Value
        code = told.StatusCode.value if told.StatusCode is not None else 0
        if code & OVERFLOW == OVERFLOW:
            self._receiver.ledger.mark(LOST_TOLD, point)
        kind = EVENT if point in self._told else ANSWERED
        self._told.add(point)
        number = float("nan") if value is None else float(value)
        self._receiver.ledger.add(point, kind, number, code >> 16, time_ns(told.SourceTimestamp))
        self._receiver.counts["values"] += 1

    def event_notification(self, event: Any) -> None:
        pass

    def status_change_notification(self, status: Any) -> None:
        self._receiver.counts[f"subscription: {status}"[:80]] += 1
        self.failed.set()


class Session:
    """One session with its subscription until it ends."""

    def __init__(self, receiver: Receiver, commander: Commander) -> None:
        self._receiver, self._commander = receiver, commander
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = Client(f"opc.tcp://127.0.0.1:{receiver.peer.port}", timeout=10, watchdog_intervall=WATCH_S)
        self._client.session_timeout = 60_000
        if receiver.peer.commander:
            self._client.set_user(receiver.plan.user)
            self._client.set_password(receiver.plan.password)

    async def run(self) -> None:
        """Until the connection fails. Raises what asyncua does then."""
        async with asyncio.timeout(15):
            await self._secure()
            await self._client.connect()
        try:
            async with asyncio.timeout(60):
                listener, index = await self._subscribe()
            self._receiver.link_up()
            while not listener.failed.is_set():
                await asyncio.sleep(min(WATCH_S / 2, self._commander.next_s()))
                await self._client.check_connection()
                for order in self._commander.due():
                    task = asyncio.create_task(self._command(order, index))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        finally:
            self._receiver.link_lost()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(3):
                    await self._client.disconnect()

    async def _secure(self) -> None:
        plan = self._receiver.plan
        if not self._receiver.peer.commander:
            return
        self._client.application_uri = f"urn:{CLIENT}:client"
        await self._client.set_security(
            SecurityPolicyBasic256Sha256,
            str(plan.pki / "clients" / f"{CLIENT}.der"),
            str(plan.pki / "clients" / f"{CLIENT}.pem"),
            server_certificate=str(plan.pki / "own" / "certificate.der"),
            mode=ua.MessageSecurityMode.SignAndEncrypt,
        )

    async def _subscribe(self) -> tuple[Listener, int]:
        spaces, peer = await self._client.get_namespace_array(), self._receiver.peer
        index = next(number for number, uri in enumerate(spaces) if uri.endswith(POINTS))
        self._receiver.counts[spaces[index]] += 1
        wanted = range(peer.first, peer.first + peer.count)
        points = {ua.NodeId(self._receiver.plan.name(point), index): point for point in wanted}
        listener = Listener(self._receiver, points)
        asked = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=PUBLISH_MS,
            RequestedLifetimeCount=240,
            RequestedMaxKeepAliveCount=8,
            MaxNotificationsPerPublish=2_000,
            PublishingEnabled=True,
        )
        subscription = await self._client.create_subscription(asked, listener)
        nodes = [self._client.get_node(node) for node in points]
        for at in range(0, len(nodes), AT_ONCE):
            answers = await subscription.subscribe_data_change(nodes[at : at + AT_ONCE], queuesize=QUEUE)
            bad = [answer for answer in answers if isinstance(answer, ua.StatusCode)]
            if bad:
                self._receiver.counts[f"not monitored: {bad[0].name}"] += len(bad)
        return listener, index

    async def _command(self, order: Order, index: int) -> None:
        node = self._client.get_node(ua.NodeId(self._receiver.plan.setpoint_name(order.point), index))
        try:
            await node.write_value(ua.DataValue(ua.Variant(float(order.value), ua.VariantType.Double)))
        except ua.UaStatusCodeError as error:
            name = type(error).__name__
            self._commander.settle(order, UNKNOWN if name in OPEN_ENDED else REFUSED, name)
        except (OSError, TimeoutError, ua.UaError) as error:
            self._commander.settle(order, UNKNOWN, type(error).__name__)
        else:
            self._commander.settle(order, CONFIRMED)


async def _for_ever(receiver: Receiver, commander: Commander) -> None:
    while True:
        try:
            await Session(receiver, commander).run()
        except Exception as error:  # noqa: BLE001 - asyncua ends a session with errors of every kind
            receiver.trouble(error)
        receiver.link_lost()
        commander.link_lost()
        await asyncio.sleep(RECONNECT_S)


async def run(receiver: Receiver) -> None:
    ended, commander = end_event(), Commander(receiver.plan, receiver.peer, (GOOD, OUT_OF_RANGE))
    task = asyncio.create_task(_for_ever(receiver, commander))
    await ended.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    commander.close()
    receiver.finish()


if __name__ == "__main__":
    asyncio.run(run(Receiver.from_arguments()))
