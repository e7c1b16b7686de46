"""Charts: where points lie, and which ticks an axis has."""

from __future__ import annotations

import math

import pytest

from unnoise.runs.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart, linear_ticks, log_ticks, short


def points(path: str) -> list[tuple[float, float]]:
    pairs = [pair.split() for pair in path.removeprefix("M").split("L")]
    return [(float(x), float(y)) for x, y in pairs]


def test_a_line_goes_from_the_first_step_to_the_last_within_the_known_range() -> None:
    found = chart("copies", {"copies": [(0, 0.0), (20, 0.5), (40, 1.0)]}, least=0, largest=1)
    assert points(found.lines[0].path) == [
        (LEFT, HEIGHT - BOTTOM),
        ((LEFT + WIDTH - RIGHT) / 2, (HEIGHT - BOTTOM + TOP) / 2),
        (WIDTH - RIGHT, TOP),
    ]
    assert found.lines[0].points == points(found.lines[0].path)
    assert not found.log
    assert found.y_ticks[0] == (HEIGHT - BOTTOM, "0")
    assert found.y_ticks[-1] == (TOP, "1")


def test_values_wide_apart_are_drawn_on_a_logarithmic_axis() -> None:
    found = chart("loss", {"training": [(0, 100.0), (1, 10.0), (2, 1.0)], "held-out": [(2, 2.0)]})
    assert found.log
    ys = [y for _, y in points(found.lines[0].path)]
    assert ys[1] - ys[0] == pytest.approx(ys[2] - ys[1], abs=0.2)
    by_text = {text: y for y, text in found.y_ticks}
    assert by_text["10"] == pytest.approx(ys[1], abs=0.1)
    assert not chart("loss", {"training": [(0, 100.0), (1, 0.0)]}).log
    assert not chart("loss", {"training": [(0, 3.0), (1, 1.0)]}).log


@pytest.mark.parametrize("value", [0.0, 5.0, -2.0, 1e-12, 1e12])
def test_a_constant_and_a_single_point_are_drawn(value: float) -> None:
    found = chart("one", {"one": [(5, value)]})
    ((x, y),) = points(found.lines[0].path)
    assert LEFT <= x <= WIDTH - RIGHT
    assert TOP <= y <= HEIGHT - BOTTOM


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 20000, [0, 5000, 10000, 15000, 20000]),
        (-0.07, 0.12, [-0.05, 0, 0.05, 0.1]),
    ],
)
def test_linear_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    found = linear_ticks(low, high, 4)
    assert all(math.isclose(tick, round(tick, 12)) for tick in found)
    assert set(found) <= set(expected) | {tick / 2 for tick in expected} | {0.25, 0.5, 0.75}
    assert found[0] >= low
    assert found[-1] <= high
    assert 3 <= len(found) <= 6


def test_logarithmic_ticks_are_few_and_within() -> None:
    assert log_ticks(0.9, 60) == [1, 2, 5, 10, 20, 50]
    assert log_ticks(1e-4, 1.2) == [1e-4, 1e-3, 1e-2, 1e-1, 1]
    wide = log_ticks(1e-12, 1e6)
    assert len(wide) <= 6
    assert all(1e-12 <= tick <= 1e6 for tick in wide)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12000, "12,000"), (0.01234, "0.0123"), (1234.6, "1,235"), (5, "5"), (2e-4, "2e-4"), (1.5e9, "1.5e9")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text
