"""The main job, whole: simulated devices, the gateway, and an independent IEC 104 master, each in its own process."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("c104", reason="the independent IEC 104 master c104 is not installed")

from tests.kit.gateway import C104Master, DemoSite, wait_until

NT, IV = 0x40, 0x80
INTERROGATED, SPONTANEOUS, ACT_CON, ACT_TERM = 20, 3, 7, 10
POI_POWER, POI_FREQUENCY, SETPOINT, ACTIVE_POWER = 4103, 4101, 7001, 4001
FLOAT, TIMED_FLOAT = 13, 36


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[DemoSite]:
    with DemoSite(folder, dnp3=False) as site:
        site.start_simulator()
        site.start()
        yield site
        print(site.log_path.read_text())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """One site for all who leave it as it was; the last of them stops it."""
    with serving(tmp_path_factory.mktemp("demo")) as site:
        yield site


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DemoSite]:
    with serving(tmp_path) as site:
        yield site


def answered(master: C104Master) -> dict[int, list[int]]:
    """What the master was told in answer to its interrogation: fields by ioa."""
    return {
        thing["ioa"]: thing["fields"]
        for frame in master.frames
        if frame["cot"] == INTERROGATED
        for thing in frame["objects"]
    }


def bound_ioas(demo: DemoSite) -> set[int]:
    """Monitored ioas of the master's map, read from the file itself; counters are not part of an interrogation."""
    rows = (demo.folder / "pointmaps" / "masters" / "demo_sldc_iec104.csv").read_text().splitlines()
    return {int(row.split(",")[2]) for row in rows if ",M_" in row and ",M_IT_" not in row}


def test_a_master_gets_everything_then_events_and_its_set_point_moves_the_plant(demo: DemoSite):
    wait_until(lambda: demo.point("poi/power")["quality"] == "good", "the meter to be read")
    with C104Master(demo.port) as master:
        wait_until(master.is_open, "the link")
        master.order("interrogate")  # c104 misses an answer that comes at once: the frames count, not its word
        wait_until(lambda: answered(master).keys() >= bound_ioas(demo), "the complete interrogation")
        assert answered(master).keys() == bound_ioas(demo)
        # The last octet of every object is its quality (the only one for status points): nothing but the state bits.
        bad = {ioa: fields for ioa, fields in answered(master).items() if fields[-1] & 0xF0}
        assert bad == {}

        # The grid frequency wanders: events come by themselves, each with the time the device was read.
        wait_until(lambda: len(master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,))) >= 3, "frequency events")
        events = master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,))
        times = [event["time_ns"] for event in events]
        assert times == sorted(times)
        assert all(event["cot"] == SPONTANEOUS and not event["time_invalid"] for event in events)
        now_s = psutil.boot_time()
        assert all(time_ns / 1e9 > now_s for time_ns in times)

        before = len(master.frames)
        master.order(f"setpoint {SETPOINT} -400")
        reached = wait_until(
            lambda: [
                thing
                for thing in master.objects(ACTIVE_POWER, types=(TIMED_FLOAT,), since=before)
                if thing["fields"][0] < -380
            ],
            "the battery to charge",
        )
        assert reached[0]["fields"][1] == 0
        answers = wait_until(
            lambda: (
                [
                    (frame["cot"], frame["negative"])
                    for frame in master.frames[before:]
                    if frame["type"] == 50 and frame["cot"] in (ACT_CON, ACT_TERM)
                ][1:]
                and [
                    (frame["cot"], frame["negative"])
                    for frame in master.frames[before:]
                    if frame["type"] == 50 and frame["cot"] in (ACT_CON, ACT_TERM)
                ]
            ),
            "confirmation and termination",
        )
        assert answers == [(ACT_CON, False), (ACT_TERM, False)]


def test_a_set_point_beyond_the_range_is_refused_and_the_plant_does_not_move(demo: DemoSite):
    with C104Master(demo.port) as master:
        wait_until(master.is_open, "the link")
        before = demo.point("bess1/pcs/power_setpoint")["value"]
        master.order(f"setpoint {SETPOINT} 1500")
        refused = wait_until(lambda: [frame for frame in master.frames if frame["type"] == 50], "the answer")
        assert [(frame["cot"], frame["negative"]) for frame in refused] == [(ACT_CON, True)]
        assert demo.point("bess1/pcs/power_setpoint")["value"] == before
        audit = demo.state_dir / "audit"
        wait_until(lambda: any("refused" in file.read_text() for file in audit.iterdir()), "the audit")


