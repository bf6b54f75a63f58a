"""Alarms through the whole gateway: a simulated plant, a technician at the terminal, kills in the middle."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kit.gateway import DemoSite
from tests.kit.gateway import wait_until as wait_until_in_time
from tests.peers.raw104 import Raw104, asdu

TEMPERATURE = "bess1/pcs/cabinet_temp_a"
HIGH = f"{TEMPERATURE}/h"
METER = "system/device/meter/online/alarm"
UNACKNOWLEDGED, ACKNOWLEDGE_ALL = 4901, 6901


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Each look is a command line of its own, which a busy machine makes wait."""
    wait_until_in_time(condition, what, 60.0)


def site(folder: Path) -> DemoSite:
    """The demo site with an alarm map, and the summary in the map of the SLDC."""
    demo = DemoSite(folder, dnp3=False)
    (demo.site.parent / "alarms.csv").write_text(
        "point,limit,priority,on_delay_s,message\n"
        f"{TEMPERATURE},h,critical,,Cabinet A is hot\n"
        "system/device/*,alarm,,0.2,\n"
        "system/master/*,*,off,,\n"
    )
    demo.site.write_text(demo.site.read_text() + "\nalarms:\n  map: alarms.csv\n")
    path = folder / "pointmaps" / "masters" / "demo_sldc_iec104.csv"
    head = path.read_text().splitlines()
    heading = next(line for line in head if line.startswith("point,"))
    columns = heading.split(",")

    def row(**cells: str) -> str:
        return ",".join(cells.get(column, "") for column in columns)

    rows = [
        row(point="system/alarms/unacknowledged", ca="1", ioa=str(UNACKNOWLEDGED), type="M_ME_TF_1"),
        row(point="system/alarms/acknowledge_all", ca="1", ioa=str(ACKNOWLEDGE_ALL), type="C_SC_NA_1"),
    ]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return demo


def alarms(demo: DemoSite) -> dict[str, dict[str, Any]]:
    done = demo.cli("alarms", "--json")
    return {line["alarm"]: line for line in map(json.loads, done.stdout.splitlines())}


def history(demo: DemoSite) -> list[dict[str, Any]]:
    paths = sorted((demo.state_dir / "alarms").glob("alarms-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines() if line.endswith("}")]


def state(demo: DemoSite, name: str) -> str:
    """As the history has it: cheaper to look at than by the command line."""
    return next((str(line["state"]) for line in reversed(history(demo)) if line["alarm"] == name), "normal")


def test_an_alarm_is_raised_shelved_acknowledged_and_survives_kills(tmp_path: Path) -> None:
    with site(tmp_path) as demo:
        demo.start_simulator()
        demo.start()
        assert demo.cli("force", TEMPERATURE, "75").returncode == 0
        wait_until(lambda: state(demo, HIGH) == "unacknowledged", "the alarm")
        shown = alarms(demo)[HIGH]
        assert (shown["priority"], shown["message"], shown["value"]) == ("critical", "Cabinet A is hot", 75.0)
        demo.kill_simulator()
        wait_until(lambda: state(demo, METER) == "unacknowledged", "the lost meter")
        refused = demo.cli("alarms", "shelve", METER, "--for", "30m")
        assert (refused.returncode, "needs a reason" in refused.stderr) == (1, True)
        shelved = demo.cli("alarms", "shelve", METER, "--for", "30m", "--reason", "is being replaced")
        assert shelved.returncode == 0, shelved.stderr
        done = demo.cli("alarms", "ack", HIGH)
        assert (done.returncode, done.stdout) == (0, f"{HIGH}: acknowledge done\n")
        assert "did you mean" in demo.cli("alarms", "ack", HIGH[:-1] + "hhh").stderr
        before = alarms(demo)
        wait_until(lambda: len([at for at in history(demo) if at["event"] == "acknowledged"]) == 1, "the history")

        demo.kill_child("core")
        wait_until(lambda: alarms(demo).get(HIGH, {}).get("state") == "acknowledged", "the alarm that stood before")
        after = alarms(demo)
        assert after[METER]["state"] == "shelved"
        assert after[METER]["shelved_until_ns"] == before[METER]["shelved_until_ns"]
        assert "is being replaced" in after[METER]["text"]
        assert after[HIGH]["raised_ns"] == before[HIGH]["raised_ns"]

        demo.start_simulator()
        wait_until(lambda: state(demo, HIGH) == "normal", "its return: the force did not outlive the core")
        events = [(at["alarm"], at["event"]) for at in history(demo) if at["alarm"] == HIGH]
        assert events == [(HIGH, "raised"), (HIGH, "acknowledged"), (HIGH, "returned")]
        records = [
            json.loads(line) for path in (demo.state_dir / "audit").glob("*") for line in path.read_text().splitlines()
        ]
        told = [(at["action"], at["subject"], at["step"]) for at in records if "subject" in at]
        assert told == [
            *(("shelve", METER, "refused"), ("shelve", METER, "shelve")),
            ("acknowledge", HIGH, "acknowledge"),
        ]


def test_a_master_sees_the_summary_and_acknowledges_everything(tmp_path: Path) -> None:
    with site(tmp_path) as demo:
        demo.start_simulator()
        demo.start()

        async def talk() -> None:
            master = await Raw104.connect(demo.port)
            try:
                await master.start()
                # It listens and acknowledges while the command line works, which may take longer than t1.
                await asyncio.gather(
                    asyncio.to_thread(demo.cli, "force", TEMPERATURE, "75"), _told(master, lambda count: count >= 1)
                )
                await master.send(asdu(45, 6, 1, ACKNOWLEDGE_ALL, "01"))
                await _told(master, lambda count: count == 0)
            finally:
                await master.close()

        asyncio.run(talk())
        shown = alarms(demo)[HIGH]
        assert (shown["state"], shown["by"]) == ("acknowledged", "sldc/sldc-main")
        assert demo.stop() == 0


async def _told(master: Raw104, fits: Callable[[float], bool]) -> None:
    """The number of unacknowledged alarms comes as an event; others than ours may be among them."""
    while True:
        frame = await master.hear_i(60.0)
        await master.acknowledge()
        if frame.type_id == 36:
            for ioa, octets in frame.objects(12):
                if ioa == UNACKNOWLEDGED and fits(struct.unpack("<f", octets[:4])[0]):
                    return
