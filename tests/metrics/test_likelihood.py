from __future__ import annotations

import math

import pytest
import torch

from unnoise.metrics.likelihood import density_bits, dequantise, ode_log_likelihood, variational_bound
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import VP, LinearBetas
from unnoise.process.variance import estimate_gammas


def test_dequantised_levels_fill_their_buckets() -> None:
    levels = torch.arange(256).repeat(200).reshape(200, 1, 16, 16) / 127.5 - 1
    noisy = dequantise(levels, seed=1)
    assert torch.equal(noisy, dequantise(levels, seed=1))
    assert not torch.equal(noisy, dequantise(levels, seed=2))
    shift = (noisy - levels).double()
    assert shift.abs().max() <= 1 / 255 + 1e-6
    assert float(shift.mean()) == pytest.approx(0, abs=5e-5)
    assert float(shift.std()) == pytest.approx(2 / 255 / 12**0.5, rel=0.02)


def test_a_uniform_density_on_the_levels_is_eight_bits() -> None:
    assert density_bits(math.log(256 / 127.5)) == pytest.approx(8)


def test_the_bound_and_the_ode_measure_the_same_density() -> None:
    mixture = GaussianMixture(torch.ones(2), torch.tensor([[0.5, -0.5], [-0.5, 0.5]]), 0.2)
    x_0, schedule = mixture.sample(2000, seed=1), LinearBetas()
    variance = estimate_gammas(mixture.denoiser(schedule), mixture.sample(2000, seed=2), schedule.grid[::20])
    bound = variational_bound(mixture.denoiser(schedule), x_0, decoder="gaussian", variance=variance)
    exact = ode_log_likelihood(mixture.denoiser(VP()), x_0)
    difference = bound.per_image + exact.log_prob / 2
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / 2000**0.5