def test_a_person_forces_a_point_and_the_master_sees_it_substituted(demo: DemoSite):
    sb = 0x20
    with C104Master(demo.port) as master:
        wait_until(master.is_open, "the link")
        assert demo.cli("force", "poi/power", "42").returncode == 0
        forced = wait_until(
            lambda: [e for e in master.objects(POI_POWER, types=(TIMED_FLOAT,)) if e["fields"][1] & sb],
            "the substituted value",
        )
        assert forced[0]["fields"] == [42.0, sb]
        heard = len(master.frames)
        assert demo.cli("release", "poi/power").returncode == 0
        back = wait_until(lambda: master.objects(POI_POWER, types=(TIMED_FLOAT,), since=heard), "the field's value")
        assert back[0]["fields"][1] == 0
    wrong = demo.cli("force", "poi/pover", "42")
    assert wrong.returncode == 1
    assert "poi/power" in wrong.stderr


def test_without_the_plant_values_stay_and_say_that_they_are_old(demo: DemoSite):
    with C104Master(demo.port) as master:
        wait_until(master.is_open, "the link")
        wait_until(lambda: len(master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,))) >= 2, "frequency events")
        demo.kill_simulator()
        gone = wait_until(
            lambda: [e for e in master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,)) if e["fields"][1] & (NT | IV)],
            "not topical",
        )[0]
        good = [e for e in master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,)) if not e["fields"][1]]
        point = demo.point("poi/frequency")
        assert gone["fields"][0] == pytest.approx(point["value"], abs=1e-4)
        assert abs(gone["fields"][0] - good[-1]["fields"][0]) <= 0.011, "the last value, within its deadband"
        assert gone["time_ns"] == point["time_ns"] // 1_000_000 * 1_000_000
        assert good[-1]["time_ns"] <= gone["time_ns"]
        assert "not topical" in point["quality"] or "comm lost" in point["quality"]
        heard = len(master.frames)
        demo.start_simulator()
        wait_until(
            lambda: [
                e
                for e in master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,), since=heard)
                if e["fields"][1] == 0 and e["time_ns"] > gone["time_ns"]
            ],
            "fresh values after the meter's return",
        )
        wait_until(lambda: demo.point("system/device/meter/errors")["value"] > 0, "the errors to be counted")


def test_killed_workers_and_cores_come_back_and_the_master_sees_nothing_wrong(demo: DemoSite):
    with C104Master(demo.port) as master:
        wait_until(master.is_open, "the link")
        wait_until(lambda: master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,)), "a first event")
        demo.kill_child("iec104 sldc")
        heard = len(master.frames)
        wait_until(lambda: master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,), since=heard), "events after the worker")
        demo.kill_child("core")
        heard = len(master.frames)
        wait_until(
            lambda: [
                e for e in master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,), since=heard) if e["fields"][1] == 0
            ],
            "good events after the core",
        )
        events = master.objects(POI_FREQUENCY, types=(TIMED_FLOAT,))
        assert all(45 < event["fields"][0] < 55 for event in events), "never a zero from a core that knew nothing"
        assert demo.logged("process ended: it is started again")


def test_the_processes_say_what_they_are_and_two_gateways_refuse_each_other(demo: DemoSite):
    assert demo.child("core") and demo.child("iec104 sldc")
    second = demo.spawn()
    assert second.wait(60) == 1
    assert any("in use by another gateway" in str(line.get("cause", "")) for line in demo.log_lines())
    assert demo.stop() == 0
    assert demo.logged("gateway stopped")


def test_when_the_supervisor_is_killed_nothing_is_left_behind(own: DemoSite):
    children = [own.child("core"), own.child("iec104 sldc")]
    psutil.Process(own.pid).kill()
    wait_until(lambda: not any(alive(pid) for pid in children), "the children to end")


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
