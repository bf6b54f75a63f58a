"""The SOE buffer test of a DNP3 master, as an engineer makes it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from gateway.cli.selftest import table
from gateway.config import load_site
from gateway.soetest import SoeOptions, SoeTestError, soe_test
from tests.kit.gateway import ENVIRONMENT, REPO

SITE = REPO / "config" / "demo" / "site.yaml"
FAULTS = ("lost", "doubled", "out of order", "not explained by a change")


def test_ten_thousand_events_over_a_hundred_cuts() -> None:
    command = [sys.executable, "-m", "gateway", "selftest", "soe", str(SITE), "rldc-main"]
    command += ["--events", "10000", "--cuts", "100", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=110, check=False)
    said = {line[:36].strip(): line[36:].strip() for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stdout + done.stderr
    assert said["events made"].startswith("10,000 (5,000 of them without a link)")
    assert (said["events received"], said["cuts of the link"]) == ("10,000", "100")
    assert [said[fault] for fault in FAULTS] == ["0"] * 4
    assert int(said["repeated, unacknowledged at the cut"].replace(",", "")) > 0, "fragments were left unconfirmed"
    assert said["result"] == "passed"


def test_kill_9_of_the_server_repeats_only_what_was_not_written_down_as_confirmed() -> None:
    plan = load_site(SITE)
    result = soe_test(plan, plan.server("rldc"), "rldc-main", SoeOptions(events=10_000, cuts=20, kills=6, seed=5))
    print("\n".join(table("rldc/rldc-main", result)))
    assert result.passed, result.log
    assert (result.cuts, result.kills, result.tally.received) == (20, 6, 10_000)
    assert result.log.count("journal was not closed in order") == 6, "each is told at the next start"


def test_everything_at_once_to_a_master_that_only_polls() -> None:
    plan = load_site(SITE)
    entry = plan.server("rldc")
    polled = replace(entry.plan, masters=[replace(entry.plan.masters[0], unsolicited=None)])
    result = soe_test(plan, replace(entry, plan=polled), "rldc-main", SoeOptions(events=3_000))
    assert result.passed and result.buffered == 3_000
    tally = result.tally
    assert tally.repeated_unacknowledged + tally.repeated_acknowledgement_cut + tally.repeated_after_kill == 0


def test_more_than_a_class_holds_is_refused_in_words() -> None:
    plan = load_site(SITE)
    with pytest.raises(SoeTestError, match="do not fit the capacity of 150,000"):
        soe_test(plan, plan.server("rldc"), "rldc-main", SoeOptions(events=150_001))
