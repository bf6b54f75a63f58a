"""The 70 recorded runs of the IED certification procedure, replayed: every difference is the one that is explained.

`verdicts.csv` has a line per clause: what the run does, the verdict, each difference between the recorded answers of
opendnp3 3.0 and ours (indications, sequence numbers, headers, objects), and which reading each of the two follows.
"headers": the same objects in the same order with shorter range or prefix fields; "order": the same objects in another
order; anything else begins with the number of the request in the run.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.conformance.dnp3.replay import Replay, differences, exchanges
from tests.kit.dnp3captures import DATA, captures

RUNS = DATA / "conformance"
with (Path(__file__).parent / "verdicts.csv").open(newline="") as _file:
    VERDICTS = list(csv.DictReader(_file))


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: str(verdict["clause"]))
def test_a_run_differs_as_explained_and_not_otherwise(verdict: dict[str, str]) -> None:
    captures()
    run = exchanges(RUNS / f"{verdict['clause']}.pcap")
    replay = Replay(verdict["clause"], run)
    found = differences(run, replay.play())
    assert "; ".join(found) == verdict["differences"]
    # The link layer says the same, octet by octet: acknowledgements come where they came, and nowhere else.
    ours = [frame.control for frame in replay.talk.links]
    assert ours == [frame.control for exchange in run for frame in exchange.frames if not frame.data]


def test_every_run_has_its_verdict() -> None:
    captures()
    assert {verdict["clause"] for verdict in VERDICTS} == {path.stem for path in RUNS.glob("*.pcap")}
    assert len(VERDICTS) == 70


def test_no_difference_is_unexplained() -> None:
    for verdict in VERDICTS:
        assert verdict["verdict"] == ("differs" if verdict["differences"] else "same")
        assert bool(verdict["reading"]) is bool(verdict["differences"]), verdict["clause"]
