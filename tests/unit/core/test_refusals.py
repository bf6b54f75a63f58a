"""Whom a server turns away is counted always, and told once."""

from __future__ import annotations

from gateway.refusals import Refusals
from tests.kit.feedkit import QuietLog


def test_every_refusal_counts_and_each_address_is_one_line() -> None:
    log = QuietLog()
    refusals = Refusals(log)
    for _ in range(1000):
        refusals.refuse("10.0.0.1", "address belongs to no master")
    refusals.refuse("10.0.0.2", "address belongs to no master")
    assert refusals.count == 1001
    assert log.events() == ["connection refused", "connection refused"]


def test_after_it_was_let_in_the_next_refusal_of_an_address_is_news() -> None:
    log = QuietLog()
    refusals = Refusals(log)
    for _ in range(2):
        refusals.refuse("10.0.0.1", "main already holds 1 links")
        refusals.admit("10.0.0.1")
    assert log.events() == ["connection refused", "connection refused"]


def test_many_addresses_do_not_fill_the_log() -> None:
    log = QuietLog()
    refusals = Refusals(log, most=3)
    for number in range(100):
        refusals.refuse(f"10.0.0.{number}", "address belongs to no master")
    assert refusals.count == 100
    assert log.events() == ["connection refused"] * 3 + ["further refused addresses are not logged"]
