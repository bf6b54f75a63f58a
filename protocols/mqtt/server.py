"""The shell of the output: one `Publisher` per map. Implements `gateway.contracts.OutputServer`."""

from __future__ import annotations

import asyncio

from gateway.contracts import ServerPort
from gateway.events import MISSED, BindingName, EventJournal, journal_path
from gateway.events.housekeeping import Housekeeping
from gateway.points import Changes
from protocols.mqtt.edge import EdgeForm
from protocols.mqtt.form import Form
from protocols.mqtt.gridplan import JsonPlan, MasterPlan, ServerPlan
from protocols.mqtt.jsonform import JsonForm
from protocols.mqtt.publisher import Publisher
from protocols.mqtt.stream import EventStream


class MqttServer:
    """Any number of maps to one broker, each on a connection of its own (a will belongs to a connection)."""

    def __init__(self, plan: ServerPlan, port: ServerPort) -> None:
        self.plan, self.port = plan, port
        self.log = port.log.bind(server=plan.name)
        self.housekeeping = Housekeeping([master.name for master in plan.masters], plan.system, port, self.log)
        self.publishers = {master.name: self._publisher(master) for master in plan.masters}

    def _publisher(self, plan: MasterPlan) -> Publisher:
        port, columns = self.port, plan.bindings
        names: list[BindingName] = [
            (port.catalogue.names[row], "mqtt") for row in columns.row.tolist()
        ]  # topics may change: what waits is then told on the new one
        path = journal_path(port.state_dir, self.plan.name, plan.name)
        journal = EventJournal.open(path, plan.capacity, names, self.log.bind(master=plan.name))
        json_form = isinstance(plan.form, JsonPlan)
        stream = EventStream(columns, len(port.catalogue), port.table, journal, announce=json_form)
        return Publisher(self.plan.name, plan, port, stream, self._form(plan), self.housekeeping)

    def _form(self, plan: MasterPlan) -> Form:
        if isinstance(plan.form, JsonPlan):
            return JsonForm(plan, plan.form, self.port.catalogue)
        return EdgeForm(plan, plan.form, self.port.catalogue, self.port.table)

    def resume(self, confirmed: dict[str, int]) -> None:
        """Feed sequence numbers that were confirmed before this process started."""
        for name, seq in confirmed.items():
            if name in self.publishers:
                self.publishers[name].stream.resume(seq)
                self.housekeeping.resume(name, seq)

    def changes(self, batch: Changes, seq: int) -> None:
        """Make events for every map."""
        for publisher in self.publishers.values():
            publisher.changes(batch, seq)

    def missed(self, count: int) -> None:
        """Changes never reached this process: it is told that events may be lost."""
        for name, publisher in self.publishers.items():
            publisher.stream.queue.missed(count)
            self.housekeeping.overflowed(name, MISSED)
        self.housekeeping.due()

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A command was written to the field; its effect is told as an event like any other."""

    async def start(self) -> None:
        """Connect, and stay connected. Never fails: a broker that is away is awaited."""
        queues = {name: publisher.stream.queue for name, publisher in self.publishers.items()}
        self.housekeeping.start(asyncio.get_running_loop(), queues)
        for publisher in self.publishers.values():
            publisher.start()

    async def stop(self) -> None:
        """Say good-bye to every broker, keep what it does not have."""
        await asyncio.gather(*(publisher.stop() for publisher in self.publishers.values()))
        await asyncio.to_thread(self._close_journals)
        self.housekeeping.stop()

    def _close_journals(self) -> None:
        for publisher in self.publishers.values():
            if isinstance(publisher.stream.queue, EventJournal):
                publisher.stream.queue.close()
