"""Line plots as SVG text, for reports that need nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 900, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 28, 34
_COLOURS: Final = ("#1f4e79", "#c55a11", "#548235", "#7f7f7f", "#7030a0")
_TICKS: Final = 5
_COLUMNS: Final = 800
"""Points beyond so many columns are drawn as the extremes of their column: no peak is lost."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: NaN is a gap. `dashed` for what is wished rather than measured."""

    name: str
    y: NDArray[np.float64]
    dashed: bool = False


def plot(title: str, x: NDArray[np.float64], lines: Sequence[Line], unit: str, marks: Sequence[float] = ()) -> str:
    """One plot; x in s, all lines of its length; `marks` are values of y with a thin line across."""
    known = np.concatenate([line.y[np.isfinite(line.y)] for line in lines] + [np.asarray(marks, np.float64)])
    low, high = _range(known)
    scale = _Scale(float(x[0]) if len(x) else 0.0, float(x[-1]) if len(x) else 1.0, low, high)
    return "".join(_parts(title, x, lines, unit, marks, scale))


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * 0.05 or max(abs(high) * 0.01, 0.5)
    return low - margin, high + margin


@dataclass(frozen=True, slots=True)
class _Scale:
    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / ((self.x1 - self.x0) or 1.0) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (HEIGHT - _TOP - _BOTTOM)


def _parts(
    title: str, x: NDArray[np.float64], lines: Sequence[Line], unit: str, marks: Sequence[float], scale: _Scale
) -> Iterator[str]:
    yield f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" aria-label="{escape(title)}" '
    yield 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11">\n'
    yield f'<text x="{_LEFT}" y="14" font-weight="bold">{escape(title)}</text>\n'
    yield from _axes(unit, scale)
    for mark in marks:
        y = scale.y(mark)
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#bbb" '
        yield 'stroke-dasharray="2 3"/>\n'
    for number, line in enumerate(lines):
        yield from _line(x, line, _COLOURS[number % len(_COLOURS)], scale)
        at = WIDTH - _RIGHT - 120 * (len(lines) - number)
        yield f'<text x="{at}" y="14" fill="{_COLOURS[number % len(_COLOURS)]}">{escape(line.name)}</text>\n'
    yield "</svg>\n"


def _axes(unit: str, scale: _Scale) -> Iterator[str]:
    for value in _ticks(scale.y0, scale.y1):
        y = scale.y(value)
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>\n'
    for value in _ticks(scale.x0, scale.x1):
        yield f'<text x="{scale.x(value):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{value:g}</text>\n'
    yield f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 3}" text-anchor="end">s</text>'
    yield f'<text x="8" y="{_TOP}">{escape(unit)}</text>'
    yield f'<rect x="{_LEFT}" y="{_TOP}" width="{WIDTH - _LEFT - _RIGHT}" height="{HEIGHT - _TOP - _BOTTOM}" '
    yield 'fill="none" stroke="#888"/>\n'


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / _TICKS
    size: float = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next((size * factor for factor in (1, 2, 5) if size * factor >= raw), size * 10)
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]


def _line(x: NDArray[np.float64], line: Line, colour: str, scale: _Scale) -> Iterator[str]:
    dash = ' stroke-dasharray="5 3"' if line.dashed else ""
    drawn_x, drawn_y = _thinned(x, line.y)
    pieces: list[str] = []
    pen_down = False
    for at, value in zip(drawn_x.tolist(), drawn_y.tolist(), strict=True):
        if not math.isfinite(value):
            pen_down = False
            continue
        pieces.append(f"{'L' if pen_down else 'M'}{scale.x(at):.1f} {scale.y(value):.1f}")
        pen_down = True
    yield f'<path d="{" ".join(pieces)}" fill="none" stroke="{colour}" stroke-width="1.4"{dash}/>\n'


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most four points a column: first, lowest, highest, last."""
    if len(x) <= 4 * _COLUMNS:
        return x, y
    keep: set[int] = set()
    for part in np.array_split(np.arange(len(x)), _COLUMNS):
        known = part[np.isfinite(y[part])]
        keep.update((int(part[0]), int(part[-1])))
        if len(known):
            keep.update((int(known[np.argmin(y[known])]), int(known[np.argmax(y[known])])))
    index = np.array(sorted(keep))
    return x[index], y[index]
