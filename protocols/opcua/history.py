"""Raw history in pages: what a client's times and counts mean, and where a page goes on (OPC 10000-11, 6.4.3). Pure.

A store is read in steps of time that grow while nothing is found, so that a page costs what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.contracts.history import HistoryReader
from gateway.points import Qualities, Times, Values

PAGE: Final = 10_000
"""Values of one node in one response at most; more follow by continuation point."""
_DAY_NS: Final = 86_400 * 10**9
_LONGEST_STEP_NS: Final = 64 * _DAY_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What is still to be read: from `start_ns` to before `end_ns`, backwards if so; `most` 0: everything.

    `skip`: samples at the very begin (in the direction of reading) that were given already. `bounded`: the client named
    both ends, so that what exceeds a page is told of.
    """

    name: str
    start_ns: int
    end_ns: int
    backwards: bool = False
    most: int = 0
    skip: int = 0
    bounded: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Samples in the order asked for, and where to go on; None: that was all."""

    time_ns: Times
    value: Values
    quality: Qualities
    rest: Span | None


def span_of(name: str, start_ns: int | None, end_ns: int | None, most: int, oldest_ns: int, newest_ns: int) -> Span:
    """What ReadRawModifiedDetails means: times are None where null. `ValueError` when it means nothing.

    Both times: the interval, backwards when the end lies before the start. One time needs a number of values.
    """
    if start_ns is None and end_ns is None:
        raise ValueError("neither a start nor an end")
    if start_ns is not None and end_ns is not None:
        if start_ns == end_ns:
            return Span(name=name, start_ns=start_ns, end_ns=start_ns + 1, most=most)
        if end_ns < start_ns:
            return Span(name=name, start_ns=end_ns + 1, end_ns=start_ns + 1, backwards=True, most=most)
        return Span(name=name, start_ns=start_ns, end_ns=end_ns, most=most)
    if most <= 0:
        raise ValueError("one time needs a number of values")
    if start_ns is not None:
        return Span(name=name, start_ns=start_ns, end_ns=newest_ns + 1, most=most, bounded=False)
    end = oldest_ns if end_ns is None else end_ns
    return Span(name=name, start_ns=oldest_ns, end_ns=end + 1, backwards=True, most=most, bounded=False)


def read_page(store: HistoryReader, span: Span) -> Page:
    """The next page of a span. Raises what the store raises."""
    count = min(span.most or PAGE, PAGE)
    wanted = count + span.skip + 1
    parts: list[tuple[Times, Values, Qualities]] = []
    found, at_ns, step_ns = 0, span.end_ns if span.backwards else span.start_ns, _DAY_NS
    while found < wanted and (at_ns > span.start_ns if span.backwards else at_ns < span.end_ns):
        low, high = (max(span.start_ns, at_ns - step_ns), at_ns) if span.backwards else (at_ns, at_ns + step_ns)
        samples = store.range(span.name, low, min(high, span.end_ns))
        turn = slice(None, None, -1) if span.backwards else slice(None)
        if len(samples.time_ns):
            parts.append((samples.time_ns[turn], samples.value[turn], samples.quality[turn]))
            found += len(samples.time_ns)
        else:
            step_ns = min(2 * step_ns, _LONGEST_STEP_NS)
        at_ns = low if span.backwards else high
    return _cut(span, parts, count)


def _cut(span: Span, parts: list[tuple[Times, Values, Qualities]], count: int) -> Page:
    """`count` samples behind those that were given already, and where the rest begins."""
    empty = (np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint32))
    time_ns, value, quality = (
        (np.concatenate(columns) for columns in zip(empty, *parts, strict=True)) if parts else empty
    )
    part = slice(span.skip, span.skip + count)
    more = len(time_ns) > span.skip + count and span.bounded
    rest = _rest(span, time_ns[: span.skip + count]) if more else None
    return Page(time_ns[part], value[part], quality[part], rest)


def _rest(span: Span, given: Times) -> Span:
    last_ns = int(given[-1])
    skip = int((given == last_ns).sum())
    if span.backwards:
        return replace(span, end_ns=last_ns + 1, skip=skip)
    return replace(span, start_ns=last_ns, skip=skip)
