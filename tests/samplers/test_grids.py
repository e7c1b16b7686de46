"""Grids of times, number by number, against their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unnoise.process.schedule import VE, VP, RectifiedFlow
from unnoise.samplers import DDIM


def test_karras_is_equation_five() -> None:
    """sigma_i = (80^(1/7) + i / (n - 1) (0.002^(1/7) - 80^(1/7)))^7, then 0."""
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    expected = [(high + i / 17 * (low - high)) ** 7 for i in range(18)]
    np.testing.assert_allclose(DDIM(steps=18, grid="karras").times(VE()).numpy(), [*expected, 0], rtol=1e-9)


def test_log_snr_has_equal_ratios_between_the_same_ends() -> None:
    expected = np.geomspace(80, 0.002, 12)
    np.testing.assert_allclose(DDIM(steps=12, grid="log-snr").times(VE()).numpy(), [*expected, 0], rtol=1e-9)


@pytest.mark.parametrize("grid", ["karras", "log-snr"])
def test_where_the_schedule_ends_before_eighty_the_grid_does_too(grid: str) -> None:
    """A constant beta of 2 ends at alpha^2 = e^-2, where sigma / alpha is sqrt(e^2 - 1) = 2.53."""
    gentle = VP(beta_min=2.0, beta_max=2.0)
    times = DDIM(steps=6, grid=grid).times(gentle)
    ratios = [math.sqrt(math.exp(2 * float(t)) - 1) for t in times[:-1]]
    assert ratios[0] == pytest.approx(math.sqrt(math.e**2 - 1))
    assert ratios[-1] == pytest.approx(0.002, rel=1e-6)


@pytest.mark.parametrize(("grid", "power"), [("trailing", 1), ("uniform", 1), ("quadratic", 2)])
def test_strides_in_time(grid: str, power: int) -> None:
    expected = [(i / 5) ** power for i in (5, 4, 3, 2, 1, 0)]
    np.testing.assert_allclose(DDIM(steps=5, grid=grid).times(RectifiedFlow()).numpy(), expected, rtol=1e-12)
