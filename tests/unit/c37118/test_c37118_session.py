"""Conversations between the gateway (`session`) and a PMU, frame by frame, with a clock of their own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from gateway.points import Quality
from protocols.c37118.configuration import Analog, Configuration, Phasor, Pmu
from protocols.c37118.configurationframes import encode
from protocols.c37118.encode import Measured, data_frame
from protocols.c37118.frame import C37Error, Command, FrameType, Head, build, command_of
from protocols.c37118.sequence import Sequence
from protocols.c37118.session import Configured, Event, Foreign, Late, Phase, Send, Session
from tests.kit.pmukit import stream

MAP = """
point,kind,channel
frequency,analog,FREQ
power,analog,P
"""
PMU = Pmu(name="North", id=7, phasors=(Phasor(name="VA"),), analogs=(Analog(name="P"),))
FOUND = Configuration(type=FrameType.CFG2, id=7, pmus=(PMU,))
(CFG2,) = encode(FOUND)


def data(number: int, found: Configuration = FOUND, stat: int = 0, power: float = 1.0) -> bytes:
    """The frame of 20 ms x `number` after second 1000."""
    measured = Measured.nothing(found.pmus[0])
    measured.stat, measured.analogs[0] = stat, power
    seconds, part = divmod(number, 50)
    return data_frame(found, [measured], soc=1000 + seconds, fraction=part * 20_000)


class Talk:
    """A session, and what it said."""

    def __init__(self, **keys: object) -> None:
        self.counters: Counter[str] = Counter()
        self.known: dict[int, float] = {}
        self.session = Session(stream(MAP, **keys), self.counters, self.known)

    def said(self, events: list[Event]) -> list[Command]:
        return [Command(command_of(event.data)[0]) for event in events if isinstance(event, Send)]

    def streaming(self) -> Talk:
        self.session.begin(0.0)
        self.session.stream(CFG2 + data(0), 0.1)
        assert self.session.phase is Phase.STREAMING
        return self

    @staticmethod
    def powers(events: list[Event]) -> list[float]:
        return [float(value) for event in events if isinstance(event, tuple) for value in event[1].values[:, 1]]


def test_off_configuration_on_data() -> None:
    talk = Talk()
    assert talk.said(talk.session.begin(0.0)) == [Command.DATA_OFF, Command.SEND_CFG2]
    # A frame that was on its way already means nothing yet.
    assert talk.session.stream(data(0), 0.05) == []
    configured, turned_on = talk.session.stream(CFG2, 0.1)
    assert isinstance(configured, Configured)
    assert configured.configuration == FOUND and configured.missing == [] and configured.first
    assert talk.said([turned_on]) == [Command.DATA_ON]
    assert talk.powers(talk.session.stream(data(1) + data(2, power=2.5), 0.2)) == [1.0, 2.5]
    assert talk.said(talk.session.end()) == [Command.DATA_OFF]
    assert talk.counters["unconfigured"] == 1 and talk.counters["frames"] == 3
    assert talk.known == {0: 50.0, 1: 2.5}


def test_a_cfg3_is_asked_for_and_taken_in_fragments() -> None:
    talk = Talk(cfg=3)
    assert talk.said(talk.session.begin(0.0)) == [Command.DATA_OFF, Command.SEND_CFG3]
    *first, last = encode(replace(FOUND, type=FrameType.CFG3), most=40)
    assert all(talk.session.stream(frame, 0.1) == [] for frame in first)
    assert talk.said(talk.session.stream(last, 0.1)) == [Command.DATA_ON]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "no CFG-2 from id 7 within 1 s"),
        ({"cfg": 3}, "no CFG-3 from id 7 within 1 s; older devices know cfg 2 only"),
        ({"url": "udp-listen://127.0.0.1:4713"}, "nothing heard for 1 s"),
    ],
)
def test_silence_before_the_configuration(keys: dict[str, object], words: str) -> None:
    talk = Talk(**keys)
    talk.session.begin(5.0)
    assert talk.session.deadline == 6.0
    assert talk.session.overdue(6.0) == words


def test_silence_after_the_configuration_and_after_data() -> None:
    talk = Talk()
    talk.session.begin(0.0)
    talk.session.stream(CFG2, 0.5)
    assert talk.session.deadline == 1.5
    assert "the configuration came, but no data frame" in talk.session.overdue(1.5)
    talk = Talk().streaming()
    assert talk.session.deadline == pytest.approx(1.1)
    assert talk.session.overdue(1.1) == "no data frame for 1 s"


def test_a_slow_stream_has_more_patience() -> None:
    talk = Talk(rate=0.2)
    talk.session.begin(0.0)
    talk.session.stream(encode(replace(FOUND, rate=-5))[0], 0.5)
    assert talk.session.deadline == 15.5


def test_a_stream_that_comes_unasked_waits_for_its_configuration() -> None:
    talk = Talk(url="udp-listen://127.0.0.1:4713")
    assert talk.session.begin(0.0) == []
    assert talk.session.datagram(data(0), 0.1) == []
    assert "no configuration frame yet" in talk.session.overdue(1.0)
    assert talk.said(talk.session.datagram(CFG2, 1.1)) == []
    assert talk.powers(talk.session.datagram(data(1), 1.2)) == [1.0]
    # The next minute brings the same configuration: nothing changes.
    assert talk.session.datagram(CFG2, 1.3) == []
    assert talk.session.end() == []


def test_frames_of_another_id_are_told_once() -> None:
    talk = Talk()
    talk.session.begin(0.0)
    (strange,) = encode(replace(FOUND, id=8))
    assert talk.session.stream(strange + strange, 0.1) == [Foreign(8)]
    assert talk.counters["wrong_id"] == 2
    assert talk.session.overdue(1.0) == "frames come, but with id 8 instead of 7"


def test_a_configuration_about_to_change_is_asked_for_when_it_is_announced_and_when_it_has_changed() -> None:
    talk = Talk().streaming()
    assert talk.said(talk.session.stream(data(1), 0.11)) == []
    assert talk.said(talk.session.stream(data(2, stat=0x0400), 0.12)) == [Command.SEND_CFG2]
    assert talk.session.stream(CFG2, 0.13) == []
    assert talk.said(talk.session.stream(data(3, stat=0x0400), 0.14)) == []
    assert talk.said(talk.session.stream(data(4), 0.16)) == [Command.SEND_CFG2]
    changed = replace(FOUND, pmus=(replace(PMU, analogs=(Analog(name="Q"),), changes=1),))
    (configured,) = talk.session.stream(encode(changed)[0], 0.17)
    assert isinstance(configured, Configured) and not configured.first
    assert [each.binding.name for each in configured.missing] == ["pmu1/power"]
    assert talk.counters["channels_missing"] == 1


def test_frames_of_another_size_are_never_guessed_at() -> None:
    talk = Talk().streaming()
    longer = replace(FOUND, pmus=(replace(PMU, analogs=(Analog(name="P"), Analog(name="Q"))),))
    measured = [Measured.nothing(longer.pmus[0])]
    frame = data_frame(longer, measured, soc=1000, fraction=20_000)
    assert talk.said(talk.session.stream(frame, 5.0)) == [Command.SEND_CFG2]
    assert talk.said(talk.session.stream(frame, 5.1)) == [], "not asked again before an answer may have come"
    assert talk.counters["wrong_size"] == 2
    assert talk.said(talk.session.stream(encode(longer)[0], 5.2)) == []
    assert talk.powers(talk.session.stream(frame, 5.3)) == [0.0]


def test_what_is_no_frame_ends_a_connection_and_costs_a_datagram() -> None:
    talk = Talk().streaming()
    with pytest.raises(C37Error):
        talk.session.stream(b"\xde\xad\xbe\xef", 0.2)
    assert Talk().streaming().session.datagram(b"\xde\xad\xbe\xef", 0.2) == []
    broken = build(Head(type=FrameType.CFG2, id=7), b"\0\1\2")
    with pytest.raises(C37Error, match="the configuration ends"):
        Talk().streaming().session.stream(broken, 0.2)
    assert talk.counters["malformed"] == 1


def test_frames_that_fall_behind_are_not_shown_as_fresh() -> None:
    """Ten seconds of frames were stuck on the way: no clock is compared, only the delay with the least delay seen."""
    talk = Talk().streaming()
    assert talk.powers(talk.session.stream(data(1), 0.12)) == [1.0]
    ((_, batch),) = talk.session.stream(data(2), 10.14)  # type: ignore[misc]
    assert (batch.qualities == int(Quality.NOT_TOPICAL)).all()
    with pytest.raises(Late, match="frames come 10"):
        talk.session.stream(data(30), 11.2)
    assert talk.counters["late"] == 1


def test_a_pause_of_our_own_machine_is_no_fault_of_the_stream() -> None:
    talk = Talk().streaming()
    for number in range(1, 500):
        talk.session.datagram(data(number), 10.1)
    ((_, batch),) = talk.session.datagram(data(500), 10.11)  # type: ignore[misc]
    assert not batch.qualities.any()
    assert talk.counters["late"] == 0


def test_frames_of_other_types_mean_nothing() -> None:
    """A CFG-1 says what the PMU could send, not what it sends; it counts only where it is asked for."""
    talk = Talk().streaming()
    assert talk.session.stream(encode(replace(FOUND, type=FrameType.CFG1, rate=25))[0], 0.2) == []
    for kind in (FrameType.HEADER, FrameType.COMMAND, 6, 7):
        assert talk.session.stream(build(Head(type=kind, id=7), b"\0\1"), 0.2) == []


def test_loss_and_order_by_the_frames_own_times() -> None:
    counters: Counter[str] = Counter()
    sequence = Sequence(0.02, counters)
    ms = 1_000_000
    # 40 and 60 are missing when 80 comes; 60 comes after it; 100 twice, 1 us apart from where it should be.
    assert [sequence.takes(at * ms) for at in (0, 20, 80, 60, 100)] == [True, True, True, False, True]
    assert not sequence.takes(100 * ms)
    assert counters == Counter(frames_lost=2, out_of_order=1, duplicates=1)
    # The clock is set back by a minute, then on by a day: the frames are used, nothing is called lost.
    assert sequence.takes(-60_000 * ms) and sequence.takes(86_400_000 * ms)
    assert counters == Counter(frames_lost=2, out_of_order=1, duplicates=1, time_steps=2)


def test_sixty_frames_a_second_do_not_divide_the_second_and_none_is_missed() -> None:
    counters: Counter[str] = Counter()
    sequence = Sequence(1 / 60, counters)
    assert all(sequence.takes(round(number * 1e6 / 60) * 1000) for number in range(200))
    assert not counters["frames_lost"]
