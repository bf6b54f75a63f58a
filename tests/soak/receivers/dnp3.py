"""A DNP3 master by yadnp3 (opendnp3): told by unsolicited responses, or polling the event classes each second.

opendnp3 hands a response to the handler before it confirms it, in one thread, so what was confirmed is written down. At
each connect it reads everything (events first, then class 0) and enables unsolicited responses.

Quality in the ledger: the flags with ONLINE turned round and without a binary's state, so that 0 is good: 0x01 not
online, 0x02 restart, 0x04 comm lost, 0x08 remote forced, 0x10 local forced, 0x20 over range or chatter, 0x40 reference
error. Event groups are `EVENT`, static ones `ANSWERED`; IIN2.3 is `LOST_TOLD`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any, Final

import opendnp3 as dnp3

from tests.soak.ledger import ANSWERED, EVENT, LOST_TOLD
from tests.soak.plan import SoakPlan
from tests.soak.receivers.commander import CONFIRMED, REFUSED, UNKNOWN, Commander, Order
from tests.soak.receivers.process import Receiver, at_end

POLL_MS: Final = 1_000
OVERFLOW: Final = 0x08
"""IIN2.3."""
OPEN_ENDED: Final = frozenset({"DOWNSTREAM_FAIL", "TIMEOUT", "HARDWARE_ERROR", "CANCELLED", "UNDEFINED"})
"""Status with which the device may have done it, or not."""
BINARY: Final = ("Group1Var", "Group2Var")
ANALOG: Final = ("Group30Var", "Group32Var")


def places(plan: SoakPlan, *, binary: bool) -> list[int]:
    """Of each index the point."""
    found = {plan.dnp3_index(point): point for point in range(plan.points) if plan.binary(point) is binary}
    return [found[index] for index in range(len(found))]


def word(value: object) -> str:
    """Of one of the library's enumerations."""
    return str(value).rpartition(".")[2]


class Events(dnp3.ISOEHandler):  # type: ignore[misc]
    """Writes down every object of every header."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self._receiver = receiver
        self._binaries, self._analogs = (places(receiver.plan, binary=binary) for binary in (True, False))

    def Process(self, info: Any, values: Any) -> None:
        group = word(info.gv)
        if group.startswith(ANALOG):
            points = self._analogs
        elif group.startswith(BINARY):
            points = self._binaries
        else:
            return
        kind, add, now_ns = EVENT if info.isEventVariation else ANSWERED, self._receiver.ledger.add, time.time_ns()
        number = 0
        for item in values:
            told, number = item.value, number + 1
            flags = told.flags.value & 0x7F ^ 0x01
            add(points[item.index], kind, float(told.value), flags, told.time.value * 1_000_000, now_ns)
        self._receiver.counts["values"] += number

    def BeginFragment(self, info: Any) -> None:
        self._receiver.counts["unsolicited" if info.unsolicited else "solicited"] += 1

    def EndFragment(self, info: Any) -> None:
        self._receiver.ledger.flush()

    def OnDeviceAttribute(self, *_: Any) -> None:
        pass


class Application(dnp3.IMasterApplication):  # type: ignore[misc]
    """Hears the indications."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self._receiver = receiver
        self._overflow = False

    def OnReceiveIIN(self, iin: Any) -> None:
        overflow = bool(iin.MSB & OVERFLOW)
        if overflow and not self._overflow:
            self._receiver.ledger.mark(LOST_TOLD)
        self._overflow = overflow

    def OnTaskComplete(self, info: Any) -> None:
        if word(info.result) != "SUCCESS":
            self._receiver.counts[f"{word(info.type)} {word(info.result)}"] += 1

    def Now(self) -> Any:
        return dnp3.UTCTimestamp(time.time_ns() // 1_000_000)

    def AssignClassDuringStartup(self) -> bool:
        return False


class Listener(dnp3.IChannelListener):  # type: ignore[misc]
    """Hears whether it is connected."""

    def __init__(self, receiver: Receiver, commander: Commander) -> None:
        super().__init__()
        self._receiver, self._commander = receiver, commander

    def OnStateChange(self, state: Any) -> None:
        if word(state) == "OPEN":
            self._receiver.link_up()
        elif self._receiver.up:
            self._receiver.link_lost()
            self._commander.link_lost()


def answered(commander: Commander, order: Order) -> Callable[[Any], None]:
    """What the library calls with the result of a command."""

    def told(result: Any) -> None:
        summary, points = word(result.summary), result.to_list()
        if summary != "SUCCESS" or len(points) != 1:
            commander.settle(order, UNKNOWN, summary)
            return
        state, status = word(points[0].state), word(points[0].status)
        if state == status == "SUCCESS":
            commander.settle(order, CONFIRMED)
        else:
            commander.settle(order, UNKNOWN if status in OPEN_ENDED else REFUSED, f"{state} {status}")

    return told


def stack(receiver: Receiver) -> Any:
    """The master's configuration."""
    config = dnp3.MasterStackConfig()
    config.link.LocalAddr, config.link.RemoteAddr = receiver.peer.master, receiver.plan.outstation
    config.link.KeepAliveTimeout = dnp3.TimeDuration.Seconds(10)
    config.master.responseTimeout = dnp3.TimeDuration.Seconds(5)
    config.master.timeSyncMode = dnp3.TimeSyncMode.__members__["None"]
    config.master.disableUnsolOnStartup = receiver.peer.unsolicited
    config.master.taskRetryPeriod = dnp3.TimeDuration.Seconds(1)
    config.master.maxTaskRetryPeriod = dnp3.TimeDuration.Seconds(5)
    return config


def command(master: Any, commander: Commander, order: Order) -> None:
    send = master.SelectAndOperate if order.select else master.DirectOperate
    send(dnp3.AnalogOutputFloat32(float(order.value)), order.point, answered(commander, order))


def main() -> None:
    receiver = Receiver.from_arguments()
    commander, end = Commander(receiver.plan, receiver.peer), at_end()
    manager = dnp3.DNP3Manager(1)
    retry = dnp3.ChannelRetry(dnp3.TimeDuration.Milliseconds(200), dnp3.TimeDuration.Milliseconds(500))
    listener, events, application = Listener(receiver, commander), Events(receiver), Application(receiver)
    where = [dnp3.IPEndpoint("127.0.0.1", receiver.peer.port)]
    channel = manager.AddTCPClient("soak", dnp3.LogLevels(0), retry, where, "127.0.0.1", listener)
    master = channel.AddMaster("soak", events, application, stack(receiver))
    if not receiver.peer.unsolicited:
        every = dnp3.TimeDuration.Milliseconds(POLL_MS)
        master.AddClassScan(dnp3.ClassField.AllEventClasses(), every, events)
    master.Enable()
    while not select.select([end], [], [], commander.next_s())[0]:
        if receiver.up:
            for order in commander.due():
                command(master, commander, order)
    commander.close()
    manager.Shutdown()
    receiver.finish()


if __name__ == "__main__":
    main()
