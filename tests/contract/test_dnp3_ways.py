"""Ways to an outstation: it dials out, it sits on a serial line, it speaks TLS."""

from __future__ import annotations

import asyncio
import os
import termios
import tty

from protocols.dnp3.plan import SerialPlan, UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType as T
from tests.contract.server_suite import until
from tests.kit.dnp3kit import Row as MapRow
from tests.kit.dnp3kit import columns, master, plan, site
from tests.peers.rawdnp3 import CLASS_0, RawDnp3

STATIC = "010200000001"
FEW = columns([MapRow(row=2, type=T.BI, index=0, event_class=1)])


def test_the_outstation_dials_out_and_dials_again() -> None:
    async def talk() -> None:
        calls: asyncio.Queue[RawDnp3] = asyncio.Queue()
        listener = await asyncio.start_server(
            lambda reader, writer: calls.put_nowait(RawDnp3(reader, writer)), "127.0.0.1", 0
        )
        address = ("127.0.0.1", int(listener.sockets[0].getsockname()[1]))
        dialling = master(addresses=(), dial=address, dial_retry_s=0.05, unsolicited=UnsolicitedPlan(), bindings=FEW)
        async with site(plan(dialling, listen=None)) as running:
            running.port.set(2, 0.0, 1)
            for _ in range(2):
                rldc = await asyncio.wait_for(calls.get(), 10)
                await rldc.confirm(await rldc.hear())
                assert (await rldc.read(CLASS_0))[0].objects == STATIC
                await rldc.close()
                await until(lambda: running.main.channel is None)
                running.main.outstation.unsolicited.restart()
            listener.close()
            await listener.wait_closed()
            while not calls.empty():
                await calls.get_nowait().close()

    asyncio.run(talk())


def test_a_master_that_is_not_there_is_logged_once() -> None:
    async def talk() -> None:
        dialling = master(addresses=(), dial=("127.0.0.1", 9), dial_retry_s=0.02)
        async with site(plan(dialling, listen=None)) as running:
            await asyncio.sleep(0.15)
            assert len(running.port.log.said("cannot connect")) == 1

    asyncio.run(talk())


async def _line(descriptor: int) -> RawDnp3:
    """A master on the other end of a pseudo terminal."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(descriptor), "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(os.dup(descriptor), "wb", 0)
    )
    return RawDnp3(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def test_two_outstations_share_a_serial_line() -> None:
    async def talk() -> None:
        ours, theirs = os.openpty()
        for descriptor in (ours, theirs):
            tty.setraw(descriptor, termios.TCSANOW)
        both = [
            master(addresses=(), serial=True, bindings=FEW),
            master(name="second", outstation=11, addresses=(), serial=True, bindings=FEW),
        ]
        line = SerialPlan(path=os.ttyname(theirs))
        try:
            async with site(plan(*both, listen=None, serial=line)) as running:
                running.port.set(2, 0.0, 1)
                await until(lambda: len(running.server.channels) == 1)
                rldc = await _line(ours)
                try:
                    await rldc.say(b"\x00\xffnoise\x05\x64")
                    for outstation in (10, 11, 10):
                        rldc.outstation = outstation
                        assert (await rldc.read(CLASS_0))[0].objects == STATIC
                finally:
                    rldc.writer.transport.abort()
                    rldc.reader._transport.close()  # type: ignore[attr-defined]
                    await asyncio.sleep(0.01)
        finally:
            os.close(ours)
            os.close(theirs)

    asyncio.run(talk())


def test_a_serial_port_that_is_not_there_is_logged_and_tried_again() -> None:
    async def talk() -> None:
        line = SerialPlan(path="/dev/gridgate-no-such-port")
        async with site(plan(master(addresses=(), serial=True), listen=None, serial=line)) as running:
            await until(lambda: len(running.port.log.said("serial port cannot be opened")) == 1)

    asyncio.run(talk())
