"""A master's selects, commands and their effects through the whole gateway: broker, audit, device, way back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.kit.gateway import DemoSite, wait_until
from tests.peers.raw104 import Frame, Raw104, asdu

RUN, RUNNING, SETPOINT = 6001, 1004, 7001


def site_with_a_local_switch(folder: Path) -> DemoSite:
    """The demo site, its set-point wanting a select; commands pass only while the panel says remote."""
    demo = DemoSite(folder, dnp3=False)
    assert "local_remote: {point: bess1/pcs/local, remote_when: 0}" in demo.site.read_text()
    path = folder / "pointmaps" / "masters" / "demo_sldc_iec104.csv"
    text = path.read_text().replace("C_SE_NC_1,,,,,direct", "C_SE_NC_1,,,,,select")
    path.write_text(text)
    return demo


def audit(demo: DemoSite) -> list[tuple[str, str, str]]:
    """(point, action, step and reason) of every record."""
    records = [
        json.loads(line)
        for path in sorted((demo.state_dir / "audit").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return [
        (record["point"], record["action"], f"{record['step']} {record.get('reason', '')}".strip())
        for record in records
        if "point" in record  # what control does by itself is recorded by unit
    ]


async def answers(master: Raw104, request: bytes, count: int) -> list[int]:
    """Causes of the answers of this type; negative ones are below 0."""
    await master.send(request)
    heard: list[int] = []
    while len(heard) < count:
        frame = await master.hear_i()
        if frame.type_id == request[0]:
            heard.append(-frame.cause if frame.negative else frame.cause)
    return heard


async def change_of(master: Raw104, ioa: int) -> Frame:
    """The next event of this state."""
    while True:
        frame = await master.hear_i(20.0)
        if frame.type_id == 30 and ioa in [at for at, _ in frame.objects(8)]:
            return frame


SELECT, EXECUTE = asdu(50, 6, 1, SETPOINT, "0000c84280"), asdu(50, 6, 1, SETPOINT, "0000c84200")


def story_of(demo: DemoSite, name: str) -> list[tuple[str, str]]:
    """What the audit says of one point: actions and steps."""
    return [(action, step) for point, action, step in audit(demo) if point == name]


def test_selects_go_to_the_broker_and_effects_come_back_as_return_information(tmp_path: Path) -> None:
    with site_with_a_local_switch(tmp_path) as demo:
        demo.start_simulator()
        demo.start()
        wait_until(lambda: demo.point("bess1/pcs/local").get("value") == 0, "the panel to be read")
        running = demo.point("bess1/pcs/running")["value"]

        async def talk() -> None:
            master = await Raw104.connect(demo.port)
            try:
                await master.start()
                assert await answers(master, SELECT, 1) == [7]
                assert await answers(master, EXECUTE, 2) == [7, 10]
                assert await answers(master, EXECUTE, 1) == [-7]
                await master.send(asdu(45, 6, 1, RUN, f"{int(not running):02x}"))
                assert (await change_of(master, RUNNING)).cause == 11
                assert [frame.cause for frame in master.initialised] == [4]
                await asyncio.to_thread(demo.order, "local on")
                local = lambda: demo.point("bess1/pcs/local").get("value") == 1  # noqa: E731
                await asyncio.to_thread(wait_until, local, "the panel to say local")
                assert await answers(master, SELECT, 1) == [-7]
                assert await answers(master, EXECUTE, 1) == [-7]
            finally:
                await master.close()

        asyncio.run(talk())
        expected = [
            ("select", "select"),
            ("execute", "accepted"),
            ("execute", "completed ok"),
            ("execute", "refused not selected"),
            ("select", "refused local control selected"),
            ("execute", "refused not selected"),
        ]
        # The audit is written beside the core's loop, a moment after the answer.
        wait_until(lambda: len(story_of(demo, "bess1/pcs/power_setpoint")) >= len(expected), "the audit to be written")
        assert story_of(demo, "bess1/pcs/power_setpoint") == expected
        print(demo.log_path.read_text())
