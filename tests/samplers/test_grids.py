"""Grids of times, number by number, against their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VE, VP, Cosine, LinearBetas, RectifiedFlow
from unnoise.samplers import DDIM, GRIDS, IPNDM, RK45, SAMPLERS, AdamsBashforth, Ancestral, DPMSolver, Sampler, UniPC
from unnoise.samplers.spec import parse_sampler


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


@pytest.mark.parametrize(("grid", "power"), [("angle", 1.5), ("angle-squared", 2)])
def test_the_angle_of_sigma_over_alpha_rises_with_a_power_of_the_step(grid: str, power: float) -> None:
    """On the schedule Cosine the angle is pi t / 2, so the times themselves are the power, the greatest ratio apart."""
    greatest = 2 / math.pi * math.atan(80)
    expected = [1, *(greatest * (i / 6) ** power for i in (5, 4, 3, 2, 1, 0))]
    np.testing.assert_allclose(DDIM(steps=6, grid=grid).times(Cosine()).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("sampler", "grid"),
    [
        (DDIM(steps=5), "trailing"),
        (DDIM(steps=50), "trailing"),
        (Ancestral(steps=5), "trailing"),
        (DPMSolver(steps=20), "angle"),
        (DPMSolver(steps=50), "log-snr"),
        (DPMSolver(steps=9, order=3), "angle"),
        (DPMSolver(steps=10, order=3), "log-snr"),
        (DPMSolver(steps=10, order=3, grid="angle"), "angle"),
        (UniPC(steps=10), "angle"),
        (UniPC(steps=50), "angle-squared"),
        (AdamsBashforth(steps=50), "angle"),
        (IPNDM(steps=5), "angle-squared"),
        (IPNDM(steps=8), "angle"),
        (DDIM(steps=5, grid="karras"), "karras"),
    ],
    ids=repr,
)
def test_auto_is_the_best_named_grid_at_its_number_of_steps(sampler: Sampler, grid: str) -> None:
    named = type(sampler)(**{**vars(sampler), "grid": grid})
    assert torch.equal(sampler.times(LinearBetas()), named.times(LinearBetas()))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_best_grid_is_a_grid_from_one_step_on(name: str) -> None:
    table = SAMPLERS[name].best_grids
    assert list(table) == sorted(table)
    assert 1 in table
    assert set(table.values()) <= set(GRIDS)
    assert parse_sampler(f"{name}:grid=auto")["grid"] == "auto"


@pytest.mark.parametrize("steps", [5, 10, 20])
def test_the_defaults_are_nearer_than_uniform_log_snr(steps: int) -> None:
    """On a mixture in four dimensions that no default was chosen on, linear betas; uniform log-SNR with DPM-Solver++ 2M
    is the best default of other libraries."""
    random = torch.Generator().manual_seed(12)
    means = 0.7 * torch.randn(5, 4, generator=random, dtype=torch.float64)
    stds = 0.05 * 8 ** torch.rand(5, generator=random, dtype=torch.float64)
    denoiser = GaussianMixture(torch.ones(5), means, stds).denoiser(LinearBetas())
    x_T = torch.randn(200, 4, generator=random, dtype=torch.float64)
    ends = RK45(steps=100, rtol=1e-6, atol=1e-6).run(denoiser, x_T)

    def error(sampler: Sampler) -> float:
        return float((sampler.run(denoiser, x_T) - ends).square().mean(1).sqrt().mean())

    usual = error(DPMSolver(steps=steps, grid="log-snr"))
    assert error(DPMSolver(steps=steps)) < 0.9 * usual
    assert error(AdamsBashforth(steps=steps, order=3)) < 0.7 * usual
    assert error(IPNDM(steps=steps)) < 0.5 * usual
