"""Orders as a person or a test types them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.orders import FORMS, MAX_LINE, LineSplitter, Order, OrderError, parse


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("frequency -0.5 10", Order("frequency", (-0.5, 10.0))),
        ("  Fault   on  # a comment", Order("fault", (True,))),
        ("frequency 49.5", Order("frequency", (49.5,))),
        ("frequency free", Order("frequency", (None,))),
        ("cell_temp 62", Order("cell_temp", (62.0,))),
        ("estop off", Order("estop", (False,))),
        ("estop press", Order("estop", (True,))),
        ("unplug meter", Order("unplug", ("meter",))),
        ("set poi/voltage 31.5", Order("set", ("poi/voltage", 31.5))),
    ],
)
def test_order_is_understood(line: str, order: Order) -> None:
    assert parse(line) == order


@pytest.mark.parametrize("line", ["", "   ", "# nothing to do"])
def test_nothing_is_nothing(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("falt on", r"unknown order 'falt' \(did you mean fault\?\)"),
        ("fault", "expected: fault on|off"),
        ("fault perhaps", "expected on or off"),
        ("frequency", "expected: frequency DELTA_HZ SECONDS, frequency HZ or frequency free"),
        ("frequency x 10", "expected a number, not 'x'"),
        ("frequency nan 10", "finite"),
        ("frequency -0.5 -1", "expected seconds"),
        ("fault on" + " " * MAX_LINE + "really", "more than"),
    ],
)
def test_person_is_told_what_was_expected(line: str, answer: str) -> None:
    with pytest.raises(OrderError, match=answer):
        parse(line)


@given(st.text())
def test_no_text_raises_anything_but_order_error(line: str) -> None:
    try:
        order = parse(line)
    except OrderError:
        return
    assert order is None or order.verb in FORMS


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)), st.data())
def test_lines_come_out_whole_however_they_are_chunked(lines: list[str], data: st.DataObject) -> None:
    stream = "".join(line + "\n" for line in lines).encode()
    splitter, seen = LineSplitter(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        seen += splitter.feed(stream[:size])
        stream = stream[size:]
    assert seen == lines


@given(st.integers(1, 3000))
def test_endless_line_is_refused_once_and_what_follows_is_read(chunk: int) -> None:
    splitter, seen = LineSplitter(), []
    stream = b"x" * (3 * MAX_LINE) + b"\nfault on\n"
    for at in range(0, len(stream), chunk):
        seen += splitter.feed(stream[at : at + chunk])
    assert seen[-1] == "fault on"
    assert len(seen) == 2
    with pytest.raises(OrderError):
        parse(seen[0])
