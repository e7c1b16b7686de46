"""Lines over steps, as what a template needs to draw them: paths and ticks in the units of a viewBox.

A page is written while a training waits for it: this takes a millisecond a chart, matplotlib a few hundred.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 10, 24
LOG_FROM = 8.0
"""Largest over least of positive values, from which on a logarithmic axis shows more."""
COLOURS = 8
"""That the pages' style has."""
Extent = tuple[float, float]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """path: an SVG path. points: where single values are, of a line of few. last: its last value."""

    name: str
    path: str
    points: list[tuple[float, float]]
    last: str


@dataclass(frozen=True)
class Chart:
    """x_ticks, y_ticks: (position, text)."""

    title: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    log: bool
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def chart(
    title: str, curves: Mapping[str, Points], *, least: float | None = None, largest: float | None = None
) -> Chart:
    """The chart of curves by name, each with a point at least; steps begin at 0.

    Args:
        title: of the chart.
        curves: name -> (step, value); finite.
        least, largest: ends of the axis of values. Where none is given, it is logarithmic for values that are positive
            and wide apart.
    """
    xs = _extent([0.0, *(x for curve in curves.values() for x, _ in curve)])
    values = [y for curve in curves.values() for _, y in curve]
    log = least is None and min(values) > 0 and max(values) > LOG_FROM * min(values)
    low, high = _roomy(_extent(values), log)
    ys = _extent([low if least is None else least, high if largest is None else largest])
    across, up = _Scale(xs, (LEFT, WIDTH - RIGHT)), _Scale(ys, (HEIGHT - BOTTOM, TOP), log)
    lines = [_line(name, curve, across, up) for name, curve in curves.items()]
    x_ticks = [(across(tick), short(tick)) for tick in linear_ticks(*xs, 5)]
    y_ticks = [(up(tick), short(tick)) for tick in (log_ticks(*ys) if log else linear_ticks(*ys, 4))]
    return Chart(title, lines, x_ticks, y_ticks, log)


def short(value: float) -> str:
    """A number in few characters: '12,000', '0.0123', '1.5e-05'."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def linear_ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Of a logarithmic axis: powers of ten, with 2 and 5 times them where there is room."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [digit * 10.0**power for power in powers for digit in digits]
        found = [float(f"{tick:.12g}") for tick in found if low <= tick <= high]
        if len(found) <= most:
            return found
    return found[:: -(-len(found) // most)]


class _Scale:
    """From values to positions."""

    def __init__(self, values: Extent, positions: Extent, log: bool = False) -> None:
        self._map = math.log if log else float
        self._low, high = (self._map(value) for value in values)
        self._begin = positions[0]
        self._slope = (positions[1] - positions[0]) / (high - self._low)

    def __call__(self, value: float) -> float:
        return round(self._begin + self._slope * (self._map(value) - self._low), 1)


def _line(name: str, curve: Points, across: _Scale, up: _Scale) -> Line:
    points = [(across(x), up(y)) for x, y in curve]
    path = "M" + "L".join(f"{x} {y}" for x, y in points)
    return Line(name, path, points if len(points) <= 12 else [], short(curve[-1][1]))


def _extent(values: Sequence[float]) -> Extent:
    """From the least to the largest, never empty."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - abs(low) / 2 - 1e-9, high + abs(high) / 2 + 1e-9)


def _roomy(extent: Extent, log: bool) -> Extent:
    """With a little room above and below."""
    low, high = extent
    factor = (high / low) ** 0.05 if log else 0.0
    room = 0.05 * (high - low)
    return (low / factor, high * factor) if log else (low - room, high + room)
